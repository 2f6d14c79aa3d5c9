"""What is counted of calls, for any group of them. Figures of parts add up to the figures of the whole."""

from collections.abc import Collection
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from apps.analytics.histograms import Histogram, bucket_of, merge, quantiles
from apps.wire.call_records import SYNTHETIC

#: Answered without waiting for the upstream.
_FROM_CACHE = ("HIT", "STALE")
#: Whose share of (these and MISS) is the hit ratio.
SERVED_BY_CACHE = ("HIT", "STALE", "REVALIDATED")
#: Results of calls that went to the upstream for their response: why is counted for each.
UNANSWERED = ("MISS", "BYPASS")
#: Classes of calls with a latency of their own, beside that of ``all``. Each call is in one of the first four or in ``OWN``, and in
#: ``error`` besides when it was answered with 4xx or 5xx.
CLASSES = ("hit", "revalidated", "miss", "bypass", "error")
#: The class of calls that the gateway answered by itself, without cache and upstream: mostly refusals.
OWN = "other"
_PARTS = CLASSES[:4]
_HISTOGRAMS = (*CLASSES, OWN)
_NO_TIME = (0.0, 0.0)
_counts_of = attrgetter("caches", "statuses", "codes", "reasons", *_HISTOGRAMS)
_CLASS_OF = {"HIT": "hit", "STALE": "hit", "REVALIDATED": "revalidated", "MISS": "miss"}


class Countable(Protocol):
    """What is counted of a call: of a record on its way, or of a row of the log."""

    cache: str
    status: int
    code: str
    reason: str
    duration: float
    upstream_duration: float
    attempts: int
    request_bytes: int
    response_bytes: int

    @property
    def flags(self) -> Collection[str]:
        """What was noted of it."""


class Figures(msgspec.Struct, array_like=True):
    """Counts and latency histograms of some calls. Times in milliseconds, sizes in bytes.

    New fields go at the end, with a default: older rows don't have them.
    """

    calls: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    upstream_calls: int = 0
    upstream_answers: int = 0  # calls that waited for the upstream, and
    upstream_time: float = 0.0  # how long they did, together
    caches: dict[str, int] = {}  # HIT, STALE, REVALIDATED, MISS, BYPASS -> calls
    statuses: dict[int, int] = {}
    codes: dict[str, int] = {}  # problem codes of refusals and own errors
    reasons: dict[str, int] = {}
    hit: Histogram = {}  # latency of HIT and STALE: of responses that waited for no upstream
    miss: Histogram = {}  # latency of MISS
    other: Histogram = {}  # latency of what the gateway answered by itself; in older rows of REVALIDATED and BYPASS too
    revalidated: Histogram = {}
    bypass: Histogram = {}  # latency of BYPASS that went to the upstream: a refusal would make it look fast
    error: Histogram = {}  # latency of 4xx and 5xx, whatever their class: what is here is in one of the others too
    times: dict[
        str, tuple[float, float]
    ] = {}  # class -> milliseconds in all, and those of them that were the upstream's
    why: dict[str, dict[str, int]] = {}  # of the results in UNANSWERED: reason -> calls
    synthetic: int = 0  # calls among them that were made up

    def count(self, call: Countable) -> None:
        """Add one call."""
        self.calls += 1
        self.synthetic += SYNTHETIC in call.flags
        self.request_bytes += call.request_bytes
        self.response_bytes += call.response_bytes
        self.upstream_calls += call.attempts
        if call.upstream_duration > 0:
            self.upstream_answers += 1
            self.upstream_time += call.upstream_duration
        self.caches[call.cache] = self.caches.get(call.cache, 0) + 1
        self.statuses[call.status] = self.statuses.get(call.status, 0) + 1
        if call.code:
            self.codes[call.code] = self.codes.get(call.code, 0) + 1
        if call.reason:
            self.reasons[call.reason] = self.reasons.get(call.reason, 0) + 1
            if call.cache in UNANSWERED:
                why = self.why.setdefault(call.cache, {})
                why[call.reason] = why.get(call.reason, 0) + 1
        kind = class_of(call)
        bucket = bucket_of(call.duration)
        # A collapsed call has the upstream's time of the call that it joined, perhaps long before.
        upstream = min(call.upstream_duration, call.duration)
        self._time(kind, bucket, call.duration, upstream)
        if call.status >= 400:
            self._time("error", bucket, call.duration, upstream)

    def _time(self, kind: str, bucket: int, duration: float, upstream: float) -> None:
        histogram: Histogram = getattr(self, kind)
        histogram[bucket] = histogram.get(bucket, 0) + 1
        total, of_upstream = self.times.get(kind, _NO_TIME)
        self.times[kind] = total + duration, of_upstream + upstream

    def tally(self, status: int, code: str, calls: int, request_bytes: int, response_bytes: int) -> None:
        """Add calls that no API was found for, refused with the problem ``code``. Nothing is known of their latency."""
        self.calls += calls
        self.request_bytes += request_bytes
        self.response_bytes += response_bytes
        _add_counts(self.caches, {"BYPASS": calls})
        _add_counts(self.statuses, {status: calls})
        if code:
            _add_counts(self.codes, {code: calls})
            _add_counts(self.reasons, {code: calls})
            _add_counts(self.why.setdefault("BYPASS", {}), {code: calls})

    def add(self, other: "Figures") -> None:
        """Add the figures of other calls."""
        self.calls += other.calls
        self.synthetic += other.synthetic
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.upstream_calls += other.upstream_calls
        self.upstream_answers += other.upstream_answers
        self.upstream_time += other.upstream_time
        for mine, theirs in zip(_counts_of(self), _counts_of(other), strict=True):
            if theirs:
                _add_counts(mine, theirs)
        for result, reasons in other.why.items():
            _add_counts(self.why.setdefault(result, {}), reasons)
        for kind, (total, upstream) in other.times.items():
            before = self.times.get(kind, _NO_TIME)
            self.times[kind] = before[0] + total, before[1] + upstream

    @property
    def errors(self) -> int:
        """Calls answered with 4xx or 5xx."""
        return sum(count for status, count in self.statuses.items() if status >= 400)

    @property
    def hit_ratio(self) -> float | None:
        """(HIT + STALE + REVALIDATED) / (those + MISS), or ``None`` when there were none: refusals and bypasses don't count."""
        served = sum(self.caches.get(cache, 0) for cache in SERVED_BY_CACHE)
        asked = served + self.caches.get("MISS", 0)
        return served / asked if asked else None

    @property
    def saved_calls(self) -> int:
        """Upstream calls that the cache made unnecessary."""
        return sum(self.caches.get(cache, 0) for cache in _FROM_CACHE)

    @property
    def upstream_mean(self) -> float | None:
        """Mean milliseconds that a call waited for the upstream, among those that did."""
        return self.upstream_time / self.upstream_answers if self.upstream_answers else None

    @property
    def everything(self) -> Histogram:
        """The latency of all calls."""
        together: Histogram = {}
        for kind in (*_PARTS, OWN):
            merge(together, getattr(self, kind))
        return together

    def latency(self) -> dict[str, dict[str, float | None]]:
        """p50, p95 and p99 in milliseconds of all calls and of each of ``CLASSES``; each within 1 %."""
        return {
            "all": _percentiles(self.everything),
            **{kind: _percentiles(getattr(self, kind)) for kind in CLASSES},
        }

    def latency_shares(self) -> dict[str, dict[str, float | None]]:
        """How the time of all calls, and of each of ``CLASSES``, divides: ``upstream`` and ``gateway`` add up to 1.

        The upstream's is what the gateway waited for it; the gateway's is the rest, until the last byte left. ``None`` where no
        time was measured.
        """
        sums = {kind: self.times.get(kind, _NO_TIME) for kind in (*CLASSES, OWN)}
        parts = [sums[kind] for kind in (*_PARTS, OWN)]
        sums["all"] = sum(total for total, _ in parts), sum(upstream for _, upstream in parts)
        return {kind: _divided(*sums[kind]) for kind in ("all", *CLASSES)}

    def measured(self) -> dict[str, int]:
        """How many calls stand behind each of ``latency``: strangers' aren't measured, and older figures tell fewer classes."""
        return {
            "all": sum(self.everything.values()),
            **{kind: sum(getattr(self, kind).values()) for kind in CLASSES},
        }

    def by_class(self) -> dict[str, int]:
        """Calls by class of status: ``{"2xx": 10, ...}``."""
        classes: dict[str, int] = {}
        for status, count in sorted(self.statuses.items()):
            _add_counts(classes, {f"{status // 100}xx": count})
        return classes


def _add_counts(into: dict[Any, int], more: dict[Any, int]) -> None:
    if into:
        for name, count in more.items():
            into[name] = into.get(name, 0) + count
    else:
        into.update(more)


def class_of(call: Countable) -> str:
    """The class of a call's latency: one of ``CLASSES`` but ``error``, or ``OWN``."""
    return _CLASS_OF.get(call.cache) or ("bypass" if call.attempts else OWN)


def _divided(total: float, upstream: float) -> dict[str, float | None]:
    share = upstream / total if total else None
    return {"upstream": share, "gateway": None if share is None else 1 - share}


def _percentiles(histogram: Histogram) -> dict[str, float | None]:
    p50, p95, p99 = quantiles(histogram, (0.50, 0.95, 0.99))
    return {"p50": p50, "p95": p95, "p99": p99}


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Figures).decode

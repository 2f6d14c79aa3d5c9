"""What is counted of calls, for any group of them. Figures of parts add up to the figures of the whole."""

from typing import Any, Protocol

import msgspec

from apps.analytics.histograms import Histogram, bucket_of, merge, quantiles

#: Answered without waiting for the upstream.
_FROM_CACHE = ("HIT", "STALE")
#: Whose share of (these and MISS) is the hit ratio.
SERVED_BY_CACHE = ("HIT", "STALE", "REVALIDATED")


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
    other: Histogram = {}  # latency of the rest

    def count(self, call: Countable) -> None:
        """Add one call."""
        self.calls += 1
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
        histogram = self.hit if call.cache in _FROM_CACHE else self.miss if call.cache == "MISS" else self.other
        bucket = bucket_of(call.duration)
        histogram[bucket] = histogram.get(bucket, 0) + 1

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

    def add(self, other: "Figures") -> None:
        """Add the figures of other calls."""
        self.calls += other.calls
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.upstream_calls += other.upstream_calls
        self.upstream_answers += other.upstream_answers
        self.upstream_time += other.upstream_time
        for into, more in (
            (self.caches, other.caches),
            (self.statuses, other.statuses),
            (self.codes, other.codes),
            (self.reasons, other.reasons),
        ):
            _add_counts(into, more)
        for mine, theirs in ((self.hit, other.hit), (self.miss, other.miss), (self.other, other.other)):
            merge(mine, theirs)

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

    def latency(self) -> dict[str, dict[str, float | None]]:
        """p50, p95 and p99 in milliseconds of all calls, of hits and of misses; each within 1 %."""
        everything: Histogram = {}
        for histogram in (self.hit, self.miss, self.other):
            merge(everything, histogram)
        return {"all": _percentiles(everything), "hit": _percentiles(self.hit), "miss": _percentiles(self.miss)}

    def by_class(self) -> dict[str, int]:
        """Calls by class of status: ``{"2xx": 10, ...}``."""
        classes: dict[str, int] = {}
        for status, count in sorted(self.statuses.items()):
            _add_counts(classes, {f"{status // 100}xx": count})
        return classes


def _add_counts(into: dict[Any, int], more: dict[Any, int]) -> None:
    for name, count in more.items():
        into[name] = into.get(name, 0) + count


def _percentiles(histogram: Histogram) -> dict[str, float | None]:
    p50, p95, p99 = quantiles(histogram, (0.50, 0.95, 0.99))
    return {"p50": p50, "p95": p95, "p99": p99}


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Figures).decode

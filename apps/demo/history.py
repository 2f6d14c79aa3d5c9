"""Made-up calls of the demo's applications in the past, for those who want to see dashboards as they are after weeks.

A day has its hours and a week its days; use grows slowly; the cache is cold at first and after a purge; for most of an hour the
origin is down. Every call has the flag ``synthetic``; see ``apps.analytics.synthetic`` for how they are kept apart.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.analytics import synthetic
from apps.analytics.synthetic import Added
from apps.demo.traffic import ITEMS
from apps.httpcache.reasons import Reason
from apps.wire.call_records import CALL, SYNTHETIC, SYNTHETIC_IDS, SpooledCallRecord
from apps.wire.failure_causes import FailureCause

PER_SECOND = 0.5
"""Calls, on average: some 1.3 million a month."""

SHORTEST, LONGEST = timedelta(days=1), timedelta(days=90)
PART = timedelta(hours=6)
"""What is written at once: nobody else waits long for the database."""

_HOUR, _DAY = 3600, 86400
_WARM = 1200  # seconds in which a cold cache gets two thirds of the way to its usual hit ratio
_PEAK_HOUR, _EVENING_HOUR = 11, 20
_WEEKEND = (5, 6)
_NIGHTLY_HOUR = 2  # when globex/reports runs
_DOWN = (502, "upstream_unreachable")


@dataclass(frozen=True)
class Operation:
    """What is called, and what calls of it usually get.

    ``upstream`` is the median of the upstream's time in milliseconds, ``size`` the body's in bytes. ``hit``, ``stale`` and
    ``revalidated`` are shares of calls, the rest being misses; without ``hit`` calls bypass the cache. ``reason`` is that of misses
    or bypasses. The upstream answers ``status``, and 503 to the share ``failing`` of calls.
    """

    api: str
    name: str
    paths: tuple[str, ...]
    reason: Reason
    upstream: float
    size: int
    hit: float | None = None
    stale: float = 0.0
    revalidated: float = 0.0
    status: int = 200
    failing: float = 0.0


@dataclass(frozen=True)
class Flow:
    """Calls of one application to one operation: ``share`` of all calls. The share ``refused`` of them gets ``refusal``."""

    application: str
    plan: str
    operation: Operation
    share: float
    refused: float = 0.0
    refusal: tuple[int, str] = (0, "")
    nightly: bool = False


_ITEMS = tuple(f"/catalogue/items/{number}" for number in range(1, ITEMS + 1))
_ORDERS = tuple(f"{path}/orders" for path in _ITEMS)
_ITEM = Operation("catalogue", "GET /items/{id}", _ITEMS, Reason.STORED, 95, 900, hit=0.8, stale=0.03, revalidated=0.05)
_LIST = Operation(
    "catalogue", "GET /items", ("/catalogue/items",), Reason.STORED, 22, 3200, hit=0.88, stale=0.04, revalidated=0.04
)
_ORDER = Operation("catalogue", "POST /items/{id}/orders", _ORDERS, Reason.METHOD, 5, 40, status=201)
_SEARCH = Operation("search", "GET /", ("/search/",), Reason.STORED_TTL, 110, 2600, hit=0.62, stale=0.08)
_BEST = Operation("bestsellers", "GET /", ("/bestsellers/",), Reason.STORED_OVERRIDE, 150, 1900, hit=0.9, stale=0.05)
_ACCOUNT = Operation("account", "GET /", ("/account/",), Reason.STORED, 4, 40, hit=0.5)
_DELIVERY = Operation("delivery", "GET /", ("/delivery/",), Reason.MODE_OFF, 12, 16, failing=0.25)

FLOWS = (
    Flow("acme/storefront", "partner", _ITEM, 0.3),
    Flow("acme/storefront", "partner", _LIST, 0.09),
    Flow("acme/storefront", "partner", _SEARCH, 0.12),
    Flow("acme/storefront", "partner", _BEST, 0.05),
    Flow("acme/storefront", "partner", _ACCOUNT, 0.03),
    Flow("acme/storefront", "partner", _DELIVERY, 0.04),
    Flow("acme/storefront", "partner", _ORDER, 0.01),
    Flow("globex/mobile", "standard", _ITEM, 0.18),
    Flow("globex/mobile", "standard", _LIST, 0.06),
    Flow("globex/mobile", "standard", _SEARCH, 0.05),
    Flow("globex/mobile", "standard", _DELIVERY, 0.03),
    Flow("globex/mobile", "", _BEST, 0.01, refused=1.0, refusal=(403, "not_subscribed")),
    Flow("globex/reports", "trial", _ITEM, 0.02, refused=0.08, refusal=(429, "rate_limited"), nightly=True),
    Flow("", "", _ITEM, 0.01, refused=1.0, refusal=(401, "invalid_credential")),
)


class History:
    """The calls of a span of time, in Unix seconds, and what happened in it. The same ``seed`` makes the same one."""

    def __init__(self, since: float, until: float, *, seed: int = 1) -> None:
        self.since, self.until = since, until
        self.purge = since + 0.8 * (until - since)
        self.outage = since + 0.55 * (until - since), since + 0.55 * (until - since) + 50 * 60
        self._chance = random.Random(seed)  # noqa: S311 - simulated traffic, no secret
        self._number = 0

    def calls(self, start: float, end: float) -> Iterator[SpooledCallRecord]:
        """The calls of a part of the span, minute by minute."""
        at = max(start, self.since)
        while at < min(end, self.until):
            length = min(60.0, self.until - at)
            for flow in FLOWS:
                mean = PER_SECOND * flow.share * length * self._rhythm(at, nightly=flow.nightly)
                for _ in range(self._number_of(mean)):
                    yield self._call(flow, at + self._chance.random() * length)
            at += length

    def _rhythm(self, at: float, *, nightly: bool) -> float:
        """How many times the average rate calls come at."""
        hour, day = at % _DAY / _HOUR, (at // _DAY + 3) % 7  # the epoch was a Thursday; Monday is 0
        if nightly:
            return 24.0 if _NIGHTLY_HOUR <= hour < _NIGHTLY_HOUR + 1 else 0.0
        daily = (
            0.25 + 1.5 * math.exp(-(((hour - _PEAK_HOUR) / 4) ** 2)) + math.exp(-(((hour - _EVENING_HOUR) / 2.2) ** 2))
        )
        weekly = 0.6 if day in _WEEKEND else 1.1
        growth = 0.85 + 0.3 * (at - self.since) / (self.until - self.since)
        return daily * weekly * growth

    def _number_of(self, mean: float) -> int:
        """A whole number near ``mean``, which is met on average: the normal distribution in place of Poisson's."""
        return int(max(0.0, self._chance.gauss(mean, math.sqrt(mean))) + self._chance.random()) if mean else 0

    def _warmth(self, at: float) -> float:
        """How much of its usual hit ratio the cache has."""
        cold = self.purge if at >= self.purge else self.since
        return max(0.001, 1 - math.exp(-(at - cold) / _WARM))

    def _call(self, flow: Flow, at: float) -> SpooledCallRecord:
        operation = flow.operation
        status, code, cache, reason = self._outcome(flow, at)
        upstream = self._upstream_time(operation, at, cache, code)
        has_failed = code == _DOWN[1] or reason == Reason.STALE_IF_ERROR.code
        self._number += 1
        identity = f"{SYNTHETIC_IDS}{self._number}"
        return SpooledCallRecord(
            kind=CALL,
            call_id=identity,
            request_id=identity,
            at=at,
            api=operation.api,
            revision=1,
            operation=operation.name,
            tenant=flow.application.partition("/")[0],
            application=flow.application,
            key_id=0,
            plan=flow.plan,
            method=operation.name.partition(" ")[0],
            host="",
            path=operation.paths[int(len(operation.paths) * self._chance.random() ** 3)],
            status=status,
            code=code,
            cache=cache,
            reason=reason,
            duration=upstream + 0.5 * self._chance.lognormvariate(0.0, 0.5),
            upstream_duration=upstream,
            upstream_status=0 if not upstream or code else 304 if cache == "REVALIDATED" else status,
            upstream="",
            request_bytes=250,
            response_bytes=280 + int(operation.size * (0.9 + 0.2 * self._chance.random())),
            attempts=1 if upstream or has_failed else 0,
            flags=(SYNTHETIC,),
            cause=FailureCause.CONNECTION_REFUSED.code if has_failed else "",
        )

    def _upstream_time(self, operation: Operation, at: float, cache: str, code: str) -> float:
        """Milliseconds of the upstream, 0 where it isn't asked. It is slower when it has more to do."""
        spread = self._chance.lognormvariate(0.0, 0.3)
        if code == _DOWN[1]:
            return 1.5 * spread  # the connection is refused
        if code or cache in ("HIT", "STALE"):
            return 0.0
        slow = 4.0 if self._chance.random() < 0.01 else 1.0
        return operation.upstream * slow * spread * (0.9 + 0.12 * self._rhythm(at, nightly=False))

    def _outcome(self, flow: Flow, at: float) -> tuple[int, str, str, str]:
        """Status, problem code, cache result and its reason."""
        operation = flow.operation
        if self._chance.random() < flow.refused:
            return *flow.refusal, "BYPASS", flow.refusal[1]
        is_down = self.outage[0] <= at < self.outage[1]
        if operation.hit is None:
            if is_down:
                return *_DOWN, "BYPASS", operation.reason.code
            status = 503 if self._chance.random() < operation.failing else operation.status
            return status, "", "BYPASS", operation.reason.code
        chance = self._chance.random() / self._warmth(at)
        for share, cache, reason in (
            (operation.hit * (0.6 if is_down else 1.0), "HIT", Reason.FRESH),
            (operation.stale, "STALE", Reason.STALE_WHILE_REVALIDATE),
            (0.25 if is_down else 0.0, "STALE", Reason.STALE_IF_ERROR),
            (0.0 if is_down else operation.revalidated, "REVALIDATED", Reason.VALIDATED),
        ):
            chance -= share
            if chance < 0:
                return 200, "", cache, reason.code
        if is_down:
            return *_DOWN, "MISS", Reason.NOT_FOUND.code
        return operation.status, "", "MISS", operation.reason.code


def make(length: timedelta, *, now: datetime, on_progress: Callable[[float], None] = lambda share: None) -> Added:
    """Replace what there is of a made-up history by one of the last ``length``, up to the first call of a client.

    ``on_progress`` hears which share (0..1) is made. Raises ``ValueError`` when there is no time before the first call.
    30 days take some 35 seconds of processor. What is left of one that was broken off, the next replaces.
    """
    since, until = now - length, min(now, synthetic.first_real_call() or now)
    if until - since < PART:
        raise ValueError(
            f"Clients' calls begin at {until:%Y-%m-%d %H:%M} UTC, and a made-up history ends before them: ask for a longer one."
        )
    synthetic.remove()
    start = since.replace(minute=0, second=0, microsecond=0).timestamp()
    history = History(start, until.replace(second=0, microsecond=0).timestamp())
    made = Added()
    while start < history.until:
        end = start + PART.total_seconds()
        made += synthetic.add(history.calls(start, end), now=now)
        start = end
        on_progress(min(1.0, (start - history.since) / (history.until - history.since)))
    synthetic.add_event(datetime.fromtimestamp(history.purge, now.tzinfo), api="catalogue", label="Purged")
    return made

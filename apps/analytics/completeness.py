"""How many call records came, of those that were written: the number beside every chart."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from django.db.models import Max, Sum
from django.utils import timezone

from apps.analytics.choices import LossCause
from apps.analytics.models import Ingestion, Interval, Loss
from apps.wire import redis_names
from apps.wire.redis_client import AWAY, connect

#: Seconds that a record may take from the spool into the database before its absence is worth a word.
GRACE = 10.0
#: A person waits for this.
_TIMEOUT = 0.3
_PATIENCE = 5.0  # how long a Redis that didn't answer isn't asked again


@dataclass(frozen=True)
class UnderWay:
    """Records that were written a while ago and have not come, as the agents say; ``oldest``: the time of the first of them."""

    records: int = 0
    oldest: float = 0.0


@dataclass(frozen=True)
class Agent:
    """What a node's agent last said of its spool."""

    node: str
    at: datetime
    spool_bytes: int
    budget_bytes: int
    unshipped_bytes: int
    lost: int


@dataclass(frozen=True)
class Completeness:
    """The state of the account. ``causes``: why records are missing (a gap that may still be filled has ``never_came``)."""

    received: int
    expected: int
    under_way: UnderWay
    causes: Mapping[str, int] = field(default_factory=dict)
    last_ingestion: datetime | None = None
    in_stream: int | None = None  # entries that wait for Celery or the database; None: Redis is away
    agents: tuple[Agent, ...] = ()

    @property
    def missing(self) -> int:
        """Records that are neither here nor under way."""
        return sum(self.causes.values())

    @property
    def late(self) -> float:
        """Seconds by which the figures are behind; 0 when everything written has come."""
        return (
            max(0.0, time.time() - self.under_way.oldest) if self.under_way.records and self.under_way.oldest else 0.0
        )


def missing_between(since: datetime, until: datetime) -> int:
    """Records known to be missing in a span of time. It isn't known whose calls they were. Two queries."""
    gaps = Interval.objects.filter(first_at__gte=since, first_at__lt=until).aggregate(n=Sum("missing_before"))["n"]
    losses = Loss.objects.filter(at__gte=since, at__lt=until).aggregate(n=Sum("count"))["n"]
    return (gaps or 0) + (losses or 0)


def missing_by_time(since: datetime, until: datetime) -> list[tuple[float, int]]:
    """The same one by one: (Unix time, records). Two queries."""
    gaps = Interval.objects.filter(first_at__gte=since, first_at__lt=until, missing_before__gt=0)
    losses = Loss.objects.filter(at__gte=since, at__lt=until)
    pairs = [*gaps.values_list("first_at", "missing_before"), *losses.order_by().values_list("at", "count")]
    return [(at.timestamp(), count) for at, count in pairs]


def causes_between(since: datetime, until: datetime) -> dict[str, int]:
    """Why records are missing in a span of time. Two queries."""
    rows = Loss.objects.filter(at__gte=since, at__lt=until).order_by().values_list("cause").annotate(n=Sum("count"))
    causes: dict[str, int] = dict(rows)
    gaps = Interval.objects.filter(first_at__gte=since, first_at__lt=until).aggregate(n=Sum("missing_before"))["n"]
    if gaps:
        causes[LossCause.NEVER_CAME] = causes.get(LossCause.NEVER_CAME, 0) + gaps
    return causes


def under_way(since: datetime | None = None, until: datetime | None = None) -> UnderWay:
    """What was written and hasn't come although it had the time, of calls between two times.

    One query, and one question to Redis; nothing is known while that is away.
    """
    told = _ask(lambda client: client.hgetall(redis_names.CALLS_WRITTEN)) or {}
    written = {life.decode(): json.loads(text) for life, text in told.items()}
    came = dict(
        Interval.objects.filter(incarnation__in=written).order_by().values_list("incarnation").annotate(n=Max("last"))
    )
    records, oldest = 0, 0.0
    for life, (last, first_at, told_at) in written.items():
        behind = last - came.get(life, 0)
        if behind <= 0 or first_at > time.time() - GRACE:
            continue
        if (since and told_at < since.timestamp()) or (until and first_at >= until.timestamp()):
            continue
        records += behind
        oldest = min(oldest or first_at, first_at)
    return UnderWay(records, oldest)


def in_stream() -> int | None:
    """Batches that wait in Redis; ``None`` while it is away."""
    return _ask(lambda client: client.xlen(redis_names.CALLS))


def agents() -> tuple[Agent, ...]:
    """What the agents last said; nothing while Redis is away."""
    told = _ask(lambda client: client.hgetall(redis_names.AGENTS)) or {}
    return tuple(
        Agent(
            node=node.decode(),
            at=datetime.fromtimestamp(said["at"], timezone.get_default_timezone()),
            spool_bytes=said["spool_bytes"],
            budget_bytes=said["budget_bytes"],
            unshipped_bytes=said["unshipped_bytes"],
            lost=said["lost"],
        )
        for node, said in sorted((node, json.loads(text)) for node, text in told.items())
    )


def last_ingestion() -> datetime | None:
    """When records last came into the database."""
    return Ingestion.objects.values_list("at", flat=True).first()


@lru_cache(maxsize=1)
def _client(url: str) -> redis.Redis:
    return connect(url, timeout=_TIMEOUT)


_away_until = 0.0


def _ask(question: Any) -> Any:
    global _away_until
    if time.monotonic() < _away_until:
        return None
    try:
        return question(_client(settings.REDIS_URL))
    except AWAY:
        _away_until = time.monotonic() + _PATIENCE
        return None

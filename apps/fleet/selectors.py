"""Who is alive, and how the installation's parts are. For the console, the REST API and readiness checks: never
raises."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from django.conf import settings
from django.db import DatabaseError, connection

from apps.fleet import state
from apps.fleet.outage_table import CONSEQUENCES
from apps.fleet.publisher import current_epoch
from apps.wire import redis_names, worker_reports
from apps.wire.redis_client import AWAY, Client, connect

QUIET = 5.0
"""Seconds without a heartbeat after which a worker no longer counts as alive here; its lease may hold longer."""

LATE, GONE = 15.0, 60.0
"""Seconds since Celery's last tick after which it is late, and after which it counts as away."""

LOW_DISK = 0.05
"""Share of the disk that is free when it begins to be said."""

OK, DEGRADED, AWAY_NOW = "ok", "degraded", "away"


@dataclass(frozen=True)
class GatewayWorker:
    """One gateway worker, as it last said of itself. Times are datetimes of Redis's clock."""

    worker: Annotated[str, "Its name among all workers."]
    node: str
    number: int
    pid: int
    incarnation: int
    epoch: Annotated[int, "The last change of configuration that it has applied."]
    lag: Annotated[int, "Changes that it is behind."]
    purge_clock: int
    lease_left: Annotated[float, "Seconds that its trust lease still runs."]
    in_flight: Annotated[int, "Calls that it is answering."]
    version: str
    since: Annotated[datetime, "When it started."]
    heard: Annotated[datetime, "When it last spoke."]
    alive: Annotated[bool, "It spoke within the last seconds."]
    troubled: Annotated[tuple[str, ...], "Upstreams that it can't reach."]
    refused: Annotated[int, "Values that it refused because their seal is broken."]


@dataclass(frozen=True)
class PartState:
    """How one part is: ``ok``, ``degraded`` or ``away``; ``detail`` says it in a sentence; ``consequences`` says
    what its being away means for calls, cache, limits, keys, records and the console."""

    slug: str
    name: str
    state: str
    detail: str
    consequences: dict[str, str] = field(default_factory=dict)


def gateways() -> list[GatewayWorker]:
    """Workers that neither said goodbye nor were reaped; none while Redis is away."""
    try:
        return _gateways(state.client())
    except (*AWAY, DatabaseError):
        return []


def parts_state() -> list[PartState]:
    """The parts of the installation, each looked at now. Takes a few seconds at most, when something is frozen."""
    looks: tuple[tuple[str, str, Callable[[], tuple[str, str]]], ...] = (
        ("state", "Redis (state)", _state),
        ("cache", "Redis (cache)", _cache),
        ("database", "Database", _database),
        ("celery", "Celery", _celery),
        ("upstreams", "Upstreams", _upstreams),
        ("gateways", "Gateways", _workers),
        ("disk", "Disk", _disk),
    )
    return [PartState(slug, name, *look(), CONSEQUENCES[slug]) for slug, name, look in looks]


def _gateways(redis: Client) -> list[GatewayWorker]:
    now, heard = worker_reports.read(redis)
    incarnation, n = current_epoch()
    return [
        GatewayWorker(
            worker=worker,
            node=report.node,
            number=report.number,
            pid=report.pid,
            incarnation=report.incarnation,
            epoch=report.n,
            lag=max(0, n - report.n) if report.incarnation == incarnation else n,
            purge_clock=report.clock,
            lease_left=max(0.0, lease_until - now),
            in_flight=report.in_flight,
            version=report.version,
            since=datetime.fromtimestamp(report.since, UTC),
            heard=datetime.fromtimestamp(at, UTC),
            alive=now - at < QUIET,
            troubled=report.troubled,
            refused=report.refused,
        )
        for worker, report, at, lease_until in ((*each, each.lease_until) for each in heard)
    ]


@lru_cache(maxsize=4)
def _cache_client(url: str) -> Client:
    return connect(url, timeout=state.TIMEOUT)


def _answers(redis: Client) -> tuple[str, str]:
    started = time.monotonic()
    try:
        redis.ping()
    except AWAY as error:
        return AWAY_NOW, f"It doesn't answer: {str(error) or type(error).__name__}."
    return OK, f"Answers in {(time.monotonic() - started) * 1000:.0f} ms."


def _state() -> tuple[str, str]:
    found, detail = _answers(state.client())
    if found != OK:
        return found, detail
    try:
        held, goal = state.redis_state(state.client()), current_epoch()
    except (*AWAY, DatabaseError):
        return found, detail
    if held is None or not held.genuine or held.outdated or held.incarnation != goal[0] or held.n > goal[1]:
        return DEGRADED, "It is about to be filled anew."
    if held.n < goal[1]:
        return DEGRADED, f"{goal[1] - held.n} changes wait to be published."
    return found, detail


def _cache() -> tuple[str, str]:
    return _answers(_cache_client(settings.CACHE_REDIS_URL))


def _database() -> tuple[str, str]:
    started = time.monotonic()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return AWAY_NOW, f"It doesn't answer: {type(error).__name__}."
    return OK, f"Answers in {(time.monotonic() - started) * 1000:.0f} ms."


def _celery() -> tuple[str, str]:
    try:
        ticked, filled = state.client().get(redis_names.CELERY), state.client().hget(redis_names.EPOCH, "filled")
    except AWAY:
        return DEGRADED, "Unknown while Redis is away."
    if ticked is None and time.time() - float(filled or 0) < GONE:
        return DEGRADED, "It hasn't been seen yet: it may be starting."
    if ticked is None:
        return AWAY_NOW, "It hasn't been seen in the last hour."
    ago = max(0.0, time.time() - float(ticked))
    detail = f"Last tick {ago:.0f} s ago."
    return (OK if ago < LATE else DEGRADED if ago < GONE else AWAY_NOW), detail


def _upstreams() -> tuple[str, str]:
    try:
        found = _gateways(state.client())
    except (*AWAY, DatabaseError):
        return DEGRADED, "Unknown while Redis is away."
    troubled = sorted({upstream for gateway in found for upstream in gateway.troubled})
    if troubled:
        return DEGRADED, f"Failing now: {', '.join(troubled)}."
    return OK, "None is failing."


def _workers() -> tuple[str, str]:
    try:
        found = _gateways(state.client())
    except (*AWAY, DatabaseError):
        return DEGRADED, "Unknown while Redis is away."
    alive = [each for each in found if each.alive]
    if not alive:
        return AWAY_NOW, "No worker is running."
    if damaged := sum(each.refused > 0 for each in alive):
        return DEGRADED, f"{damaged} of {len(alive)} workers refused damaged values."
    if len(alive) < len(found):
        return DEGRADED, f"{len(alive)} workers are running; {len(found) - len(alive)} fell silent."
    return OK, f"{len(alive)} worker{'' if len(alive) == 1 else 's'} running."


def _disk() -> tuple[str, str]:
    usage = shutil.disk_usage(settings.DATA_DIR)
    free = usage.free / usage.total
    detail = f"{free:.0%} free, {usage.free / 2**30:.1f} GiB."
    return (OK if free >= LOW_DISK else DEGRADED if usage.free > 2**20 else AWAY_NOW), detail

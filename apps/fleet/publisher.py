"""From the outbox to Redis: reads the audit entries after Redis's epoch, compiles what they affect, pushes it.

Each commit of a change wakes it, and the reconciler looks every few seconds: nothing depends on a wake-up having
come. Any number of publishers may run at once.
"""

import logging
import math
import random
import time
import uuid
from itertools import chain
from typing import TypeGuard

from django.db import DatabaseError
from django.db.models import F, Max

from apps.access.models import Credential as CredentialRow
from apps.audit.models import Entry, Epoch
from apps.caching.models import Purge
from apps.catalog.models import API
from apps.fleet import state
from apps.fleet.compile import UnknownKind, affected_by, all_credentials, all_parts, credentials_of, parts_of
from apps.wire import redis_names
from apps.wire.redis_client import AWAY, Client
from apps.wire.snapshot import Credential

logger = logging.getLogger(__name__)

ENTRIES = 200
"""Audit entries that one push covers at most."""

INLINE = 2_000
"""APIs and keys up to which a refill is done by the process that notices; a larger one is the reconciler's: no caller waits for
it."""

PATIENCE = 1.0
"""Seconds after which a publisher that others keep getting in the way of gives up: they are doing its work."""


class PublicationFailed(Exception):
    """The change is in the database but not at the gateways yet. The reconciler goes on; the message says why."""


def current_epoch() -> tuple[int, int]:
    """``(incarnation, n)`` as the database has it."""
    row = Epoch.objects.filter(pk=1).values_list("incarnation", "n").first()
    return row or (1, 0)


def publish_pending(*, thorough: bool = False) -> tuple[int, int]:
    """Bring Redis to the database's epoch, and return what that was. Refills it where it can't be brought there.

    Takes about ``PATIENCE`` at most, and leaves what is larger to the reconciler, which is ``thorough``. Raises
    ``PublicationFailed``.
    """
    deadline = math.inf if thorough else time.monotonic() + PATIENCE
    redis = state.client()
    try:
        while True:
            # In this order: what Redis held a moment ago can't be ahead of the database now.
            held = state.redis_state(redis)
            goal = current_epoch()
            if _continues(held, goal):
                if held.n == goal[1]:
                    return goal
                if _push_some(redis, held, deadline):
                    continue
            elif not redis.exists(redis_names.REFILLER):
                if not thorough and CredentialRow.objects.count() + API.objects.count() > INLINE:
                    raise PublicationFailed("The state Redis must be filled anew; the reconciler does it.")
                refill()
                continue
            elif thorough:
                raise PublicationFailed("Another process is writing everything anew.")
            if time.monotonic() > deadline:
                raise PublicationFailed("Another process is publishing just now.")
            time.sleep(random.uniform(0.01, 0.1))  # noqa: S311
    except AWAY as error:
        raise PublicationFailed(f"The state Redis can't be reached: {str(error) or type(error).__name__}") from error


def wake() -> None:
    """Publish after a commit. Never raises: the change is made, and the reconciler will publish it."""
    try:
        publish_pending()
    except (PublicationFailed, DatabaseError) as error:
        logger.warning("a change waits for the reconciler: %s", error)
    except Exception:
        logger.exception("a change waits for the reconciler")


def refill() -> tuple[int, int]:
    """Write everything anew in a new incarnation, then have everybody read that, if it still needs doing. Returns what
    everybody reads then.

    Until the last moment readers see what was there before. Raises ``PublicationFailed`` when another process refills.
    """
    redis, token = state.client(), uuid.uuid4().hex
    if not redis.set(redis_names.REFILLER, token, nx=True, px=state.REFILL_LOCK):
        raise PublicationFailed("Another process is writing everything anew.")
    held = state.redis_state(redis)
    if _continues(held, current_epoch()):
        redis.delete(redis_names.REFILLER)
        return held.incarnation, held.n
    level, why = _reason(held, current_epoch())
    incarnation = _next_incarnation(above=held.highest if held else 0)
    n = current_epoch()[1]
    logger.log(level, "%s: incarnation %d, epoch %d", why, incarnation, n)
    written = 0
    for parts, records in chain(((each, {}) for each in all_parts()), (({}, each) for each in all_credentials())):
        if not state.fill(redis, token, incarnation, parts, records):
            raise PublicationFailed("Another process took over writing everything anew.")
        written += len(parts) + len(records)
    # Receipts of purges wait for a clock: it must not begin again below one that a receipt named.
    clock = Purge.objects.aggregate(newest=Max("clock"))["newest"] or 0
    if not state.switch(redis, token, incarnation, n, clock):
        raise PublicationFailed("Another process took over writing everything anew.")
    logger.log(level, "wrote the state: incarnation %d, %d parts and records", incarnation, written)
    return incarnation, n


def _continues(held: state.RedisState | None, goal: tuple[int, int]) -> TypeGuard[state.RedisState]:
    """Whether what Redis holds is an earlier state of what the database holds, and the way from it is known."""
    if held is None or not held.genuine or held.mistrusted or held.outdated:
        return False
    if held.incarnation != goal[0] or held.n > goal[1]:
        return False
    return held.n == goal[1] or Entry.objects.filter(epoch=held.n + 1).exists()


def _reason(held: state.RedisState | None, goal: tuple[int, int]) -> tuple[int, str]:
    """How loudly to say that everything is written anew, and why: a first start and an upgrade are nothing to look into."""
    if held is None:
        if goal[0] == 1:
            return logging.INFO, "writing the state for the first time"
        return logging.WARNING, "writing the state anew, because Redis came back empty"
    if not held.genuine:
        return logging.WARNING, "writing the state anew, because what Redis holds is not this installation's"
    if held.outdated and not held.mistrusted and held.incarnation == goal[0] and held.n <= goal[1]:
        return logging.INFO, "writing the state anew, because an older version wrote it"
    return logging.WARNING, "writing the state anew, because Redis and the database don't continue each other"


def _next_incarnation(above: int) -> int:
    Epoch.objects.get_or_create(pk=1)
    Epoch.objects.filter(pk=1).update(incarnation=F("incarnation") + 1)
    Epoch.objects.filter(pk=1, incarnation__lte=above).update(incarnation=above + 1)
    return Epoch.objects.values_list("incarnation", flat=True).get(pk=1)


def _push_some(redis: Client, held: state.RedisState, deadline: float) -> bool:
    """Push the next entries after ``held``; whether that went through. Raises ``PublicationFailed`` after ``deadline``."""
    entries = list(Entry.objects.filter(epoch__gt=held.n).order_by("epoch").values_list("epoch", "affects")[:ENTRIES])
    try:
        affected = affected_by(chain.from_iterable(affects for _, affects in entries))
    except UnknownKind as error:
        raise PublicationFailed(
            f"{error} A newer version made this change, and its consoles and Celery workers publish it: stop those of this version."
        ) from error
    parts = parts_of(affected)
    digests: list[str] = []
    waiting: dict[str, Credential | None] = {}
    for records in credentials_of(affected):
        digests += records
        if waiting:
            if time.monotonic() > deadline:
                raise PublicationFailed("The change concerns very many keys; the reconciler publishes it.")
            if not state.push(redis, held, {}, waiting):
                return False
            held = held._replace(step=held.step + 1)
        waiting = records
    names_of = (sorted(parts), digests)
    return state.push(redis, held, parts, waiting, n=entries[-1][0], names_of=names_of, purged=sorted(affected.stored))

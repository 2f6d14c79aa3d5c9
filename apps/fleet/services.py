"""Small things the fleet is told."""

import logging
import time

from apps.fleet import names, state, workers
from apps.fleet.connections import AWAY, Client

logger = logging.getLogger(__name__)

CELERY_FORGOTTEN = 3600
"""Seconds after which nobody remembers when Celery was last alive."""

KEPT_AFTER_LEASE = 600.0
"""Seconds that a worker which was never heard of again is shown after its trust lease ended."""


def celery_is_alive() -> None:
    """A Celery worker runs its ticks. Never raises: it is said every second."""
    try:
        state.client().set(names.CELERY, f"{time.time():.3f}", ex=CELERY_FORGOTTEN)
    except AWAY as error:
        logger.debug("nobody hears that Celery is alive: %s", error)


def forget_the_dead(redis: Client) -> int:
    """Drop workers whose lease ended long ago; how many. Raises redis-py's errors."""
    now, heard = workers.read(redis)
    dead = [each.worker for each in heard if each.lease_until + KEPT_AFTER_LEASE < now]
    return redis.hdel(names.WORKERS, *dead) if dead else 0

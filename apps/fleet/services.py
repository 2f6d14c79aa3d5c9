"""Small changes to what the fleet knows."""

import logging
import time

from apps.fleet import state
from apps.wire import redis_names, worker_reports
from apps.wire.redis_client import AWAY, Client

logger = logging.getLogger(__name__)

CELERY_FORGOTTEN = 3600
"""Seconds after which it is forgotten when Celery was last alive."""

KEPT_AFTER_LEASE = 600.0
"""Seconds that a worker without a further heartbeat is shown after its trust lease ended."""


def celery_is_alive() -> None:
    """A Celery worker runs its ticks. Never raises: it is said every second."""
    try:
        state.client().set(redis_names.CELERY, f"{time.time():.3f}", ex=CELERY_FORGOTTEN)
    except AWAY as error:
        logger.debug("Celery's sign of life can't be recorded: %s", error)


def forget_the_dead(redis: Client) -> int:
    """Drop workers and disk copies whose lease ended long ago; how many. Raises redis-py's errors."""
    gone = 0
    for name, dead in worker_reports.long_silent(redis, KEPT_AFTER_LEASE).items():
        gone += redis.hdel(name, *dead) if dead else 0
    return gone

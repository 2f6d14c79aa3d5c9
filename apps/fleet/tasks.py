"""What Celery does for the fleet."""

import logging
import time

from celery import shared_task
from django.db import DatabaseError

from apps.cachestore.purges import MAX_ROWS, fold
from apps.fleet import state
from apps.fleet.publisher import PublicationFailed, publish_pending
from apps.fleet.services import forget_the_dead
from apps.wire import redis_names
from apps.wire.redis_client import AWAY

logger = logging.getLogger(__name__)

FOLD_EVERY = 3600
"""Seconds between two foldings of the table of purged tags, which read all of it."""


@shared_task(name="fleet.reconcile")
def reconcile() -> None:
    """Publish what a process that died left behind, refill a Redis that lost something, and clean up."""
    try:
        publish_pending(thorough=True)
        redis = state.client()
        state.sweep(redis)
        forget_the_dead(redis)
        # Unsafe calls to ever new paths fill the table faster: the state must not run full of it.
        if (
            redis.set(redis_names.FOLDED, 1, nx=True, ex=FOLD_EVERY)
            or redis.hlen(redis_names.PURGES) > MAX_ROWS * 3 // 2
        ):
            fold(redis, time.time())
    except (PublicationFailed, DatabaseError, *AWAY) as error:
        logger.warning("the fleet is not reconciled: %s", error)

"""What the schedule does for invalidation."""

import logging
from datetime import timedelta

from celery import shared_task
from django.db import DatabaseError
from django.db.models import Max, QuerySet
from django.utils import timezone

from apps.caching.models import Purge
from apps.fleet import state
from apps.invalidation.forwarding import forward_due
from apps.invalidation.models import Message
from apps.invalidation.receipts import note_receipts
from apps.wire import redis_names
from apps.wire.redis_client import AWAY

LONGEST = 120
"""Seconds after which a process that forwards counts as dead."""
STEP = 500
BY_MESSAGES = timedelta(days=2)
"""How long purges by messages, and the ids of those, are kept: longer than any broker delivers again."""
BY_PEOPLE = timedelta(days=90)
MOST_STEPS = 200


log = logging.getLogger(__name__)


@shared_task(name="invalidation.forward")
def forward() -> None:
    """Every other second: note receipts, and tell CDNs of purges.

    One at a time: a CDN that is slow must not keep all of Celery busy.
    """
    try:
        redis = state.client()
        if redis.set(redis_names.FORWARDING, 1, nx=True, ex=LONGEST):
            try:
                note_receipts()
                forward_due()
            finally:
                redis.delete(redis_names.FORWARDING)
    except (DatabaseError, *AWAY) as error:
        log.warning("purges are not forwarded: %s", error)


@shared_task(name="invalidation.retain")
def retain() -> None:
    """Each hour: forget old purges and messages. The newest purge stays: its clock is where a lost one goes on."""
    now = timezone.now()
    newest = Purge.objects.aggregate(clock=Max("clock"))["clock"] or 0
    old = Purge.objects.filter(clock__lt=newest).order_by()
    _delete(Message.objects.filter(at__lt=now - BY_MESSAGES))
    _delete(old.filter(actor_email="", at__lt=now - BY_MESSAGES))
    _delete(old.filter(at__lt=now - BY_PEOPLE))


def _delete(rows: QuerySet) -> None:
    for _ in range(MOST_STEPS):
        keys = list(rows.values_list("pk", flat=True)[:STEP])
        if keys:
            rows.model._base_manager.filter(pk__in=keys).delete()
        if len(keys) < STEP:
            return

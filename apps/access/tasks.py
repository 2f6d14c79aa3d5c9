"""What the schedule does with access."""

from celery import shared_task
from django.utils import timezone

from apps.access.services import revocations_clean, subscriptions_expire, trial_keys_clean


@shared_task(name="access.expire")
def expire() -> None:
    """Move subscriptions whose end has passed, and forget old keys of "Try it" and revocations that are over."""
    now = timezone.now()
    subscriptions_expire(now=now)
    trial_keys_clean(now=now)
    revocations_clean(now=now)

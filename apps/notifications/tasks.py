"""What the schedule does with notifications."""

from celery import shared_task
from django.utils import timezone

from apps.notifications.emails import send_due
from apps.notifications.services import ends_notify, notifications_clean


@shared_task(name="notifications.send")
def send() -> None:
    """Send the e-mails that are due."""
    send_due()


@shared_task(name="notifications.tend")
def tend() -> None:
    """Notify people of what ends soon, and forget what is old."""
    now = timezone.now()
    ends_notify(now=now)
    notifications_clean(now=now)

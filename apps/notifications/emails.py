"""Notifications as letters: what one user was notified of since the last run is one letter."""

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps.foundation.mail import post
from apps.notifications.models import Notification
from apps.notifications.selectors import mailed_groups, notifications_visible_to
from apps.tenants.models import User

SPAN = 8.0
"""Seconds after which a run begins no other letter: less than its period, so that a slow mail server never holds many of them."""
LETTERS = 12
"""Letters to one user, an hour. What comes beyond waits and is one letter then: others can't fill a mailbox by changes that they
make in a loop."""
LISTED = 20
"""Notifications that one letter tells of; how many more there are, it says."""


def send_due(*, clock: Callable[[], float] = monotonic) -> int:
    """Send the letters that are due; how many. None of what its reader may see no more, read already, or wants no e-mail of."""
    due, began, sent = Notification.objects.filter(mail_due=True), clock(), 0
    for user in User.objects.filter(pk__in=due.values("user")).order_by("pk"):
        if clock() - began > SPAN:
            break
        now = timezone.now()
        if _has_enough(user, now):
            continue
        # The worker that marks a row writes of it: two workers at once don't write twice.
        if due.filter(user=user).update(mail_due=False, mailed_at=now):
            sent += _send(user, now)
    return sent


def _has_enough(user: User, now: datetime) -> bool:
    lately = Notification.objects.filter(
        user=user, mailed_at__gt=now - timedelta(hours=1), group__in=mailed_groups(user)
    )
    return lately.order_by().values("mailed_at").distinct().count() >= LETTERS


def _send(user: User, claimed_at: datetime) -> bool:
    unread = notifications_visible_to(user).filter(mailed_at=claimed_at, read_at=None, group__in=mailed_groups(user))
    rows, count = list(unread.order_by("id")[:LISTED]), unread.count()
    if rows:
        subject = rows[0].title if count == 1 else f"{rows[0].title}, and {count - 1} more"
        parts = list(map(_paragraphs, rows))
        if count > LISTED:
            parts.append(f"And {count - LISTED} more:\n\n{settings.CONSOLE_URL}{reverse('console:notifications')}")
        choice = f"{settings.CONSOLE_URL}{reverse('console:account')}"
        text = "\n\n\n".join(parts)
        post([user.email], subject, f"{text}\n\n\nWhich e-mails you get, you choose in your account: {choice}\n")
    return bool(rows)


def _paragraphs(row: Notification) -> str:
    said = f"{row.actor}:\n{_quoted(row.comment)}" if row.comment else f"By: {row.actor}"
    title, detail = " ".join(row.title.split()), _quoted(row.detail)
    return "\n\n".join(filter(None, [f"{title}.", detail, said, f"{settings.CONSOLE_URL}{row.path}"]))


def _quoted(text: str) -> str:
    """What people wrote, as a quotation: none of it looks like a sentence or a link of the platform's."""
    return "\n".join(f"> {line}" for line in text.splitlines())

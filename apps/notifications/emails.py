"""Notifications as letters: what one user was notified of since the last run is one letter."""

from collections.abc import Callable
from time import monotonic

from django.conf import settings
from django.urls import reverse

from apps.foundation.mail import post
from apps.notifications.models import Notification
from apps.notifications.selectors import mailed_groups, notifications_visible_to
from apps.tenants.models import User

SPAN = 8.0
"""Seconds after which a run begins no other letter: less than its period, so that a slow mail server never holds many of them."""


def send_due(*, clock: Callable[[], float] = monotonic) -> int:
    """Send the letters that are due; how many. None of what its reader may see no more, read already, or wants no e-mail of."""
    due, began, sent = Notification.objects.filter(mail_due=True), clock(), 0
    for user in User.objects.filter(pk__in=due.values("user")).order_by("pk"):
        if clock() - began > SPAN:
            break
        # The worker that marks the row writes: two workers at once don't write twice.
        own = due.filter(user=user).order_by("id").values_list("pk", flat=True)
        claimed = [pk for pk in own if due.filter(pk=pk).update(mail_due=False)]
        sent += _send(user, claimed)
    return sent


def _send(user: User, numbers: list[int]) -> bool:
    unread = notifications_visible_to(user).filter(pk__in=numbers, read_at=None, group__in=mailed_groups(user))
    rows = list(unread.order_by("id"))
    if rows:
        subject = rows[0].title if len(rows) == 1 else f"{rows[0].title}, and {len(rows) - 1} more"
        choice = f"{settings.CONSOLE_URL}{reverse('console:account')}"
        text = "\n\n\n".join(map(_paragraphs, rows))
        post([user.email], subject, f"{text}\n\n\nWhich e-mails you get, you choose in your account: {choice}\n")
    return bool(rows)


def _paragraphs(row: Notification) -> str:
    said = f"{row.actor}: {row.comment}" if row.comment else f"By: {row.actor}"
    return "\n\n".join(filter(None, [f"{row.title}.", row.detail, said, f"{settings.CONSOLE_URL}{row.path}"]))

"""Words of invalidation."""

from django.db import models


class MessageSource(models.TextChoices):
    """Where a message came from. Also what the audit log says a purge came in by."""

    QUEUE = "queue", "Queue"
    WEBHOOK = "webhook", "Webhook"


class ForwardingState(models.TextChoices):
    """What became of a purge at the CDN."""

    WAITING = "waiting", "Being forwarded"
    DONE = "done", "Forwarded"
    FAILED = "failed", "Not forwarded"

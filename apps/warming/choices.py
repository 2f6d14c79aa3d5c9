"""The words of warm-ups."""

from django.db import models


class WarmUpState(models.TextChoices):
    """Where a warm-up is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: the states in which there is something left to do
UNFINISHED = (WarmUpState.QUEUED, WarmUpState.RUNNING)


class WarmUpCause(models.TextChoices):
    """What a warm-up was started by."""

    MANUAL = "manual", "Somebody asked for it"
    PURGE = "purge", "A purge"
    PUBLISH = "publish", "A new revision in force"
    SCHEDULE = "schedule", "The schedule"

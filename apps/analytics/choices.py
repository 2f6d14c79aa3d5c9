"""The words of analytics: periods of figures, and for which combinations of who and what they are kept."""

from django.db import models


class Period(models.IntegerChoices):
    """Lengths of buckets, in seconds."""

    MINUTE = 60
    HOUR = 3600
    DAY = 86400


class Level(models.TextChoices):
    """For what a row of figures stands. A question is answered from the coarsest level that knows what it asks about."""

    ALL = "all", "Everything"
    API = "api", "An API"
    TENANT = "tenant", "A calling tenant"
    APPLICATION = "application", "A calling application"
    OPERATION = "operation", "An operation of an API"
    FULL = "full", "An application's calls of an operation"


#: level -> the columns that it fills, coarsest first
DIMENSIONS: dict[Level, tuple[str, ...]] = {
    Level.ALL: (),
    Level.API: ("api",),
    Level.TENANT: ("tenant",),
    Level.APPLICATION: ("tenant", "application"),
    Level.OPERATION: ("api", "operation"),
    Level.FULL: ("api", "tenant", "application", "operation"),
}


class LossCause(models.TextChoices):
    """Why a record is missing."""

    DISK_FULL = "disk_full", "The gateway's disk was full"
    SPOOL_ERROR = "spool_error", "The gateway could not write its spool"
    TORN = "torn", "Cut off by a crash"
    OVER_BUDGET = "over_budget", "The spool exceeded its share of the disk"
    UNREADABLE = "unreadable", "Set aside: could not be read"
    NEVER_CAME = "never_came", "Never came, and nobody said why"

"""The words of notifications."""

from django.db import models


class Group(models.TextChoices):
    """Kinds of notifications whose e-mails a user switches on and off together."""

    REQUESTS = "requests", "Access requests and decisions on them"
    SUBSCRIPTIONS = "subscriptions", "Subscriptions, plans and keys that change"
    APIS = "apis", "APIs that are published, deprecated, retired or taken back"
    ENDS = "ends", "Keys and subscriptions that end soon"

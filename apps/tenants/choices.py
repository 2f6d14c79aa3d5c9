"""The words of tenancy."""

from django.db import models


class Role(models.TextChoices):
    """What a member may do in a tenant: everything, build and call, or look."""

    OWNER = "owner"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class TenantState(models.TextChoices):
    """A suspended tenant's keys are refused; nothing of it is lost."""

    ACTIVE = "active"
    SUSPENDED = "suspended"

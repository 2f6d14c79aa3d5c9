"""The words of tenancy."""

from django.db import models


class Role(models.TextChoices):
    """What a member may do in a tenant: everything, build and call, or look."""

    OWNER = "owner"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class TokenScope(models.TextChoices):
    """What a token may do of what its user may: each includes those before it. ``scan`` has texts looked up that may be keys, and
    sees nothing else; only ``admin`` carries an administrator's right.
    """

    SCAN = "scan"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def included(self) -> "tuple[TokenScope, ...]":
        """This scope and those before it."""
        every = tuple(TokenScope)
        return every[: every.index(self) + 1]


class TenantState(models.TextChoices):
    """A suspended tenant's keys are refused; nothing of it is lost."""

    ACTIVE = "active"
    SUSPENDED = "suspended"

"""Reading the audit log, scoped to who asks."""

from typing import Any

from django.db.models import QuerySet

from apps.audit.models import Entry


def entries_visible_to(user: Any | None) -> QuerySet[Entry]:
    """All for a platform administrator; for others what concerns a tenant of theirs.

    Takes the user as it comes, by its attributes: this app imports no other.
    """
    if user is None or not getattr(user, "is_active", False):
        return Entry.objects.none()
    if getattr(user, "administrates", False):
        return Entry.objects.all()
    memberships = getattr(user, "held_memberships", None)
    if memberships is None:
        return Entry.objects.none()
    return Entry.objects.filter(tenant_slug__in=memberships.values("tenant__slug"))


def entries_audited_by(user: Any | None) -> QuerySet[Entry]:
    """All for a platform administrator; for an owner what concerns their tenant. They alone see where entries came from."""
    seen = entries_visible_to(user)
    if user is None or getattr(user, "administrates", False):
        return seen
    return seen.filter(tenant_slug__in=owned_tenants(user))


def owned_tenants(user: Any) -> list[str]:
    """The slugs of the tenants that a user owns, as far as they act for them. One query."""
    memberships = getattr(user, "held_memberships", None)
    owned = [] if memberships is None else memberships.filter(role="owner").values_list("tenant__slug", flat=True)
    return list(owned)


def others_had(target_type: str, target: str, tenant: str) -> bool:
    """Whether a thing of this name was deleted by another tenant than ``tenant``, so that what is kept of it under its name
    (calls, purges) is another app's. One query.
    """
    deleted = Entry.objects.filter(verb=f"{target_type}.delete", target_type=target_type, target=target)
    return deleted.exclude(tenant_slug=tenant).exists()


def was_deleted(target_type: str, target: str) -> bool:
    """Whether there was a thing of this name. One query."""
    return Entry.objects.filter(verb=f"{target_type}.delete", target_type=target_type, target=target).exists()

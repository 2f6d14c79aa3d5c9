"""Reading the audit log, scoped to who asks."""

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

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


def others_had(target_type: str, target: str, tenant: str) -> bool:
    """Whether a thing of this name was deleted by another tenant than ``tenant``, so that what is kept of it under its name
    (calls, purges) is another app's. One query.
    """
    deleted = Entry.objects.filter(verb=f"{target_type}.delete", target_type=target_type, target=target)
    return deleted.exclude(tenant_slug=tenant).exists()


def was_deleted(target_type: str, target: str) -> bool:
    """Whether there was a thing of this name. One query."""
    return Entry.objects.filter(verb=f"{target_type}.delete", target_type=target_type, target=target).exists()


def entries_filtered(
    entries: QuerySet[Entry],
    *,
    verb: str = "",
    actor: str = "",
    target_type: str = "",
    target: str = "",
    tenant: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    text: str = "",
) -> QuerySet[Entry]:
    """Those that match everything given: ``verb`` as it is or its first part (``api``), ``actor`` an address, ``text`` anywhere."""
    if verb:
        entries = entries.filter(Q(verb=verb) | Q(verb__startswith=f"{verb}."))
    exact = {"actor_email__iexact": actor, "target_type": target_type, "target": target, "tenant_slug": tenant}
    entries = entries.filter(**{field: value for field, value in exact.items() if value})
    if since:
        entries = entries.filter(at__gte=since)
    if until:
        entries = entries.filter(at__lt=until)
    if text:
        anywhere = ("verb", "target", "comment", "actor_email", "tenant_slug")
        wanted = Q()
        for field in anywhere:
            wanted |= Q(**{f"{field}__icontains": text})
        entries = entries.filter(wanted)
    return entries

"""Reading the catalogue, scoped to who asks."""

from collections.abc import Iterable
from typing import Any

from apps.audit.models import Entry
from apps.catalog.choices import APIState, HostState
from apps.catalog.document import changes_without_secrets, differences, to_document, without_secrets
from apps.catalog.models import API, HostName, Revision
from apps.catalog.policies import (
    apis_configured_by,
    apis_editable_by,
    apis_in_catalogue,
    apis_visible_to,
    can_edit_api,
    hosts_visible_to,
    operations_visible_to,
    revisions_visible_to,
    upstreams_visible_to,
)
from apps.tenants.actors import Actor
from apps.wire.host_names import is_wildcard, wildcard_of

__all__ = [
    "apis_configured_by",
    "apis_editable_by",
    "apis_in_catalogue",
    "apis_visible_to",
    "deprecation_of",
    "document_for",
    "host_owners",
    "hosts_visible_to",
    "may_be_proved_by_file",
    "operations_visible_to",
    "revision_changes_for",
    "revision_document_for",
    "revisions_visible_to",
    "upstreams_visible_to",
]


def deprecation_of(api: API) -> Entry | None:
    """When a deprecated API was deprecated, and with which comment. One query."""
    if api.state != APIState.DEPRECATED:
        return None
    return Entry.objects.filter(verb="api.deprecate", target_type="api", target=api.slug).first()


def document_for(user: Actor | None, api: API) -> dict[str, Any]:
    """``api`` in the declarative file's words, as ``user`` may see it."""
    document = to_document(api)
    return document if can_edit_api(user, api) else without_secrets(document)


def revision_document_for(user: Actor | None, revision: Revision) -> dict[str, Any]:
    """What ``revision`` keeps, as ``user`` may see it."""
    document: dict[str, Any] = revision.document
    return document if can_edit_api(user, revision.api) else without_secrets(document)


def revision_changes_for(user: Actor | None, revision: Revision) -> dict[str, list[Any]]:
    """What ``revision`` changed, as ``user`` may see it: ``{path: [before, after]}``, against the one before it. One query."""
    earlier = Revision.objects.filter(api=revision.api_id, number__lt=revision.number).order_by("-number").first()
    changed = differences(earlier.document if earlier else {}, revision.document)
    return changed if can_edit_api(user, revision.api) else changes_without_secrets(changed)


def host_owners(hosts: Iterable[str]) -> dict[str, HostName]:
    """The proved name by which each of ``hosts`` (names or wildcards) belongs to a tenant, as gateways look it up: the host
    itself, or else the wildcard over it. Those that nobody has are left out. One query."""
    wildcards = {host: wildcard_of(host) for host in hosts}
    if not wildcards:
        return {}
    proved = HostName.objects.filter(state=HostState.PROVED, host__in={*wildcards, *wildcards.values()})
    rows = {row.host: row for row in proved}
    return {host: row for host, wildcard in wildcards.items() if (row := rows.get(host) or rows.get(wildcard))}


def may_be_proved_by_file(claim: HostName) -> bool:
    """Whether a file on the host proves it: not all names of a domain, and not a name below another tenant's wildcard, where
    the file may be what a caller of that tenant put there. One query."""
    if is_wildcard(claim.host):
        return False
    owner = host_owners([claim.host]).get(claim.host)
    return owner is None or owner.tenant_id == claim.tenant_id

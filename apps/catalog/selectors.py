"""Reading the catalogue, scoped to who asks."""

from typing import Any

from apps.catalog.document import differences
from apps.catalog.models import Revision
from apps.catalog.policies import (
    apis_configured_by,
    apis_editable_by,
    apis_in_catalogue,
    apis_visible_to,
    documents_visible_to,
    operations_visible_to,
    revisions_visible_to,
    upstreams_visible_to,
)

__all__ = [
    "apis_configured_by",
    "apis_editable_by",
    "apis_in_catalogue",
    "apis_visible_to",
    "documents_visible_to",
    "operations_visible_to",
    "revision_changes",
    "revisions_visible_to",
    "upstreams_visible_to",
]


def revision_changes(revision: Revision) -> dict[str, list[Any]]:
    """What ``revision`` changed: ``{path: [before, after]}``, against the one before it. One query."""
    earlier = Revision.objects.filter(api=revision.api_id, number__lt=revision.number).order_by("-number").first()
    return differences(earlier.document if earlier else {}, revision.document)

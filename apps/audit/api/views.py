"""Routes of the audit log: read only."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.audit import verification
from apps.audit.api import filtersets, serializers
from apps.audit.export import lines
from apps.audit.models import Entry
from apps.audit.selectors import entries_audited_by, entries_visible_to
from apps.rest.views import Resource

MOST = 5_000
"""Entries of one export."""


class JSONLines(JSONRenderer):
    """Lines that are JSON already; an error is an object as elsewhere."""

    media_type = "application/x-ndjson"
    format = "jsonl"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        """As it goes out."""
        rendered: bytes = data.encode() if isinstance(data, str) else super().render(data, *args, **kwargs)
        return rendered


class EntryViewSet(Resource):
    """Every change, newest first, by its epoch."""

    serializer_class = serializers.EntrySerializer
    filterset_class = filtersets.EntryFilter
    lookup_field = "epoch"
    lookup_value_regex = r"\d{1,18}"

    @extend_schema(filters=False, responses=serializers.HeadSerializer)
    @action(detail=False, pagination_class=None)
    def head(self, request: Request) -> Response:
        """The number and the hash of the last entry. Keep it where who administrates the installation can't reach it."""
        last = verification.head()
        return Response({"epoch": last.epoch, "hash": last.hash, "head": str(last)})

    @extend_schema(
        responses={(200, "application/x-ndjson"): str},
        description=f"Entries as JSON lines, from the oldest on, {MOST:,} at most: for more, ask again with the last one's "
        "epoch in `after`. No line: there are no more.",
    )
    @action(detail=False, pagination_class=None, renderer_classes=[JSONLines])
    def export(self, request: Request) -> Response:
        """What an administrator, or the owner of a tenant, keeps elsewhere."""
        entries = self.filter_queryset(entries_audited_by(request.user)).order_by("epoch")
        return Response("".join(f"{line}\n" for line in lines(entries[:MOST])))

    def get_queryset(self) -> QuerySet[Entry]:
        """Those of one's own tenants."""
        return entries_visible_to(self.request.user)

"""Routes of the audit log: read only."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.audit import verification
from apps.audit.api import filtersets, serializers
from apps.audit.models import Entry
from apps.audit.selectors import entries_visible_to
from apps.rest.views import Resource


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

    def get_queryset(self) -> QuerySet[Entry]:
        """Those of one's own tenants."""
        return entries_visible_to(self.request.user)

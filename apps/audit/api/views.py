"""Routes of the audit log: read only."""

from django.db.models import QuerySet

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

    def get_queryset(self) -> QuerySet[Entry]:
        """Those of one's own tenants."""
        return entries_visible_to(self.request.user)

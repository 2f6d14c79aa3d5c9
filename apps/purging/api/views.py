"""Routes of cache policies and purges."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.response import Response

from apps.caching.models import Purge
from apps.catalog.models import API
from apps.catalog.selectors import apis_configured_by
from apps.purging.api import filtersets, serializers
from apps.purging.selectors import purges_visible_to
from apps.rest.views import Creatable, Updatable


class CachePolicyViewSet(Updatable):
    """How each of one's own APIs is cached, by the API's slug."""

    serializer_class = serializers.CachePolicySerializer
    filterset_class = filtersets.CachePolicyFilter
    lookup_field = "slug"
    lookup_url_kwarg = "api"

    def get_queryset(self) -> QuerySet[API]:
        """Those of one's own tenants' APIs."""
        return apis_configured_by(self.request.user).select_related("cache_policy", "tenant")

    def answer(self, changed: API, status: int = 200) -> Response:
        """The policy as it stands now."""
        found: Any = self.get_queryset().get(pk=changed.pk)
        return super().answer(found, status)


class PurgeViewSet(Creatable):
    """Purges, each with the receipt that its author got."""

    serializer_class = serializers.PurgeSerializer
    filterset_class = filtersets.PurgeFilter
    heard_by_gateways = False  # its receipt is of the purge clock, and recorded with the purge

    def get_queryset(self) -> QuerySet[Purge]:
        """Those of one's own tenants' APIs."""
        return purges_visible_to(self.request.user).select_related("forwarding")

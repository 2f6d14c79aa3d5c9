"""Routes of warm-ups."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from apps.catalog.selectors import apis_configured_by
from apps.platform.api.views import Creatable, verb
from apps.warming import selectors, services
from apps.warming.api import filtersets, serializers
from apps.warming.models import WarmUp


class WarmUpViewSet(Creatable):
    """An API's warm-ups: POST starts one, GET tells how far it is."""

    serializer_class = serializers.WarmUpSerializer
    filterset_class = filtersets.WarmUpFilter
    heard_by_gateways = False
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[WarmUp]:
        """Those of the API of the address, if it is one's own."""
        return selectors.warm_ups_visible_to(self.actor).filter(api_slug=self.kwargs.get("api"))

    def get_serializer_context(self) -> Mapping[str, Any]:
        """With the API, where one is started."""
        context = super().get_serializer_context()
        if self.action == "create" and not getattr(self, "swagger_fake_view", False):
            own = apis_configured_by(self.actor).select_related("tenant", "cache_policy")
            return {**context, "api": get_object_or_404(own, slug=self.kwargs["api"])}
        return context

    @verb(request=None)
    def cancel(self, request: Request, api: str, pk: str) -> Response:
        """Stop it; what it has stored stays."""
        return self.answer(services.warm_up_cancel(actor=self.actor, warm_up=self.get_object()))

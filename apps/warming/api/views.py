"""Routes of pushed entries and of warm-ups."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle

from apps.catalog.selectors import apis_configured_by
from apps.rest.parsers import AnswerBody
from apps.rest.views import Creatable, ViaAPI, verb
from apps.tenants.models import User
from apps.warming import selectors, services
from apps.warming.api import filtersets, serializers
from apps.warming.models import WarmUp
from apps.warming.write_through import entry_push


class PushThrottle(UserRateThrottle):
    """Each push is heard of by every worker, like a purge."""

    rate = "1200/min"
    scope = "push"


class CacheEntriesView(ViaAPI):
    """Stored responses: an origin pushes one ahead of demand."""

    http_method_names = ["put", "options"]
    parser_classes = [AnswerBody]
    throttle_classes = [PushThrottle]

    @extend_schema(request=serializers.PushSerializer, responses={201: serializers.PushedSerializer})
    def put(self, request: Request) -> Response:
        """Store a representation. 400 says what forbids that, in the words in which the cache decides about upstreams'
        responses.
        """
        asked = serializers.PushSerializer(data=request.data, context={"request": request})
        asked.is_valid(raise_exception=True)
        api = asked.validated_data["api"]
        pushed = entry_push(actor=cast(User, request.user), **asked.validated_data)
        shown = {
            "api": api.slug,
            "urls": pushed.urls,
            "keys": pushed.keys,
            "reason": pushed.reason.code,
            "sentence": pushed.reason.sentence,
            "fresh_until": datetime.fromtimestamp(pushed.fresh_until, UTC),
            "keep_until": datetime.fromtimestamp(pushed.keep_until, UTC),
            "tags": pushed.tags,
            "receipt": pushed.receipt,
        }
        return Response(serializers.PushedSerializer(shown).data, status=201)


@extend_schema(parameters=[OpenApiParameter("api", OpenApiTypes.STR, OpenApiParameter.PATH)])
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

"""Routes of the catalogue."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.catalog import selectors, services
from apps.catalog.api import filtersets, serializers
from apps.catalog.choices import Transition
from apps.catalog.models import API, HostName, Upstream
from apps.rest.parsers import FileBody
from apps.rest.receipts import wait_for_receipt, with_receipt
from apps.rest.views import Creatable, Deletable, Updatable, verb

NUMBER = OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)


class APIViewSet(Creatable, Updatable, Deletable):
    """APIs, in the words of the declarative file."""

    serializer_class = serializers.APISerializer
    filterset_class = filtersets.APIFilter
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[API]:
        """Served ones, and all of one's own tenants; rows say whether one may see and change the configuration."""
        editable = selectors.apis_editable_by(self.request.user).filter(pk=OuterRef("pk"))
        configured = selectors.apis_configured_by(self.request.user).filter(pk=OuterRef("pk"))
        return (
            selectors.apis_visible_to(self.request.user)
            .annotate(configurable=Exists(configured), editable=Exists(editable))
            .select_related("tenant", "cache_policy")
            .prefetch_related("upstreams")
        )

    def answer(self, changed: API, status: int = 200) -> Response:
        """The API as it stands now, with its upstreams read anew."""
        receipt = with_receipt(changed).receipt
        found: Any = self.get_queryset().get(pk=changed.pk)
        found.receipt = receipt
        return Response(self.get_serializer(found).data, status=status)

    def remove(self, found: API) -> None:
        """Remove an API without subscriptions."""
        services.api_delete(actor=self.actor, api=found)

    def move(self, transition: Transition) -> Response:
        """Take one step in the API's life."""
        api = self.get_object()
        moved = services.api_transition(actor=self.actor, api=api, transition=transition, comment=self.comment())
        return self.answer(moved)

    @verb()
    def publish(self, request: Request, slug: str) -> Response:
        """Have the gateways serve it."""
        return self.move(Transition.PUBLISH)

    @verb()
    def unpublish(self, request: Request, slug: str) -> Response:
        """Make it a draft again: the gateways answer 404."""
        return self.move(Transition.UNPUBLISH)

    @verb()
    def deprecate(self, request: Request, slug: str) -> Response:
        """Serve it still, and take no new subscriptions."""
        return self.move(Transition.DEPRECATE)

    @verb()
    def retire(self, request: Request, slug: str) -> Response:
        """Serve it no more."""
        return self.move(Transition.RETIRE)

    @verb(request=serializers.RollBackSerializer)
    def rollback(self, request: Request, slug: str) -> Response:
        """Take up an earlier revision again, as a new one."""
        api = self.get_object()
        wanted = self.body(serializers.RollBackSerializer)
        return self.answer(services.api_rollback(actor=self.actor, api=api, **wanted))

    @extend_schema(
        request={"application/json": OpenApiTypes.OBJECT, "application/yaml": OpenApiTypes.STR},
        responses=serializers.ImportedSerializer,
    )
    @action(detail=True, methods=["post"], url_path="import", parser_classes=[FileBody])
    def import_openapi(self, request: Request, slug: str) -> Response:
        """Take the operations from an OpenAPI 3 or Swagger 2 document, which is the body (JSON or YAML)."""
        content: Any = request.data or b""  # bytes, by the parser; nothing without a body
        result = services.openapi_import(actor=self.actor, api=self.get_object(), content=content)
        imported = {**result._asdict(), "receipt": wait_for_receipt()}
        return Response(serializers.ImportedSerializer(imported).data)

    @extend_schema(responses=serializers.OperationSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def operations(self, request: Request, slug: str) -> Response:
        """Its operations."""
        mine = selectors.operations_visible_to(self.actor).filter(api=self.get_object())
        return self.page(serializers.OperationSerializer, mine)

    @extend_schema(responses=serializers.RevisionSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def revisions(self, request: Request, slug: str) -> Response:
        """Its saved configurations, newest first: for the members of its tenant."""
        mine = selectors.revisions_visible_to(self.actor).filter(api=self.get_object())
        return self.page(serializers.RevisionSerializer, mine)

    @extend_schema(parameters=[NUMBER], responses=serializers.RevisionSerializer)
    @action(detail=True, url_path=r"revisions/(?P<number>\d{1,9})", filterset_class=None)
    def revision(self, request: Request, slug: str, number: str) -> Response:
        """One saved configuration."""
        mine = selectors.revisions_visible_to(self.actor).filter(api=self.get_object())
        found = get_object_or_404(mine, number=number)
        return Response(serializers.RevisionSerializer(found, context=self.get_serializer_context()).data)


class UpstreamViewSet(Creatable, Updatable, Deletable):
    """Addresses that answer for one's own APIs."""

    serializer_class = serializers.UpstreamSerializer
    filterset_class = filtersets.UpstreamFilter
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Upstream]:
        """Those of one's own tenants' APIs."""
        return selectors.upstreams_visible_to(self.request.user)

    def remove(self, found: Upstream) -> None:
        """Send it no more calls."""
        services.upstream_remove(actor=self.actor, upstream=found)


class HostViewSet(Creatable, Deletable):
    """Host names of one's own tenants. POST claims one; it is looked for until it is proved."""

    serializer_class = serializers.HostSerializer
    filterset_class = filtersets.HostFilter
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[HostName]:
        """Those of one's own tenants."""
        return selectors.hosts_visible_to(self.request.user)

    def remove(self, found: HostName) -> None:
        """Give it up."""
        services.host_remove(actor=self.actor, host=found)

    @verb(request=None)
    def check(self, request: Request, pk: str) -> Response:
        """Look for its record and file as soon as possible; ``checked_at`` and ``finding`` say what came of it."""
        return self.answer(services.host_recheck(actor=self.actor, host=self.get_object()))

    @extend_schema(request=serializers.GrantSerializer, responses=serializers.HostSerializer)
    @action(detail=False, methods=["post"])
    def grant(self, request: Request) -> Response:
        """Have a host name belong to a tenant without a proof: an administrator's decision."""
        return self.answer(services.host_grant(actor=self.actor, **self.body(serializers.GrantSerializer)))

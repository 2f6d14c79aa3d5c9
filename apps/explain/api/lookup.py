"""Explaining a typed request over REST."""

from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.catalog.selectors import apis_visible_to
from apps.explain.lookup import explain
from apps.explain.typed_request import header_of
from apps.purging.selectors import applications_explainable_by
from apps.rest.fields import ApplicationField
from apps.rest.serializers import Words
from apps.rest.views import ViaAPI
from apps.tenants.choices import TokenScope
from apps.tenants.models import User

LONGEST_BODY = 2**21
"""Characters of a body that may be sent to be explained: more than can be part of a key."""


class TypedRequestSerializer(Words):
    """A request to explain, as its caller would make it."""

    url = serializers.CharField(
        max_length=9000, help_text="A path with its query, listen path included, or a whole URL of the gateway."
    )
    method = serializers.CharField(default="GET", max_length=16)
    headers = serializers.ListField(
        child=serializers.CharField(max_length=9000),
        default=list,
        max_length=128,
        help_text='Like "Accept: text/html".',
    )
    body = serializers.CharField(
        default="", allow_blank=True, trim_whitespace=False, max_length=LONGEST_BODY, help_text="As UTF-8."
    )
    application = ApplicationField(
        applications_explainable_by,
        default=None,
        allow_null=True,
        help_text="Who calls; null: an anonymous caller, or the owner of the key that is sent.",
    )

    def validate_body(self, value: str) -> bytes:
        """As it would be sent."""
        return value.encode()

    def validate_headers(self, value: list[str]) -> list[tuple[str, str]]:
        """Names and values."""
        return [header_of(line) for line in value]


@extend_schema_field(OpenApiTypes.DATETIME)
class UnixTime(serializers.Field):
    """Unix seconds, shown as a time."""

    def to_representation(self, value: float) -> str:
        """The time, to the second."""
        return datetime.fromtimestamp(int(value), UTC).isoformat().replace("+00:00", "Z")


class PartSerializer(serializers.Serializer):
    """One part of a cache key."""

    label = serializers.CharField()  # type: ignore[assignment]
    value = serializers.CharField()


class DifferenceSerializer(serializers.Serializer):
    """One part in which a stored response's key isn't the request's."""

    label = serializers.CharField()  # type: ignore[assignment]
    wanted = serializers.CharField(help_text="The request's.")
    stored = serializers.CharField()


class StoredSerializer(serializers.Serializer):
    """A stored response, without its body."""

    key = serializers.CharField()
    status = serializers.IntegerField()
    state = serializers.CharField(help_text="fresh, stale or purged.")
    stored_at = UnixTime()
    fresh_until = UnixTime()
    keep_until = UnixTime()
    size = serializers.IntegerField(help_text="Bytes of body.")
    scope = serializers.CharField(help_text="shared, tenant, application or subject.")
    holder = serializers.CharField(help_text="Whose it is; empty: everybody's.")
    rule = serializers.CharField(help_text="Why it may be shared so.")
    tags = serializers.ListField(child=serializers.CharField())


class NearestSerializer(serializers.Serializer):
    """The stored response under the same path that differs in the fewest parts."""

    stored = StoredSerializer()
    differences = DifferenceSerializer(many=True)
    others = serializers.IntegerField(help_text="How many more are stored under this path.")


class KeyOfCallSerializer(serializers.Serializer):
    """The cache key of a call, as far as something of it is known."""

    key = serializers.CharField(help_text="What names it in Cache-Status, or in the call's record.")
    parts = PartSerializer(many=True)
    stored = StoredSerializer(allow_null=True)
    nearest = NearestSerializer(allow_null=True)


class ExplanationSerializer(KeyOfCallSerializer):
    """What would become of the request, and why."""

    api = serializers.CharField()
    method = serializers.CharField()
    url = serializers.CharField()
    application = serializers.CharField()
    api_key = serializers.CharField(
        help_text="Name and prefix of the key that the call would have: the newest with which the application can call "
        "now, else its newest; empty: none, or not yours to see."
    )
    result = serializers.CharField(help_text="HIT, STALE, REVALIDATED, MISS, BYPASS or REFUSED.")
    reason = serializers.CharField(help_text="As in Cache-Status and in call records.")
    sentence = serializers.CharField()
    operation = serializers.CharField(help_text="The path pattern whose policy decided; empty: the API's own.")
    forwarded = serializers.CharField(help_text="The path and query that the upstream would see.")


class ExplainView(ViaAPI):
    """What the cache would do with a request. Nothing is called, stored or counted."""

    http_method_names = ["post", "options"]
    scopes: ClassVar[dict[str, TokenScope]] = {"POST": TokenScope.READ}

    def get_queryset(self) -> QuerySet[Any]:
        """The APIs that one sees."""
        return apis_visible_to(self.request.user)

    @extend_schema(request=TypedRequestSerializer, responses=ExplanationSerializer)
    def post(self, request: Request, api: str) -> Response:
        """Explain it: the key in parts, the decision with its reason, the nearest stored response with what differs."""
        found = get_object_or_404(self.get_queryset(), slug=api)
        words = TypedRequestSerializer(data=request.data, context={"request": request})
        words.is_valid(raise_exception=True)
        explained = explain(actor=cast(User, request.user), api=found, **words.validated_data)
        return Response(ExplanationSerializer(explained).data)

"""Explaining a typed request over REST."""

from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.catalog.selectors import apis_visible_to
from apps.explain.lookup import Explanation, explain
from apps.explain.typed_request import header_of
from apps.purging.selectors import applications_explainable_by
from apps.rest.dataclass_serializers import serializer_of
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


class ExplainView(ViaAPI):
    """What the cache would do with a request. Nothing is called, stored or counted."""

    http_method_names = ["post", "options"]
    scopes: ClassVar[dict[str, TokenScope]] = {"POST": TokenScope.READ}

    def get_queryset(self) -> QuerySet[Any]:
        """The APIs that one sees."""
        return apis_visible_to(self.request.user)

    @extend_schema(request=TypedRequestSerializer, responses=serializer_of(Explanation))
    def post(self, request: Request, api: str) -> Response:
        """Explain it: the key in parts, the decision with its reason, the nearest stored response with what differs."""
        found = get_object_or_404(self.get_queryset(), slug=api)
        words = TypedRequestSerializer(data=request.data, context={"request": request})
        words.is_valid(raise_exception=True)
        explained = explain(actor=cast(User, request.user), api=found, **words.validated_data)
        return Response(serializer_of(Explanation)(explained).data)

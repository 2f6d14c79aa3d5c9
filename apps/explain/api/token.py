"""Testing a token over REST: each claim, whose it is, and which APIs would take it."""

from typing import ClassVar, cast

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.access.models import Issuer
from apps.access.selectors import issuers_visible_to
from apps.explain.typed_token import TypedToken, explain_token
from apps.gateway.pipeline.authenticators.jwt.examination import Finding
from apps.rest.fields import ApplicationField
from apps.rest.serializers import Words
from apps.rest.views import ViaAPI
from apps.tenants.choices import TokenScope
from apps.tenants.models import User

LONGEST = 16 * 1024
"""Characters of a token that is looked at: gateways take fewer, and say so."""


class TestTokenSerializer(Words):
    """A token of an issuer. It is looked at and forgotten: neither stored nor logged."""

    __test__ = False

    token = serializers.CharField(max_length=LONGEST, help_text="As it stands behind Bearer in a call.")


class FindingSerializer(serializers.Serializer):
    """One check of a token, and what is wrong there."""

    about = serializers.CharField(help_text="form, signature, client, or a claim.")
    said = serializers.JSONField(allow_null=True, help_text="What the token says there; null: nothing.")
    code = serializers.SerializerMethodField(help_text="What is wrong, as the traces of calls say it; empty: nothing.")
    sentence = serializers.SerializerMethodField()

    def get_code(self, finding: Finding) -> str:
        """Of its fault."""
        return finding.fault.code if finding.fault else ""

    def get_sentence(self, finding: Finding) -> str:
        """Of its fault."""
        return finding.fault.sentence if finding.fault else ""


class TokenAtAPISerializer(serializers.Serializer):
    """What an API would say of a call with the token."""

    api = serializers.CharField(source="api.slug")
    code = serializers.CharField(help_text="Why it would refuse the call; empty: it wouldn't.")
    sentence = serializers.CharField()
    closed = serializers.ListField(
        child=serializers.DictField(), help_text="Operations that need scopes which the token lacks."
    )


class TestedTokenSerializer(serializers.Serializer):
    """What gateways would say of the token. Whose it is and where it would be taken is told of a good one alone."""

    __test__ = False

    good = serializers.BooleanField(source="is_good", help_text="Whether a gateway would find nothing wrong with it.")
    findings = FindingSerializer(
        source="examination.findings", many=True, help_text="In the order in which gateways check."
    )
    away = serializers.CharField(help_text="Why the issuer's keys can't be had now, for those who look after it.")
    claims = serializers.DictField(source="examination.claims", help_text="All that it says.")
    scopes = serializers.SerializerMethodField()
    client = serializers.CharField(
        source="examination.client", allow_null=True, help_text="The client ID that it names."
    )
    application = ApplicationField(
        help_text="Whose client ID that is; null: no application's, or one that isn't the reader's to see."
    )
    apis = TokenAtAPISerializer(many=True, help_text="Those that name the issuer, as far as the reader sees them.")

    def get_scopes(self, tested: TypedToken) -> list[str]:
        """In their order."""
        return sorted(tested.examination.scopes)


class TestTokenView(ViaAPI):
    """What gateways would say of a token. Nothing is called but the issuer for its keys, and nothing stored."""

    __test__ = False

    http_method_names = ["post", "options"]
    scopes: ClassVar[dict[str, TokenScope]] = {"POST": TokenScope.READ}

    def get_queryset(self) -> QuerySet[Issuer]:
        """The issuers that one sees."""
        return issuers_visible_to(self.request.user)

    @extend_schema(request=TestTokenSerializer, responses=TestedTokenSerializer)
    def post(self, request: Request, issuer: str) -> Response:
        """Look at a token of the issuer: each claim, whose client ID it names, and which APIs would take it."""
        found = get_object_or_404(self.get_queryset(), slug=issuer)
        words = TestTokenSerializer(data=request.data, context={"request": request})
        words.is_valid(raise_exception=True)
        tested = explain_token(cast(User, request.user), found, words.validated_data["token"])
        return Response(TestedTokenSerializer(tested).data, headers={"Cache-Control": "no-store"})

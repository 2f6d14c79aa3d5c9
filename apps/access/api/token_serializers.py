"""Issuers and introspection servers as the REST API shows and takes them: in the declarative file's words."""

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers

from apps.access import selectors, services
from apps.access.choices import ClientAuthentication
from apps.access.models import Introspection, Issuer, Revocation
from apps.access.services.issuers import ALGORITHMS
from apps.access.token_documents import (
    IntrospectionFields,
    IssuerFields,
    in_introspection_words,
    read_introspection,
    read_issuer,
)
from apps.foundation import field_names
from apps.rest.fields import NameField, PersonField
from apps.rest.receipts import ReceiptSerializer, WithReceipt
from apps.rest.serializers import DocumentWords, ObjectWords
from apps.tenants.models import Tenant
from apps.tenants.selectors import tenants_visible_to


class _TokenSource(WithReceipt, DocumentWords):
    """What issuers and introspection servers have in common: a slug, an owner, and a secret that is never shown."""

    fixed = frozenset({"slug"})
    slug = serializers.SlugField(max_length=64, help_text="Set at creation; never changes.")
    tenant = serializers.SlugField(
        required=False,
        allow_null=True,
        help_text="For whose APIs alone it is; null: it is the platform's, for all. Set at creation.",
    )
    has_secret = serializers.BooleanField(read_only=True)

    def shown_to_caller(self, instance: Any) -> dict[str, Any]:
        """Its document, without what is not for the caller."""
        raise NotImplementedError

    def read(self, told: object) -> Any:
        """The fields that a body names. Raises ``ValidationError`` by path."""
        raise NotImplementedError

    def owner_named(self, slug: object) -> Tenant:
        """The tenant of this slug. Raises ``ValueError`` where the caller sees none."""
        found = tenants_visible_to(self.caller).filter(slug=field_names.text(slug)).first()
        if found is None:
            raise ValueError(f"There is no {str(slug)[:64]!r}, or you may not see it.")
        return found

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Its document, as the caller may see it."""
        shown = self.shown_to_caller(instance)
        if hasattr(instance, "receipt"):
            shown["receipt"] = ReceiptSerializer(instance.receipt).data
        return shown

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The fields that the body names."""
        told, fields, errors = self.take(data)
        if "tenant" in told:
            owner = told.pop("tenant")
            if self.instance is not None:
                if owner != self.to_representation(self.instance)["tenant"]:
                    errors["tenant"] = ["This is set at creation and never changes."]
            elif owner is not None:
                fields["tenant"] = field_names.attempt(errors, "tenant", self.owner_named, owner)
        try:
            fields |= self.read(told)
        except ValidationError as refusal:
            errors |= refusal.message_dict
        if errors:
            raise serializers.ValidationError(errors)
        return fields


class IssuerSerializer(_TokenSource):
    """Who issues tokens (JWT). Of ``jwks``, ``jwks_url``, ``discovery`` and ``secret`` it has one; naming one ends the others.
    Who may not change the platform's issuers sees what is needed to call with their tokens.
    """

    issuer = serializers.CharField(required=False, help_text="What its tokens say in iss: an https URL.")
    jwks = serializers.JSONField(required=False, help_text="Its public keys, as a JWK set (RFC 7517).")
    jwks_url = serializers.CharField(required=False, help_text="Where they are.")
    discovery = serializers.BooleanField(
        required=False, help_text="They are found by its OpenID Connect or OAuth metadata (RFC 8414)."
    )
    secret = serializers.CharField(
        required=False, write_only=True, help_text="The secret shared with it, for HS algorithms alone. Never shown."
    )
    algorithms = serializers.ListField(
        child=serializers.ChoiceField(ALGORITHMS),
        required=False,
        help_text="The only ones that its signatures may have.",
    )
    audience = serializers.JSONField(
        required=False, help_text="A list, of which aud names one; or any. Needed at creation."
    )
    client_claim = serializers.CharField(required=False, help_text="The claim that names the client: azp.")
    leeway = serializers.CharField(required=False, help_text="By how much clocks may differ, like 30s.")
    dpop = serializers.BooleanField(required=False, help_text="Its tokens are bound to a client's key (RFC 9449).")

    def shown_to_caller(self, instance: Issuer) -> dict[str, Any]:
        """The whole of it, or what callers need."""
        return selectors.issuer_document_for(self.caller, instance)

    def read(self, told: object) -> IssuerFields:
        """In the file's words."""
        return read_issuer(told)

    def create(self, validated_data: dict[str, Any]) -> Issuer:
        """A new issuer."""
        return services.issuer_create(actor=self.caller, **validated_data)

    def update(self, instance: Issuer, validated_data: dict[str, Any]) -> Issuer:
        """Change what is named, for all APIs that take its tokens."""
        return services.issuer_update(actor=self.caller, row=instance, **validated_data)


class IntrospectionSerializer(_TokenSource):
    """A server that says what an opaque token is worth (RFC 7662)."""

    url = serializers.CharField(required=False, help_text="Where it is asked. Needed at creation.")
    client_id = serializers.CharField(required=False, help_text="As whom the gateway asks.")
    client_authentication = serializers.ChoiceField(
        ClientAuthentication.choices, required=False, help_text="basic where there is a client_id, else none."
    )
    client_secret = serializers.CharField(
        required=False,
        write_only=True,
        help_text="The client's secret, or its private key (PEM) for private_key_jwt. Never shown.",
    )
    client_claim = serializers.CharField(required=False, help_text="What of the response names the client: client_id.")
    cache = serializers.CharField(required=False, help_text="How long an active token is remembered, like 30s.")
    negative_cache = serializers.CharField(required=False, help_text="How long any other is, like 5s.")

    def shown_to_caller(self, instance: Introspection) -> dict[str, Any]:
        """The whole of it, or its name."""
        return selectors.introspection_document_for(self.caller, instance)

    def read(self, told: object) -> IntrospectionFields:
        """In the file's words."""
        return read_introspection(told)

    def create(self, validated_data: dict[str, Any]) -> Introspection:
        """A new server."""
        with in_introspection_words():
            return services.introspection_create(actor=self.caller, **validated_data)

    def update(self, instance: Introspection, validated_data: dict[str, Any]) -> Introspection:
        """Change what is named, for all APIs that ask it."""
        with in_introspection_words():
            return services.introspection_update(actor=self.caller, server=instance, **validated_data)


class RevocationSerializer(WithReceipt, ObjectWords):
    """A token that was revoked by its ID (``jti``), or a ``subject`` whose tokens are over that were issued until ``not_before``.
    What was revoked is kept as a hash: ``shown`` is the beginning of it.
    """

    issuer = NameField(visible=selectors.issuers_visible_to)
    jti = serializers.CharField(
        write_only=True, required=False, trim_whitespace=False, help_text="The ID of a token, exactly as it has it."
    )
    subject = serializers.CharField(
        write_only=True,
        required=False,
        trim_whitespace=False,
        help_text="Whose tokens are over; with a jti, whose that one is.",
    )
    not_before = serializers.DateTimeField(
        required=False, help_text="Of a subject: tokens that were issued then or earlier are over; now."
    )
    expires_at = serializers.DateTimeField(required=False, help_text="When a token expires by itself; in 30 days.")
    revoked_by = PersonField()

    class Meta:
        model = Revocation
        fields = [
            *("id", "issuer", "kind", "jti", "subject", "shown", "not_before", "expires_at"),
            *("comment", "revoked_by", "created_at", "receipt"),
        ]
        read_only_fields = ("kind", "shown", "created_at")
        extra_kwargs = {"comment": {"max_length": 1000}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A token or a subject, with what goes with it."""
        if "jti" not in attrs and "subject" not in attrs:
            raise serializers.ValidationError({"jti": ["Name a jti, or a subject."]})
        misplaced = "not_before" if "jti" in attrs else "expires_at"
        if misplaced in attrs:
            other = "a subject's tokens, without a jti" if misplaced == "not_before" else "one token"
            raise serializers.ValidationError({misplaced: [f"This is for {other}."]})
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Revocation:
        """Revoke it. What is revoked already is shown as it is."""
        revoke = services.token_revoke if "jti" in validated_data else services.subject_revoke
        return revoke(actor=self.caller, **validated_data)

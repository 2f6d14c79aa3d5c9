"""Cache policies and purges as the REST API shows and takes them."""

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers

from apps.caching.api.words import CacheWords
from apps.caching.choices import PurgeKind
from apps.caching.document import PolicyFields, in_words, policy_document, read_policy
from apps.caching.models import Purge
from apps.catalog.models import API
from apps.catalog.selectors import apis_visible_to
from apps.foundation.field_names import by_path
from apps.purging import services
from apps.rest.fields import Measured, NameField
from apps.rest.receipts import ReceiptSerializer, WithReceipt, with_receipt
from apps.rest.serializers import DocumentWords, Words


class CachePolicySerializer(WithReceipt, CacheWords, DocumentWords):
    """How an API's responses are cached: the ``cache`` and ``sensitivity`` words of the declarative file."""

    fixed = frozenset({"api"})
    api = NameField(help_text="A policy stays with its API.")
    sensitivity = serializers.CharField(required=False, help_text="public, internal, personal or secret.")

    def to_representation(self, instance: API) -> dict[str, Any]:
        """The policy of an API."""
        words = {"api": instance.slug} | policy_document(instance.cache_policy)
        if hasattr(instance, "receipt"):
            words["receipt"] = ReceiptSerializer(instance.receipt).data
        return words

    def to_internal_value(self, data: Any) -> Any:
        """The policy's fields that the body names."""
        told, _, errors = self.take(data)
        fields: Any = {}
        try:
            fields = read_policy(told)
        except ValidationError as refusal:
            errors |= refusal.message_dict
        if errors:
            raise serializers.ValidationError(errors)
        return fields

    def update(self, instance: API, validated_data: PolicyFields) -> API:
        """Change what the body names."""
        try:
            services.policy_update(actor=self.caller, api=instance, **validated_data)
        except ValidationError as refusal:
            raise ValidationError(in_words(by_path(refusal))) from None
        return instance


class PurgeSerializer(WithReceipt, Words):
    """What is purged; at most one of the words from ``path`` to ``application`` is named, none for the whole API."""

    id = serializers.IntegerField(read_only=True)
    api = NameField(visible=apis_visible_to, write_only=True)
    path = serializers.CharField(
        required=False, write_only=True, help_text="Below the listen path, like /items/1; or a whole URL."
    )
    prefix = serializers.CharField(required=False, write_only=True)
    tag = serializers.CharField(required=False, write_only=True)
    operation = serializers.CharField(required=False, write_only=True, help_text="Like GET /items/{id}.")
    tenant = serializers.CharField(required=False, write_only=True, help_text="What is this tenant's own, like acme.")
    application = serializers.CharField(
        required=False, write_only=True, help_text="What is this application's own, like acme/bot."
    )
    soft = serializers.BooleanField(required=False, default=False, help_text="Entries become stale rather than dead.")
    kind = serializers.ChoiceField(PurgeKind.choices, read_only=True)
    value = serializers.CharField(read_only=True)
    clock = serializers.IntegerField(read_only=True, help_text="The installation's purge clock after it.")
    at = serializers.DateTimeField(read_only=True)
    actor = serializers.CharField(source="actor_email", read_only=True)
    workers = serializers.IntegerField(read_only=True)
    in_force = serializers.IntegerField(read_only=True)
    slowest_ms = Measured(read_only=True, allow_null=True)
    forwarded = serializers.SerializerMethodField(help_text="What became of it at the API's CDN; null without one.")

    def get_forwarded(self, purge: Purge) -> dict[str, str] | None:
        """State and detail. The caching app doesn't know what forwards: the room that does hangs it on the purge."""
        found = getattr(purge, "forwarding", None)
        return found and {"state": found.state, "detail": found.detail}

    def to_representation(self, instance: Purge) -> dict[str, Any]:
        """As recorded, under the API's name, which may be gone."""
        return {"api": instance.api_slug} | super().to_representation(instance)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """At most one of what a purge can name. ``kind`` and ``value`` are how a purge is read: taken for nothing,
        they would make a purge of one path one of everything.
        """
        if said := {"kind", "value"} & set(self.initial_data):
            raise serializers.ValidationError(
                {word: ["Name path, prefix, tag, operation, tenant or application instead."] for word in said}
            )
        named = [kind for kind in PurgeKind if kind.value in attrs and kind is not PurgeKind.API]
        if len(named) > 1:
            raise serializers.ValidationError(
                {kind.value: ["Name one of path, prefix, tag, operation, tenant and application."] for kind in named}
            )
        kind = named[0] if named else PurgeKind.API
        value = attrs[kind.value] if named else ""
        return {"api": attrs["api"], "soft": attrs["soft"], "kind": kind, "value": value}

    def create(self, validated_data: dict[str, Any]) -> Purge:
        """Purge, and note on how many workers it is in force: waits for them, 5 s at most."""
        try:
            purge = services.purge(actor=self.caller, **validated_data)
        except ValidationError as refusal:
            # The service knows one value; here it stands under the word that says what it is.
            word = validated_data["kind"].value
            fields = {(word if path == "value" else path): told for path, told in by_path(refusal).items()}
            raise ValidationError(fields) from None
        receipt = with_receipt(purge, purge_clock=purge.clock).receipt
        services.receipt_note(
            purge=purge, workers=receipt.workers, in_force=receipt.in_force, slowest_ms=receipt.slowest_ms
        )
        return purge

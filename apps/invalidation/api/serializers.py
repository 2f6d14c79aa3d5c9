"""Webhooks, messages and CDNs as the REST API shows and takes them."""

from typing import Any

from rest_framework import serializers

from apps.caching.choices import PurgeKind
from apps.catalog.selectors import apis_visible_to
from apps.invalidation import services
from apps.invalidation.models import CDN, PurgeWebhook, RefusedMessage
from apps.rest.fields import NameField
from apps.rest.serializers import ObjectWords, Words


class WebhookSerializer(Words):
    """A webhook. Its secret is in the response to its making and nowhere else."""

    api = NameField(visible=apis_visible_to)
    changed_at = serializers.DateTimeField(read_only=True)
    previous_until = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="Until then the secret before holds too."
    )
    secret = serializers.SerializerMethodField(help_text="Only in the response that makes it.")

    def get_secret(self, webhook: PurgeWebhook) -> str | None:
        """Once."""
        return getattr(webhook, "shown", None)

    def to_representation(self, instance: PurgeWebhook) -> dict[str, Any]:
        """Without the secret, except where it was just made."""
        words = super().to_representation(instance)
        if words["secret"] is None:
            del words["secret"]
        return words

    def create(self, validated_data: dict[str, Any]) -> PurgeWebhook:
        """The first secret of an API, or a new one."""
        made = services.webhook_secret_make(actor=self.caller, api=validated_data["api"])
        made.webhook.shown = made.secret  # type: ignore[attr-defined]
        return made.webhook


class ItemSerializer(serializers.Serializer):
    """An item of a message, for the schema: ``apps.invalidation.messages`` reads them. A message is one, or a list."""

    kind = serializers.ChoiceField(PurgeKind.choices)
    value = serializers.CharField(required=False)
    api = serializers.CharField(required=False)
    id = serializers.CharField(required=False, max_length=128)
    soft = serializers.BooleanField(required=False)
    at = serializers.DateTimeField(required=False)


class TakenSerializer(serializers.Serializer):
    """What became of a message."""

    purged = serializers.IntegerField(help_text="Items that were done.")
    duplicates = serializers.IntegerField(help_text="Items that had been done before.")
    refused = serializers.DictField(
        child=serializers.CharField(),
        help_text="Items that can't be done, by their place from 0, each with the reason.",
    )
    clock = serializers.IntegerField(allow_null=True, help_text="The purge clock after it.")


class CDNSerializer(Words):
    """How an API's purges are forwarded. Values of headers are written and never shown: null stands for one that is there."""

    fixed = frozenset({"api"})
    api = NameField(visible=apis_visible_to)
    base_url = serializers.CharField(required=False, allow_blank=True, max_length=500)
    headers = serializers.DictField(required=False, child=serializers.CharField(allow_null=True, trim_whitespace=False))
    calls = serializers.DictField(
        required=False,
        child=serializers.DictField(child=serializers.CharField(trim_whitespace=False)),
        help_text="By kind of purge (path, prefix, tag, operation, api): method, url, body.",
    )

    def to_representation(self, instance: CDN) -> dict[str, Any]:
        """Without the values of headers: they are credentials as a rule."""
        return {
            "api": instance.api.slug,
            "base_url": instance.base_url,
            "headers": dict.fromkeys(sorted(instance.headers)),
            "calls": instance.calls,
        }

    def create(self, validated_data: dict[str, Any]) -> CDN:
        """Set one up, or change the one that is there."""
        return services.cdn_update(actor=self.caller, **validated_data)

    def update(self, instance: CDN, validated_data: dict[str, Any]) -> CDN:
        """Change what the body names."""
        validated_data.pop("api", None)
        return services.cdn_update(actor=self.caller, api=instance.api, **validated_data)


class RefusedMessageSerializer(ObjectWords):
    """A message that could not be taken."""

    class Meta:
        model = RefusedMessage
        fields = ["id", "source", "detail", "body", "at"]
        read_only_fields = fields

"""Warm-ups as the REST API shows and takes them."""

from typing import Any

from rest_framework import serializers

from apps.platform.api.serializers import ObjectWords, Words
from apps.warming import services
from apps.warming.models import WarmUp


class WarmUpWords(Words):
    """What to warm up. Without ``urls`` and ``top``: what the API's policy says, else its hundred most called URLs."""

    urls = serializers.ListField(
        child=serializers.CharField(max_length=2000),
        required=False,
        max_length=1000,
        help_text="Paths like /items/1?lang=en, below the listen path or with it; or whole URLs as callers write them.",
    )
    top = serializers.IntegerField(
        required=False, min_value=0, help_text="So many of the last day's most called URLs, without their queries."
    )
    rate = serializers.CharField(required=False, help_text="Calls at most, like 10/s or 30/m.")
    headers = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="Request headers to send, by name."
    )


class WarmUpSerializer(WarmUpWords, ObjectWords):
    """A warm-up and how far it is."""

    api = serializers.CharField(source="api_slug", read_only=True)
    rate = serializers.CharField(required=False, help_text="Calls at most, like 10/s or 30/m.")
    actor = serializers.CharField(source="actor_email", read_only=True)
    problems = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()),
        read_only=True,
        help_text="[URL, why it isn't stored] of the first of them.",
    )
    percent = serializers.IntegerField(read_only=True)
    is_over = serializers.BooleanField(read_only=True)
    sentence = serializers.CharField(read_only=True)

    class Meta:
        model = WarmUp
        fields = (
            *("id", "api", "cause", "urls", "top", "rate", "headers", "state", "percent", "is_over", "sentence"),
            *("total", "done", "stored", "fresh", "passed", "failed", "problems", "note"),
            *("actor", "created_at", "started_at", "ended_at"),
        )
        read_only_fields = (
            *("cause", "state", "total", "done", "stored", "fresh", "passed", "failed", "note"),
            *("created_at", "started_at", "ended_at"),
        )

    def to_representation(self, instance: WarmUp) -> dict[str, Any]:
        """As it stands; the rate in the form in which it is written."""
        shown = super().to_representation(instance)
        return shown | {"rate": instance.pace}

    def create(self, validated_data: dict[str, Any]) -> WarmUp:
        """Queue it; a worker begins within seconds."""
        return services.warm_up_start(actor=self.caller, api=self.context["api"], **validated_data)

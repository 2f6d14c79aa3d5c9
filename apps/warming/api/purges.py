"""Purges over REST, each of which a warm-up can follow."""

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from apps.caching.models import Purge
from apps.catalog.models import API
from apps.foundation.field_names import by_path
from apps.purging.api import views
from apps.purging.api.serializers import PurgeSerializer
from apps.warming import services
from apps.warming.api.serializers import WarmUpWords
from apps.warming.choices import WarmUpCause


@extend_schema_serializer(component_name="Purge")
class PurgeAndWarmUpSerializer(PurgeSerializer):
    """A purge of a path with every variant, of a path prefix, of a tag, of an operation, of what is a tenant's or an
    application's own, or of the whole API when none of
    them is named.
    """

    warm_up = WarmUpWords(
        required=False, write_only=True, help_text="Fetch responses anew afterwards; {} as the policy says."
    )

    def to_representation(self, instance: Purge) -> dict[str, Any]:
        """With the number of the warm-up that it began."""
        shown = super().to_representation(instance)
        begun = getattr(instance, "begun", None)
        return shown if begun is None else shown | {"warm_up": begun.pk}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What is refused of the warm-up is refused before anything is purged."""
        found = super().validate(attrs)
        asked = attrs.get("warm_up")
        if asked is not None:
            self._check_warm_up(attrs["api"], asked)
        return found | {"warm_up": asked}

    def _check_warm_up(self, api: API, asked: dict[str, Any]) -> None:
        try:
            services.warm_up_check(api=api, **asked)
        except ValidationError as refusal:
            told = {f"warm_up.{path}" if path else "warm_up": messages for path, messages in by_path(refusal).items()}
            raise serializers.ValidationError(told) from None

    def create(self, validated_data: dict[str, Any]) -> Purge:
        """Purge, then have it warmed up again."""
        asked = validated_data.pop("warm_up")
        purge = super().create(validated_data)
        if asked is not None:
            purge.begun = services.warm_up_start(  # type: ignore[attr-defined]
                actor=self.caller, api=validated_data["api"], cause=WarmUpCause.PURGE, mark=purge.pk, **asked
            )
        return purge


class PurgeViewSet(views.PurgeViewSet):
    """Purges, each with the receipt that its author got."""

    serializer_class = PurgeAndWarmUpSerializer

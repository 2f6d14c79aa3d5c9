"""Audit entries as the REST API shows them."""

from typing import Any

from django.utils.functional import cached_property
from rest_framework import serializers

from apps.audit.models import Entry
from apps.audit.selectors import owned_tenants


class EntrySerializer(serializers.ModelSerializer):
    """One decision: who did what to which object, and when."""

    actor = serializers.CharField(source="actor_email", help_text="Empty when the platform itself acted.")
    tenant = serializers.CharField(source="tenant_slug")

    class Meta:
        model = Entry
        fields = [
            *(
                "epoch",
                "at",
                "actor",
                "via",
                "address",
                "agent",
                "request_id",
                "verb",
                "target_type",
                "target",
                "tenant",
            ),
            *("comment", "changes", "affects", "previous_hash", "hash", "mac"),
        ]

    def to_representation(self, instance: Entry) -> dict[str, Any]:
        """Where it came from is for administrators and for owners of the tenant."""
        shown: dict[str, Any] = super().to_representation(instance)
        if not self.context["request"].user.administrates and instance.tenant_slug not in self._owned:
            shown |= {"address": "", "agent": "", "request_id": ""}
        return shown

    @cached_property
    def _owned(self) -> list[str]:
        return owned_tenants(self.context["request"].user)


class HeadSerializer(serializers.Serializer):
    """The last entry, for who keeps it elsewhere."""

    epoch = serializers.IntegerField(help_text="Its number; 0 before the first change.")
    hash = serializers.CharField(allow_blank=True)
    head = serializers.CharField(help_text="Both, as `manage.py audit verify --head` takes them.")

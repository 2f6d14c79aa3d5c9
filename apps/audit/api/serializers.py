"""Audit entries as the REST API shows them."""

from rest_framework import serializers

from apps.audit.models import Entry


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


class HeadSerializer(serializers.Serializer):
    """The last entry, for who keeps it elsewhere."""

    epoch = serializers.IntegerField(help_text="Its number; 0 before the first change.")
    hash = serializers.CharField(allow_blank=True)
    head = serializers.CharField(help_text="Both, as `manage.py audit verify --head` takes them.")

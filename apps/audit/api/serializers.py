"""Audit entries as the REST API shows them."""

from rest_framework import serializers

from apps.audit.models import Entry


class EntrySerializer(serializers.ModelSerializer):
    """One decision: who did what to which object, and when."""

    actor = serializers.CharField(source="actor_email", help_text="Empty when the platform itself acted.")
    tenant = serializers.CharField(source="tenant_slug")

    class Meta:
        model = Entry
        fields = ["epoch", "at", "actor", "via", "verb", "target_type", "target", "tenant", "comment", "changes"]

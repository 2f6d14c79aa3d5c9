"""Notifications as the REST API shows them."""

from rest_framework import serializers

from apps.notifications.models import Notification
from apps.rest.serializers import ObjectWords


class NotificationSerializer(ObjectWords):
    """What one was notified of."""

    tenant = serializers.CharField(source="tenant.slug", read_only=True)
    path = serializers.CharField(read_only=True, help_text="The page of the console that shows what it is about.")

    class Meta:
        model = Notification
        fields = ["id", "kind", "group", "tenant", "title", "detail", "actor", "comment", "path", "at", "read_at"]
        read_only_fields = fields


class ReadSerializer(serializers.Serializer):
    """How many notifications were marked."""

    read = serializers.IntegerField(help_text="Those that were unread until now.")

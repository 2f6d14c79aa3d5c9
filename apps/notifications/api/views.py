"""Routes of notifications: read, and marked as read."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.notifications import selectors, services
from apps.notifications.api import filtersets, serializers
from apps.notifications.models import Notification
from apps.rest.views import Resource, verb


class NotificationViewSet(Resource):
    """What one was notified of, newest first."""

    serializer_class = serializers.NotificationSerializer
    filterset_class = filtersets.NotificationFilter
    heard_by_gateways = False
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Notification]:
        """One's own, of the tenants that one is in."""
        return selectors.notifications_visible_to(self.actor)

    @verb(request=None)
    def read(self, request: Request, pk: str) -> Response:
        """Mark it as read."""
        found = self.get_object()
        services.notifications_read(actor=self.actor, numbers=[found.pk])
        found.refresh_from_db()
        return self.answer(found)

    @extend_schema(operation_id="notifications_read_all_create", request=None, responses=serializers.ReadSerializer)
    @action(detail=False, methods=["post"], url_path="read", filterset_class=None, pagination_class=None)
    def read_all(self, request: Request) -> Response:
        """Mark all as read."""
        return Response({"read": services.notifications_read(actor=self.actor)})

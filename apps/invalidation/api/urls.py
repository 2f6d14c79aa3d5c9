"""Routes of purge webhooks, CDNs and refused messages, below ``/api/v1/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.invalidation.api import schema, views

__all__ = ["schema", "urlpatterns"]

router = SimpleRouter()
router.register("purge-webhooks", views.WebhookViewSet, "api-purge-webhook")
router.register("cdns", views.CDNViewSet, "api-cdn")
router.register("refused-messages", views.RefusedMessageViewSet, "api-refused-message")

urlpatterns = [
    path("purge-webhooks/<slug:api>/messages/", views.MessagesView.as_view(), name="api-purge-messages"),
    *router.urls,
]

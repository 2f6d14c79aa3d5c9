"""Routes of notifications, below ``/api/v1/``."""

from rest_framework.routers import SimpleRouter

from apps.notifications.api import views

router = SimpleRouter()
router.register("notifications", views.NotificationViewSet, "api-notification")

urlpatterns = router.urls

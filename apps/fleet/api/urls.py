"""Routes of the gateways, below ``/api/v1/``."""

from rest_framework.routers import SimpleRouter

from apps.fleet.api import views

router = SimpleRouter()
router.register("gateways", views.GatewayViewSet, "api-gateway")

urlpatterns = router.urls

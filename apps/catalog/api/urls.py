"""Routes of the catalogue, below ``/api/v1/``."""

from rest_framework.routers import SimpleRouter

from apps.catalog.api import views

router = SimpleRouter()
router.register("apis", views.APIViewSet, "api-api")
router.register("upstreams", views.UpstreamViewSet, "api-upstream")
router.register("hosts", views.HostViewSet, "api-host")

urlpatterns = router.urls

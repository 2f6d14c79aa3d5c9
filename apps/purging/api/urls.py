"""Routes of cache policies, below ``/api/v1/``. Purges are warming's, which can follow one with a warm-up."""

from rest_framework.routers import SimpleRouter

from apps.purging.api import views

router = SimpleRouter()
router.register("cache-policies", views.CachePolicyViewSet, "api-cache-policy")

urlpatterns = router.urls

"""Routes of warm-ups, pushed entries and purges, below ``/api/v1/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.warming.api import purges, views

router = SimpleRouter()
router.register(r"apis/(?P<api>[^/.]+)/warm-ups", views.WarmUpViewSet, "api-warm-up")
router.register("purges", purges.PurgeViewSet, "api-purge")

urlpatterns = [
    path("cache-entries/", views.CacheEntriesView.as_view(), name="api-cache-entries"),
    *router.urls,
]

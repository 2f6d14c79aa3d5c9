"""Routes of the audit log, below ``/api/v1/``."""

from rest_framework.routers import SimpleRouter

from apps.audit.api import views

router = SimpleRouter()
router.register("audit", views.EntryViewSet, "api-audit")

urlpatterns = router.urls

"""Routes of plans, issuers, applications, credentials, access requests and subscriptions, below ``/api/v1/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.access.api import views
from apps.access.api.leaked_keys import LeakedKeysView

router = SimpleRouter()
router.register("plans", views.PlanViewSet, "api-plan")
router.register("issuers", views.IssuerViewSet, "api-issuer")
router.register("introspections", views.IntrospectionViewSet, "api-introspection")
router.register("revocations", views.RevocationViewSet, "api-revocation")
router.register("applications", views.ApplicationViewSet, "api-application")
router.register("keys", views.KeyViewSet, "api-key")
router.register("access-requests", views.AccessRequestViewSet, "api-access-request")
router.register("subscriptions", views.SubscriptionViewSet, "api-subscription")

urlpatterns = [path("leaked-keys/", LeakedKeysView.as_view(), name="api-leaked-keys"), *router.urls]

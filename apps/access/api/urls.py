"""Routes of plans, issuers, applications, credentials, access requests and subscriptions, below ``/api/v1/``."""

from rest_framework.routers import SimpleRouter

from apps.access.api import views

router = SimpleRouter()
router.register("plans", views.PlanViewSet, "api-plan")
router.register("issuers", views.IssuerViewSet, "api-issuer")
router.register("introspections", views.IntrospectionViewSet, "api-introspection")
router.register("applications", views.ApplicationViewSet, "api-application")
router.register("keys", views.KeyViewSet, "api-key")
router.register("access-requests", views.AccessRequestViewSet, "api-access-request")
router.register("subscriptions", views.SubscriptionViewSet, "api-subscription")

urlpatterns = router.urls

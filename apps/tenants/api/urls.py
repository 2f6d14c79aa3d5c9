"""Routes of users, tenants and egress rules, below ``/api/v1/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.tenants.api import schema, views
from apps.tenants.api.egress import EgressView, TenantEgressView

__all__ = ["schema", "urlpatterns"]

router = SimpleRouter()
router.register("tenants", views.TenantViewSet, "api-tenant")
router.register(r"tenants/(?P<tenant>[^/.]+)/memberships", views.MembershipViewSet, "api-membership")
router.register(r"tenants/(?P<tenant>[^/.]+)/invitations", views.InvitationViewSet, "api-invitation")
router.register("users", views.UserViewSet, "api-user")
router.register(r"users/(?P<user>\d{1,18})/tokens", views.TokenViewSet, "api-token")

urlpatterns = [
    path("egress/", EgressView.as_view(), name="api-egress"),
    path("tenants/<slug:tenant>/egress/", TenantEgressView.as_view(), name="api-tenant-egress"),
    *router.urls,
]

"""Which path of ``/api/v1/`` belongs to which view set: the plural nouns of the contract."""

from rest_framework.routers import SimpleRouter

from apps.catalog.api import views as catalog
from apps.platform.api import schema
from apps.tenants.api import views as tenants

__all__ = ["router", "schema"]

router = SimpleRouter()
router.register("tenants", tenants.TenantViewSet, "api-tenant")
router.register(r"tenants/(?P<tenant>[^/.]+)/memberships", tenants.MembershipViewSet, "api-membership")
router.register("users", tenants.UserViewSet, "api-user")
router.register(r"users/(?P<user>\d+)/tokens", tenants.TokenViewSet, "api-token")
router.register("apis", catalog.APIViewSet, "api-api")
router.register("upstreams", catalog.UpstreamViewSet, "api-upstream")

"""Which path of ``/api/v1/`` belongs to which view set: the plural nouns of the contract."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.access.api import views as access
from apps.analytics.api import views as analytics
from apps.audit.api import views as audit
from apps.caching.api import views as caching
from apps.caching.api.explain import ExplainView
from apps.catalog.api import views as catalog
from apps.fleet.api import views as fleet
from apps.invalidation.api import views as invalidation
from apps.platform.api import schema
from apps.tenants.api import views as tenants
from apps.tenants.api.egress import EgressView, TenantEgressView
from apps.warming.api import views as warming

__all__ = ["routes", "schema"]

router = SimpleRouter()
router.register("tenants", tenants.TenantViewSet, "api-tenant")
router.register(r"tenants/(?P<tenant>[^/.]+)/memberships", tenants.MembershipViewSet, "api-membership")
router.register(r"tenants/(?P<tenant>[^/.]+)/invitations", tenants.InvitationViewSet, "api-invitation")
router.register("users", tenants.UserViewSet, "api-user")
router.register(r"users/(?P<user>\d{1,18})/tokens", tenants.TokenViewSet, "api-token")
router.register("apis", catalog.APIViewSet, "api-api")
router.register(r"apis/(?P<api>[^/.]+)/warm-ups", warming.WarmUpViewSet, "api-warm-up")
router.register("upstreams", catalog.UpstreamViewSet, "api-upstream")
router.register("hosts", catalog.HostViewSet, "api-host")
router.register("plans", access.PlanViewSet, "api-plan")
router.register("applications", access.ApplicationViewSet, "api-application")
router.register("keys", access.KeyViewSet, "api-key")
router.register("access-requests", access.AccessRequestViewSet, "api-access-request")
router.register("subscriptions", access.SubscriptionViewSet, "api-subscription")
router.register("audit", audit.EntryViewSet, "api-audit")
router.register("cache-policies", caching.CachePolicyViewSet, "api-cache-policy")
router.register("purges", caching.PurgeViewSet, "api-purge")
router.register("purge-webhooks", invalidation.WebhookViewSet, "api-purge-webhook")
router.register("cdns", invalidation.CDNViewSet, "api-cdn")
router.register("refused-messages", invalidation.RefusedMessageViewSet, "api-refused-message")
router.register("gateways", fleet.GatewayViewSet, "api-gateway")
router.register("calls", analytics.CallViewSet, "api-call")

routes = [
    path("analytics/summary/", analytics.SummaryView.as_view(), name="api-summary"),
    path("analytics/timeseries/", analytics.TimeseriesView.as_view(), name="api-timeseries"),
    path("apis/<slug:api>/explain/", ExplainView.as_view(), name="api-explain"),
    path("purge-webhooks/<slug:api>/messages/", invalidation.MessagesView.as_view(), name="api-purge-messages"),
    path("egress/", EgressView.as_view(), name="api-egress"),
    path("tenants/<slug:tenant>/egress/", TenantEgressView.as_view(), name="api-tenant-egress"),
    path("cache-entries/", warming.CacheEntriesView.as_view(), name="api-cache-entries"),
    *router.urls,
]

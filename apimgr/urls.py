"""Addresses of the console's port. The gateway has its own."""

from django.urls import include, path, re_path

from apimgr.errors import closed
from apps.console.views.invitations import invitation

rest_api = [
    path("", include("apps.audit.api.urls")),
    path("", include("apps.tenants.api.urls")),
    path("", include("apps.catalog.api.urls")),
    path("", include("apps.access.api.urls")),
    path("", include("apps.fleet.api.urls")),
    path("", include("apps.analytics.api.urls")),
    path("", include("apps.purging.api.urls")),
    path("", include("apps.warming.api.urls")),
    path("", include("apps.invalidation.api.urls")),
    path("", include("apps.security_events.api.urls")),
    path("", include("apps.explain.api.urls")),
    path("", include("apps.notifications.api.urls")),
]

urlpatterns = [
    # An address is who somebody is, and invitations find people by it: administrators change it, and the audit log says so.
    path("accounts/email/", closed),
    re_path("^accounts/confirm-email/", closed),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("invitations/<str:secret>/", invitation, name="invitation"),
    path("api/", include("apps.rest.urls")),
    path("api/v1/", include(rest_api)),
    path("", include("apps.supervisor.urls")),
    path("", include("apps.console.urls")),
]

handler403 = "apps.console.views.errors.refused"
handler404 = "apimgr.errors.not_found"
handler500 = "apimgr.errors.server_error"

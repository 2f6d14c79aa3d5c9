"""The route of security events, below ``/api/v1/``."""

from django.urls import path

from apps.security_events.api.views import SecurityEventsView

urlpatterns = [
    path("issuers/<slug:slug>/security-events/", SecurityEventsView.as_view(), name="api-security-events"),
]

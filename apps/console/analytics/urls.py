"""Addresses of dashboards, the call log, and one call explained."""

from django.urls import path

from apps.console.analytics import views

urlpatterns = [
    path("analytics/", views.dashboards, name="dashboards"),
    path("analytics/<slug:name>/", views.dashboards, name="dashboard"),
    path("calls/", views.call_log, name="calls"),
    path("calls/<str:call_id>/", views.call, name="call"),
]

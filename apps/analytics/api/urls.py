"""Routes of the call log and of figures, below ``/api/v1/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.analytics.api import views

router = SimpleRouter()
router.register("calls", views.CallViewSet, "api-call")

urlpatterns = [
    path("apis/<slug:api>/contract-reports/", views.ContractReportsView.as_view(), name="api-contract-reports"),
    path("analytics/summary/", views.SummaryView.as_view(), name="api-summary"),
    path("analytics/timeseries/", views.TimeseriesView.as_view(), name="api-timeseries"),
    *router.urls,
]

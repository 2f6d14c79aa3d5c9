"""Routes of the call log and of figures."""

from typing import Any, cast

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.analytics import selectors
from apps.analytics.api import filtersets, serializers
from apps.analytics.contract_reports import reports_of
from apps.analytics.models import CallRecord, ContractReport
from apps.catalog.selectors import apis_configured_by
from apps.rest.pagination import NewestFirst
from apps.rest.views import Resource, ViaAPI
from apps.tenants.models import User


class CallViewSet(Resource):
    """The call log, newest first."""

    serializer_class = serializers.CallSerializer
    filterset_class = filtersets.CallFilter
    pagination_class = NewestFirst
    lookup_field = "call_id"
    lookup_value_regex = "[A-Za-z0-9._-]+"

    def get_queryset(self) -> QuerySet[CallRecord]:
        """Calls of one's own tenants, and of one's own APIs."""
        return selectors.calls(scope=filtersets.scope_of(self.request))


class ContractReportsView(ViaAPI, ListAPIView):
    """In what calls of an API were not as its OpenAPI document has them, newest first. 404 where one may not see its
    configuration.
    """

    serializer_class = serializers.ContractReportSerializer

    def get_queryset(self) -> QuerySet[ContractReport]:
        """Those of the API of the address."""
        if getattr(self, "swagger_fake_view", False):
            return ContractReport.objects.none()
        user = cast(User, self.request.user)
        return reports_of(user, get_object_or_404(apis_configured_by(user), slug=self.kwargs["api"]))


class FiguresView(ViaAPI):
    """Figures of the calls that the caller may see."""

    def words(self, kind: type[BaseSerializer]) -> dict[str, Any]:
        """The query string, checked; raises ``ValidationError`` by parameter."""
        words = kind(data=self.request.query_params.dict())
        words.is_valid(raise_exception=True)
        return words.validated_data

    def question(self, words: dict[str, Any]) -> selectors.Question:
        """What these words ask, about what the caller may see."""
        return selectors.Question.asked(filtersets.scope_of(self.request), **words)


class SummaryView(FiguresView):
    """One set of figures for the whole span."""

    @extend_schema(parameters=[serializers.FiguresQuery], responses=serializers.SummarySerializer)
    def get(self, request: Request) -> Response:
        """How many calls, how many failed, how much the cache answered, how long it took, and how complete that is."""
        question = self.question(self.words(serializers.FiguresQuery))
        return Response(serializers.SummarySerializer(selectors.summary(question)).data)


class TimeseriesView(FiguresView):
    """Figures by bucket of time."""

    @extend_schema(parameters=[serializers.SeriesQuery], responses=serializers.SeriesSerializer)
    def get(self, request: Request) -> Response:
        """The same as the summary, for each step of time."""
        words = self.words(serializers.SeriesQuery)
        step = words.pop("step")
        return Response(serializers.SeriesSerializer(selectors.timeseries(self.question(words), step)).data)

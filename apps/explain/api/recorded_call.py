"""Explaining a call of the call log over REST."""

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from apps.analytics import selectors
from apps.analytics.api.filtersets import scope_of
from apps.analytics.api.serializers import CallSerializer
from apps.analytics.explain import ExplainedStep
from apps.analytics.models import CallRecord
from apps.explain.nearest import KeyOfCall
from apps.explain.recorded_call import key_of_call
from apps.rest.dataclass_serializers import serializer_of
from apps.rest.views import ViaAPI
from apps.tenants.models import User


class ExplainSerializer(serializers.Serializer):
    """A call, and the trace of every decision on it."""

    call = CallSerializer()
    sentence = serializers.CharField(help_text="Why the cache did what it did.")
    failure = serializers.CharField(help_text="Why the last upstream call that failed did; empty: none did.")
    steps = serializer_of(ExplainedStep)(many=True)
    key = serializer_of(KeyOfCall)(
        allow_null=True,
        help_text="The cache key in parts, and the nearest stored response; null: the cache was not asked.",
    )


class ExplainCallView(ViaAPI, GenericAPIView):
    """The trace of every decision on a recorded call."""

    http_method_names = ["get", "head", "options"]
    filter_backends = []
    lookup_field = "call_id"

    def get_queryset(self) -> QuerySet[CallRecord]:
        """Calls of one's own tenants, and of one's own APIs."""
        return selectors.calls(scope=scope_of(self.request))

    @extend_schema(responses=ExplainSerializer)
    def get(self, request: Request, call_id: str) -> Response:
        """What was decided on this call at each stage, when, and why."""
        call = self.get_object()
        trace = selectors.call_trace(call)
        actor = cast(User, request.user)
        key = key_of_call(actor=actor, api=call.api, path=call.path, cache_key=call.cache_key)
        shown = {"call": call, "sentence": trace.sentence, "failure": trace.failure, "steps": trace.steps, "key": key}
        return Response(ExplainSerializer(shown).data)

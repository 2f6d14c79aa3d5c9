"""Call records and figures as the REST API shows them, and the parameters of figures."""

from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.analytics.models import CallRecord, ContractReport
from apps.rest.fields import Measured
from apps.rest.serializers import Words
from apps.rest.times import read_time


class ContractReportSerializer(serializers.ModelSerializer):
    """Something in which calls were not as the OpenAPI document has them; ``call_id`` is the newest of them."""

    class Meta:
        model = ContractReport
        fields = ["operation", "place", "rule", "calls", "first_at", "last_at", "call_id"]


class CallSerializer(serializers.ModelSerializer):
    """One call. Durations in milliseconds, sizes in bytes; ``tenant`` and ``application`` are the caller's."""

    duration = Measured()
    upstream_duration = Measured()
    flags = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = CallRecord
        fields = [
            "call_id",
            "request_id",
            "at",
            "api",
            "revision",
            "operation",
            "tenant",
            "application",
            "key_id",
            "plan",
            "method",
            "host",
            "path",
            "status",
            "code",
            "cache",
            "reason",
            "cause",
            "cache_key",
            "duration",
            "upstream_duration",
            "upstream_status",
            "request_bytes",
            "response_bytes",
            "attempts",
            "flags",
        ]


@extend_schema_field(OpenApiTypes.DATETIME)
class TimeWord(serializers.Field):
    """A time in a query string."""

    def to_internal_value(self, data: Any) -> datetime:
        """The time."""
        try:
            return read_time(str(data))
        except ValueError as refusal:
            raise serializers.ValidationError(str(refusal)) from None

    def to_representation(self, value: datetime) -> str:
        """Never shown: figures name their own times."""
        return value.isoformat()


class FiguresQuery(Words):
    """Of which calls figures are asked."""

    api = serializers.CharField(required=False, allow_blank=True, default="", help_text="Slug.")
    tenant = serializers.CharField(required=False, allow_blank=True, default="", help_text="The calling tenant's slug.")
    application = serializers.CharField(required=False, allow_blank=True, default="", help_text="Like acme/bot.")
    operation = serializers.CharField(required=False, allow_blank=True, default="", help_text="Like GET /items/{id}.")
    since = TimeWord(required=False, default=None, help_text="The last 24 h without it, the open minute included.")
    until = TimeWord(required=False, default=None, help_text="Now without it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A span that has a length."""
        if attrs["since"] and attrs["until"] and attrs["since"] >= attrs["until"]:
            raise serializers.ValidationError({"until": ["This is not after `since`."]})
        return attrs


class SeriesQuery(FiguresQuery):
    """Of which calls figures are asked, and in which steps."""

    step = serializers.IntegerField(
        required=False, default=None, min_value=60, max_value=86_400 * 31, help_text="Seconds; fitting ones without it."
    )


class PercentilesSerializer(serializers.Serializer):
    """Milliseconds; ``null`` when there was no such call."""

    p50 = Measured(allow_null=True)
    p95 = Measured(allow_null=True)
    p99 = Measured(allow_null=True)


def of_each_class(form: type[serializers.Serializer]) -> dict[str, serializers.Field]:
    """A field for all calls, and one for each class of them."""
    return {
        "all": form(),
        "hit": form(help_text="HIT and STALE: waited for no upstream."),
        "revalidated": form(help_text="REVALIDATED."),
        "miss": form(help_text="MISS."),
        "bypass": form(help_text="BYPASS that went to the upstream; refusals are not in it."),
        "error": form(help_text="Answered with 4xx or 5xx, whatever the cache result."),
    }


class SharesSerializer(serializers.Serializer):
    """Shares (0..1) of the time of some calls: they add up to 1, or are ``null`` when none was measured."""

    upstream = serializers.FloatField(allow_null=True, help_text="Waited for the upstream.")
    gateway = serializers.FloatField(allow_null=True, help_text="The rest, until the last byte left.")


class LatencySerializer(serializers.Serializer):
    """Latency of all calls, and of each class of them."""

    def get_fields(self) -> dict[str, serializers.Field]:
        """By class."""
        return of_each_class(PercentilesSerializer)


class LatencySharesSerializer(serializers.Serializer):
    """Whose the time was: of all calls, and of each class of them."""

    def get_fields(self) -> dict[str, serializers.Field]:
        """By class."""
        return of_each_class(SharesSerializer)


class CompletenessSerializer(serializers.Serializer):
    """How many call records came of those that were written."""

    received = serializers.IntegerField()
    expected = serializers.IntegerField()


class SummarySerializer(serializers.Serializer):
    """Figures of some calls."""

    calls = serializers.IntegerField()
    synthetic = serializers.IntegerField(
        help_text="Of these calls, how many were made up (manage.py demo --history): no client made them. 0 otherwise."
    )
    errors = serializers.IntegerField(  # type: ignore[assignment]
        help_text="Answered with 4xx or 5xx."
    )
    bytes = serializers.IntegerField(help_text="Of responses.")
    hit_ratio = serializers.FloatField(
        allow_null=True, help_text="(HIT + STALE + REVALIDATED) / (those + MISS); null when there were none."
    )
    latency = LatencySerializer()
    latency_shares = LatencySharesSerializer()
    completeness = CompletenessSerializer()


class PointSerializer(SummarySerializer):
    """Figures of one step of time."""

    at = serializers.DateTimeField(help_text="Its start.")
    gap = serializers.BooleanField(help_text="Records of this step are missing.")


class SeriesSerializer(serializers.Serializer):
    """Figures by step of time, oldest first."""

    step = serializers.IntegerField(help_text="Seconds.")
    points = PointSerializer(many=True)

"""Filters of the call log."""

import django_filters
from django.core.validators import RegexValidator
from django.db.models import QuerySet
from rest_framework.request import Request

from apps.analytics import selectors
from apps.rest.filters import StrictFilterSet
from apps.rest.times import TimeFilter
from apps.wire.failure_causes import FailureCause

RESULTS = ("HIT", "MISS", "STALE", "REVALIDATED", "BYPASS")


def scope_of(request: Request) -> selectors.VisibleCalls:
    """What the caller may see of calls, read once for a request."""
    if not hasattr(request, "scope_of_calls"):
        vars(request)["scope_of_calls"] = selectors.VisibleCalls.of(request.user)
    return vars(request)["scope_of_calls"]


class CallFilter(StrictFilterSet):
    """Of calls: checked here, looked up by the selector that the console asks too."""

    api = django_filters.CharFilter()
    tenant = django_filters.CharFilter(label="The calling tenant's slug.")
    application = django_filters.CharFilter(label="Like acme/bot.")
    operation = django_filters.CharFilter(label="Like GET /items/{id}.")
    status = django_filters.CharFilter(
        label="Like 404, or 5xx for a class.",
        validators=[RegexValidator(r"\A[1-5]([0-9][0-9]|xx)\Z", "Write a status like 404, or a class like 5xx.")],
    )
    cache = django_filters.ChoiceFilter(choices=[(result, result) for result in RESULTS])
    reason = django_filters.CharFilter(label="Why the cache did what it did, like method.")
    cause = django_filters.ChoiceFilter(
        choices=[(cause.code, cause.sentence) for cause in FailureCause], label="Why an upstream call of it failed."
    )
    since = TimeFilter("at")
    until = TimeFilter("at")
    call_id = django_filters.CharFilter()
    request_id = django_filters.CharFilter()
    path = django_filters.CharFilter()

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        """The calls that fit, newest first, of those that the caller may see."""
        terms = {name: value for name, value in self.form.cleaned_data.items() if value}
        return selectors.calls(scope=scope_of(self.request), **terms)

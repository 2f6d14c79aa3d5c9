"""Filters of cache policies and purges."""

import django_filters

from apps.caching.choices import CacheMode, PurgeKind
from apps.rest.filters import StrictFilterSet
from apps.rest.times import TimeFilter


class CachePolicyFilter(StrictFilterSet):
    """Of policies, by their API."""

    api = django_filters.CharFilter("slug")
    tenant = django_filters.CharFilter("tenant__slug")
    mode = django_filters.ChoiceFilter(field_name="cache_policy__mode", choices=CacheMode.choices)
    ordering = django_filters.OrderingFilter(fields=[("slug", "api")])


class PurgeFilter(StrictFilterSet):
    """Of purges."""

    api = django_filters.CharFilter("api_slug")
    kind = django_filters.ChoiceFilter(choices=PurgeKind.choices)
    soft = django_filters.BooleanFilter()
    since = TimeFilter("at", lookup_expr="gte")
    until = TimeFilter("at", lookup_expr="lt")
    ordering = django_filters.OrderingFilter(fields=["at"])

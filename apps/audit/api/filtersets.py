"""Filters of the audit log."""

import django_filters

from apps.rest.filters import StrictFilterSet
from apps.rest.times import TimeFilter


class EntryFilter(StrictFilterSet):
    """Of entries."""

    actor = django_filters.CharFilter("actor_email", lookup_expr="iexact")
    via = django_filters.CharFilter()
    verb = django_filters.CharFilter()
    target_type = django_filters.CharFilter()
    target = django_filters.CharFilter()
    tenant = django_filters.CharFilter("tenant_slug")
    since = TimeFilter("at", lookup_expr="gte")
    until = TimeFilter("at", lookup_expr="lt")
    after = django_filters.NumberFilter("epoch", lookup_expr="gt", min_value=0, max_value=2**62)
    ordering = django_filters.OrderingFilter(fields=["epoch"])

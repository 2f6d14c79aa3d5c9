"""Filters of the catalogue."""

import django_filters
from django.db.models import Q, QuerySet

from apps.catalog.choices import APIState, HostState
from apps.rest.filters import StrictFilterSet


class APIFilter(StrictFilterSet):
    """Of APIs."""

    state = django_filters.ChoiceFilter(choices=APIState.choices)
    tenant = django_filters.CharFilter("tenant__slug")
    name = django_filters.CharFilter(lookup_expr="icontains")
    listen_path = django_filters.CharFilter()
    search = django_filters.CharFilter(method="words", label="In slug, name or summary.")
    ordering = django_filters.OrderingFilter(fields=["name", "slug", "listen_path", "created_at", "updated_at"])

    def words(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """Those that have ``value`` in slug, name or summary."""
        return queryset.filter(Q(slug__icontains=value) | Q(name__icontains=value) | Q(summary__icontains=value))


class UpstreamFilter(StrictFilterSet):
    """Of upstreams."""

    api = django_filters.CharFilter("api__slug")
    tenant = django_filters.CharFilter("api__tenant__slug")
    url = django_filters.CharFilter()
    ordering = django_filters.OrderingFilter(fields=["id", "url", "weight", ("api__slug", "api")])


class HostFilter(StrictFilterSet):
    """Of host names."""

    tenant = django_filters.CharFilter("tenant__slug")
    host = django_filters.CharFilter()
    state = django_filters.ChoiceFilter(choices=HostState.choices)
    ordering = django_filters.OrderingFilter(fields=["host", "created_at", "proved_at"])

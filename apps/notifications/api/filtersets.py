"""Filters of notifications."""

import django_filters

from apps.notifications.choices import Group
from apps.rest.filters import StrictFilterSet


class NotificationFilter(StrictFilterSet):
    """Of one's own notifications."""

    unread = django_filters.BooleanFilter("read_at", lookup_expr="isnull")
    kind = django_filters.CharFilter()
    group = django_filters.ChoiceFilter(choices=Group.choices)
    tenant = django_filters.CharFilter("tenant__slug")
    ordering = django_filters.OrderingFilter(fields=["at"])

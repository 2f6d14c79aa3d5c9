"""Filters of users and tenants."""

import django_filters

from apps.platform.api.filters import StrictFilterSet
from apps.tenants.choices import Role, TenantState


class TenantFilter(StrictFilterSet):
    """Of tenants."""

    state = django_filters.ChoiceFilter(choices=TenantState.choices)
    name = django_filters.CharFilter(lookup_expr="icontains")
    ordering = django_filters.OrderingFilter(fields=["slug", "name", "created_at"])


class UserFilter(StrictFilterSet):
    """Of users."""

    email = django_filters.CharFilter(lookup_expr="iexact")
    name = django_filters.CharFilter(lookup_expr="icontains")
    tenant = django_filters.CharFilter("memberships__tenant__slug")
    is_active = django_filters.BooleanFilter()
    is_administrator = django_filters.BooleanFilter()
    ordering = django_filters.OrderingFilter(fields=["email", "name", "date_joined"])


class MembershipFilter(StrictFilterSet):
    """Of a tenant's members."""

    user = django_filters.CharFilter("user__email", lookup_expr="iexact")
    role = django_filters.ChoiceFilter(choices=Role.choices)
    ordering = django_filters.OrderingFilter(fields=[("user__email", "user"), "role", "created_at"])


class TokenFilter(StrictFilterSet):
    """Of a user's tokens."""

    ordering = django_filters.OrderingFilter(fields=["name", "created_at", "expires_at"])

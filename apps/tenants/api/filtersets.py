"""Filters of users and tenants."""

import django_filters
from django.db.models import QuerySet

from apps.rest.filters import StrictFilterSet
from apps.tenants.choices import Role, TenantState
from apps.tenants.models import User
from apps.tenants.policies import is_administrator, memberships_visible_to


class TenantFilter(StrictFilterSet):
    """Of tenants."""

    state = django_filters.ChoiceFilter(choices=TenantState.choices)
    name = django_filters.CharFilter(lookup_expr="icontains")
    ordering = django_filters.OrderingFilter(fields=["slug", "name", "created_at"])


class UserFilter(StrictFilterSet):
    """Of users."""

    email = django_filters.CharFilter(lookup_expr="iexact")
    name = django_filters.CharFilter(lookup_expr="icontains")
    tenant = django_filters.CharFilter(method="of_tenant")
    is_active = django_filters.BooleanFilter()
    is_administrator = django_filters.BooleanFilter(method="with_right")
    ordering = django_filters.OrderingFilter(fields=["email", "name", "date_joined"])

    def of_tenant(self, users: QuerySet[User], name: str, slug: str) -> QuerySet[User]:
        """The members of a tenant that the reader sees: no filter discloses other memberships either."""
        held = memberships_visible_to(self.request.user).filter(tenant__slug=slug)
        return users.filter(pk__in=held.values("user"))

    def with_right(self, users: QuerySet[User], name: str, value: bool) -> QuerySet[User]:
        """Of those of whom the reader may know it."""
        known = users if is_administrator(self.request.user) else users.filter(pk=self.request.user.pk)
        return known.filter(is_administrator=value)


class InvitationFilter(StrictFilterSet):
    """Of invitations to a tenant."""

    user = django_filters.CharFilter("email", lookup_expr="iexact")
    role = django_filters.ChoiceFilter(choices=Role.choices)
    ordering = django_filters.OrderingFilter(fields=[("email", "user"), "created_at", "expires_at"])


class MembershipFilter(StrictFilterSet):
    """Of a tenant's members."""

    user = django_filters.CharFilter("user__email", lookup_expr="iexact")
    role = django_filters.ChoiceFilter(choices=Role.choices)
    ordering = django_filters.OrderingFilter(fields=[("user__email", "user"), "role", "created_at"])


class TokenFilter(StrictFilterSet):
    """Of a user's tokens."""

    ordering = django_filters.OrderingFilter(fields=["name", "created_at", "expires_at"])

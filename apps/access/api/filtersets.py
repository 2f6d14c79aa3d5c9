"""Filters of plans, applications, keys, access requests and subscriptions."""

import django_filters
from django.db.models import QuerySet

from apps.access import selectors
from apps.access.choices import CredentialKind, KeyState, RequestState, RevocationKind, Side, SubscriptionState
from apps.access.models import AccessRequest, Plan, Revocation, Subscription
from apps.access.offers import plans_offered
from apps.catalog.selectors import apis_visible_to
from apps.rest.filters import ApplicationFilter as OfApplication
from apps.rest.filters import StrictFilterSet
from apps.tenants.selectors import tenants_visible_to

_SIDE = "caller: of one's own applications; provider: for one's own APIs."


class PlanFilter(StrictFilterSet):
    """Of plans."""

    name = django_filters.CharFilter(lookup_expr="icontains")
    api = django_filters.CharFilter(
        method="offered_by", label="Slug of an API: those that one's own tenants may ask for on it."
    )
    ordering = django_filters.OrderingFilter(fields=["name", "slug", "created_at"])

    def offered_by(self, rows: QuerySet[Plan], name: str, slug: str) -> QuerySet[Plan]:
        """Those that one may ask for on an API that one sees."""
        user = self.request.user
        api = apis_visible_to(user).filter(slug=slug).first()
        offered = plans_offered(api, tenants_visible_to(user)) if api else Plan.objects.none()
        return rows.filter(pk__in=offered.values("pk"))


class ApplicationFilter(StrictFilterSet):
    """Of applications."""

    tenant = django_filters.CharFilter("tenant__slug")
    slug = django_filters.CharFilter()
    name = django_filters.CharFilter(lookup_expr="icontains")
    ordering = django_filters.OrderingFilter(fields=[("tenant__slug", "tenant"), "slug", "name", "created_at"])


class IssuerFilter(StrictFilterSet):
    """Of issuers and introspection servers."""

    tenant = django_filters.CharFilter("tenant__slug")
    platform = django_filters.BooleanFilter("tenant", lookup_expr="isnull", label="The platform's, or tenants' own.")
    slug = django_filters.CharFilter()
    ordering = django_filters.OrderingFilter(fields=["slug", "created_at"])


class RevocationFilter(StrictFilterSet):
    """Of revoked tokens and subjects."""

    issuer = django_filters.CharFilter("issuer__slug")
    kind = django_filters.ChoiceFilter(choices=RevocationKind.choices)
    jti = django_filters.CharFilter(method="of_value", label="The ID of a token, whole.")
    subject = django_filters.CharFilter(method="of_value", label="A subject, whole.")
    ordering = django_filters.OrderingFilter(fields=["created_at", "expires_at"])

    def of_value(self, rows: QuerySet[Revocation], name: str, value: str) -> QuerySet[Revocation]:
        """Those of one token or subject."""
        return selectors.revocations_of_value(rows, name, value)


class KeyFilter(StrictFilterSet):
    """Of keys and other credentials."""

    application = OfApplication()
    tenant = django_filters.CharFilter("application__tenant__slug")
    kind = django_filters.ChoiceFilter(choices=CredentialKind.choices)
    identifier = django_filters.CharFilter()
    issuer = django_filters.CharFilter("issuer__slug")
    introspection = django_filters.CharFilter("introspection__slug")
    state = django_filters.ChoiceFilter(choices=KeyState.choices)
    prefix = django_filters.CharFilter()
    name = django_filters.CharFilter()
    ordering = django_filters.OrderingFilter(fields=["created_at", "expires_at", "last_used_at", "name"])


class AccessRequestFilter(StrictFilterSet):
    """Of access requests."""

    application = OfApplication()
    tenant = django_filters.CharFilter("application__tenant__slug", label="Who asks.")
    api = django_filters.CharFilter("api__slug")
    plan = django_filters.CharFilter("plan__slug")
    state = django_filters.ChoiceFilter(choices=RequestState.choices)
    side = django_filters.ChoiceFilter(choices=Side.choices, method="seen_from", label=_SIDE)
    ordering = django_filters.OrderingFilter(fields=["created_at", "submitted_at", "decided_at"])

    def seen_from(self, rows: QuerySet[AccessRequest], name: str, side: str) -> QuerySet[AccessRequest]:
        """Those of one side."""
        return rows.filter(pk__in=selectors.requests_visible_to(self.request.user, Side(side)).values("pk"))


class SubscriptionFilter(StrictFilterSet):
    """Of subscriptions."""

    application = OfApplication()
    tenant = django_filters.CharFilter("application__tenant__slug", label="Who calls.")
    api = django_filters.CharFilter("api__slug")
    plan = django_filters.CharFilter("plan__slug")
    state = django_filters.ChoiceFilter(choices=SubscriptionState.choices)
    side = django_filters.ChoiceFilter(choices=Side.choices, method="seen_from", label=_SIDE)
    ordering = django_filters.OrderingFilter(fields=["created_at", "changed_at", "expires_at"])

    def seen_from(self, rows: QuerySet[Subscription], name: str, side: str) -> QuerySet[Subscription]:
        """Those of one side."""
        return rows.filter(pk__in=selectors.subscriptions_visible_to(self.request.user, Side(side)).values("pk"))

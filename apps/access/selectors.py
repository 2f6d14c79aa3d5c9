"""Reading applications, keys, plans, requests and subscriptions, scoped to who asks."""

from dataclasses import dataclass

from django.db.models import QuerySet

from apps.access.choices import LIVE, RequestState
from apps.access.models import AccessRequest, Subscription
from apps.access.policies import (
    applications_usable_by,
    applications_visible_to,
    keys_visible_to,
    plans_visible_to,
    requests_decidable_by,
    requests_visible_to,
    subscriptions_visible_to,
)

__all__ = [
    "Evidence",
    "applications_usable_by",
    "applications_visible_to",
    "keys_visible_to",
    "plans_visible_to",
    "request_evidence",
    "requests_decidable_by",
    "requests_visible_to",
    "subscriptions_visible_to",
]


@dataclass
class Evidence:
    """What an approver should see beside a request.

    ``current`` is the running subscription whose plan would change. ``subscriptions`` are all live ones of the tenant, to any
    API, with their plans (what it may call today). ``past`` are decided requests of the tenant, newest first, with their comments.
    ``callers`` counts the live subscriptions of the API, under any plan.
    """

    current: Subscription | None
    subscriptions: QuerySet[Subscription]
    past: QuerySet[AccessRequest]
    callers: int


def request_evidence(access_request: AccessRequest) -> Evidence:
    """The evidence for one request. For those who may decide it; how much the tenant calls is the analytics' to say."""
    tenant = access_request.application.tenant_id
    live = Subscription.objects.filter(state__in=LIVE).select_related("application__tenant", "api", "plan")
    past = (
        AccessRequest.objects.filter(
            application__tenant=tenant, state__in=(RequestState.APPROVED, RequestState.REJECTED)
        )
        .exclude(pk=access_request.pk)
        .select_related("application__tenant", "api", "plan", "decided_by")
        .prefetch_related("comments__author")
        .order_by("-decided_at")
    )
    return Evidence(
        current=live.filter(application=access_request.application_id, api=access_request.api_id).first(),
        subscriptions=live.filter(application__tenant=tenant).order_by("api__name"),
        past=past,
        callers=live.filter(api=access_request.api_id).count(),
    )

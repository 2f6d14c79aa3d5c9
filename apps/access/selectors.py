"""Reading applications, keys, plans, requests and subscriptions, scoped to who asks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from apps.access.choices import LIVE, KeyState, RequestState, Side
from apps.access.models import AccessRequest, Introspection, Issuer, Revocation, Subscription
from apps.access.policies import (
    applications_usable_by,
    applications_visible_to,
    introspections_visible_to,
    issuers_visible_to,
    keys_visible_to,
    plans_visible_to,
    requests_decidable_by,
    requests_visible_to,
    revocations_visible_to,
    subscriptions_visible_to,
)
from apps.access.token_documents import introspection_document, issuer_document
from apps.catalog.choices import APIState
from apps.catalog.models import API
from apps.catalog.selectors import apis_in_catalogue
from apps.tenants.actors import Actor
from apps.tenants.choices import Role
from apps.tenants.policies import is_administrator, tenants_of
from apps.wire.revocations import revocation_hash

__all__ = [
    "Evidence",
    "applications_usable_by",
    "applications_visible_to",
    "catalogue_of",
    "in_force",
    "introspection_document_for",
    "introspections_visible_to",
    "issuer_document_for",
    "issuers_visible_to",
    "keys_visible_to",
    "plans_visible_to",
    "request_evidence",
    "requests_decidable_by",
    "requests_visible_to",
    "revocations_in",
    "revocations_of_value",
    "revocations_visible_to",
    "subscriptions_visible_to",
]


def catalogue_of(user: Actor | None) -> QuerySet[API]:
    """What ``user`` may ask for, and the deprecated APIs that an application of theirs may call still."""
    held = subscriptions_visible_to(user, Side.CALLER).filter(state__in=LIVE)
    return apis_in_catalogue(user) | API.objects.filter(state=APIState.DEPRECATED, pk__in=held.values("api"))


def in_force(now: datetime, prefix: str = "") -> Q:
    """What picks the keys, or the subscriptions, that let calls through at ``now``: active ones that haven't ended. ``prefix``
    leads to them from another model, like ``keys__``.
    """
    endless, later = Q(**{f"{prefix}expires_at": None}), Q(**{f"{prefix}expires_at__gt": now})
    return Q(**{f"{prefix}state": KeyState.ACTIVE.value}) & (endless | later)


REVOCATION_MARGIN = timedelta(hours=1)
"""How long a revocation is in force after the token has expired, whatever clocks and leeways say."""


def revocations_in(bucket: str, now: datetime) -> QuerySet[Revocation]:
    """Those that count at ``now``, of the bucket (two hex digits) in which gateways hold them."""
    ends = f"{bucket}{'0' * 14}", f"{bucket}{'f' * 14}"
    return Revocation.objects.filter(digest__range=ends, expires_at__gt=now - REVOCATION_MARGIN)


def revocations_of_value(rows: QuerySet[Revocation], kind: str, value: str) -> QuerySet[Revocation]:
    """Those of ``rows`` that are about a token's ID, or a subject, whichever issuer's."""
    issuers = rows.filter(kind=kind).values_list("issuer__slug", flat=True).order_by().distinct()
    digests = [f"{revocation_hash(settings.KEY_PEPPER, kind, slug, value):016x}" for slug in issuers]
    return rows.filter(digest__in=digests)


def issuer_document_for(user: Actor | None, issuer: Issuer) -> dict[str, Any]:
    """An issuer that ``user`` sees, in the declarative file's words: of the platform's, what callers need who get tokens there;
    the rest is for administrators. No secret, but whether there is one.
    """
    document = {"slug": issuer.slug, "tenant": None} | issuer_document(issuer)
    if issuer.tenant_id is None and not is_administrator(user):
        return {word: document[word] for word in _OF_THE_PLATFORMS if word in document}
    return document | {"has_secret": issuer.secret is not None}


_OF_THE_PLATFORMS = ("slug", "tenant", "issuer", "algorithms", "audience", "client_claim", "dpop")


def introspection_document_for(user: Actor | None, server: Introspection) -> dict[str, Any]:
    """An introspection server that ``user`` sees, in the declarative file's words: of the platform's, the name by which APIs have
    it asked. No secret, but whether there is one.
    """
    document = {"slug": server.slug, "tenant": None} | introspection_document(server)
    if server.tenant_id is None and not is_administrator(user):
        return {word: document[word] for word in ("slug", "tenant")}
    return document | {"has_secret": server.secret is not None}


@dataclass
class Evidence:
    """What an approver should see beside a request: of the APIs that are theirs to decide for, all; of others, how many.

    ``current`` is the running subscription whose plan would change. ``subscriptions`` are the tenant's live ones, with their
    plans, and ``others`` says how many more it has to APIs of others. ``past`` are decided requests of the tenant, newest
    first, with their comments; ``past_others`` counts those for APIs of others. ``callers`` counts the live subscriptions of
    the API, under any plan.
    """

    current: Subscription | None
    subscriptions: QuerySet[Subscription]
    others: int
    past: QuerySet[AccessRequest]
    past_others: int
    callers: int


def request_evidence(approver: Actor | None, access_request: AccessRequest) -> Evidence:
    """The evidence for one request, as ``approver`` may see it. For those who may decide it; how much the tenant calls is
    the analytics' to say."""
    own = Q(api__tenant__in=tenants_of(approver, Role.OWNER))
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
    held = live.filter(application__tenant=tenant).order_by("api__name")
    return Evidence(
        current=live.filter(application=access_request.application_id, api=access_request.api_id).first(),
        subscriptions=held.filter(own),
        others=held.exclude(own).count(),
        past=past.filter(own),
        past_others=past.exclude(own).count(),
        callers=live.filter(api=access_request.api_id).count(),
    )

"""The object that an address names, out of what the reader may see; anything else is a 404, so that existence is not disclosed."""

from django.http import Http404
from django.shortcuts import get_object_or_404

from apps.access.models import (
    AccessRequest,
    Application,
    Credential,
    Introspection,
    Issuer,
    Plan,
    Revocation,
    Subscription,
)
from apps.access.selectors import (
    applications_visible_to,
    introspections_visible_to,
    issuers_visible_to,
    keys_visible_to,
    plans_visible_to,
    requests_visible_to,
    revocations_visible_to,
    subscriptions_visible_to,
)
from apps.catalog.choices import Transition
from apps.catalog.models import API, HostName, Revision
from apps.catalog.selectors import apis_in_catalogue, apis_visible_to, hosts_visible_to, revisions_visible_to
from apps.tenants.models import Invitation, Membership, Tenant, Token, User
from apps.tenants.selectors import (
    invitations_visible_to,
    memberships_visible_to,
    tenants_visible_to,
    tokens_visible_to,
    users_visible_to,
)
from apps.warming.models import WarmUp
from apps.warming.selectors import warm_ups_visible_to


def an_api(user: User, slug: str) -> API:
    """An API that is the reader's own, or that is served."""
    return get_object_or_404(apis_visible_to(user).select_related("tenant", "cache_policy"), slug=slug)


def a_catalogue_entry(user: User, slug: str) -> API:
    """An API that the reader may ask for."""
    return get_object_or_404(apis_in_catalogue(user).select_related("tenant", "cache_policy"), slug=slug)


def a_revision(user: User, slug: str, number: int) -> Revision:
    """A revision of an API, by its number."""
    return get_object_or_404(
        revisions_visible_to(user).select_related("api__tenant", "author"), api__slug=slug, number=number
    )


def an_api_transition(user: User, slug: str, transition: str) -> tuple[API, Transition]:
    """An API and what is to become of it."""
    try:
        return an_api(user, slug), Transition(transition)
    except ValueError:
        raise Http404(f"There is no {transition}.") from None


def a_request(user: User, number: int) -> AccessRequest:
    """An access request that the reader made, or may decide."""
    return get_object_or_404(
        requests_visible_to(user).select_related(
            "application__tenant", "api__tenant", "plan", "subscription__plan", "requested_by", "decided_by"
        ),
        pk=number,
    )


def a_subscription(user: User, number: int) -> Subscription:
    """A subscription of the reader's tenants, or to their APIs."""
    return get_object_or_404(
        subscriptions_visible_to(user).select_related("application__tenant", "api__tenant", "plan"), pk=number
    )


def a_plan(user: User, slug: str) -> Plan:
    """A plan."""
    return get_object_or_404(plans_visible_to(user), slug=slug)


def an_application(user: User, tenant: str, slug: str) -> Application:
    """An application of one of the reader's tenants."""
    return get_object_or_404(applications_visible_to(user).select_related("tenant"), tenant__slug=tenant, slug=slug)


def a_key(user: User, number: int) -> Credential:
    """A key of one of the reader's applications."""
    return get_object_or_404(keys_visible_to(user).select_related("application__tenant"), pk=number)


def an_issuer(user: User, slug: str) -> Issuer:
    """An issuer of the platform, or of one of the reader's tenants."""
    return get_object_or_404(issuers_visible_to(user).select_related("tenant"), slug=slug)


def a_revocation(user: User, number: int) -> Revocation:
    """A revoked subject or token, of an issuer that the reader may change."""
    return get_object_or_404(revocations_visible_to(user), pk=number)


def an_introspection(user: User, slug: str) -> Introspection:
    """An introspection server of the platform, or of one of the reader's tenants."""
    return get_object_or_404(introspections_visible_to(user).select_related("tenant"), slug=slug)


def a_tenant(user: User, slug: str) -> Tenant:
    """One of the reader's tenants."""
    return get_object_or_404(tenants_visible_to(user), slug=slug)


def a_host(user: User, slug: str, number: int) -> HostName:
    """A host name of one of the reader's tenants."""
    return get_object_or_404(hosts_visible_to(user), tenant__slug=slug, pk=number)


def a_membership(user: User, slug: str, number: int) -> Membership:
    """A membership in one of the reader's tenants."""
    return get_object_or_404(memberships_visible_to(user), tenant__slug=slug, pk=number)


def an_invitation(user: User, slug: str, number: int) -> Invitation:
    """An invitation to one of the reader's tenants."""
    return get_object_or_404(invitations_visible_to(user), tenant__slug=slug, pk=number)


def a_user(user: User, number: int) -> User:
    """The reader, or a colleague; for administrators any user."""
    return get_object_or_404(users_visible_to(user), pk=number)


def a_token(user: User, number: int) -> Token:
    """A token of the reader's."""
    return get_object_or_404(tokens_visible_to(user), pk=number)


def a_warm_up(user: User, number: int) -> WarmUp:
    """A warm-up of one of the reader's APIs."""
    return get_object_or_404(warm_ups_visible_to(user), pk=number)

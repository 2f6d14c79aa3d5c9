"""Who may do what with applications, keys, plans, requests and subscriptions. Deny is the default.

Administrators may do everything. Two sides: the tenant of an application asks and uses; the owners of an API's tenant (its
approvers) decide.
"""

from django.db.models import Q, QuerySet

from apps.access.choices import Side
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
from apps.catalog.models import API
from apps.tenants.actors import Actor
from apps.tenants.choices import Role
from apps.tenants.models import Tenant
from apps.tenants.policies import has_role, is_administrator, is_member, is_signed_in, tenants_of


def can_manage_plans(user: Actor | None) -> bool:
    """Administrators: plans are the platform's."""
    return is_administrator(user)


def can_create_application(user: Actor | None, tenant: Tenant) -> bool:
    """Owners and developers of the tenant."""
    return has_role(user, tenant, Role.OWNER, Role.DEVELOPER)


def can_view_application(user: Actor | None, application: Application) -> bool:
    """Members of its tenant."""
    return is_member(user, application.tenant)


def can_edit_application(user: Actor | None, application: Application) -> bool:
    """Owners and developers of its tenant."""
    return can_create_application(user, application.tenant)


def can_manage_keys(user: Actor | None, application: Application) -> bool:
    """Owners and developers of its tenant: make, import, rotate, revoke."""
    return can_create_application(user, application.tenant)


def can_add_issuer(user: Actor | None, tenant: Tenant | None) -> bool:
    """Owners and developers of the tenant whose APIs will take its tokens; administrators the platform's (``None``)."""
    return is_administrator(user) if tenant is None else has_role(user, tenant, Role.OWNER, Role.DEVELOPER)


def can_edit_issuer(user: Actor | None, issuer: Issuer) -> bool:
    """Owners and developers of its tenant; administrators the platform's. They see what of it is no secret."""
    return can_add_issuer(user, issuer.tenant)


def can_revoke_tokens(user: Actor | None, issuer: Issuer) -> bool:
    """Who may edit the issuer: of its tokens, and of all that a subject has, and back."""
    return can_edit_issuer(user, issuer)


def can_add_introspection(user: Actor | None, tenant: Tenant | None) -> bool:
    """Owners and developers of the tenant whose APIs will ask it; administrators the platform's (``None``)."""
    return can_add_issuer(user, tenant)


def can_edit_introspection(user: Actor | None, server: Introspection) -> bool:
    """Owners and developers of its tenant; administrators the platform's."""
    return can_add_introspection(user, server.tenant)


def can_add_client_id(user: Actor | None, application: Application, issuer: Issuer | Introspection | None) -> bool:
    """Who manages the application's keys, of an issuer or introspection server of its own tenant. Of the platform's (``None``) and
    of another tenant's, only administrators: calls with tokens of a client ID count as its application's.
    """
    if issuer is None or issuer.tenant_id != application.tenant_id:
        return is_administrator(user)
    return can_manage_keys(user, application)


def can_request_access(user: Actor | None, application: Application) -> bool:
    """Owners and developers of its tenant."""
    return can_create_application(user, application.tenant)


def can_view_request(user: Actor | None, access_request: AccessRequest) -> bool:
    """Members of the tenant that asks, and of the tenant that is asked."""
    return is_member(user, access_request.application.tenant) or is_member(user, access_request.api.tenant)


def can_edit_request(user: Actor | None, access_request: AccessRequest) -> bool:
    """Those who may ask for its application: edit, submit."""
    return can_request_access(user, access_request.application)


def can_cancel_request(user: Actor | None, access_request: AccessRequest) -> bool:
    """Those who may ask for its application."""
    return can_request_access(user, access_request.application)


def can_decide_request(user: Actor | None, access_request: AccessRequest) -> bool:
    """Approvers: owners of the API's tenant. Ask back, approve, reject."""
    return can_approve_for(user, access_request.api)


def can_approve_for(user: Actor | None, api: API) -> bool:
    """Owners of the API's tenant."""
    return has_role(user, api.tenant, Role.OWNER)


def can_manage_subscription(user: Actor | None, subscription: Subscription) -> bool:
    """Approvers: suspend, resume, change the plan."""
    return can_approve_for(user, subscription.api)


def can_revoke_subscription(user: Actor | None, subscription: Subscription) -> bool:
    """Approvers, and owners of the tenant that holds it: it may be given up."""
    return can_approve_for(user, subscription.api) or has_role(user, subscription.application.tenant, Role.OWNER)


def plans_visible_to(user: Actor | None) -> QuerySet[Plan]:
    """Those for everybody, and those for one's own tenants: one picks a plan when asking for access."""
    if not is_signed_in(user):
        return Plan.objects.none()
    if is_administrator(user):
        return Plan.objects.all()
    own = set(tenants_of(user).values_list("slug", flat=True))
    limited = Plan.objects.exclude(tenants=[])
    return Plan.objects.filter(Q(tenants=[]) | Q(pk__in=[plan.pk for plan in limited if own & set(plan.tenants)]))


def applications_visible_to(user: Actor | None) -> QuerySet[Application]:
    """Those of one's own tenants."""
    return Application.objects.filter(tenant__in=tenants_of(user)).select_related("tenant")


def applications_usable_by(user: Actor | None) -> QuerySet[Application]:
    """Those that one may make keys and requests for."""
    return Application.objects.filter(tenant__in=tenants_of(user, Role.OWNER, Role.DEVELOPER)).select_related("tenant")


def keys_visible_to(user: Actor | None) -> QuerySet[Credential]:
    """Those of one's own tenants, without the passing ones of "Try it"."""
    return Credential.objects.filter(application__tenant__in=tenants_of(user), api=None).select_related(
        "application__tenant", "created_by", "successor"
    )


def issuers_visible_to(user: Actor | None) -> QuerySet[Issuer]:
    """The platform's, whose tokens any API may take, and those of one's own tenants."""
    return Issuer.objects.filter(_own_or_platform(user)).select_related("tenant")


def revocations_visible_to(user: Actor | None) -> QuerySet[Revocation]:
    """Those of issuers of one's own tenants, for owners and developers; those of the platform's for administrators."""
    rows = Revocation.objects.select_related("issuer__tenant", "revoked_by")
    if is_administrator(user):
        return rows
    return rows.filter(issuer__tenant__in=tenants_of(user, Role.OWNER, Role.DEVELOPER))


def introspections_visible_to(user: Actor | None) -> QuerySet[Introspection]:
    """The platform's, which any API may ask, and those of one's own tenants."""
    return Introspection.objects.filter(_own_or_platform(user)).select_related("tenant")


def _own_or_platform(user: Actor | None) -> Q:
    return Q(tenant=None) | Q(tenant__in=tenants_of(user)) if is_signed_in(user) else Q(pk__in=())


def requests_visible_to(user: Actor | None, side: Side | None = None) -> QuerySet[AccessRequest]:
    """Those that one's own tenants made, and those for their APIs once they were submitted; of one ``side`` alone, if given."""
    own = tenants_of(user)
    sides = {
        Side.CALLER: Q(application__tenant__in=own),
        Side.PROVIDER: Q(api__tenant__in=own, submitted_at__isnull=False),
    }
    return AccessRequest.objects.filter(_seen_from(side, sides)).select_related(
        "application__tenant", "api__tenant", "plan", "subscription__plan", "requested_by", "decided_by"
    )


def requests_decidable_by(user: Actor | None) -> QuerySet[AccessRequest]:
    """Those in the APIs that one approves for, in any state but draft."""
    return requests_visible_to(user).filter(api__tenant__in=tenants_of(user, Role.OWNER), submitted_at__isnull=False)


def subscriptions_visible_to(user: Actor | None, side: Side | None = None) -> QuerySet[Subscription]:
    """Those of one's own tenants, and those to their APIs; of one ``side`` alone, if given."""
    own = tenants_of(user)
    sides = {Side.CALLER: Q(application__tenant__in=own), Side.PROVIDER: Q(api__tenant__in=own)}
    return Subscription.objects.filter(_seen_from(side, sides)).select_related(
        "application__tenant", "api__tenant", "plan"
    )


def _seen_from(side: Side | None, sides: dict[Side, Q]) -> Q:
    return sides[Side.CALLER] | sides[Side.PROVIDER] if side is None else sides[side]

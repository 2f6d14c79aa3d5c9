"""Who may do what with APIs. Deny is the default; a platform administrator may do everything."""

from django.db.models import Q, QuerySet

from apps.catalog.choices import SERVED, APIState
from apps.catalog.models import API, HostName, Operation, Revision, Upstream
from apps.tenants.actors import Actor
from apps.tenants.choices import Role
from apps.tenants.models import Tenant
from apps.tenants.policies import has_role, is_administrator, is_member, is_signed_in, tenants_of


def can_create_api(user: Actor | None, tenant: Tenant) -> bool:
    """Owners and developers of the tenant that will own it."""
    return has_role(user, tenant, Role.OWNER, Role.DEVELOPER)


def can_view_api(user: Actor | None, api: API) -> bool:
    """Everybody who is signed in, once it is served; before and after, the members of its tenant."""
    return (api.state in SERVED and is_signed_in(user)) or is_member(user, api.tenant)


def can_view_configuration(user: Actor | None, api: API) -> bool:
    """Upstreams, header rules, revisions: the members of its tenant."""
    return is_member(user, api.tenant)


def can_edit_api(user: Actor | None, api: API) -> bool:
    """Owners and developers of its tenant."""
    return has_role(user, api.tenant, Role.OWNER, Role.DEVELOPER)


def can_publish_api(user: Actor | None, api: API) -> bool:
    """Every step of the life cycle: owners of its tenant."""
    return has_role(user, api.tenant, Role.OWNER)


def can_delete_api(user: Actor | None, api: API) -> bool:
    """Owners of its tenant."""
    return has_role(user, api.tenant, Role.OWNER)


def can_view_hosts(user: Actor | None, tenant: Tenant) -> bool:
    """The tenant's members."""
    return is_member(user, tenant)


def can_manage_hosts(user: Actor | None, tenant: Tenant) -> bool:
    """Owners and developers of the tenant."""
    return has_role(user, tenant, Role.OWNER, Role.DEVELOPER)


def hosts_visible_to(user: Actor | None) -> QuerySet[HostName]:
    """Those of one's own tenants: who else claims a name is not disclosed."""
    return HostName.objects.filter(tenant__in=tenants_of(user)).select_related("tenant")


def apis_editable_by(user: Actor | None) -> QuerySet[API]:
    """Those of the tenants in which one is owner or developer."""
    return API.objects.filter(tenant__in=tenants_of(user, Role.OWNER, Role.DEVELOPER))


def apis_configured_by(user: Actor | None) -> QuerySet[API]:
    """Those whose configuration one may see: of one's own tenants."""
    return API.objects.filter(tenant__in=tenants_of(user))


def apis_in_catalogue(user: Actor | None) -> QuerySet[API]:
    """What every signed-in user may ask for."""
    return API.objects.filter(state=APIState.PUBLISHED) if is_signed_in(user) else API.objects.none()


def apis_visible_to(user: Actor | None) -> QuerySet[API]:
    """Served ones, and all of one's own tenants."""
    if is_administrator(user):
        return API.objects.all()
    if not is_signed_in(user):
        return API.objects.none()
    return API.objects.filter(Q(state__in=SERVED) | Q(tenant__in=tenants_of(user)))


def operations_visible_to(user: Actor | None) -> QuerySet[Operation]:
    """Those of the APIs that one may see."""
    return Operation.objects.filter(api__in=apis_visible_to(user))


def upstreams_visible_to(user: Actor | None) -> QuerySet[Upstream]:
    """Those of one's own tenants' APIs: where an upstream is concerns no other user."""
    return Upstream.objects.filter(api__in=apis_configured_by(user)).select_related("api__tenant")


def revisions_visible_to(user: Actor | None) -> QuerySet[Revision]:
    """Those of one's own tenants' APIs."""
    return Revision.objects.filter(api__in=apis_configured_by(user)).select_related("api__tenant", "author")

"""Who may do what with users and tenants. Deny is the default; a platform administrator may do everything.

A user who acts by a token is bound by it: ``is_administrator``, ``role_in`` and ``tenants_of`` say what it leaves of their rights,
and all other policies build on these. No token makes tokens, sets a password or changes a user's identity, whatever its scope.
"""

from django.db.models import Q, QuerySet

from apps.tenants.actors import Actor, Platform
from apps.tenants.choices import Role
from apps.tenants.models import Invitation, Membership, Tenant, Token, User


def is_administrator(user: Actor | None) -> bool:
    """Whether ``user`` runs the platform. The platform itself does; a deactivated user, or a token without that scope, does not."""
    return user is not None and user.is_active and bool(getattr(user, "administrates", False))


def acts_through_token(user: Actor | None) -> bool:
    """Whether ``user`` acts by a token, and not in a session of the console."""
    return isinstance(user, User) and user.token is not None


def is_signed_in(user: Actor | None) -> bool:
    """Whether ``user`` is an active user, or the platform."""
    return user is not None and user.is_active and user.is_authenticated


def role_in(user: Actor | None, tenant: Tenant) -> Role | None:
    """The role of an active member in ``tenant``. One query."""
    if not isinstance(user, User) or not user.is_active:
        return None
    role = user.held_memberships.filter(tenant=tenant).values_list("role", flat=True).first()
    return Role(role) if role else None


def has_role(user: Actor | None, tenant: Tenant, *roles: Role) -> bool:
    """Whether ``user`` is an administrator, or has one of ``roles`` in ``tenant``."""
    return is_administrator(user) or role_in(user, tenant) in roles


def is_member(user: Actor | None, tenant: Tenant) -> bool:
    """Whether ``user`` is an administrator, or has any role in ``tenant``."""
    return has_role(user, tenant, *Role)


def tenants_of(user: Actor | None, *roles: Role) -> QuerySet[Tenant]:
    """The tenants in which ``user`` has one of ``roles`` (any role, when none is given); all for an administrator."""
    if is_administrator(user):
        return Tenant.objects.all()
    if not isinstance(user, User) or not user.is_active:
        return Tenant.objects.none()
    held = user.held_memberships.filter(role__in=roles or list(Role))
    return Tenant.objects.filter(pk__in=held.values("tenant"))


def can_create_user(user: Actor | None) -> bool:
    """Administrators; an owner invites instead."""
    return is_administrator(user)


def can_update_user(user: Actor | None, obj: User) -> bool:
    """Everybody their own name, by a token only if it isn't limited to a tenant; administrators all."""
    limited = isinstance(user, User) and user.token is not None and user.token.tenant_id is not None
    return is_administrator(user) or (is_signed_in(user) and user == obj and not limited)


def can_administrate_user(user: Actor | None, obj: User) -> bool:
    """Activation, and in the console e-mail address and the administrator's right: administrators, and never their own."""
    return is_administrator(user) and user != obj


def can_set_password(user: Actor | None, obj: User) -> bool:
    """One's own; administrators all. Never by a token: it would outlive its own end."""
    return can_update_user(user, obj) and not acts_through_token(user)


def can_create_tenant(user: Actor | None) -> bool:
    """Administrators."""
    return is_administrator(user)


def can_view_tenant(user: Actor | None, tenant: Tenant) -> bool:
    """Its members."""
    return is_member(user, tenant)


def can_update_tenant(user: Actor | None, tenant: Tenant) -> bool:
    """Its owners."""
    return has_role(user, tenant, Role.OWNER)


def can_suspend_tenant(user: Actor | None, tenant: Tenant) -> bool:
    """Administrators."""
    return is_administrator(user)


def can_delete_tenant(user: Actor | None, tenant: Tenant) -> bool:
    """Administrators."""
    return is_administrator(user)


def can_manage_members(user: Actor | None, tenant: Tenant) -> bool:
    """Its owners."""
    return has_role(user, tenant, Role.OWNER)


def can_add_members(user: Actor | None, tenant: Tenant) -> bool:
    """Without asking them: administrators. An owner invites, and the invited accepts."""
    return is_administrator(user)


def can_create_token(user: Actor | None, owner: User) -> bool:
    """One's own only, since a token acts as its owner, and not by a token; the platform makes the first administrator's."""
    return isinstance(user, Platform) or (is_signed_in(user) and user == owner and not acts_through_token(user))


def can_revoke_token(user: Actor | None, token: Token) -> bool:
    """One's own; administrators all."""
    return tokens_visible_to(user).filter(pk=token.pk).exists()


def users_visible_to(user: Actor | None) -> QuerySet[User]:
    """Oneself and the members of one's tenants."""
    if is_administrator(user):
        return User.objects.all()
    if not isinstance(user, User) or not user.is_active:
        return User.objects.none()
    colleagues = Membership.objects.filter(tenant__in=tenants_of(user)).values("user")
    return User.objects.filter(Q(pk=user.pk) | Q(pk__in=colleagues))


def tenants_visible_to(user: Actor | None) -> QuerySet[Tenant]:
    """One's own tenants."""
    return tenants_of(user)


def memberships_visible_to(user: Actor | None) -> QuerySet[Membership]:
    """Those of one's own tenants."""
    return Membership.objects.filter(tenant__in=tenants_of(user)).select_related("user", "tenant")


def invitations_visible_to(user: Actor | None) -> QuerySet[Invitation]:
    """Those to the tenants that one owns."""
    return Invitation.objects.filter(tenant__in=tenants_of(user, Role.OWNER)).select_related("tenant", "invited_by")


def tokens_visible_to(user: Actor | None) -> QuerySet[Token]:
    """One's own that weren't ended before their time; a token that is limited to a tenant sees itself alone."""
    standing = Token.objects.filter(ended_at=None).select_related("user", "tenant")
    if is_administrator(user):
        return standing
    if not isinstance(user, User) or not user.is_active:
        return standing.none()
    if user.token and user.token.tenant_id:
        return standing.filter(pk=user.token.pk)
    return standing.filter(user=user)

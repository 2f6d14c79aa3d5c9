"""Who may do what with users and tenants. Deny is the default; a platform administrator may do everything."""

from django.db.models import Q, QuerySet

from apps.tenants.actors import Actor, Platform
from apps.tenants.choices import Role
from apps.tenants.models import Membership, Tenant, Token, User


def is_administrator(user: Actor | None) -> bool:
    """Whether ``user`` runs the platform. The platform itself does; a deactivated user does not."""
    return user is not None and user.is_active and bool(getattr(user, "is_administrator", False))


def is_signed_in(user: Actor | None) -> bool:
    """Whether ``user`` is somebody: an active user, or the platform."""
    return user is not None and user.is_active and user.is_authenticated


def role_in(user: Actor | None, tenant: Tenant) -> Role | None:
    """The role of an active member in ``tenant``. One query."""
    if not isinstance(user, User) or not user.is_active:
        return None
    role = Membership.objects.filter(user=user, tenant=tenant).values_list("role", flat=True).first()
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
    held = Membership.objects.filter(user=user, role__in=roles or list(Role))
    return Tenant.objects.filter(pk__in=held.values("tenant"))


def can_create_user(user: Actor | None) -> bool:
    """Administrators; an owner invites instead."""
    return is_administrator(user)


def can_update_user(user: Actor | None, obj: User) -> bool:
    """Everybody their own name; administrators all."""
    return is_administrator(user) or (is_signed_in(user) and user == obj)


def can_administrate_user(user: Actor | None, obj: User) -> bool:
    """Activation, e-mail address and the administrator's right: administrators, and never their own."""
    return is_administrator(user) and user != obj


def can_set_password(user: Actor | None, obj: User) -> bool:
    """One's own; administrators all."""
    return can_update_user(user, obj)


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


def can_create_token(user: Actor | None, owner: User) -> bool:
    """One's own only, since a token acts as its owner; the platform makes the first administrator's."""
    return isinstance(user, Platform) or (is_signed_in(user) and user == owner)


def can_revoke_token(user: Actor | None, token: Token) -> bool:
    """One's own; administrators all."""
    return is_administrator(user) or (isinstance(user, User) and user.is_active and token.user_id == user.pk)


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


def tokens_visible_to(user: Actor | None) -> QuerySet[Token]:
    """One's own."""
    if is_administrator(user):
        return Token.objects.select_related("user")
    if not isinstance(user, User) or not user.is_active:
        return Token.objects.none()
    return Token.objects.filter(user=user).select_related("user")

"""Changing users, tenants, memberships and tokens. Errors: ``PermissionDenied``, ``ValidationError`` by field, ``Conflict``."""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple, TypedDict, Unpack

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import get_default_password_validators, validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import ProtectedError
from django.utils import timezone

from apps.audit.selectors import was_deleted
from apps.audit.services import Change, change
from apps.foundation.errors import Conflict
from apps.httpcache import tag_of_tenant
from apps.tenants import policies
from apps.tenants.actors import Actor, Platform
from apps.tenants.choices import Role, TenantState, TokenScope
from apps.tenants.emails import new_administrator, second_factor_removed, token_ends
from apps.tenants.models import Membership, Tenant, Token, User
from apps.tenants.selectors import digest_of, tokens_ending_soon

SHORTEST_TOKEN = 32
LONGEST_LIFE = timedelta(days=365)
"""Of a token for the REST API."""

DELETED_HAD = (
    "A deleted tenant had this name, and its calls and audit entries are kept under it: choose another, or bring that tenant"
    " back with manage.py apply."
)


class UserFields(TypedDict, total=False):
    """What ``user_update`` changes."""

    email: str
    name: str
    is_administrator: bool


class NewToken(NamedTuple):
    """A token and its secret, which is nowhere else."""

    token: Token
    secret: str


def allow(permitted: bool, refusal: str) -> None:
    """Go on, or raise ``PermissionDenied`` with the reason for the reader."""
    if not permitted:
        raise PermissionDenied(refusal)


def allow_by_hand(actor: Actor, what: str) -> None:
    """Go on, or refuse ``what`` to a token: what outlives it can't be made by it, whatever its scope."""
    allow(
        not policies.acts_through_token(actor),
        f"No token may {what}, whatever its scope. Sign in to the console for that.",
    )


class HashedPassword:
    """A password with its hash: what takes a quarter of a second, and so is done before a transaction."""

    __slots__ = ("encoded", "text")

    def __init__(self, text: str) -> None:
        get_default_password_validators()  # which read a list of common passwords from a file, once
        self.text = text
        self.encoded = make_password(text)

    def put(self, user: User) -> None:
        """Make it the user's, as ``User.set_password`` does."""
        user.password, user._password = self.encoded, self.text  # type: ignore[attr-defined]


def hashed(password: str | HashedPassword) -> HashedPassword:
    """The password, hashed here if it isn't yet."""
    return password if isinstance(password, HashedPassword) else HashedPassword(password)


def user_create(
    *,
    actor: Actor,
    email: str,
    name: str = "",
    password: str | HashedPassword | None = None,
    is_administrator: bool = False,
) -> User:
    """A new user, without a password until one is set or chosen. In a transaction, give a ``HashedPassword`` made before."""
    allow(policies.can_create_user(actor), "Only a platform administrator may add users.")
    password = None if password is None else hashed(password)
    with change(actor=actor, verb="user.create", target_type="user") as audit_entry:
        user = new_user(actor, audit_entry, email, name, password, is_administrator)
        if is_administrator and isinstance(actor, User):
            new_administrator(user, actor)
    return user


def user_update(*, actor: Actor, user: User, **fields: Unpack[UserFields]) -> User:
    """Change a user's name, or, as an administrator, their address and rights."""
    allow(policies.can_update_user(actor, user), "Only this user or a platform administrator may change this.")
    if "email" in fields:
        fields["email"] = fields["email"].strip().lower()
    before = {name: getattr(user, name) for name in fields}
    changed = {name: value for name, value in fields.items() if value != before[name]}
    if not changed:
        return user
    if changed.keys() - {"name"}:
        allow_by_hand(actor, "change a user's address or rights")
        allow(
            policies.can_administrate_user(actor, user),
            "Only another platform administrator may change a user's address or rights.",
        )
    with change(actor=actor, verb="user.update", target_type="user", target=user.email) as audit_entry:
        for name, value in changed.items():
            setattr(user, name, value)
            audit_entry.field(name, before[name], value)
        user.full_clean()
        # These alone: the row may have lost its rights, its password or its sessions since it was read.
        user.save(update_fields=list(changed))
        if changed.get("is_administrator") and isinstance(actor, User):
            new_administrator(user, actor)
        if "email" in changed:
            # What the sign-in remembers of addresses: with the old one no user signs in or asks for a new password.
            EmailAddress.objects.filter(user=user).delete()
    return user


def user_deactivate(*, actor: Actor, user: User) -> User:
    """End a user's access: their sessions and tokens, for good. Keys of applications go on."""
    return _user_active(actor, user, False, "user.deactivate")


def user_activate(*, actor: Actor, user: User) -> User:
    """Let a deactivated user in again."""
    return _user_active(actor, user, True, "user.activate")


def user_set_password(*, actor: Actor, user: User, password: str | HashedPassword) -> User:
    """Set a password, which ends the user's sessions and tokens. In a transaction, give a ``HashedPassword`` made before.

    The validators of the settings hold, except for the platform's own (an operator's file says what it says).
    """
    allow_by_hand(actor, "set a password")
    allow(policies.can_set_password(actor, user), "Only this user or a platform administrator may set this password.")
    password = hashed(password)
    check_password(actor, user, password.text)
    with change(actor=actor, verb="user.set_password", target_type="user", target=user.email) as audit_entry:
        audit_entry.field("tokens", user.tokens.live().count(), 0)
        password.put(user)
        user.save(update_fields=["password"])
    return user


def user_remove_second_factor(*, actor: Actor, user: User) -> None:
    """Let in a user who lost their second factor and its recovery codes, by the password alone. They are written to."""
    allow_by_hand(actor, "take a user's second factor off")
    allow(
        policies.can_administrate_user(actor, user),
        "Only another platform administrator may take a user's second factor off.",
    )
    with change(actor=actor, verb="user.second_factor", target_type="user", target=user.email) as audit_entry:
        removed, _ = Authenticator.objects.filter(user=user).delete()
        if not removed:
            raise Conflict(f"{user} has no second factor.")
        audit_entry.field("second_factor", True, False)
        second_factor_removed(user, actor)


def tenant_create(*, actor: Actor, slug: str, name: str, owner: User | None = None) -> Tenant:
    """A new tenant, with its first owner where one is named. What a deleted one left under its slug is for no other tenant: only
    the platform (an operator's file) makes one of that slug again.
    """
    allow(policies.can_create_tenant(actor), "Only a platform administrator may add tenants.")
    if owner is not None and owner == actor:
        allow_by_hand(actor, "make its owner a member")
    with change(actor=actor, verb="tenant.create", target_type="tenant", target=slug, tenant=slug) as audit_entry:
        if not isinstance(actor, Platform) and was_deleted("tenant", slug):
            raise ValidationError({"slug": DELETED_HAD})
        tenant = Tenant(slug=slug, name=name)
        tenant.full_clean()
        tenant.save()
        audit_entry.field("name", None, name)
        audit_entry.affect("tenant", slug)
        if owner:
            set_role(audit_entry, tenant, owner, Role.OWNER)
    return tenant


def tenant_update(*, actor: Actor, tenant: Tenant, name: str) -> Tenant:
    """Rename a tenant."""
    allow(policies.can_update_tenant(actor, tenant), "Only an owner of the tenant may rename it.")
    if name == tenant.name:
        return tenant
    with change(
        actor=actor, verb="tenant.update", target_type="tenant", target=tenant.slug, tenant=tenant.slug
    ) as audit_entry:
        audit_entry.field("name", tenant.name, name)
        tenant.name = name
        tenant.full_clean()
        tenant.save(update_fields=["name"])  # it may have been suspended since it was read
    return tenant


def tenant_suspend(*, actor: Actor, tenant: Tenant, comment: str = "") -> Tenant:
    """Have the gateways refuse all keys of a tenant. Nothing is lost."""
    return _tenant_state(actor, tenant, TenantState.ACTIVE, TenantState.SUSPENDED, "tenant.suspend", comment)


def tenant_resume(*, actor: Actor, tenant: Tenant, comment: str = "") -> Tenant:
    """Let a suspended tenant's keys work again."""
    return _tenant_state(actor, tenant, TenantState.SUSPENDED, TenantState.ACTIVE, "tenant.resume", comment)


def tenant_delete(*, actor: Actor, tenant: Tenant) -> None:
    """Remove a tenant that owns no API, no application, no issuer and no introspection server."""
    allow(policies.can_delete_tenant(actor, tenant), "Only a platform administrator may delete tenants.")
    slug = tenant.slug
    with change(actor=actor, verb="tenant.delete", target_type="tenant", target=slug, tenant=slug) as audit_entry:
        # Through the relation: this app knows nothing of host names but that they point here.
        hosts = list(tenant.hosts.values_list("host", flat=True))
        try:
            tenant.delete()
        except ProtectedError as error:
            raise ValidationError(
                f"{tenant} still owns {len(error.protected_objects)} APIs, applications, issuers or introspection servers."
            ) from None
        audit_entry.affect("tenant", slug)
        # The next tenant with this slug is another one.
        audit_entry.affect("stored", tag_of_tenant(slug))
        audit_entry.affect("egress", slug)
        for host in hosts:
            audit_entry.affect("host", host)


def membership_set(*, actor: Actor, tenant: Tenant, user: User, role: Role | str) -> Membership:
    """Give ``user`` a role in ``tenant``, in place of the one they have."""
    allow(policies.can_manage_members(actor, tenant), "Only an owner of the tenant may change its members.")
    existing = Membership.objects.filter(tenant=tenant, user=user).first()
    if existing and existing.role == role:
        return existing
    if user == actor:
        allow_by_hand(actor, "make its owner a member or change their role")
    if existing is None:
        allow(policies.can_add_members(actor, tenant), "Invite them: who isn't a member yet must accept that first.")
    with change(
        actor=actor, verb="membership.set", target_type="user", target=user.email, tenant=tenant.slug
    ) as audit_entry:
        return set_role(audit_entry, tenant, user, role)


def membership_remove(*, actor: Actor, membership: Membership) -> None:
    """Take a member out of a tenant; never its last owner."""
    tenant, user = membership.tenant, membership.user
    allow(policies.can_manage_members(actor, tenant), "Only an owner of the tenant may change its members.")
    with change(
        actor=actor, verb="membership.remove", target_type="user", target=user.email, tenant=tenant.slug
    ) as audit_entry:
        audit_entry.field("role", membership.role, None)
        _keep_an_owner(membership)
        membership.delete()
        # One that they didn't need any more would bring them back.
        tenant.invitations.filter(email__iexact=user.email).delete()


def token_create(
    *,
    actor: Actor,
    user: User,
    name: str,
    scope: TokenScope | str,
    expires_at: datetime,
    tenant: Tenant | None = None,
    secret: str | None = None,
) -> NewToken:
    """A token for the REST API, which acts as ``user`` within ``scope``, in ``tenant`` alone where one is given.

    ``expires_at``: a year from now at the latest. ``secret``: the one to use instead of a new one. It has 32 characters at
    least; an operator's, which the platform brings from its environment, is what it is.
    """
    allow_by_hand(actor, "make a token")
    allow(policies.can_create_token(actor, user), "A token acts as its owner: only they may make it.")
    if secret is not None and len(secret) < SHORTEST_TOKEN and not isinstance(actor, Platform):
        raise ValidationError({"secret": f"A token has at least {SHORTEST_TOKEN} characters."})
    _check_life(expires_at)
    _check_reach(user, scope, tenant)
    secret = secret or f"amt_{secrets.token_urlsafe(32)}"
    token = Token(
        user=user,
        name=name,
        prefix=secret[: min(8, len(secret) // 4)],
        digest=digest_of(secret),
        scope=scope,
        tenant=tenant,
        expires_at=expires_at,
    )
    with change(actor=actor, verb="token.create", target_type="token", target=f"{user.email}: {name}") as audit_entry:
        audit_entry.field("scope", None, str(scope))
        audit_entry.field("tenant", None, tenant.slug if tenant else None)
        audit_entry.field("expires_at", None, expires_at.isoformat())
        token.full_clean()
        token.save()
    return NewToken(token, secret)


def token_revoke(*, actor: Actor, token: Token) -> None:
    """End a token at once."""
    allow(policies.can_revoke_token(actor, token), "Only its owner or a platform administrator may revoke this token.")
    with change(actor=actor, verb="token.revoke", target_type="token", target=f"{token.user.email}: {token.name}"):
        token.ended_at = timezone.now()
        token.save(update_fields=["ended_at"])


def tokens_notify() -> int:
    """Write to the owners of tokens that end soon, once for each token; how many letters that were."""
    due = tokens_ending_soon().filter(noticed_at=None)
    for token in due:
        # The worker that marks the row writes: two workers at once don't write twice.
        if Token.objects.filter(pk=token.pk, noticed_at=None).update(noticed_at=timezone.now()):
            token_ends(token)
    return len(due)


def new_user(
    actor: Actor, audit_entry: Change, email: str, name: str, password: HashedPassword | None, is_administrator: bool
) -> User:
    """A user as part of the change ``audit_entry``."""
    user = User(email=email.strip().lower(), name=name, is_administrator=is_administrator)
    if password is None:
        user.set_unusable_password()
    else:
        check_password(actor, user, password.text)
        password.put(user)
    user.full_clean()
    user.save()
    audit_entry.target = user.email
    audit_entry.field("name", None, name)
    audit_entry.field("is_administrator", False, is_administrator)
    return user


def check_password(actor: Actor, user: User, password: str) -> None:
    """Go on, or raise ``ValidationError`` with what is wrong with the password."""
    if not password:
        raise ValidationError({"password": "A password can't be empty."})
    if isinstance(actor, Platform):
        return
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({"password": error.messages}) from None


def _check_life(expires_at: datetime) -> None:
    now = timezone.now()
    if expires_at <= now:
        raise ValidationError({"expires_at": "This is in the past."})
    if expires_at > now + LONGEST_LIFE:
        raise ValidationError({"expires_at": f"A token ends within {LONGEST_LIFE.days} days."})


def _check_reach(user: User, scope: TokenScope | str, tenant: Tenant | None) -> None:
    """Refuse what would look like a right that its owner doesn't have."""
    if scope == TokenScope.ADMIN and not user.is_administrator:
        raise ValidationError({"scope": "Only a platform administrator's token can have this scope."})
    if tenant is None:
        return
    if scope == TokenScope.ADMIN:
        raise ValidationError({"tenant": "The scope admin reaches the whole platform: leave the tenant empty."})
    if not Membership.objects.filter(user=user, tenant=tenant).exists():
        raise ValidationError({"tenant": f"{user} is no member of {tenant}: this token would reach nothing."})


def _user_active(actor: Actor, user: User, active: bool, verb: str) -> User:
    allow(
        policies.can_administrate_user(actor, user),
        "Only another platform administrator may let users in or lock them out.",
    )
    if user.is_active == active:
        return user
    with change(actor=actor, verb=verb, target_type="user", target=user.email) as audit_entry:
        audit_entry.field("is_active", user.is_active, active)
        user.is_active = active
        if not active:
            audit_entry.field("tokens", user.tokens.live().update(ended_at=timezone.now()), 0)
            user.sessions_ended += 1
        user.save(update_fields=["is_active", "sessions_ended"])
    return user


def _tenant_state(actor: Actor, tenant: Tenant, old: TenantState, new: TenantState, verb: str, comment: str) -> Tenant:
    allow(policies.can_suspend_tenant(actor, tenant), "Only a platform administrator may suspend or resume tenants.")
    with change(
        actor=actor, verb=verb, target_type="tenant", target=tenant.slug, tenant=tenant.slug, comment=comment
    ) as audit_entry:
        if not Tenant.objects.filter(pk=tenant.pk, state=old).update(state=new):
            tenant.refresh_from_db()
            raise Conflict(f"{tenant} is {tenant.get_state_display().lower()} already.")
        tenant.state = new
        audit_entry.field("state", old.value, new.value)
        audit_entry.about = tenant
        audit_entry.affect("tenant", tenant.slug)
        if new is TenantState.SUSPENDED:
            audit_entry.affect("stored", tag_of_tenant(tenant.slug))
    return tenant


def set_role(audit_entry: Change, tenant: Tenant, user: User, role: Role | str) -> Membership:
    """A role as part of the change ``audit_entry``."""
    membership = Membership.objects.filter(tenant=tenant, user=user).first() or Membership(tenant=tenant, user=user)
    audit_entry.field("role", membership.role or None, str(role))
    if membership.pk and role != Role.OWNER:
        _keep_an_owner(membership)
    membership.role = role
    membership.full_clean()
    membership.save()
    return membership


def _keep_an_owner(leaving: Membership) -> None:
    """Refuse to take away the last owner. The owners' rows are locked, so that two can't leave at once."""
    owners = Membership.objects.select_for_update().filter(tenant=leaving.tenant_id, role=Role.OWNER)
    if [row.pk for row in owners] == [leaving.pk]:
        raise ValidationError(
            {"role": f"{leaving.user} is the last owner of {leaving.tenant}: make another member an owner first."}
        )

"""Becoming a member: an owner asks by e-mail, and the person who reads that mail says yes.

What an owner learns is what they typed: an address without an account, one with an account and one that is locked out are
answered, written to and listed in the same way and by the same queries.

Errors: ``PermissionDenied``, ``ValidationError`` by field, ``Conflict``.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from apps.audit.models import Entry
from apps.audit.services import Change, change
from apps.foundation.errors import Conflict
from apps.tenants import emails, policies
from apps.tenants.actors import Actor, user_of
from apps.tenants.choices import Role
from apps.tenants.models import Invitation, Membership, Tenant, User
from apps.tenants.selectors import digest_of
from apps.tenants.services import allow, allow_by_hand, hashed, new_user, set_role, user_set_password, user_update

logger = logging.getLogger(__name__)

LIFE = timedelta(days=7)
"""How long a link works."""
KEPT = timedelta(days=30)
"""How long an invitation is listed after its link's end."""
MAILS_OF_A_TENANT = 20
"""Letters with invitations, an hour."""
MAILS_OF_A_TENANT_TO_AN_ADDRESS = 3
"""Letters with invitations, a day."""
MAILS_TO_AN_ADDRESS = 10
"""Letters with invitations to one address from all tenants, a day. Beyond it none goes out, and no tenant learns that: it would
tell of the others."""

LEFT_ALONE = timedelta(days=30)
"""How long a tenant can't invite a user again who declined."""

_MAILED = ("invitation.create", "invitation.resend")
_LATE = "This invitation was accepted, declined, sent again or taken back in the meantime."


def member_invite(
    *, actor: Actor, tenant: Tenant, email: str, role: Role | str, name: str = ""
) -> Membership | Invitation:
    """Make a user a member: at once where an administrator asks, with their consent where an owner does.

    An administrator adds a new user where there is none (``name`` is theirs), who gets a link to choose a password.
    """
    if policies.can_add_members(actor, tenant):
        return _member_add(actor, tenant, email.strip().lower(), role, name)
    return invitation_create(actor=actor, tenant=tenant, email=email, role=role)


def invitation_create(*, actor: Actor, tenant: Tenant, email: str, role: Role | str) -> Invitation:
    """Send a user a link by which they become a member, once, within seven days."""
    allow(policies.can_manage_members(actor, tenant), "Only an owner of the tenant may invite members.")
    address = email.strip().lower()
    with change(
        actor=actor, verb="invitation.create", target_type="user", target=address, tenant=tenant.slug
    ) as audit_entry:
        _refuse_members(tenant, address)
        found = Invitation.objects.filter(tenant=tenant, email=address).first()
        if found and not found.is_over:
            raise ValidationError({"email": f"{address} is invited already. Send that invitation again instead."})
        invitation = found or Invitation(tenant=tenant, email=address)
        invitation.invited_by, invitation.role = user_of(actor), str(role)
        audit_entry.field("role", None, str(role))
        _send(invitation)
    return invitation


def invitation_resend(*, actor: Actor, invitation: Invitation) -> Invitation:
    """Send a new link, for another seven days; the one before works no more."""
    tenant = invitation.tenant
    allow(policies.can_manage_members(actor, tenant), "Only an owner of the tenant may invite members.")
    with change(actor=actor, verb="invitation.resend", target_type="user", target=invitation.email, tenant=tenant.slug):
        if not Invitation.objects.filter(pk=invitation.pk).exists():
            raise Conflict(_LATE)
        invitation.invited_by = user_of(actor)
        _send(invitation)
    return invitation


def invitation_link(*, actor: Actor, invitation: Invitation) -> str:
    """A new link, to be handed over where no mail arrives, for another seven days; the one before works no more.

    Administrators alone, and not by a token: who has the link makes the account of that address, or sees that there is one. It
    verifies no address.
    """
    tenant = invitation.tenant
    allow_by_hand(actor, "see the link of an invitation")
    allow(policies.can_add_members(actor, tenant), "Only a platform administrator may see the link: send it again.")
    with change(actor=actor, verb="invitation.link", target_type="user", target=invitation.email, tenant=tenant.slug):
        if not Invitation.objects.filter(pk=invitation.pk).exists():
            raise Conflict(_LATE)
        invitation.invited_by = user_of(actor)
        return emails.invitation_address(_renew(invitation, shown=True))


def invitation_cancel(*, actor: Actor, invitation: Invitation) -> None:
    """Take an invitation back: its link works no more."""
    allow(policies.can_manage_members(actor, invitation.tenant), "Only an owner of the tenant may take this back.")
    with _ending(actor, "invitation.cancel", invitation):
        pass


def invitation_decline(*, invitation: Invitation) -> None:
    """Say no, as the one who holds the link."""
    with _ending(User(email=invitation.email), "invitation.decline", invitation):
        pass


def invitation_accept(*, user: User, invitation: Invitation) -> Membership:
    """Become a member, in the session of the user for whose address the link was made."""
    allow_by_hand(user, "accept an invitation")
    allow(user.is_active and user.email.lower() == invitation.email, "This invitation is for another address.")
    with _ending(user, "invitation.accept", invitation) as audit_entry:
        return _join(audit_entry, user, invitation)


def invitation_accept_as_new(*, invitation: Invitation, name: str, password: str) -> User:
    """Become a member without having signed in: the receiver of the link chooses the name and password of their account."""
    user = User.objects.filter(email__iexact=invitation.email).first()
    newcomer = user or User(email=invitation.email, name=name)
    allow(not needs_sign_in(user), "There is an account with this address: sign in to accept.")
    chosen = hashed(password)
    with _ending(newcomer, "invitation.accept", invitation) as audit_entry:
        if user is None:
            # An entry of its own: that the user is new here is nothing for the tenant's audit log.
            with change(actor=newcomer, verb="user.create", target_type="user") as made:
                newcomer = new_user(newcomer, made, invitation.email, name, chosen, False)
        else:
            user_set_password(actor=user, user=user, password=chosen)
            user_update(actor=user, user=user, name=user.name or name)
        _join(audit_entry, newcomer, invitation)
    return newcomer


def needs_sign_in(user: User | None) -> bool:
    """Whether the person of an invitation's address has an account that they can sign in to, or that is locked."""
    return user is not None and (user.has_usable_password() or not user.is_active)


def invitations_clean() -> int:
    """Forget invitations whose link ended long ago; how many that were."""
    count, _ = Invitation.objects.filter(expires_at__lt=timezone.now() - KEPT).delete()
    return count


@contextmanager
def _ending(actor: Actor, verb: str, invitation: Invitation) -> Iterator[Change]:
    """A change that uses an invitation up. Raises ``Conflict`` where another change was first, or a newer link was sent."""
    slug = invitation.tenant.slug
    with change(actor=actor, verb=verb, target_type="user", target=invitation.email, tenant=slug) as audit_entry:
        gone, _ = Invitation.objects.filter(pk=invitation.pk, digest=invitation.digest).delete()
        if not gone:
            raise Conflict(_LATE)
        yield audit_entry


def _member_add(actor: Actor, tenant: Tenant, address: str, role: Role | str, name: str) -> Membership:
    user = User.objects.filter(email__iexact=address).first()
    if user == actor:
        allow_by_hand(actor, "make its owner a member or change their role")
    with change(actor=actor, verb="user.invite", target_type="user", target=address, tenant=tenant.slug) as audit_entry:
        _refuse_members(tenant, address)
        if user is None:
            # An entry of its own: that the user is new here is nothing for the tenant's audit log.
            with change(actor=actor, verb="user.create", target_type="user") as made:
                user = new_user(actor, made, address, name, None, False)
        membership = set_role(audit_entry, tenant, user, role)
        Invitation.objects.filter(tenant=tenant, email=address).delete()
        emails.welcome(user, tenant, str(membership.get_role_display()), user_of(actor))
    return membership


def _refuse_members(tenant: Tenant, address: str) -> None:
    if Membership.objects.filter(user__email__iexact=address, tenant=tenant).exists():
        raise ValidationError({"email": f"{address} is a member of {tenant} already."})


def _send(invitation: Invitation) -> None:
    """Make a new link and have it sent. Raises ``ValidationError`` where the tenant has sent enough."""
    _refuse_floods(invitation)
    secret = _renew(invitation, shown=False)
    if _mailed(timedelta(days=1)).filter(target=invitation.email).count() < MAILS_TO_AN_ADDRESS:
        emails.invite(invitation, secret)
    else:
        logger.warning("No invitation is sent to an address that got %d in a day.", MAILS_TO_AN_ADDRESS)


def _renew(invitation: Invitation, *, shown: bool) -> str:
    """Save it with a new link, whose secret this is: mailed, or ``shown`` to an administrator."""
    now, secret = timezone.now(), secrets.token_urlsafe(32)
    invitation.link_shown = shown
    invitation.digest, invitation.sent_at, invitation.expires_at = digest_of(secret), now, now + LIFE
    invitation.full_clean()
    invitation.save()
    return secret


def _mailed(span: timedelta) -> QuerySet[Entry]:
    """What was sent in the last ``span``, from the audit log: each letter has its entry. The present one has none yet."""
    return Entry.objects.filter(verb__in=_MAILED, at__gt=timezone.now() - span)


def _refuse_floods(invitation: Invitation) -> None:
    tenant, address = invitation.tenant, invitation.email
    if _mailed(timedelta(hours=1)).filter(tenant_slug=tenant.slug).count() >= MAILS_OF_A_TENANT:
        raise ValidationError({"email": f"{tenant} sent {MAILS_OF_A_TENANT} invitations in an hour: go on later."})
    declined = Entry.objects.filter(verb="invitation.decline", tenant_slug=tenant.slug, target=address)
    if declined.filter(at__gt=timezone.now() - LEFT_ALONE).exists():
        raise ValidationError({"email": f"{address} declined: {tenant} may ask again after {LEFT_ALONE.days} days."})
    to_it = _mailed(timedelta(days=1)).filter(tenant_slug=tenant.slug, target=address)
    if to_it.count() >= MAILS_OF_A_TENANT_TO_AN_ADDRESS:
        raise ValidationError(
            {"email": f"{tenant} wrote to {address} {MAILS_OF_A_TENANT_TO_AN_ADDRESS} times in a day: go on tomorrow."}
        )


def _join(audit_entry: Change, user: User, invitation: Invitation) -> Membership:
    """The membership; and the address as a verified one, where the link was mailed to it. A role that they were given meanwhile
    stays.
    """
    if not invitation.link_shown:
        EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    held = Membership.objects.filter(user=user, tenant=invitation.tenant).first()
    return held or set_role(audit_entry, invitation.tenant, user, invitation.role)

"""Letters to users and members."""

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.urls import reverse

from apps.foundation.mail import post
from apps.tenants.models import Invitation, Tenant, Token, User


def one_line(name: object) -> str:
    """A name that a user chose, so that it can't look like the rest of a letter."""
    return " ".join(str(name).split())


def password_link(user: User) -> str:
    """Where ``user`` may choose a password, once and for a limited time (Django's password reset)."""
    parts = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    return f"{settings.CONSOLE_URL}{reverse('account_reset_password_from_key', kwargs=parts)}"


def forgotten(address: str) -> None:
    """Send a user who forgot their password a link by which they choose a new one, or that there is no account with this address:
    the page doesn't say which, nor does its time. So a link is made in both cases, from the same single query.
    """
    user = User.objects.filter(email__iexact=address, is_active=True).first()
    link = password_link(user or User(pk=0, email=address))
    asked = f"Somebody, you most likely, asked for a new password of {address} at {settings.CONSOLE_URL}.\n\n"
    if user is not None:
        post(
            [user.email],
            "Choose a new password",
            f"{asked}Choose it here:\n{link}\n\n"
            "The link works once. If it wasn't you, do nothing: the password stays as it is.\n",
        )
    else:
        post(
            [address],
            "There is no account with this address",
            f"{asked}There is no account with this address: try another one of yours, or ask the owner of your team to invite"
            " this one.\nIf it wasn't you, do nothing.\n",
        )


def welcome(user: User, tenant: Tenant, role: str, inviter: User | None) -> None:
    """Tell ``user`` of their new tenant, and where to choose a password if they have none."""
    who = one_line(inviter) if inviter else "The platform"

    def body() -> str:
        way_in = (
            f"Sign in at {settings.CONSOLE_URL}/"
            if user.has_usable_password()
            else f"Choose a password here, then sign in:\n{password_link(user)}"
        )
        return f"{who} made you a member of {one_line(tenant)} ({role.lower()}).\n\n{way_in}\n"

    post([user.email], f"You are a member of {tenant}", body)


def invitation_address(secret: str) -> str:
    """The link of an invitation."""
    return f"{settings.CONSOLE_URL}{reverse('invitation', args=[secret])}"


def invite(invitation: Invitation, secret: str) -> None:
    """Ask the address to accept. The same letter whether or not it has an account here.

    Names are chosen freely: each is one line, and the inviter's address stands beside theirs.
    """
    inviter, tenant = invitation.invited_by, one_line(invitation.tenant)
    who = f"{one_line(inviter)} ({inviter.email})" if inviter else "The platform"
    link = invitation_address(secret)
    post(
        [invitation.email],
        f"You are invited to {tenant}",
        f"{who} invites you to become a member of {tenant} ({invitation.get_role_display().lower()}).\n\n"
        f"Accept or decline here, until {invitation.expires_at:%-d %B %Y, %H:%M} UTC:\n{link}\n\n"
        "The link works once, and only for this address. Who you are is shown to the tenant's members when you accept; "
        "until then nothing is.\n",
    )


def token_ends(token: Token) -> None:
    """Tell a token's owner that it ends soon."""
    account = f"{settings.CONSOLE_URL}{reverse('console:account')}"
    post(
        [token.user.email],
        f"Your token “{token.name}” ends on {token.expires_at:%-d %B %Y}",
        f"The token “{token.name}” ({token.prefix}…) for the REST API ends on {token.expires_at:%-d %B %Y, %H:%M} UTC.\n\n"
        f"Make another one, put it where this one is used, and revoke this one:\n{account}\n",
    )


def second_factor_removed(user: User, remover: object) -> None:
    """Tell a user that they sign in by the password alone now: it may be that somebody else asked for it in their name."""
    factors = f"{settings.CONSOLE_URL}{reverse('mfa_index')}"
    who = f"{one_line(remover)} ({remover.email})" if isinstance(remover, User) else one_line(remover)
    post(
        [user.email],
        "Your second factor was taken off",
        f"{who} took the second factor off your account: you sign in with your password alone.\n\n"
        f"Set up another one:\n{factors}\n\n"
        "If you didn't ask for it, change your password and tell an administrator of the platform.\n",
    )


def new_administrator(user: User, maker: User) -> None:
    """Notify all other platform administrators of a new one: an attacker who got hold of a session or a token may have made it."""
    through = f"by the REST token “{one_line(maker.token.name)}” of" if maker.token else "by"
    users = f"{settings.CONSOLE_URL}{reverse('console:users')}"
    post(
        User.objects.filter(is_administrator=True, is_active=True).exclude(pk=user.pk).values_list("email", flat=True),
        f"{user.email} is a platform administrator now",
        f"{user.email} was made a platform administrator {through} {maker.email}.\n\n"
        f"If that should not be, deactivate the account and look into the audit log:\n{users}\n",
    )

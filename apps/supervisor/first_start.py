"""What an installation needs before it can serve: its tables, and a user who may sign in."""

import os
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass

from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from apimgr import parsers
from apimgr.variables import read
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import TokenScope
from apps.tenants.models import Token, User
from apps.tenants.selectors import SOON, digest_of
from apps.tenants.services import LONGEST_LIFE, HashedPassword, NewToken, token_create, user_create

DEFAULT_EMAIL = "admin@apimgr.test"


@dataclass(frozen=True)
class AdministratorWishes:
    """What the environment says of the first administrator; empty: made here."""

    email: str = ""
    password: str = ""
    token: str = ""

    @classmethod
    def take(cls, environment: MutableMapping[str, str] = os.environ) -> "AdministratorWishes":
        """Read ``APIMGR_ADMIN_*`` and take them out of the environment, so that no child inherits a password."""
        wishes = cls(
            email=read("APIMGR_ADMIN_EMAIL", "", parsers.email, environment=environment),
            password=read("APIMGR_ADMIN_PASSWORD", "", str, is_secret=True, environment=environment),
            token=read("APIMGR_ADMIN_TOKEN", "", str, is_secret=True, environment=environment),
        )
        for name in ("EMAIL", "PASSWORD", "TOKEN"):
            environment.pop(f"APIMGR_ADMIN_{name}", None)
        return wishes


@dataclass(frozen=True)
class FirstAdministrator:
    """Who was made, with secrets that are shown once. Those that the environment gave are empty: they are known."""

    email: str
    password: str
    token: str


def migrate() -> None:
    """Bring the database's tables up to date."""
    call_command("migrate", verbosity=0, interactive=False)


def administrator_make(wishes: AdministratorWishes) -> FirstAdministrator | None:
    """Make the first administrator; ``None`` when there is one already."""
    administrators = User.objects.filter(is_administrator=True)
    if administrators.exists():
        return None
    email = wishes.email or DEFAULT_EMAIL
    password = wishes.password or secrets.token_urlsafe(12)
    chosen = HashedPassword(password)
    with transaction.atomic():
        if administrators.exists():
            return None
        user = user_create(actor=PLATFORM, email=email, name="Administrator", password=chosen, is_administrator=True)
        made = _token_of(user, "first", wishes.token)
    return FirstAdministrator(
        email=email,
        password="" if wishes.password else password,
        token="" if wishes.token else made.secret,
    )


@transaction.atomic
def administrator_token(wishes: AdministratorWishes) -> str:
    """At a later start: the token of ``APIMGR_ADMIN_TOKEN``, made if its value is new. Returns what is to be said of it.

    A value that was used before is never used again: neither after its end, nor after it was revoked or ended by a new password.
    """
    if not wishes.token:
        return ""
    known = Token.objects.filter(digest=digest_of(wishes.token)).first()
    if known is not None:
        if known.is_over:
            ended = known.ended_at or known.expires_at
            return f"The token in APIMGR_ADMIN_TOKEN ended on {ended:%Y-%m-%d}: set a new value and start again."
        if known.expires_at < timezone.now() + SOON:
            return f"The token in APIMGR_ADMIN_TOKEN ends on {known.expires_at:%Y-%m-%d}: set a new value before."
        return ""
    email = wishes.email or DEFAULT_EMAIL
    user = User.objects.filter(email__iexact=email, is_administrator=True, is_active=True).first()
    if user is None:
        return f"APIMGR_ADMIN_TOKEN is not used: {email} (APIMGR_ADMIN_EMAIL) is no platform administrator."
    made = _token_of(user, f"environment {timezone.now():%Y-%m-%d}", wishes.token).token
    return f"The new token in APIMGR_ADMIN_TOKEN acts as {user.email} until {made.expires_at:%Y-%m-%d}."


def _token_of(administrator: User, name: str, secret: str) -> NewToken:
    """An administrator's token for the longest time that one may have."""
    return token_create(
        actor=PLATFORM,
        user=administrator,
        name=name,
        scope=TokenScope.ADMIN,
        expires_at=timezone.now() + LONGEST_LIFE,
        secret=secret or None,
    )

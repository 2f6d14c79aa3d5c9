"""What an installation needs before it can serve: its tables, and somebody who may sign in."""

import os
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass

from django.core.management import call_command
from django.db import transaction

from apps.tenants.actors import PLATFORM
from apps.tenants.models import User
from apps.tenants.services import token_create, user_create

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
        return cls(
            **{name: environment.pop(f"APIMGR_ADMIN_{name.upper()}", "") for name in ("email", "password", "token")}
        )


@dataclass(frozen=True)
class FirstAdministrator:
    """Who was made, with secrets that are shown once. Those that the environment gave are empty: they are known."""

    email: str
    password: str
    token: str


def migrate() -> None:
    """Bring the database's tables up to date."""
    call_command("migrate", verbosity=0, interactive=False)


@transaction.atomic
def administrator_make(wishes: AdministratorWishes) -> FirstAdministrator | None:
    """Make the first administrator; ``None`` when there is one already."""
    if User.objects.filter(is_administrator=True).exists():
        return None
    email = wishes.email or DEFAULT_EMAIL
    password = wishes.password or secrets.token_urlsafe(12)
    user = user_create(actor=PLATFORM, email=email, name="Administrator", password=password, is_administrator=True)
    made = token_create(actor=PLATFORM, user=user, name="first", secret=wishes.token or None)
    return FirstAdministrator(
        email=email,
        password="" if wishes.password else password,
        token="" if wishes.token else made.secret,
    )

"""Checks of an installation before it serves: ``manage.py check --deploy`` runs them."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning, register
from django.db import DatabaseError

from apps.tenants.selectors import tokens_ending_soon


@register(deploy=True)
def tokens_go_on(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """No token for the REST API ends in the next 30 days."""
    try:
        ending = list(tokens_ending_soon())
    except DatabaseError as error:
        told = f"Which tokens end soon could not be read: {str(error).strip().splitlines()[0]}."
        hint = "Before an upgrade's `manage.py migrate` that is as it should be: check again after it."
        return [Warning(told, hint=hint, id="tenants.W002")]
    return [
        Warning(
            f"The REST token {token.name!r} ({token.prefix}…) of {token.user.email} ends on {token.expires_at:%Y-%m-%d}.",
            hint="Make another in the console, or set a new value of APIMGR_ADMIN_TOKEN and start again.",
            id="tenants.W001",
        )
        for token in ending
    ]

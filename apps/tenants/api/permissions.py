"""What a token's scope lets through: decided here, before any view, by the method alone unless a view says otherwise."""

from typing import Any

from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from apps.tenants.choices import TokenScope
from apps.tenants.models import Token
from apps.tenants.sign_in import has_confirmed


class InsufficientScope(exceptions.PermissionDenied):
    """403 (RFC 6750, section 3.1): the token is good, and its scope doesn't reach this."""

    default_code = "insufficient_scope"

    def __init__(self, has: TokenScope, needs: TokenScope) -> None:
        super().__init__(
            f"This token's scope is {has}; this needs {needs}. Make a token with that scope in the console."
        )
        self.auth_header = f'Bearer realm="apimgr", error="insufficient_scope", scope="{needs}"'


class ReauthenticationRequired(exceptions.PermissionDenied):
    """403: a session of the console that must prove anew who sits before it."""

    default_code = "reauthentication_required"
    default_detail = "Confirm who you are first, at /accounts/reauthenticate/: you did that more than five minutes ago."


def be_confirmed(request: Request) -> None:
    """Go on, or raise ``ReauthenticationRequired``."""
    if not has_confirmed(request._request):
        raise ReauthenticationRequired


def scope_needed(method: str | None, view: object) -> TokenScope:
    """``read`` for safe methods (RFC 9110, section 9.2.1) and ``write`` for all others.

    A view whose POST needs less says so: ``scopes = {"POST": TokenScope.READ}``. What only administrators may do needs no word
    here: without the scope ``admin`` a token doesn't carry that right (``User.administrates``), and policies refuse.
    """
    said: dict[str, TokenScope] = getattr(view, "scopes", {})
    return said.get(method or "", TokenScope.READ if method in SAFE_METHODS else TokenScope.WRITE)


class HasScope(BasePermission):
    """Lets a token through whose scope includes what the method needs. Sessions of the console have no scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether it does; raises ``InsufficientScope`` otherwise."""
        if not isinstance(request.auth, Token):
            return True
        has, needs = TokenScope(request.auth.scope), scope_needed(request.method, view)
        if needs not in has.included:
            raise InsufficientScope(has, needs)
        return True

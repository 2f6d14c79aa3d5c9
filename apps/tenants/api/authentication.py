"""Bearer tokens (RFC 6750): a token acts as the user who made it."""

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.tenants.models import Token, User
from apps.tenants.selectors import token_find


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <token>``."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        """The token's user; ``None`` without a bearer token; raises ``AuthenticationFailed`` when it opens nothing.

        What is wrong with a token isn't told: it would help only someone who guesses.
        """
        scheme, _, credential = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        token = token_find(credential.strip().decode("utf-8", "surrogateescape"))
        if token is None:
            raise AuthenticationFailed("This token is unknown, expired or revoked. Make a new one in the console.")
        token.user.token = token  # policies heed its scope and tenant
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """``WWW-Authenticate`` of a 401 (RFC 6750, section 3)."""
        if get_authorization_header(request):
            return 'Bearer realm="apimgr", error="invalid_token"'
        return 'Bearer realm="apimgr"'

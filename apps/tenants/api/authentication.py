"""Bearer tokens (RFC 6750): a token acts as the user who made it."""

import hashlib
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.tenants.models import Token, User

# How exact "last used" is: a write for every read would make each list a transaction.
USE_IS_NOTED_EVERY = timedelta(minutes=1)


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <token>``, looked up by its SHA-256 among tokens that are neither revoked nor expired."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        """The token's user; ``None`` without a bearer token; raises ``AuthenticationFailed`` when it opens nothing.

        One query, and one more at most once a minute to note its use. What is wrong with a token isn't told: it
        would help only someone who guesses.
        """
        scheme, _, credential = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        now = timezone.now()
        token = (
            Token.objects.select_related("user")
            .filter(Q(expires_at=None) | Q(expires_at__gt=now), digest=hashlib.sha256(credential.strip()).hexdigest())
            .filter(user__is_active=True)
            .first()
        )
        if token is None:
            raise AuthenticationFailed("This token is unknown, expired or revoked. Make a new one in the console.")
        if token.last_used_at is None or now - token.last_used_at >= USE_IS_NOTED_EVERY:
            Token.objects.filter(pk=token.pk).update(last_used_at=now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """``WWW-Authenticate`` of a 401 (RFC 6750, section 3)."""
        if get_authorization_header(request):
            return 'Bearer realm="apimgr", error="invalid_token"'
        return 'Bearer realm="apimgr"'

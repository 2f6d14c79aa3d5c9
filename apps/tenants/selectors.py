"""Reading users and tenants, scoped to who asks."""

import hashlib
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from apps.tenants.models import Token
from apps.tenants.policies import memberships_visible_to, tenants_visible_to, tokens_visible_to, users_visible_to

__all__ = ["memberships_visible_to", "tenants_visible_to", "token_find", "tokens_visible_to", "users_visible_to"]

NOTED_EVERY = timedelta(minutes=1)
"""How exact ``Token.last_used_at`` is: not every call writes a row."""


def token_find(secret: str) -> Token | None:
    """The token with this secret, if it is valid now and its user is active. Notes its use, to the minute."""
    now = timezone.now()
    digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
    token = (
        Token.objects.select_related("user")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), digest=digest, user__is_active=True)
        .first()
    )
    if token and (token.last_used_at is None or now - token.last_used_at > NOTED_EVERY):
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return token

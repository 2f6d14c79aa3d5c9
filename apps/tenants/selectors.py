"""Reading users and tenants, scoped to who asks."""

import hashlib
from datetime import timedelta

from django.db.models import F, QuerySet
from django.utils import timezone

from apps.tenants.models import Invitation, Token, User
from apps.tenants.policies import (
    can_manage_members,
    invitations_visible_to,
    memberships_visible_to,
    tenants_visible_to,
    tokens_visible_to,
    users_visible_to,
)

__all__ = [
    "digest_of",
    "invitation_find",
    "invitations_visible_to",
    "memberships_visible_to",
    "tenants_visible_to",
    "token_find",
    "tokens_ending_soon",
    "tokens_visible_to",
    "users_visible_to",
]

NOTED_EVERY = timedelta(minutes=1)
"""How exact ``Token.last_used_at`` is: not every call writes a row."""

SOON = timedelta(days=30)
"""How long before its end a token's owner, and the platform's administrators, are notified."""


def digest_of(secret: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def tokens_ending_soon(user: User | None = None) -> QuerySet[Token]:
    """Tokens (of ``user``) that work and end in 30 days. Not those that were made for a shorter time than twice that."""
    soon = Token.objects.live().filter(
        expires_at__lt=timezone.now() + SOON, expires_at__gt=F("created_at") + 2 * SOON, user__is_active=True
    )
    found: QuerySet[Token] = soon.select_related("user").order_by("expires_at")
    return found if user is None else found.filter(user=user)


def token_find(secret: str) -> Token | None:
    """The token with this secret, if it is valid now and its user is active. Notes its use, to the minute."""
    now = timezone.now()
    token = (
        Token.objects.select_related("user")
        .filter(digest=digest_of(secret), ended_at=None, expires_at__gt=now, user__is_active=True)
        .first()
    )
    if token and (token.last_used_at is None or now - token.last_used_at > NOTED_EVERY):
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return token


def invitation_find(secret: str) -> Invitation | None:
    """The invitation whose link holds ``secret``, if it stands: it doesn't outlive the right of who sent it."""
    found = Invitation.objects.select_related("tenant", "invited_by").filter(digest=digest_of(secret)).first()
    if found is None or found.is_over:
        return None
    return found if found.invited_by is None or can_manage_members(found.invited_by, found.tenant) else None

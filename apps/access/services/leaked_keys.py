"""Keys that were found where they don't belong: which of some texts are keys here, and what is done about those that live."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.access.choices import CredentialKind, KeyState
from apps.access.models import Credential
from apps.access.policies import can_manage_keys, keys_visible_to
from apps.access.services.applications import named
from apps.access.services.keys import key_revoke
from apps.audit.models import Entry
from apps.audit.services import change
from apps.foundation.errors import Conflict
from apps.tenants.actors import Actor
from apps.wire import api_keys

MOST = 100
"""Texts in one question."""

QUIET = timedelta(days=1)
"""For how long a key's people aren't notified of it again."""


@dataclass(frozen=True)
class FoundText:
    """What may be a key, and where it was found."""

    token: str
    url: str = ""


@dataclass(frozen=True)
class LeakVerdict:
    """What a text is. ``live``: calls with it are let in. ``key`` and ``application`` are there for those who may see the key."""

    live: bool
    key: int | None = None
    application: str = ""
    revoked: bool = False
    """By this very question."""


def leaked_keys_check(*, actor: Actor, found: Sequence[FoundText], revoke: bool = False) -> list[LeakVerdict]:
    """Which of some texts are keys that open something, in their order. The people of each such key are notified of where it was
    found, once a day; with ``revoke`` it is revoked where ``actor`` may do that.

    Who asks has the keys already: to say that they live tells nothing that a call with them wouldn't.
    """
    if len(found) > MOST:
        raise ValidationError({"found": f"At most {MOST} texts at once."})
    now = timezone.now()
    digests = [_digest_of(each.token) for each in found]
    keys = Credential.objects.filter(kind=CredentialKind.API_KEY, digest__in=filter(None, digests))
    rows = {row.digest: row for row in keys.select_related("application__tenant")}
    visible = set(keys_visible_to(actor).filter(pk__in=[row.pk for row in rows.values()]).values_list("pk", flat=True))
    verdicts: dict[str, LeakVerdict] = {}
    for each, digest in zip(found, digests, strict=True):
        row = rows.get(digest or "")
        if row is not None and row.digest not in verdicts:
            verdicts[row.digest] = _judged(actor, row, each.url, now, row.pk in visible, revoke)
    return [verdicts.get(digest or "", LeakVerdict(live=False)) for digest in digests]


def _judged(actor: Actor, row: Credential, url: str, now: datetime, visible: bool, revoke: bool) -> LeakVerdict:
    live = row.state == KeyState.ACTIVE and (row.expires_at is None or row.expires_at > now)
    revoked = False
    if live and revoke and can_manage_keys(actor, row.application):
        try:
            key_revoke(actor=actor, key=row, comment=_where(url))
            revoked = True
        except Conflict:
            live = False
    elif live:
        _tell(actor, row, url, now)
    if not visible:
        return LeakVerdict(live)
    return LeakVerdict(live and not revoked, row.pk, named(row.application), revoked)


def _tell(actor: Actor, row: Credential, url: str, now: datetime) -> None:
    target = f"{named(row.application)}: {row}"
    with change(
        actor=actor,
        verb="key.leak",
        target_type="key",
        target=target,
        tenant=row.application.tenant.slug,
        comment=_where(url),
    ) as audit_entry:
        told = Entry.objects.filter(verb="key.leak", target_type="key", target=target, at__gt=now - QUIET)
        if told.exists():
            audit_entry.drop()
        audit_entry.about = row


def _where(url: str) -> str:
    return f"Found at {url}" if url else "Found where it doesn't belong."


def _digest_of(token: str) -> str | None:
    """``None`` for what is no key by its form: too short or too long, or ours with a wrong checksum."""
    if not api_keys.SHORTEST <= len(token) <= api_keys.LONGEST:
        return None
    if api_keys.looks_like_ours(token) and not api_keys.checksum_ok(token):
        return None
    return api_keys.digest(settings.KEY_PEPPER, token)

"""API keys: made, imported, rotated, revoked. A secret leaves here once, in the response to its creation."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Unpack

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.access.choices import CredentialKind, KeyState
from apps.access.models import Application, Credential
from apps.access.policies import can_manage_keys
from apps.access.services.applications import named
from apps.access.services.key_bounds import BOUNDS, Bounds, checked
from apps.access.services.subscriptions import check_end
from apps.audit.services import Change, change
from apps.catalog.models import API
from apps.catalog.policies import can_view_api
from apps.foundation.errors import Conflict
from apps.httpcache import subject_of_key, tag_of_subject
from apps.tenants.actors import PLATFORM, Actor, user_of
from apps.tenants.services import allow
from apps.wire import api_keys

OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=365)
TRIAL = timedelta(seconds=60)
TRIAL_NAME = "Try it"
_REFUSAL = "Only owners and developers of its tenant may manage this application's keys."


class NewKey(NamedTuple):
    """A key and its secret, which is nowhere else."""

    key: Credential
    secret: str


def key_create(
    *,
    actor: Actor,
    application: Application,
    name: str,
    expires_at: datetime | None = None,
    **bounds: Unpack[Bounds],
) -> NewKey:
    """A new key of 256 random bits; good for what ``bounds`` say alone, where they are given."""
    allow(can_manage_keys(actor, application), _REFUSAL)
    return _make(actor, "key.create", application, name, api_keys.make_key(), expires_at, bounds=bounds)


def key_import(
    *,
    actor: Actor,
    application: Application,
    name: str,
    secret: str,
    expires_at: datetime | None = None,
    **bounds: Unpack[Bounds],
) -> Credential:
    """A key that exists elsewhere: any form, 16 visible ASCII characters or more (it travels in a header)."""
    allow(can_manage_keys(actor, application), _REFUSAL)
    if not api_keys.SHORTEST <= len(secret) <= api_keys.LONGEST:
        raise ValidationError({"secret": f"A key has {api_keys.SHORTEST} to {api_keys.LONGEST} characters."})
    if not all("!" <= character <= "~" for character in secret):
        raise ValidationError({"secret": "A key has visible ASCII characters only: it travels in a header."})
    if api_keys.looks_like_ours(secret) and not api_keys.checksum_ok(secret):
        raise ValidationError({"secret": "This looks like a key of this platform, but its checksum is wrong."})
    return _make(actor, "key.import", application, name, secret, expires_at, bounds=bounds).key


def key_update(*, actor: Actor, key: Credential, **bounds: Unpack[Bounds]) -> Credential:
    """Have a credential be good for what ``bounds`` say alone, or with ``None`` for whatever its application may call; what
    isn't named stays. In force as the receipt says. ``Conflict`` when it is revoked.
    """
    allow(can_manage_keys(actor, key.application), _REFUSAL)
    with _changing("key.update", actor, key.application, key) as audit_entry:
        fresh = Credential.objects.get(pk=key.pk)
        if fresh.state == KeyState.REVOKED:
            raise Conflict(f"{fresh} is revoked: make a new one instead.")
        before = {name: getattr(fresh, name) for name in BOUNDS}
        changed = {name: kept for name, kept in checked(actor, bounds, before).items() if kept != before[name]}
        if not changed:
            audit_entry.drop()
        else:
            for name, kept in changed.items():
                audit_entry.field(name, before[name], kept)
            audit_entry.affect("key", fresh.digest)
            Credential.objects.filter(pk=key.pk).update(**changed)
    key.refresh_from_db()
    return key


def key_rotate(*, actor: Actor, key: Credential, overlap: timedelta = OVERLAP) -> NewKey:
    """A successor with the same name; the old key works for ``overlap`` longer. Other keys are left alone.

    ``Conflict`` when the key is revoked, expired or already has a successor, and for other credentials than API keys.
    """
    allow(can_manage_keys(actor, key.application), _REFUSAL)
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ValidationError({"overlap": f"Between 0 and {LONGEST_OVERLAP.days} days."})
    now = timezone.now()
    ends = now + overlap
    with _changing("key.rotate", actor, key.application, key) as audit_entry:
        old = Credential.objects.select_related("application__tenant").get(pk=key.pk)
        if old.kind != CredentialKind.API_KEY:
            raise Conflict(f"{old} is no API key: nothing of it can be made anew here.")
        if old.state == KeyState.REVOKED:
            raise Conflict(f"{old} is revoked: make a new key instead.")
        if old.expires_at and old.expires_at <= now:
            raise Conflict(f"{old} has expired: make a new key instead.")
        if old.successor_id:
            raise Conflict(f"{old} was rotated already: rotate its successor.")
        secret = api_keys.make_key()
        new = _row(actor, old.application, old.name, secret, None, bounds={name: getattr(old, name) for name in BOUNDS})
        new.save()
        old.successor = new
        audit_entry.field("expires_at", _iso(old.expires_at), _iso(min(old.expires_at or ends, ends)))
        old.expires_at = min(old.expires_at or ends, ends)
        old.save(update_fields=["successor", "expires_at"])
        audit_entry.field("successor", None, new.prefix)
        audit_entry.affect("key", old.digest)
        audit_entry.affect("key", new.digest)
    key.refresh_from_db()
    return NewKey(new, secret)


def key_revoke(*, actor: Actor, key: Credential, comment: str = "") -> Credential:
    """End a credential of any kind for good. Others of the application are left alone. ``Conflict`` when it is revoked already."""
    allow(can_manage_keys(actor, key.application), _REFUSAL)
    now = timezone.now()
    with _changing("key.revoke", actor, key.application, key, comment) as audit_entry:
        revoked = Credential.objects.filter(pk=key.pk, state=KeyState.ACTIVE).update(
            state=KeyState.REVOKED, revoked_at=now
        )
        if not revoked:
            raise Conflict(f"{key} is revoked already.")
        audit_entry.field("state", KeyState.ACTIVE.value, KeyState.REVOKED.value)
        audit_entry.about = key
        audit_entry.affect("key", key.digest)
        audit_entry.affect("stored", tag_of_subject(subject_of_key(key.pk)))
    key.refresh_from_db()
    return key


def keys_revoke(*, actor: Actor, application: Application, comment: str = "") -> list[Credential]:
    """End all credentials of an application, of every kind, together. Its subscriptions stay. Returns those that were active."""
    allow(can_manage_keys(actor, application), _REFUSAL)
    active = Credential.objects.select_related("application__tenant").filter(
        application=application, state=KeyState.ACTIVE
    )
    with transaction.atomic():
        return [key_revoke(actor=actor, key=key, comment=comment) for key in active]


def trial_key_create(*, actor: Actor, application: Application, api: API) -> NewKey:
    """A key for "Try it": good for one API and one minute, under the application's own subscription."""
    allow(can_manage_keys(actor, application) and can_view_api(actor, api), _REFUSAL)
    return _make(actor, "key.try", application, TRIAL_NAME, api_keys.make_key(), timezone.now() + TRIAL, only=api)


def trial_keys_clean(*, now: datetime) -> int:
    """Forget the keys of "Try it" that ended an hour ago; how many."""
    old = Credential.objects.filter(api__isnull=False, expires_at__lt=now - timedelta(hours=1))
    if not old.exists():
        return 0
    with change(actor=PLATFORM, verb="key.clean", target_type="key") as audit_entry:
        digests = list(old.values_list("digest", flat=True)[:1000])
        for digest in digests:
            audit_entry.affect("key", digest)
        audit_entry.field("keys", len(digests), 0)
        Credential.objects.filter(digest__in=digests).delete()
    return len(digests)


def _make(
    actor: Actor,
    verb: str,
    application: Application,
    name: str,
    secret: str,
    expires_at: datetime | None,
    only: API | None = None,
    bounds: Bounds | None = None,
) -> NewKey:
    check_end(expires_at)
    key = _row(actor, application, name, secret, expires_at, only, checked(actor, bounds or {}, {}))
    with _changing(verb, actor, application, key) as audit_entry:
        if Credential.objects.filter(digest=key.digest).exists():
            raise ValidationError({"secret": "This key exists already."})
        key.full_clean()
        key.save()
        audit_entry.field("name", None, name)
        audit_entry.field("expires_at", None, _iso(expires_at))
        if only:
            audit_entry.field("api", None, only.slug)
        for bound in BOUNDS:
            if (kept := getattr(key, bound)) is not None:
                audit_entry.field(bound, None, kept)
        audit_entry.affect("key", key.digest)
    return NewKey(key, secret)


def _row(
    actor: Actor,
    application: Application,
    name: str,
    secret: str,
    expires_at: datetime | None,
    only: API | None = None,
    bounds: Mapping[str, Any] | None = None,
) -> Credential:
    return Credential(
        application=application,
        name=name,
        prefix=api_keys.shown_prefix(secret),
        digest=api_keys.digest(settings.KEY_PEPPER, secret),
        created_by=user_of(actor),
        expires_at=expires_at,
        api=only,
        **(bounds or {}),
    )


def _changing(
    verb: str, actor: Actor, application: Application, key: Credential, comment: str = ""
) -> AbstractContextManager[Change]:
    called = key if key.kind == CredentialKind.API_KEY else key.shown
    return change(
        actor=actor,
        verb=verb,
        target_type="key",
        target=f"{named(application)}: {called}",
        tenant=application.tenant.slug,
        comment=comment,
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

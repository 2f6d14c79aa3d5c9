"""Revocation of tokens of others: of one by its ID, of all that a subject had until now. Errors as in ``apps.foundation.errors``.

Gateways hear of it like of any change, and hold it in memory: no call asks anybody. What was revoked is kept as a keyed hash.
"""

from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.access.choices import RevocationKind
from apps.access.models import Issuer, Revocation
from apps.access.policies import can_revoke_tokens
from apps.access.selectors import REVOCATION_MARGIN
from apps.audit.services import Change, change
from apps.foundation.errors import Conflict
from apps.httpcache import subject_of_caller, tag_of_subject
from apps.tenants.actors import PLATFORM, Actor, user_of
from apps.tenants.services import allow
from apps.wire.revocations import LONGEST_VALUE, bucket_of, caller_of, revocation_hash

TOKEN_KEPT = timedelta(days=30)
"""How long a revoked token ID is kept if its expiry is not given."""

SUBJECT_KEPT = timedelta(days=400)
"""How long a revoked subject is kept, and the latest expiry that may be given for a token."""

AHEAD = timedelta(minutes=5)
"""By how much an issuer's clock may be ahead of this one."""

MOST = 1_000_000
"""Revocations at once, which every worker holds in memory."""

MOST_OF_A_TENANT = 50_000
"""The same of one tenant's issuers."""

CLEANED_AT_ONCE = 1000

_REFUSAL = "Only owners and developers of its tenant may revoke an issuer's tokens; of the platform's, administrators."


def token_revoke(
    *,
    actor: Actor,
    issuer: Issuer,
    jti: str,
    expires_at: datetime | None = None,
    subject: str = "",
    comment: str = "",
) -> Revocation:
    """End a token of ``issuer`` by its ID, for good, as the receipt says. ``expires_at`` is when it expires by itself: until then
    its ID is kept, or for ``TOKEN_KEPT``. With its ``subject``, what was stored for that one ends too.
    """
    allow(can_revoke_tokens(actor, issuer), _REFUSAL)
    _check_value("jti", jti)
    now = timezone.now()
    if expires_at is not None and not now < expires_at <= now + SUBJECT_KEPT:
        raise ValidationError({"expires_at": f"Between now and {SUBJECT_KEPT.days} days from now."})
    return _revoke(
        actor, issuer, RevocationKind.JTI, jti, None, expires_at or now + TOKEN_KEPT, subject=subject, comment=comment
    )


def subject_revoke(
    *, actor: Actor, issuer: Issuer, subject: str, not_before: datetime | None = None, comment: str = ""
) -> Revocation:
    """End all tokens of ``issuer`` for ``subject`` that were issued at ``not_before`` (now) or earlier, and what was stored for
    that subject. Later ones are good. A time before that of an earlier revocation changes nothing.
    """
    allow(can_revoke_tokens(actor, issuer), _REFUSAL)
    _check_value("subject", subject)
    now = timezone.now()
    until = not_before or now
    if not now - SUBJECT_KEPT < until <= now + AHEAD:
        raise ValidationError(
            {"not_before": f"Between {SUBJECT_KEPT.days} days ago and {AHEAD.seconds // 60} minutes from now."}
        )
    return _revoke(
        actor, issuer, RevocationKind.SUBJECT, subject, until, now + SUBJECT_KEPT, subject=subject, comment=comment
    )


def subject_restore(*, actor: Actor, revocation: Revocation, comment: str = "") -> None:
    """Let the tokens of a subject be good again that were issued before it was revoked. ``Conflict`` for one token: its ID stays
    revoked.
    """
    allow(can_revoke_tokens(actor, revocation.issuer), _REFUSAL)
    if revocation.kind != RevocationKind.SUBJECT:
        raise Conflict("A token that was revoked stays so: its issuer makes a new one.")
    with _changing("revocation.restore", actor, revocation, comment) as audit_entry:
        deleted, _ = Revocation.objects.filter(pk=revocation.pk).delete()
        if not deleted:
            raise Conflict(f"{revocation} is gone already.")
        audit_entry.field("not_before", _iso(revocation.not_before), None)
        audit_entry.affect("revoked", revocation.digest[:2])


def revocations_clean(*, now: datetime) -> int:
    """Forget what no token can be good by any more, some at a time; how many."""
    over = Revocation.objects.filter(expires_at__lte=now - REVOCATION_MARGIN).order_by("expires_at")
    if not over.exists():
        return 0
    with change(actor=PLATFORM, verb="revocation.clean", target_type="revocation") as audit_entry:
        digests = list(over.values_list("digest", flat=True)[:CLEANED_AT_ONCE])
        for bucket in sorted({digest[:2] for digest in digests}):
            audit_entry.affect("revoked", bucket)
        audit_entry.field("revocations", len(digests), 0)
        Revocation.objects.filter(digest__in=digests).delete()
    return len(digests)


def forget_revocations_of(issuer: Issuer, audit_entry: Change) -> None:
    """With an issuer go its revocations: tell gateways, in the change that deletes it."""
    digests = issuer.revocations.values_list("digest", flat=True)
    for bucket in sorted({digest[:2] for digest in digests.iterator()}):
        audit_entry.affect("revoked", bucket)


def _revoke(
    actor: Actor,
    issuer: Issuer,
    kind: RevocationKind,
    value: str,
    not_before: datetime | None,
    expires_at: datetime,
    *,
    subject: str,
    comment: str,
) -> Revocation:
    hashed = revocation_hash(settings.KEY_PEPPER, kind.value, issuer.slug, value)
    fresh = Revocation(
        kind=kind,
        issuer=issuer,
        digest=f"{hashed:016x}",
        shown=_shown(value),
        not_before=not_before,
        expires_at=expires_at,
        comment=comment,
        revoked_by=user_of(actor),
    )
    verb = "revocation.token" if kind == RevocationKind.JTI else "revocation.subject"
    with _changing(verb, actor, fresh, comment) as audit_entry:
        held = Revocation.objects.filter(digest=fresh.digest).first()
        if held is not None and _says_as_much(held, fresh):
            audit_entry.drop()
            return held
        if held is None:
            _check_room(issuer)
        else:
            fresh.pk, fresh.created_at, fresh.expires_at = held.pk, held.created_at, max(expires_at, held.expires_at)
        fresh.save()
        audit_entry.field("not_before", _iso(held.not_before) if held else None, _iso(not_before))
        audit_entry.field("expires_at", _iso(held.expires_at) if held else None, _iso(fresh.expires_at))
        audit_entry.affect("revoked", f"{bucket_of(hashed):02x}")
        if subject:
            audit_entry.affect("stored", tag_of_subject(subject_of_caller(caller_of(issuer.slug, subject))))
    return fresh


def _says_as_much(held: Revocation, fresh: Revocation) -> bool:
    if held.not_before is not None and fresh.not_before is not None:
        return held.not_before >= fresh.not_before
    return held.expires_at >= fresh.expires_at


def _check_room(issuer: Issuer) -> None:
    tenant = issuer.tenant
    if tenant is not None and Revocation.objects.filter(issuer__tenant=tenant).count() >= MOST_OF_A_TENANT:
        raise Conflict(
            f"{tenant} has {MOST_OF_A_TENANT:,} revocations, as many as it may: revoke subjects, not tokens."
        )
    if Revocation.objects.count() >= MOST:
        raise Conflict(f"There are {MOST:,} revocations, as many as gateways hold: revoke subjects, not tokens.")


def _check_value(field: str, value: str) -> None:
    if not 0 < len(value) <= LONGEST_VALUE:
        raise ValidationError({field: f"Between 1 and {LONGEST_VALUE} characters, exactly as the token has it."})


def _changing(verb: str, actor: Actor, revocation: Revocation, comment: str) -> AbstractContextManager[Change]:
    issuer = revocation.issuer
    return change(
        actor=actor,
        verb=verb,
        target_type="revocation",
        target=f"{issuer.slug}: {revocation}",
        tenant=issuer.tenant.slug if issuer.tenant else "",
        comment=comment,
    )


def _shown(value: str) -> str:
    """Enough to recognise it by, and not enough to know it."""
    return f"{value[:4] if len(value) > 8 else value[:1]}…"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

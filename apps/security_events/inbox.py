"""Security events taken in: whose they are, whether they are new, and what they end."""

import hashlib
import logging
import time
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from apps.access.models import Issuer as IssuerRow
from apps.access.services import subject_revoke
from apps.access.services.revocations import SUBJECT_KEPT
from apps.fleet import state
from apps.fleet.compile import compile_issuer
from apps.fleet.issuer_keys import KeysAway, keys_of
from apps.gateway.pipeline.authenticators.jwt.checks import signature_fault
from apps.gateway.pipeline.authenticators.jwt.key_sets import KeySet
from apps.httpcache.bounded_table import Recent
from apps.security_events.events import WINDOW, Refused, SecurityEvent, check_claims, event_of, read
from apps.tenants.actors import PLATFORM
from apps.wire import redis_names
from apps.wire.redis_client import AWAY

logger = logging.getLogger(__name__)

KEYS_KEPT = 10.0
"""Seconds that an issuer's keys, or that they are away, are remembered: anybody may send what isn't signed."""

REMEMBERED = int(2 * WINDOW) + 600
"""Seconds that the ID of a token is remembered: as long as the same one could be taken again."""

_keys: Recent[str, tuple[float, KeySet | KeysAway]] = Recent(256, lambda slug, held: 1)


def take(slug: str, body: bytes) -> SecurityEvent:
    """Do what a token says that the issuer with this slug pushed. Once: a second time it is taken and nothing is done. Raises
    ``Refused``, and ``KeysAway`` where it can't be told now whether it is genuine.
    """
    row = IssuerRow.objects.select_related("tenant").filter(slug=slug).first()
    if row is None:
        raise Refused("invalid_issuer", "The token is of another issuer.")
    issuer, token = compile_issuer(row), read(body)
    check_claims(token, issuer, time.time())
    if fault := signature_fault(token, issuer, _keys_of(row)):
        raise Refused("invalid_key", fault.sentence)
    event = event_of(token, issuer)
    if event.subject and not _was_taken(slug, event.jti):
        oldest = timezone.now() - SUBJECT_KEPT + timedelta(hours=1)
        subject_revoke(
            actor=PLATFORM,
            issuer=row,
            subject=event.subject,
            not_before=max(datetime.fromtimestamp(event.at, UTC), oldest),
            comment=f"The issuer says: {event.why}.",
        )
        _remember(slug, event.jti)
    return event


def _keys_of(row: IssuerRow) -> KeySet:
    now = time.monotonic()
    at, held = _keys.get(row.slug) or (-KEYS_KEPT, None)
    if held is None or now - at >= KEYS_KEPT:
        try:
            held = keys_of(row)
        except KeysAway as away:
            held = away
        _keys.put(row.slug, (now, held))
    if isinstance(held, KeysAway):
        raise held
    return held


def _was_taken(slug: str, jti: str) -> bool:
    """Whether such a token was taken lately. Where that can't be known it wasn't: revoking twice changes nothing."""
    try:
        return bool(state.client().exists(_name(slug, jti)))
    except AWAY as error:
        logger.warning("a security event may be a repeated one: %s", error)
        return False


def _remember(slug: str, jti: str) -> None:
    try:
        state.client().set(_name(slug, jti), 1, ex=REMEMBERED)
    except AWAY as error:
        logger.warning("a security event can be repeated: %s", error)


def _name(slug: str, jti: str) -> str:
    return redis_names.SECURITY_EVENT + hashlib.sha256(f"{slug} {jti}".encode()).hexdigest()

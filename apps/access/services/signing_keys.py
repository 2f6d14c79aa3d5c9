"""Keys with which applications sign their requests (RFC 9421). Gateways need the secret itself, so it is kept, encrypted."""

import secrets
from datetime import datetime
from typing import NamedTuple, Unpack

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.access.choices import CredentialKind
from apps.access.models import Application, Credential
from apps.access.services.credentials import credential_add
from apps.access.services.key_bounds import Bounds
from apps.gateway.pipeline.authenticators.http_signature import KEY_ID
from apps.tenants.actors import Actor

SHORTEST, LONGEST = 32, 512
"""Characters of a secret: an HMAC key of fewer bytes than its digest has is weaker than that (RFC 2104 §3)."""


class NewSigningKey(NamedTuple):
    """A signing key and its secret, which nobody is shown again. Its bytes are the HMAC key as they stand."""

    key: Credential
    secret: str


def signing_key_create(
    *,
    actor: Actor,
    application: Application,
    name: str,
    expires_at: datetime | None = None,
    **bounds: Unpack[Bounds],
) -> NewSigningKey:
    """A new signing key with an ID and a secret of 256 random bits; good for what ``bounds`` say alone, where they are given."""
    key_id, secret = f"sk-{secrets.token_hex(8)}", secrets.token_urlsafe(32)
    made = _add("signing_key.create", actor, application, name, key_id, secret, expires_at, bounds)
    return NewSigningKey(made, secret)


def signing_key_import(
    *,
    actor: Actor,
    application: Application,
    name: str,
    key_id: str,
    secret: str,
    expires_at: datetime | None = None,
    **bounds: Unpack[Bounds],
) -> Credential:
    """A signing key that exists elsewhere."""
    if not SHORTEST <= len(secret) <= LONGEST or not secret.isascii() or not secret.isprintable():
        raise ValidationError({"secret": f"A secret has {SHORTEST} to {LONGEST} visible ASCII characters."})
    if not KEY_ID.fullmatch(key_id.encode()):
        raise ValidationError({"key_id": "An ID has up to 128 letters, digits and -._~:/@ here."})
    return _add("signing_key.import", actor, application, name, key_id, secret, expires_at, bounds)


def _add(
    verb: str,
    actor: Actor,
    application: Application,
    name: str,
    key_id: str,
    secret: str,
    expires_at: datetime | None,
    bounds: Bounds,
) -> Credential:
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError({"expires_at": "This is in the past."})
    key = Credential(
        application=application,
        kind=CredentialKind.SIGNING_KEY,
        name=name,
        identifier=key_id,
        secret=secret,
        expires_at=expires_at,
    )
    return credential_add(actor, verb, key, bounds, "key_id", "signing key")

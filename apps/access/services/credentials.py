"""What adding a credential that is known by an identifier has in common: a certificate, a key that signs requests."""

import hashlib

from django.conf import settings
from django.core.exceptions import ValidationError

from apps.access.choices import KeyState
from apps.access.models import Application, Credential
from apps.access.policies import can_manage_keys
from apps.access.services.applications import named
from apps.access.services.key_bounds import BOUNDS, Bounds, checked
from apps.audit.services import change
from apps.tenants.actors import Actor, user_of
from apps.tenants.policies import is_administrator
from apps.tenants.services import allow
from apps.wire.api_keys import identifier_digest


def credential_add(
    actor: Actor, verb: str, credential: Credential, bounds: Bounds, field: str, noun: str
) -> Credential:
    """Save a new credential, whose kind, application, name and identifier are set, and tell the gateways. ``field`` is what its
    maker calls the identifier, ``noun`` what a sentence does. ``ValidationError`` where it exists, also where it was revoked: only
    an administrator may add what another tenant revoked.
    """
    application: Application = credential.application
    allow(can_manage_keys(actor, application), f"Only owners and developers of its tenant may add a {noun}.")
    for bound, kept in checked(actor, bounds, {}).items():
        setattr(credential, bound, kept)
    credential.digest = identifier_digest(settings.KEY_PEPPER, credential.kind, "", credential.identifier.encode())
    credential.created_by = user_of(actor)
    with change(
        actor=actor,
        verb=verb,
        target_type="key",
        target=f"{named(application)}: {credential}",
        tenant=application.tenant.slug,
    ) as audit_entry:
        held = Credential.objects.select_related("application").filter(digest=credential.digest).first()
        if held is not None:
            _refuse_held(actor, held, application, field, noun)
            give_up_digest(held)
        credential.full_clean()
        credential.save()
        audit_entry.field("name", None, credential.name)
        audit_entry.field("identifier", None, credential.identifier)
        if credential.expires_at is not None:
            audit_entry.field("expires_at", None, credential.expires_at.isoformat())
        for bound in BOUNDS:
            audit_entry.field(bound, None, getattr(credential, bound))
        audit_entry.affect("key", credential.digest)
    return credential


def give_up_digest(revoked: Credential) -> None:
    """Have another credential be found in place of a revoked one, which stays in the list of what was revoked."""
    digest = hashlib.sha256(f"was {revoked.pk}".encode()).hexdigest()
    Credential.objects.filter(pk=revoked.pk).update(digest=digest, secret=None)  # a secret is bound to its digest


def _refuse_held(actor: Actor, held: Credential, application: Application, field: str, noun: str) -> None:
    """Refuse an identifier that is in use, or was revoked. An administrator may add what another tenant revoked: otherwise that
    tenant, having seen a certificate, could add and revoke it, and its owner could never use it.
    """
    if held.state == KeyState.ACTIVE:
        raise ValidationError({field: f"An application has this {noun} already."})
    if not is_administrator(actor) or held.application.tenant_id == application.tenant_id:
        raise ValidationError({field: f"This {noun} was revoked here: make a new one."})

"""Client IDs: as whom tokens name an application. Revoked by ``key_revoke``, like any credential."""

import re
from datetime import datetime
from typing import TypeVar, Unpack

from django.conf import settings
from django.core.exceptions import ValidationError

from apps.access.choices import CredentialKind, KeyState
from apps.access.models import Application, Credential, Introspection, Issuer
from apps.access.policies import can_add_client_id, keys_visible_to
from apps.access.services.applications import named
from apps.access.services.credentials import give_up_digest
from apps.access.services.key_bounds import Bounds, checked
from apps.access.services.subscriptions import check_end
from apps.audit.services import Change, change
from apps.foundation.errors import Conflict
from apps.httpcache import subject_of_key, tag_of_subject
from apps.tenants.actors import Actor, user_of
from apps.tenants.services import allow
from apps.wire.api_keys import identifier_digest

Known = TypeVar("Known", Issuer, Introspection)

_CLIENT_ID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?\Z")  # RFC 6749 appendix A.1
_REFUSAL = (
    "Only owners and developers of the application's tenant may add client IDs of the tenant's own issuers; those of the platform's"
    " and of other tenants' issuers, only an administrator."
)


def client_id_add(
    *,
    actor: Actor,
    application: Application,
    client_id: str,
    issuer: Issuer | None = None,
    introspection: Introspection | None = None,
    expires_at: datetime | None = None,
    **bounds: Unpack[Bounds],
) -> Credential:
    """Have tokens that name ``client_id`` be the application's: those of ``issuer``, or those that the server ``introspection``
    knows; without either, of all the platform's issuers and servers. Good for what ``bounds`` say alone, where they are given.

    ``Conflict`` where the client ID is an application's already. One that was revoked may be claimed anew, by any.
    """
    if issuer is not None and introspection is not None:
        raise ValidationError(
            {"introspection": "A client ID is known to an issuer or to an introspection server: name one."}
        )
    issuer, introspection = _of_a_tenant(issuer), _of_a_tenant(introspection)
    allow(can_add_client_id(actor, application, issuer or introspection), _REFUSAL)
    if not _CLIENT_ID.match(client_id):
        raise ValidationError({"client_id": "A client ID has up to 255 visible ASCII characters."})
    check_end(expires_at)
    kept = checked(actor, bounds, {})
    namespace = issuer.slug if issuer else f"introspection:{introspection.slug}" if introspection else ""
    digest = identifier_digest(settings.KEY_PEPPER, CredentialKind.CLIENT_ID.value, namespace, client_id.encode())
    with change(
        actor=actor,
        verb="client_id.add",
        target_type="key",
        target=f"{named(application)}: {client_id}",
        tenant=application.tenant.slug,
    ) as audit_entry:
        held = Credential.objects.select_related("application__tenant").filter(digest=digest).first()
        if held is not None and held.state == KeyState.ACTIVE:
            seen = keys_visible_to(actor).filter(pk=held.pk).exists()
            holder = f"{named(held.application)}'s" if seen else "another application's"
            raise Conflict(f"{client_id} is {holder} already: a client ID names one application.")
        if held is not None:
            give_up_digest(held)
        row = Credential(
            application=application,
            kind=CredentialKind.CLIENT_ID,
            name=client_id[:64],
            identifier=client_id,
            issuer=issuer,
            introspection=introspection,
            digest=digest,
            created_by=user_of(actor),
            expires_at=expires_at,
            **kept,
        )
        row.full_clean()
        row.save()
        audit_entry.field("client_id", None, client_id)
        audit_entry.field("issuer", None, issuer.slug if issuer else None)
        audit_entry.field("introspection", None, introspection.slug if introspection else None)
        audit_entry.field("expires_at", None, expires_at.isoformat() if expires_at else None)
        for bound, value in kept.items():
            audit_entry.field(bound, None, value)
        audit_entry.affect("key", digest)
    return row


def client_ids_end(audit_entry: Change, known_to: Issuer | Introspection) -> None:
    """Have those of an issuer or server that is deleted end with it, as part of the change under way."""
    rows = list(known_to.client_ids.values_list("pk", "digest"))
    audit_entry.field("client_ids", len(rows), 0)
    for pk, digest in rows:
        audit_entry.affect("key", digest)
        audit_entry.affect("stored", tag_of_subject(subject_of_key(pk)))


def _of_a_tenant(known_to: Known | None) -> Known | None:
    """None of the platform's: their client IDs are in one namespace."""
    return known_to if known_to is not None and known_to.tenant_id is not None else None

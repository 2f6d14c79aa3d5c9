"""Introspection servers: who is asked what an opaque token is worth (RFC 7662). Errors as in ``apps.foundation.errors``."""

import re
from typing import Any, Unpack

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ValidationError

from apps.access.choices import ClientAuthentication
from apps.access.models import Introspection
from apps.access.policies import can_add_introspection, can_edit_introspection
from apps.access.services.client_ids import client_ids_end
from apps.access.services.issuers import refuse_more
from apps.access.token_documents import IntrospectionFields
from apps.access.token_servers import private_hosts, refusal_of_address
from apps.access.tokens_of_apis import apis_asking
from apps.audit.services import Change, change
from apps.catalog.document import HIDDEN
from apps.catalog.egress import errors_of_places
from apps.egress.rules import place_of
from apps.foundation import field_names
from apps.foundation.errors import Conflict
from apps.gateway.pipeline.authenticators.jwt.key_sets import LEAST_BITS, MOST_BITS
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant
from apps.tenants.services import allow

LONGEST_CACHE = 3600.0
"""Seconds: so long a token that was revoked may work on."""

LONGEST_SECRET = 16 * 1024
_VISIBLE = re.compile(r"[\x20-\x7e]*\Z")  # RFC 6749 appendix A.1
_REFUSAL = (
    "Only owners and developers of its tenant may do this; of the platform's introspection servers, administrators."
)


def introspection_create(
    *, actor: Actor, slug: str, tenant: Tenant | None = None, **fields: Unpack[IntrospectionFields]
) -> Introspection:
    """A new server: of the platform, which any API may ask, or of a ``tenant``, for that tenant's APIs.

    Unless ``client_authentication`` is named, it is Basic where there is a client ID. Resolves names: not in a transaction of a
    tenant's member.
    """
    allow(can_add_introspection(actor, tenant), _REFUSAL)
    private = private_hosts(actor, tenant, [str(fields.get("url", ""))])
    if "client_authentication" not in fields:
        has_name = bool(fields.get("client_id"))
        fields["client_authentication"] = ClientAuthentication.BASIC if has_name else ClientAuthentication.NONE
    with change(
        actor=actor,
        verb="introspection.create",
        target_type="introspection",
        target=slug,
        tenant=tenant.slug if tenant else "",
    ) as audit_entry:
        refuse_more(tenant, tenant.introspections.count() if tenant else 0)
        server = Introspection(slug=slug, tenant=tenant)
        _write(audit_entry, actor, server, fields, private)
    return server


def introspection_update(
    *, actor: Actor, server: Introspection, **fields: Unpack[IntrospectionFields]
) -> Introspection:
    """Change a server, for all APIs that ask it. Returns the saved one; without a difference nothing is written. A secret that
    isn't named stays, but for another host or port: who may edit a server could read its secret there.
    """
    allow(can_edit_introspection(actor, server), _REFUSAL)
    private = private_hosts(actor, server.tenant, [str(fields.get("url", ""))])
    with _changing("introspection.update", actor, server) as audit_entry:
        fresh = Introspection.objects.select_related("tenant").get(pk=server.pk)
        _write(audit_entry, actor, fresh, fields, private)
        if not audit_entry.changes:
            audit_entry.drop()
    return fresh


def introspection_delete(*, actor: Actor, server: Introspection) -> None:
    """Remove a server with the client IDs that are known to it. ``Conflict`` while an API asks it."""
    allow(can_edit_introspection(actor, server), _REFUSAL)
    with _changing("introspection.delete", actor, server) as audit_entry:
        if naming := apis_asking(server):
            raise Conflict(
                f"These APIs ask {server}: {', '.join(map(str, naming))}. Take it out of their settings first."
            )
        client_ids_end(audit_entry, server)
        audit_entry.affect("introspection", server.slug)
        server.delete()


def _changing(verb: str, actor: Actor, server: Introspection) -> Any:
    owner = server.tenant.slug if server.tenant else ""
    return change(actor=actor, verb=verb, target_type="introspection", target=server.slug, tenant=owner)


def _write(
    audit_entry: Change, actor: Actor, server: Introspection, fields: IntrospectionFields, private: frozenset[str]
) -> None:
    """Save ``server`` with these values in place of its own. Raises ``ValidationError`` by field."""
    values: dict[str, Any] = dict(fields)
    if "secret" in values:
        values["secret"] = values["secret"] or None
    known, before = server.url, {name: getattr(server, name) for name in values} if server.pk else {}
    for name, value in values.items():
        setattr(server, name, value)
    errors = _errors(server)
    if server.pk and server.secret and "secret" not in fields and place_of(server.url) != place_of(known):
        errors["secret"] = ["Another server is to be asked: give the secret anew. What is kept goes nowhere else."]
    if "url" not in errors and server.url != known:
        errors |= errors_of_places(actor, server.tenant, {"url": server.url}, private)
    try:
        server.full_clean()
    except ValidationError as refusal:
        errors = field_names.by_path(refusal) | errors
    if errors:
        raise ValidationError({field or "__all__": messages for field, messages in errors.items()})
    server.save()
    for name, value in values.items():
        if value != (was := before.get(name)):
            hidden = name == "secret"
            audit_entry.changes[name] = [HIDDEN if hidden and each else each for each in (was, value)]
    audit_entry.affect("introspection", server.slug)


def _errors(server: Introspection) -> field_names.Errors:
    errors: field_names.Errors = {}
    if refused := refusal_of_address(server.url, server.tenant):
        errors["url"] = [refused]
    if not _VISIBLE.match(server.client_id) or len(server.client_id) > 255:
        errors["client_id"] = ["Up to 255 visible ASCII characters."]
    if not 0 < len(server.client_claim) <= 128:
        errors["client_claim"] = ["What of the response names the client, like client_id."]
    for name in ("cache", "negative_cache"):
        seconds = getattr(server, name)
        if not (isinstance(seconds, int | float) and 0 <= seconds <= LONGEST_CACHE):
            errors[name] = ["Between 0 and an hour."]
    return errors | _client_errors(server)


def _client_errors(server: Introspection) -> field_names.Errors:
    """What is missing of how the gateway says who it is."""
    way, secret = server.client_authentication, server.secret
    if way == ClientAuthentication.NONE:
        return {"secret": ["Without client_authentication there is no client secret."]} if secret else {}
    if not server.client_id:
        return {"client_id": ["Say as whom gateways ask, or set client_authentication to none."]}
    if not secret:
        return {"secret": ["Give the client's secret, or its private key for private_key_jwt."]}
    if len(secret) > LONGEST_SECRET:
        return {"secret": [f"At most {LONGEST_SECRET // 1024} KiB."]}
    if way != ClientAuthentication.PRIVATE_KEY_JWT:
        return {} if _VISIBLE.match(secret) else {"secret": ["A client secret has visible ASCII characters only."]}
    return (
        {}
        if _is_private_key(secret)
        else {
            "secret": [
                f"An unencrypted private key in PEM: RSA of {LEAST_BITS} bits or more, P-256, P-384, P-521, or EdDSA."
            ]
        }
    )


def _is_private_key(pem: str) -> bool:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    if isinstance(key, RSAPrivateKey):
        return LEAST_BITS <= key.key_size <= MOST_BITS
    if isinstance(key, EllipticCurvePrivateKey):
        return isinstance(key.curve, SECP256R1 | SECP384R1 | SECP521R1)
    return isinstance(key, Ed25519PrivateKey | Ed448PrivateKey)

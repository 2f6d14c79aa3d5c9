"""Issuers of tokens: where their keys are, and what of their tokens counts. Errors as in ``apps.foundation.errors``."""

from typing import Any, Unpack

from django.core.exceptions import ValidationError

from apps.access.jwk_sets import SIGNATURES, check_jwk_set, check_values, described_keys
from apps.access.models import Issuer
from apps.access.policies import can_add_issuer, can_edit_issuer
from apps.access.services.client_ids import client_ids_end
from apps.access.services.revocations import forget_revocations_of
from apps.access.token_documents import ANY, IssuerFields
from apps.access.token_servers import private_hosts, refusal_of_address
from apps.access.tokens_of_apis import apis_taking_tokens_of
from apps.audit.services import Change, change
from apps.catalog.document import HIDDEN
from apps.catalog.egress import errors_of_places
from apps.foundation import field_names
from apps.foundation.errors import Conflict
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant
from apps.tenants.services import allow

SHARED_SECRETS = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Algorithms whose signatures are checked with the secret that made them, and how many bytes it has at least (RFC 7518 §3.2)."""

ALGORITHMS = (*SIGNATURES, *SHARED_SECRETS)

NO_SOURCE: IssuerFields = {"jwks": None, "jwks_url": "", "discovery": False, "secret": None}
"""Where its keys may be: in one of these. Naming one ends the others."""

MOST_AUDIENCES = 50

MOST_OF_A_TENANT = 50
"""Issuers, and introspection servers, that a tenant may have: each gateway worker holds them all."""
LONGEST_SECRET = 4096
LONGEST_LEEWAY = 300.0
"""Seconds."""

_REFUSAL = "Only owners and developers of its tenant may do this; of the platform's issuers, administrators."


def issuer_create(*, actor: Actor, slug: str, tenant: Tenant | None = None, **fields: Unpack[IssuerFields]) -> Issuer:
    """A new issuer: of the platform, whose tokens any API may take, or of a ``tenant``, for that tenant's APIs.

    ``audience`` is needed: a list, or ``"any"``. Resolves names: not in a transaction of a tenant's member.
    """
    allow(can_add_issuer(actor, tenant), _REFUSAL)
    private = _private(actor, tenant, fields)
    with change(
        actor=actor, verb="issuer.create", target_type="issuer", target=slug, tenant=tenant.slug if tenant else ""
    ) as audit_entry:
        refuse_more(tenant, tenant.issuers.count() if tenant else 0)
        issuer = Issuer(slug=slug, tenant=tenant)
        _write(audit_entry, actor, issuer, fields, private)
    return issuer


def refuse_more(tenant: Tenant | None, there: int) -> None:
    """Raises ``Conflict`` for one more where a tenant has as many as it may. The platform's aren't counted."""
    if tenant is not None and there >= MOST_OF_A_TENANT:
        raise Conflict(f"{tenant} has {there} already, which is as many as a tenant may have: delete one first.")


def issuer_update(*, actor: Actor, row: Issuer, **fields: Unpack[IssuerFields]) -> Issuer:
    """Change an issuer, for all APIs that take its tokens, in force as the receipt says. Returns the saved one; without a
    difference nothing is written. A secret that isn't named stays.
    """
    allow(can_edit_issuer(actor, row), _REFUSAL)
    private = _private(actor, row.tenant, fields)
    with _changing("issuer.update", actor, row) as audit_entry:
        fresh = Issuer.objects.select_related("tenant").get(pk=row.pk)
        _write(audit_entry, actor, fresh, fields, private)
        if not audit_entry.changes:
            audit_entry.drop()
    return fresh


def issuer_delete(*, actor: Actor, row: Issuer) -> None:
    """Remove an issuer with its client IDs and revocations. ``Conflict`` while an API takes its tokens."""
    allow(can_edit_issuer(actor, row), _REFUSAL)
    with _changing("issuer.delete", actor, row) as audit_entry:
        if naming := apis_taking_tokens_of(row):
            raise Conflict(
                f"These APIs take tokens of {row}: {', '.join(map(str, naming))}. Take it out of their settings first."
            )
        client_ids_end(audit_entry, row)
        forget_revocations_of(row, audit_entry)
        audit_entry.affect("issuer", row.slug)
        row.delete()


def _private(actor: Actor, tenant: Tenant | None, fields: IssuerFields) -> frozenset[str]:
    return private_hosts(actor, tenant, [str(fields.get("issuer", "")), str(fields.get("jwks_url", ""))])


def _changing(verb: str, actor: Actor, issuer: Issuer) -> Any:
    owner = issuer.tenant.slug if issuer.tenant else ""
    return change(actor=actor, verb=verb, target_type="issuer", target=issuer.slug, tenant=owner)


def _write(audit_entry: Change, actor: Actor, issuer: Issuer, fields: IssuerFields, private: frozenset[str]) -> None:
    """Save ``issuer`` with these values in place of its own. Raises ``ValidationError`` by field."""
    called, values = _called(issuer), _values(fields)
    before = {name: getattr(issuer, name) for name in values} if issuer.pk else {}
    for name, value in values.items():
        setattr(issuer, name, value)
    errors = _errors(issuer)
    if not issuer.pk and "audience" not in fields:
        errors["audience"] = ["Name the audiences of which a token names one, or any."]
    new = {name: url for name, url in _called(issuer).items() if name not in errors and url != called.get(name)}
    errors |= errors_of_places(actor, issuer.tenant, new, private)
    try:
        issuer.full_clean()
    except ValidationError as refusal:
        errors = field_names.by_path(refusal) | errors
    if errors:
        raise ValidationError({field or "__all__": messages for field, messages in errors.items()})
    issuer.save()
    for name, value in values.items():
        if value != before.get(name) and (before or value):
            audit_entry.changes[name] = [_shown(name, before.get(name)), _shown(name, value)]
    audit_entry.affect("issuer", issuer.slug)


def _called(issuer: Issuer) -> dict[str, str]:
    """The addresses at which gateways fetch something of it, by field."""
    called = {"issuer": issuer.issuer if issuer.discovery else "", "jwks_url": issuer.jwks_url}
    return {name: url for name, url in called.items() if url}


def _values(fields: IssuerFields) -> dict[str, Any]:
    """The fields as they are kept. Where one source of keys is named, the others end."""
    values: dict[str, Any] = dict(fields)
    if any(values.get(source) for source in NO_SOURCE):
        values = {**NO_SOURCE, **values}
    if values.get("audience") == ANY:
        values["audience"] = []
    elif values.get("audience") == []:
        raise ValidationError({"audience": "Name one audience at least; any says that all do."})
    for name in ("issuer", "jwks_url", "client_claim"):
        if name in values:
            values[name] = values[name].strip()
    for name in ("secret", "jwks"):
        if name in values:
            values[name] = values[name] or None
    try:
        check_values(values.get("jwks"))
    except ValueError as refusal:
        raise ValidationError({"jwks": str(refusal)}) from None
    return values


def _shown(name: str, value: Any) -> Any:
    """A value for the audit log: of keys what they are known by, of a secret whether there is one."""
    if name == "secret":
        return HIDDEN if value else None
    return described_keys(value) if name == "jwks" else value


def _errors(issuer: Issuer) -> field_names.Errors:
    errors: field_names.Errors = {}
    if refused := refusal_of_address(issuer.issuer, issuer.tenant, with_query=False):
        errors["issuer"] = [refused]
    if len(issuer.issuer) > 512:
        errors["issuer"] = ["At most 512 characters."]
    field_names.attempt(errors, "algorithms", _check_algorithms, issuer.algorithms)
    if not errors.get("algorithms"):
        errors |= _source_errors(issuer)
    if not _texts(issuer.audience, MOST_AUDIENCES, 512):
        errors["audience"] = [f"A list of up to {MOST_AUDIENCES} audiences of up to 512 characters each; or any."]
    if not 0 < len(issuer.client_claim) <= 128:
        errors["client_claim"] = ["The name of a claim, like azp or client_id."]
    if not (isinstance(issuer.leeway, int | float) and 0 <= issuer.leeway <= LONGEST_LEEWAY):
        errors["leeway"] = [f"Between 0 and {LONGEST_LEEWAY:.0f} seconds."]
    if "issuer" not in errors and issuer.pk:
        for api in apis_taking_tokens_of(issuer):
            others = Issuer.objects.filter(slug__in=api.jwt["issuers"], issuer=issuer.issuer).exclude(pk=issuer.pk)
            if other := others.first():
                errors["issuer"] = [f"{api} takes tokens of {other} too, and those say the same in iss."]
    return errors


def _source_errors(issuer: Issuer) -> field_names.Errors:
    """What is wrong with where its keys are."""
    errors: field_names.Errors = {}
    sources = [name for name in NO_SOURCE if getattr(issuer, name)]
    shared = [name for name in issuer.algorithms if name in SHARED_SECRETS]
    if len(sources) != 1:
        given = f"not {' and '.join(sources)}" if sources else "none is given"
        return {"": [f"Its keys are in one place: jwks, jwks_url, discovery, or secret for HS algorithms; {given}."]}
    if issuer.secret is not None:
        least = max((SHARED_SECRETS[name] for name in shared), default=32)
        if not isinstance(issuer.secret, str) or not least <= len(issuer.secret.encode()) <= LONGEST_SECRET:
            errors["secret"] = [f"Between {least} and {LONGEST_SECRET:,} bytes for {', '.join(shared) or 'HS256'}."]
        if len(shared) < len(issuer.algorithms):
            errors["algorithms"] = ["With a shared secret there are HS256, HS384 and HS512 alone."]
    elif shared:
        errors["algorithms"] = [
            f"{', '.join(shared)} need a shared secret, which this issuer has not; and no others stand beside them."
        ]
    elif issuer.jwks is not None:
        field_names.attempt(errors, "jwks", lambda value: check_jwk_set(value, issuer.algorithms), issuer.jwks)
    elif issuer.jwks_url and (refused := refusal_of_address(issuer.jwks_url, issuer.tenant)):
        errors["jwks_url"] = [refused]
    return errors


def _check_algorithms(value: Any) -> None:
    if not isinstance(value, list) or not value or not all(name in ALGORITHMS for name in value):
        raise ValueError(f"Name the only algorithms that its signatures may have, of {', '.join(ALGORITHMS)}.")
    if len(set(value)) < len(value):
        raise ValueError("Each algorithm stands here once.")


def _texts(value: Any, most: int, longest: int) -> bool:
    fits = isinstance(value, list) and len(value) <= most
    return fits and all(isinstance(each, str) and 0 < len(each) <= longest for each in value)

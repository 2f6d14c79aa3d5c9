"""Issuers and introspection servers in the declarative file's words, both ways. Secrets are read, and never written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypedDict, cast

from django.core.exceptions import ValidationError

from apps.access.choices import ClientAuthentication
from apps.access.models import Introspection, Issuer
from apps.foundation import field_names

ANY: Literal["any"] = "any"
"""In place of a list of audiences: ``aud`` may say what it likes."""


class IssuerFields(TypedDict, total=False):
    """Fields of an issuer. Of ``discovery``, ``jwks_url``, ``jwks`` and ``secret`` it has one. ``leeway`` in seconds."""

    issuer: str
    discovery: bool
    jwks_url: str
    jwks: dict[str, Any] | None
    secret: str | None
    algorithms: list[str]
    audience: list[str] | Literal["any"]
    client_claim: str
    leeway: float
    dpop: bool


class IntrospectionFields(TypedDict, total=False):
    """Fields of an introspection server. ``secret`` is the client's, or its private key in PEM. Durations in seconds."""

    url: str
    client_id: str
    client_authentication: str
    secret: str | None
    client_claim: str
    cache: float
    negative_cache: float


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("Expected a JWK set: an object with keys, a list.")
    return value


def _audience(value: object) -> Any:
    if value == ANY:
        return ANY
    if not isinstance(value, list):
        raise ValueError("Expected a list of audiences, of which a token names one; or any.")
    return field_names.many(field_names.text)(value)


ISSUER: dict[str, field_names.Reader] = {
    "issuer": field_names.text,
    "jwks": field_names.optional(_object),
    "jwks_url": field_names.text,
    "discovery": field_names.boolean,
    "secret": field_names.optional(field_names.text),
    "algorithms": field_names.many(field_names.text),
    "audience": _audience,
    "client_claim": field_names.text,
    "leeway": field_names.duration,
    "dpop": field_names.boolean,
}
"""The words of an issuer besides slug and tenant."""

INTROSPECTION: dict[str, field_names.Reader] = {
    "url": field_names.text,
    "client_id": field_names.text,
    "client_authentication": field_names.one_of(ClientAuthentication.values),
    "client_secret": field_names.optional(field_names.text),
    "client_claim": field_names.text,
    "cache": field_names.duration,
    "negative_cache": field_names.duration,
}
"""The words of an introspection server besides slug and tenant."""


def read_issuer(data: object) -> IssuerFields:
    """The fields that ``data`` names; ``slug`` and ``tenant`` are the caller's. Raises ``ValidationError`` by path."""
    return cast(IssuerFields, field_names.read(data, ISSUER))


def issuer_document(issuer: Issuer) -> dict[str, Any]:
    """The issuer as it stands in the file. Reads its tenant."""
    document = _named(issuer)
    document["issuer"] = issuer.issuer
    if issuer.jwks:
        document["jwks"] = issuer.jwks
    if issuer.jwks_url:
        document["jwks_url"] = issuer.jwks_url
    if issuer.discovery:
        document["discovery"] = True
    document["algorithms"] = list(issuer.algorithms)
    document["audience"] = list(issuer.audience) or ANY
    document["client_claim"] = issuer.client_claim
    document["leeway"] = field_names.duration_text(issuer.leeway)
    if issuer.dpop:
        document["dpop"] = True
    return document


def read_introspection(data: object) -> IntrospectionFields:
    """The fields that ``data`` names; ``slug`` and ``tenant`` are the caller's. Raises ``ValidationError`` by path."""
    found = field_names.read(data, INTROSPECTION)
    if "client_secret" in found:
        found["secret"] = found.pop("client_secret")
    return cast(IntrospectionFields, found)


@contextmanager
def in_introspection_words() -> Iterator[None]:
    """Have a service's errors name the words of a server's document rather than the model's fields."""
    try:
        yield
    except ValidationError as refusal:
        found = field_names.by_path(refusal)
        if "secret" in found:
            found["client_secret"] = found.pop("secret")
        raise ValidationError({name or "__all__": told for name, told in found.items()}) from None


def introspection_document(server: Introspection) -> dict[str, Any]:
    """The server as it stands in the file. Reads its tenant."""
    document = _named(server)
    document["url"] = server.url
    if server.client_id:
        document["client_id"] = server.client_id
    document["client_authentication"] = str(server.client_authentication)
    document["client_claim"] = server.client_claim
    document["cache"] = field_names.duration_text(server.cache)
    document["negative_cache"] = field_names.duration_text(server.negative_cache)
    return document


def _named(row: Issuer | Introspection) -> dict[str, Any]:
    return {"slug": row.slug} | ({"tenant": row.tenant.slug} if row.tenant else {})

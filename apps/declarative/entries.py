"""The form of each list of the file: its words, which of them an entry must have, and how errors find their lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError

from apps.access import token_documents
from apps.access.choices import SubscriptionState
from apps.declarative.reader import FileError, FileSource, Path
from apps.foundation import field_names
from apps.foundation.errors import Conflict
from apps.tenants.choices import Role


def moment(value: object) -> datetime:
    """A time like ``2027-01-31T12:00:00Z``; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(field_names.text(value))
    except ValueError:
        raise ValueError("Expected a time like 2027-01-31T12:00:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def application_name(value: object) -> tuple[str, str]:
    """``tenant/application``, as two slugs."""
    tenant, slash, slug = field_names.text(value).partition("/")
    if not (tenant and slash and slug):
        raise ValueError("Expected tenant/application, like acme/bot.")
    return tenant, slug


def entry(table: dict[str, field_names.Reader], *required: str) -> field_names.Reader:
    """A reader of objects that must have the ``required`` words."""

    def read_entry(value: object) -> dict[str, Any]:
        found = field_names.read(value, table)
        if missing := [word for word in required if word not in found]:
            raise ValidationError({"": f"{' and '.join(missing)} must be given."})
        return found

    return read_entry


_MEMBERSHIP = entry({"tenant": field_names.text, "role": field_names.one_of(Role.values)}, "tenant", "role")
_KEY_OPERATION = entry({"path": field_names.text, "methods": field_names.many(field_names.text)}, "path")
_BOUNDS: dict[str, field_names.Reader] = {
    "apis": field_names.optional(field_names.many(field_names.text)),
    "methods": field_names.optional(field_names.many(field_names.text)),
    "operations": field_names.optional(field_names.many(_KEY_OPERATION)),
    "addresses": field_names.optional(field_names.many(field_names.text)),
}
_SECRET: dict[str, field_names.Reader] = {
    "name": field_names.text,
    "secret": field_names.text,
    "secret_env": field_names.text,
    "expires_at": field_names.optional(moment),
}
_KEY = entry(_SECRET | _BOUNDS, "name")
_SIGNING_KEY = entry({"key_id": field_names.text} | _SECRET | _BOUNDS, "key_id")
_CERTIFICATE = entry({"name": field_names.text, "certificate": field_names.text} | _BOUNDS, "name")


def _client_id(value: object) -> dict[str, Any]:
    """A client ID of the platform's issuers, or one with the tenant's issuer or introspection server that knows it."""
    if isinstance(value, dict):
        found: dict[str, Any] = _CLIENT_ID(value)
        return found
    return {"client_id": field_names.text(value)}


_CLIENT_ID = entry(
    {"client_id": field_names.text, "issuer": field_names.text, "introspection": field_names.text}, "client_id"
)

EGRESS = entry({"allow": field_names.many(field_names.text)}, "allow")
TENANT = entry(
    {"slug": field_names.text, "name": field_names.text, "egress": EGRESS, "hosts": field_names.many(field_names.text)},
    "slug",
)
USER = entry(
    {
        "email": field_names.text,
        "name": field_names.text,
        "administrator": field_names.boolean,
        "password_env": field_names.text,
        "memberships": field_names.many(_MEMBERSHIP),
    },
    "email",
)
_OWN = {"slug": field_names.text, "tenant": field_names.optional(field_names.text)}
ISSUER = entry(_OWN | token_documents.ISSUER | {"secret_env": field_names.text}, "slug")
INTROSPECTION = entry(_OWN | token_documents.INTROSPECTION | {"client_secret_env": field_names.text}, "slug")
APPLICATION = entry(
    {
        "tenant": field_names.text,
        "slug": field_names.text,
        "name": field_names.text,
        "description": field_names.text,
        "keys": field_names.many(_KEY),
        "client_ids": field_names.many(_client_id),
        "certificates": field_names.many(_CERTIFICATE),
        "signing_keys": field_names.many(_SIGNING_KEY),
    },
    "tenant",
    "slug",
)
SUBSCRIPTION = entry(
    {
        "application": application_name,
        "api": field_names.text,
        "plan": field_names.text,
        "state": field_names.one_of([SubscriptionState.ACTIVE, SubscriptionState.SUSPENDED, SubscriptionState.REVOKED]),
        "expires_at": field_names.optional(moment),
    },
    "application",
    "api",
    "plan",
)

#: The lists of the file, in the order in which they are made true: each names only what stands before it.
LISTS = ("tenants", "users", "issuers", "introspections", "plans", "apis", "applications", "subscriptions")

#: What is no list, and made true before them.
EGRESS_WORD = "egress"


@dataclass(frozen=True)
class FileEntry:
    """One entry of a list: where it stands, what it says."""

    path: Path
    data: Any


@contextmanager
def blaming(
    source: FileSource, path: Path, rename: Callable[[ValidationError], ValidationError] | None = None
) -> Iterator[None]:
    """Turn what services and readers refuse into a ``FileError`` that names the lines below ``path``."""
    try:
        yield
    except ValidationError as error:
        found = field_names.by_path(rename(error) if rename else error)
        raise FileError(
            [
                source.problem((*path, *steps(inner)), message)
                for inner, messages in found.items()
                for message in messages
            ]
        ) from None
    except (Conflict, ValueError) as error:
        raise FileError([source.problem(path, str(error))]) from None


def steps(dotted: str) -> Path:
    """``upstreams.0.url`` as a path."""
    return tuple(int(part) if part.isdigit() else part for part in dotted.split(".") if part)


def check_outline(source: FileSource) -> None:
    """Refuse a file that is not version 1, or has unknown lists. Raises ``FileError``."""
    if not isinstance(source.data, dict):
        raise source.refuse((), "must be a mapping that begins with `version: 1`")
    if source.data.get("version") != 1:
        raise source.refuse(("version",), "must be 1: `version: 1`")
    unknown = [name for name in source.data if name not in ("version", EGRESS_WORD, *LISTS)]
    if unknown:
        raise FileError(
            [
                source.problem((name,), f"is no list of this file; these are: {', '.join(LISTS)}, and {EGRESS_WORD}")
                for name in unknown
            ]
        )


def entries_of(source: FileSource, name: str) -> list[FileEntry] | None:
    """The entries of one list, or ``None`` when the file doesn't have it. Raises ``FileError``."""
    if name not in source.data:
        return None
    data = source.data[name]
    if not isinstance(data, list):
        raise source.refuse((name,), "must be a list; write [] for an empty one")
    return [FileEntry((name, index), item) for index, item in enumerate(data)]

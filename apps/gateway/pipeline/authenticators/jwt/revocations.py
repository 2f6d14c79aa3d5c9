"""What of a token may be revoked, as hashes: its ID, and its subject. Pure."""

from collections.abc import Mapping
from typing import Any

from apps.wire.revocations import JTI, SUBJECT, revocation_hash


def hashes_of(claims: Mapping[str, Any], issuer: str, pepper: bytes) -> tuple[int, ...]:
    """Those by which gateways know whether a token of this issuer (a slug) is revoked."""
    found = [(kind, claims.get(name)) for kind, name in ((JTI, "jti"), (SUBJECT, "sub"))]
    return tuple(revocation_hash(pepper, kind, issuer, str(said)) for kind, said in found if _names_something(said))


def issued_at(claims: Mapping[str, Any]) -> int | None:
    """The second (Unix time) in which a token was issued, by its own word; ``None``: it doesn't say."""
    said = claims.get("iat")
    return None if said is None else int(said)


def _names_something(said: Any) -> bool:
    return isinstance(said, str | int) and not isinstance(said, bool) and said != ""

"""Tokens and the keys of their issuers in words: what a page says of each claim, and of each key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.access.models import Issuer
from apps.explain.typed_token import TypedToken
from apps.gateway.pipeline.authenticators.jwt.checks import is_date
from apps.gateway.pipeline.authenticators.jwt.examination import Finding
from apps.gateway.pipeline.authenticators.jwt.key_sets import Key, KeySet
from apps.gateway.pipeline.authenticators.token_faults import TokenFault

LABELS = {
    "signature": "Signature",
    "form": "Form",
    "typ": "Type",
    "iss": "Issuer",
    "exp": "Expires",
    "nbf": "Valid from",
    "iat": "Issued",
    "aud": "Audience",
    "sub": "Subject",
    "cnf": "Key of its holder",
    "client": "Client",
}
DATES = frozenset({"exp", "nbf", "iat", "auth_time"})
LONGEST = 300
"""Characters of a claim's value that are shown."""

_CURVES = {"ES256": "EC P-256", "ES384": "EC P-384", "ES512": "EC P-521", "EdDSA": "Edwards curve"}


@dataclass(frozen=True)
class ClaimLine:
    """A claim as it is shown: ``at`` where it is a date. ``wrong`` says what is; ``checked`` whether anything looks at it."""

    label: str
    name: str
    text: str
    at: datetime | None = None
    wrong: str = ""
    checked: bool = True


def claim_lines(found: TypedToken, issuer: Issuer) -> list[ClaimLine]:
    """What was checked and is there, or isn't and should be; then the rest of what the token says."""
    said = found.examination
    checked = [each for each in said.findings if each.fault is not None or each.said is not None]
    lines = [_line(each.about, each.said, _wrong(each, found.away)) for each in checked]
    known = {each.about for each in said.findings} | {"scope", "scp", issuer.client_claim}
    return lines + [_line(name, value, checked=False) for name, value in said.claims.items() if name not in known]


def _wrong(finding: Finding, away: str) -> str:
    if finding.fault is None:
        return ""
    more = f" {away}" if away and finding.fault is TokenFault.ISSUER_AWAY else ""
    return f"{finding.fault.sentence}{more}"


def _line(name: str, value: Any, wrong: str = "", checked: bool = True) -> ClaimLine:
    at = datetime.fromtimestamp(value, UTC) if name in DATES and is_date(value) and 0 <= value < 2**37 else None
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return ClaimLine(LABELS.get(name, ""), name, shown, at, wrong, checked)


@dataclass(frozen=True)
class KeyLine:
    """A key as it is shown. ``algorithms`` are those that the issuer may use with it."""

    key_id: str
    kind: str
    algorithms: str


def key_lines(keys: KeySet, issuer: Issuer) -> Iterator[KeyLine]:
    """Each key by its ID, with what it is and which of the issuer's algorithms it is for."""
    for key in keys.keys:
        usable = [name for name in issuer.algorithms if name in key.algorithms]
        yield KeyLine(key.key_id or "", _kind_of(key), ", ".join(usable))


def _kind_of(key: Key) -> str:
    size = getattr(key.material, "key_size", 0)
    return next((kind for name, kind in _CURVES.items() if name in key.algorithms), f"RSA, {size} bits")

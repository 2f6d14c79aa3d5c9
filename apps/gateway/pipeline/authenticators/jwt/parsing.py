"""A signed JWT in its compact form (RFC 7515 §7.1, RFC 7519), read more strictly than the RFCs ask: two readers must not see
two things in it.
"""

import binascii
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from math import isfinite
from typing import Any

from apps.gateway.pipeline.authenticators.bearer import LARGEST, has_form_of_jwt
from apps.gateway.pipeline.authenticators.token_faults import TokenFault

TYPES = frozenset({"jwt", "application/jwt", "at+jwt", "application/at+jwt"})
"""What ``typ`` may say of an access token (RFC 9068 §2.1), or nothing."""

_PLAIN = bytes.maketrans(b"-_", b"+/")


@dataclass(slots=True, frozen=True)
class ParsedToken:
    """What a token says, none of which is verified."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """What it is signed with, by its own word."""
        found = self.header.get("alg")
        return found if isinstance(found, str) else ""

    @property
    def key_id(self) -> str | None:
        """The ID of the key that signed it; ``None``: it names none."""
        found = self.header.get("kid")
        return found if isinstance(found, str) else None


def parse(token: bytes, types: frozenset[str] = TYPES, *, typ_required: bool = False) -> ParsedToken | TokenFault:
    """The parts of a token of one of these ``types`` (in lower case). Where keys are to be found is told by nothing in it:
    ``jku``, ``jwk``, ``x5u`` and ``x5c`` count for nothing (RFC 8725 §3.10).
    """
    if len(token) > LARGEST:
        return TokenFault.TOO_LARGE
    if not has_form_of_jwt(token):
        return TokenFault.NOT_SUPPORTED if token.count(b".") == 4 else TokenFault.MALFORMED  # five parts are encrypted
    signing_input, _, signature = token.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    try:
        said = read_object(_decoded(header))
        if fault := _fault_of(said, types, typ_required):
            return fault
        return ParsedToken(said, read_object(_decoded(payload)), signing_input, _decoded(signature))
    except ValueError:
        return TokenFault.MALFORMED


def _fault_of(header: dict[str, Any], types: frozenset[str], typ_required: bool) -> TokenFault | None:
    if header.keys() & {"crit", "zip", "enc"} or header.get("b64", True) is not True:
        return TokenFault.NOT_SUPPORTED
    if "cty" in header and str(header["cty"]).lower() in ("jwt", "application/jwt"):
        return TokenFault.NOT_SUPPORTED  # what it holds is another token
    if not isinstance(header.get("kid", ""), str) or not isinstance(header.get("alg"), str):
        return TokenFault.MALFORMED
    if "typ" not in header:
        return TokenFault.WRONG_TYPE if typ_required else None
    typ = header["typ"]
    return None if isinstance(typ, str) and typ.lower() in types else TokenFault.WRONG_TYPE


def _decoded(part: bytes) -> bytes:
    """Raises ``ValueError`` for what is no base64url without padding (RFC 7515 §2), and for a second spelling of the same."""
    decoded = binascii.a2b_base64(part.translate(_PLAIN) + b"=" * (-len(part) % 4), strict_mode=True)
    if urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise ValueError("not the canonical form")
    return decoded


def read_object(text: bytes) -> dict[str, Any]:
    """A JSON object as I-JSON has it (RFC 7493): UTF-8, each name once, finite numbers, no half of a surrogate pair. Raises
    ``ValueError``.
    """
    try:
        found = json.loads(
            text.decode(), object_pairs_hook=_each_once, parse_constant=_no_number, parse_float=_finite_number
        )
        if b"\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _finite_number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("too large")
    return number

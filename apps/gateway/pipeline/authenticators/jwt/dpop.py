"""Proofs that who calls with a token holds the key that it is bound to (DPoP, RFC 9449)."""

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit

from apps.gateway.pipeline.authenticators.jwt.checks import is_date
from apps.gateway.pipeline.authenticators.jwt.key_sets import ASYMMETRIC, read_key
from apps.gateway.pipeline.authenticators.jwt.parsing import ParsedToken, parse
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.httpcache.normalise import normalise_target

WINDOW = 60.0
"""Seconds by which a proof may be older, or newer, than the call."""

_LONGEST_ID = 512
_TYPES = frozenset({"dpop+jwt"})
_PORTS = {"http": 80, "https": 443}


def proof_fault(
    proof: bytes, token: bytes, proof_key: str, method: str, url: tuple[str, bytes, bytes], now: float
) -> TokenFault | bytes:
    """What is wrong with a proof for a call by ``method`` to a ``url`` (scheme, authority, path normalised) at ``now`` (Unix
    seconds) with a ``token`` that is bound to the key with the thumbprint ``proof_key`` (RFC 9449 §4.3); else what the proof is
    known by.
    """
    read = parse(proof, _TYPES, typ_required=True)
    if isinstance(read, TokenFault) or not _is_signed_by(read, proof_key):
        return TokenFault.WRONG_PROOF
    said = read.claims
    hashed = urlsafe_b64encode(hashlib.sha256(token).digest()).rstrip(b"=").decode()
    if (said.get("htm"), said.get("ath")) != (method, hashed) or not _is_for(said.get("htu"), url):
        return TokenFault.WRONG_PROOF
    number, issued = said.get("jti"), said.get("iat")
    if not isinstance(number, str) or not 0 < len(number) <= _LONGEST_ID or not is_date(issued):
        return TokenFault.WRONG_PROOF
    if abs(now - issued) > WINDOW:
        return TokenFault.OLD_PROOF
    return hashlib.sha256(f"dpop {proof_key} {number}".encode()).digest()


def _is_signed_by(proof: ParsedToken, proof_key: str) -> bool:
    """Whether the key in its header made its signature, and has this thumbprint."""
    try:
        key = read_key(proof.header.get("jwk"))
    except ValueError:
        return False
    return proof.algorithm in ASYMMETRIC and key.thumbprint == proof_key and key.verifies(proof)


def _is_for(said: object, url: tuple[str, bytes, bytes]) -> bool:
    """Whether ``htu`` is this URL: without query and fragment, each part in its one form (RFC 9449 §4.3, 9.)."""
    if not isinstance(said, str) or not said.isascii():
        return False
    scheme, authority, path = url
    try:
        parts = urlsplit(said)
        place = (parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme))
        called = urlsplit(f"{scheme}://{authority.decode('latin-1')}")
        meant = (scheme, called.hostname, called.port or _PORTS.get(scheme))
    except ValueError:
        return False
    target = normalise_target(parts.path.encode() or b"/")
    return place == meant and target is not None and target.path == path

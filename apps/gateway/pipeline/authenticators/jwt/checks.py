"""Whether a token is good (RFC 8725, RFC 9068 §4): signature and claims, each check by itself. Pure: time is an argument."""

from collections.abc import Callable
from typing import Any, TypeGuard

from apps.gateway.pipeline.authenticators.jwt.key_sets import KeySet
from apps.gateway.pipeline.authenticators.jwt.parsing import ParsedToken
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.wire.snapshot import Issuer

USUAL_CLIENT_CLAIM = "azp"

CLIENT = "client"
"""What the check of the client is called, whose claim is the issuer's choice."""

LATEST = 1e15
"""No date lies behind this second: what is larger is no date."""

MOST_TRIED = 8
"""Keys that a token without a key ID is tried with: each costs a verification."""

_LONGEST_CLIENT = 512
"""Bytes of a client ID."""

_OTHER_TOKENS = frozenset({"at_hash", "c_hash", "s_hash", "events"})
"""Claims of ID tokens (OpenID Connect Core §3.3.2.11) and of security events (RFC 8417), which no access token has."""

Claims = dict[str, Any]


def signature_fault(token: ParsedToken, issuer: Issuer, keys: KeySet) -> TokenFault | None:
    """The algorithm must be one that the issuer may use and one that the key is for: the token's word alone decides nothing. A
    fault that another set of keys may mend is ``UNKNOWN_KEY``.
    """
    if token.algorithm not in issuer.algorithms:
        return TokenFault.WRONG_ALGORITHM
    key_id = None if issuer.secret else token.key_id
    fitting = keys.fitting(token.algorithm, key_id)
    if any(each.verifies(token) for each in fitting[:MOST_TRIED]):
        return None
    if fitting and (key_id is not None or issuer.secret):
        return TokenFault.WRONG_SIGNATURE
    if key_id is not None and any(each.key_id == key_id for each in keys.keys):
        return TokenFault.WRONG_ALGORITHM
    return TokenFault.UNKNOWN_KEY


def _kind_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    """What says by its claims that it is another kind of token: an ID token, a refresh token, a security event."""
    said = (claims.get("typ"), claims.get("token_use"))
    if claims.keys() & _OTHER_TOKENS or said[0] in ("ID", "Refresh", "Logout") or said[1] in ("id", "refresh"):
        return TokenFault.WRONG_TYPE
    return None


def _issuer_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    return None if claims.get("iss") == issuer.issuer else TokenFault.UNKNOWN_ISSUER


def _expiry_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    if "exp" not in claims:
        return TokenFault.NO_END
    if not is_date(claims["exp"]):
        return TokenFault.MALFORMED
    return TokenFault.EXPIRED if claims["exp"] + issuer.leeway <= now else None


def _not_before_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    return _beginning_fault(claims.get("nbf", 0), issuer, now)


def _issued_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    return _beginning_fault(claims.get("iat", 0), issuer, now)


def _beginning_fault(said: object, issuer: Issuer, now: float) -> TokenFault | None:
    if not is_date(said):
        return TokenFault.MALFORMED
    return TokenFault.NOT_YET_VALID if said - issuer.leeway > now else None


def _audience_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    said = claims.get("aud", [])
    named = [said] if isinstance(said, str) else said
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        return TokenFault.MALFORMED
    if issuer.audience and not set(named) & set(issuer.audience):
        return TokenFault.WRONG_AUDIENCE
    return None


def _subject_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    return None if isinstance(claims.get("sub", ""), str) else TokenFault.MALFORMED


def _holder_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    """A token that is bound to a key (RFC 7800) is good only with a proof of that key, and only DPoP's is checked here."""
    bound = claims.get("cnf")
    if bound is None:
        return TokenFault.NO_PROOF if issuer.dpop else None
    jkt = bound.get("jkt") if isinstance(bound, dict) else None
    return None if jkt and isinstance(jkt, str) else TokenFault.NOT_SUPPORTED


def _client_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    return TokenFault.NO_CLIENT if client_of(claims, issuer) is None else None


CLAIM_CHECKS: tuple[tuple[str, Callable[[Claims, Issuer, float], TokenFault | None]], ...] = (
    ("typ", _kind_fault),
    ("iss", _issuer_fault),
    ("exp", _expiry_fault),
    ("nbf", _not_before_fault),
    ("iat", _issued_fault),
    ("aud", _audience_fault),
    ("sub", _subject_fault),
    ("cnf", _holder_fault),
    (CLIENT, _client_fault),
)
"""Each by the claim that it is about, in the order in which they are made."""


def claims_fault(claims: Claims, issuer: Issuer, now: float) -> TokenFault | None:
    """The first fault of the claims at ``now`` (Unix seconds)."""
    for _, check in CLAIM_CHECKS:
        if fault := check(claims, issuer, now):
            return fault
    return None


def client_of(claims: Claims, issuer: Issuer) -> str | None:
    """The client's ID: what the issuer's claim for it says; ``client_id`` (RFC 9068 §2.2) where that is the usual one and isn't
    there. ``None``: there is none.
    """
    found = claims.get(issuer.client_claim)
    if found is None and issuer.client_claim == USUAL_CLIENT_CLAIM:
        found = claims.get("client_id")
    if isinstance(found, str) and 0 < len(found.encode()) <= _LONGEST_CLIENT:
        return found
    return None


def proof_key(claims: Claims) -> str:
    """The thumbprint of the key that must prove each call (RFC 9449 §6.1); empty: none must."""
    bound = claims.get("cnf")
    return bound["jkt"] if bound else ""


def is_date(found: object) -> TypeGuard[float]:
    """Whether it is a number of seconds (``NumericDate``, RFC 7519 §2)."""
    return isinstance(found, int | float) and not isinstance(found, bool) and abs(found) <= LATEST

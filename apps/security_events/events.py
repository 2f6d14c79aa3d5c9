"""What a security event token says (RFC 8417), and what is wrong with it, by the codes of RFC 8935 §2.4. Pure: time is given."""

from dataclasses import dataclass
from typing import Any

from apps.gateway.pipeline.authenticators.jwt.checks import is_date
from apps.gateway.pipeline.authenticators.jwt.parsing import ParsedToken, parse
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.wire.revocations import LONGEST_VALUE
from apps.wire.snapshot import Issuer

TYPES = frozenset({"secevent+jwt", "application/secevent+jwt"})

WINDOW = 600.0
"""Seconds that a token may have been on its way. Later it is refused: what it is about may have been settled since."""

CAEP, RISC = (f"https://schemas.openid.net/secevent/{profile}/event-type/" for profile in ("caep", "risc"))

ENDING = {
    f"{CAEP}session-revoked": "session revoked",
    f"{CAEP}credential-change": "credential changed",
    f"{RISC}sessions-revoked": "sessions revoked",
    f"{RISC}account-disabled": "account disabled",
    f"{RISC}account-purged": "account purged",
}
"""Events after which no token that the subject has is good, in words. Others are taken, and nothing is done."""


class Refused(Exception):
    """A token that isn't taken. ``code`` is one of RFC 8935 §2.4; the message says more to who looks after the issuer."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """A token's ID, and the subject whose tokens until ``at`` (Unix seconds) are over, with why; without a subject it is about
    something else.
    """

    jti: str
    subject: str = ""
    at: float = 0.0
    why: str = ""


def read(body: bytes) -> ParsedToken:
    """The token, of which nothing is verified. Raises ``Refused``."""
    parsed = parse(body.strip(), TYPES, typ_required=True)
    if isinstance(parsed, TokenFault):
        raise Refused("invalid_request", parsed.sentence)
    return parsed


def check_claims(token: ParsedToken, issuer: Issuer, now: float) -> None:
    """Raises ``Refused`` for a token of another issuer, for others, or of another time than now."""
    claims = token.claims
    if claims.get("iss") != issuer.issuer:
        raise Refused("invalid_issuer", "The token is of another issuer.")
    said = claims.get("aud", [])
    named = [said] if isinstance(said, str) else said
    if not isinstance(named, list) or (issuer.audience and not set(map(str, named)) & set(issuer.audience)):
        raise Refused("invalid_audience", "The token is meant for somebody else.")
    issued = claims.get("iat")
    if not is_date(issued) or not now - WINDOW - issuer.leeway <= issued <= now + issuer.leeway:
        raise Refused(
            "invalid_request", f"The token doesn't say in iat that it is of the last {WINDOW / 60:.0f} minutes."
        )


def event_of(token: ParsedToken, issuer: Issuer) -> SecurityEvent:
    """What it is about. Raises ``Refused`` where that can't be understood."""
    claims = token.claims
    jti, events = claims.get("jti"), claims.get("events")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_VALUE:
        raise Refused("invalid_request", "The token has no ID (jti).")
    if not isinstance(events, dict) or not all(isinstance(each, dict) for each in events.values()):
        raise Refused("invalid_request", "The token names no events.")
    for kind, payload in events.items():
        if kind in ENDING:
            subject = _subject(claims.get("sub_id", payload.get("subject")), issuer)
            return SecurityEvent(jti, subject, _time(claims, payload), ENDING[kind])
    return SecurityEvent(jti)


def _subject(said: Any, issuer: Issuer) -> str:
    """Of a subject identifier (RFC 9493) of the formats ``iss_sub`` and ``opaque``, or a ``user`` that is one."""
    if isinstance(said, dict) and isinstance(said.get("user"), dict):
        said = said["user"]
    found = None
    if isinstance(said, dict):
        form = said.get("format", said.get("subject_type"))
        if form in ("iss_sub", "iss-sub") and said.get("iss") == issuer.issuer:
            found = said.get("sub")
        elif form == "opaque":
            found = said.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_VALUE:
        raise Refused("invalid_request", "The subject is named by iss_sub, of this issuer, or by opaque.")
    return found


def _time(claims: dict[str, Any], payload: dict[str, Any]) -> float:
    """When it happened: as far as it says, and never after it was told."""
    issued = float(claims["iat"])
    for said in (claims.get("toe"), payload.get("event_timestamp")):
        if is_date(said):
            return min(float(said), issued)
    return issued

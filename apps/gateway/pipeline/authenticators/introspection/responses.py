"""What an introspection server's response says of a token (RFC 7662 §2.2). Pure: no clock, no input or output."""

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.upstream.exchange import ExchangeResponse
from apps.wire.snapshot import Introspection

LEEWAY = 30.0
"""Seconds by which the server's clock may be ahead of this one, where a token isn't valid before some time."""

LARGEST = 64 * 2**10
"""Bytes of a response that is read. All calls that wait for it read it by themselves, and others wait meanwhile."""

_ACCESS_TOKENS = frozenset({"bearer", "access_token"})
"""What ``token_type`` (RFC 6749 §7.1) or ``token_use`` says of an access token that its bearer may use, in lower case. A refresh
token is active too, and was never meant for an API.
"""


class UnusableResponse(Exception):
    """The response says nothing about the token; ``fault`` says why."""

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


@dataclass(slots=True, frozen=True)
class TokenInfo:
    """What is known of a token ``until`` a time (Unix seconds): why it opens nothing, or the JSON text of its claims."""

    until: float
    text: bytes = b""
    fault: TokenFault | None = None

    @property
    def claims(self) -> dict[str, Any]:
        """Its claims. Decoded anew each time: as text they take the bytes that are counted for them."""
        found: dict[str, Any] = msgspec.json.decode(self.text)
        return found


def read_response(server: Introspection, response: ExchangeResponse, asked: float) -> TokenInfo:
    """What the response to a question that was ``asked`` then (Unix seconds) says of the token, and for how long that holds: an
    active one no longer than its ``exp``. Raises ``UnusableResponse``.
    """
    status = response.status
    if status in (401, 403) or (status == 400 and _says_client_is_wrong(response.body)):
        raise UnusableResponse(TokenFault.SERVER_REFUSES)
    if status == 429 or status >= 500:
        raise UnusableResponse(TokenFault.SERVER_AWAY)
    media_type = response.field(b"content-type").partition(b";")[0].strip().lower()
    if status != 200 or len(response.body) > LARGEST or media_type != b"application/json":
        raise UnusableResponse(TokenFault.SERVER_INVALID)
    try:
        claims: dict[str, Any] = msgspec.json.decode(response.body, type=dict[str, Any])
        active = claims["active"]
        expires, begins, issued = (_time(claims.get(name), name) for name in ("exp", "nbf", "iat"))
    except (msgspec.DecodeError, RecursionError, KeyError, ValueError, OverflowError):
        raise UnusableResponse(TokenFault.SERVER_INVALID) from None
    if active is not True and active is not False:
        raise UnusableResponse(TokenFault.SERVER_INVALID)
    negative = asked + server.negative_cache
    if not active:
        return TokenInfo(negative, fault=TokenFault.INACTIVE)
    if expires is not None and expires <= asked:
        return TokenInfo(negative, fault=TokenFault.EXPIRED)
    early = max(begins or 0.0, issued or 0.0) - LEEWAY
    if early > asked:
        return TokenInfo(min(negative, early), fault=TokenFault.NOT_YET_VALID)
    if any(str(claims[name]).lower() not in _ACCESS_TOKENS for name in ("token_type", "token_use") if claims.get(name)):
        return TokenInfo(negative, fault=TokenFault.WRONG_TYPE)
    if claims.get("cnf"):
        # RFC 9449 §7.1, RFC 8705 §3: such a token is worth nothing without proof of the key, which a bearer doesn't give.
        return TokenInfo(negative, fault=TokenFault.BOUND)
    until = asked + server.cache
    return TokenInfo(until if expires is None else min(until, expires), response.body)


def _says_client_is_wrong(body: bytes) -> bool:
    """Whether an error (RFC 6749 §5.2) is about who asked: with credentials in the form, that may have status 400."""
    if len(body) > LARGEST:
        return False
    try:
        return msgspec.json.decode(body, type=dict[str, Any]).get("error") in ("invalid_client", "unauthorized_client")
    except (msgspec.DecodeError, RecursionError):
        return False


def _time(value: object, name: str) -> float | None:
    """A claim that is a time (Unix seconds). Raises ``ValueError``."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is no time")
    return float(value)

"""Signed messages: HMAC-SHA-256 over the time and the body. Pure: no clock, no rows.

The header is ``X-Apimgr-Signature: t=1800000000,v1=<hex>``: ``t`` is the time of signing in Unix seconds, and ``v1`` the
HMAC (RFC 2104) of ``<t>.<body>`` under the secret's text. A signature holds for five minutes around ``t``, so one that
was overheard can't be used later; within them a message counts once (see ``message_inbox``).
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

HEADER = "X-Apimgr-Signature"
WINDOW = 300.0
"""Seconds around the time of signing in which a signature holds: what clocks and retries need."""

_FORM = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})\Z")


class BadSignature(Exception):
    """Not signed by who holds the secret, or not lately. The message is for the sender."""


def sign(secret: str, body: bytes, at: int) -> str:
    """The header's value for ``body``, signed at ``at`` (Unix seconds)."""
    return f"t={at},v1={_digest(secret, str(at), body)}"


def check(value: str, body: bytes, secrets: Sequence[str], now: float) -> str:
    """The digest of a good signature, which is the same for no other message. Raises ``BadSignature``.

    ``secrets`` are those that hold now. What is wrong beyond form and time isn't told.
    """
    match = _FORM.match(value.replace(" ", ""))
    if match is None:
        raise BadSignature(f"Sign the message: {HEADER}: t=<Unix seconds>,v1=<HMAC-SHA-256 in hex>.")
    at, told = match.groups()
    # Each secret is compared, and in constant time, so that timing tells nothing of which one nearly fits.
    good = [hmac.compare_digest(_digest(secret, at, body), told) for secret in secrets]
    if not any(good):
        raise BadSignature("The signature is not of this body, time and API.")
    if abs(now - int(at)) > WINDOW:
        raise BadSignature("The signature is older than 5 minutes, or from the future: check the sender's clock.")
    return told


def _digest(secret: str, at: str, body: bytes) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()

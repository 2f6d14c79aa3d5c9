"""API keys as text: made, recognised, and turned into what is stored. Pure: no Django, no input or output.

A key of ours is ``amk_``, 43 base-62 digits (256 random bits) and 6 more that hold the CRC-32 of what stands before them,
so that a mistyped key, or one that a secret scanner found, is distinguished from a real one without a lookup.
Keys of other forms are imported and have no checksum.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from functools import lru_cache

MARK = "amk_"
"""How every key of ours begins."""

SHORTEST = 16
"""Characters that an imported key has at least."""

LONGEST = 512
"""Characters that any key has at most."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGIT_SET = frozenset(_DIGITS)
_BODY = 43  # the fewest base-62 digits that hold 256 bits
_CHECK = 6  # the fewest that hold 32
_LENGTH = len(MARK) + _BODY + _CHECK
_SECRET = re.compile(rb"am[kst](?:_|%5[Ff])(?:[0-9A-Za-z_-]|%5[Ff]){43,}")


def make_key() -> str:
    """A new key: 256 bits from the operating system, and their checksum."""
    body = MARK + _base62(int.from_bytes(secrets.token_bytes(32)), _BODY)
    return body + _checksum(body)


def looks_like_ours(secret: str) -> bool:
    """Whether ``secret`` has the form of our keys, right or wrong checksum."""
    return len(secret) == _LENGTH and secret.startswith(MARK) and _DIGIT_SET.issuperset(secret[len(MARK) :])


def checksum_ok(secret: str) -> bool:
    """Whether the checksum of a key that looks like ours is right: if not, there never was such a key."""
    return secret[-_CHECK:] == _checksum(secret[:-_CHECK])


def digest(pepper: bytes, secret: str) -> str:
    """What is stored instead of ``secret``: its HMAC-SHA-256 with the installation's ``pepper``, as 64 hex digits."""
    return hmac.digest(_hmac_key(pepper), secret.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()


def identifier_digest(pepper: bytes, kind: str, namespace: str, identifier: bytes) -> str:
    """What the record of another kind of credential is found by: a client ID, a certificate's fingerprint, a signing key's ID.
    Of another HMAC key than ``digest`` for each kind, so that no text imported as an API key can stand for one of these.
    """
    text = namespace.encode() + b" " + identifier  # namespaces are slugs, which have no blanks
    return hmac.digest(_identifier_key(pepper, kind), text, hashlib.sha256).hex()


def holds_secret(value: bytes) -> bool:
    """Whether a field, a path or a query has a secret of this platform in it: a key, a token of its REST API, or a session
    of its console, whose cookie a browser sends to the gateway too where both have one host name. By form, right or wrong
    checksum, because a key with one wrong character is as good as told; and where an address holds it, written as RFC 3986
    lets it be.
    """
    return (b"amk" in value or b"amt" in value or b"ams" in value) and _SECRET.search(value) is not None


def without_secrets(value: bytes) -> bytes:
    """``value``, for a log, with something that says so in place of such secrets."""
    return _SECRET.sub(b"(secret)", value) if holds_secret(value) else value


def shown_prefix(secret: str) -> str:
    """The first characters, by which people recognise a key: few enough to leave an imported one unguessable."""
    return secret[: len(MARK) + 8] if looks_like_ours(secret) else secret[:4]


@lru_cache(maxsize=4)
def _hmac_key(pepper: bytes) -> bytes:
    # A key of its own, so that the pepper serves no second end (MACs of the snapshot are derived from it too).
    return hashlib.blake2b(b"api key", key=hashlib.sha256(pepper).digest(), digest_size=32).digest()


@lru_cache(maxsize=16)
def _identifier_key(pepper: bytes, kind: str) -> bytes:
    return hashlib.blake2b(b"credential " + kind.encode(), key=hashlib.sha256(pepper).digest(), digest_size=32).digest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("utf-8", "surrogateescape")), _CHECK)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))

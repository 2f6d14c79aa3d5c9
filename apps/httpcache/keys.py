"""Cache keys: length-prefixed parts under SHA-256, so that no two different calls can share a key (RFC 9111 §2,
§4.1).

The first byte is the version of this form: a change of it makes every older entry unreachable rather than misread.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

VERSION = b"\x01"

LABELS = ("scheme", "host", "api", "revision group", "method", "path", "query", "headers", "scope", "owner")
"""What the parts of a key are, in order; "explain" shows them."""

BODY_LABELS = ("content type", "content encoding", "content fields", "body form", "body")
"""The further parts of a read-only POST or a QUERY: what describes the body, the form in which it was digested
(``json``, ``graphql`` or ``raw``), and the digest.
"""

_MEMO_LIMIT = 1024
"""Bytes of all parts up to which their key is remembered."""


def pack(parts: Sequence[bytes | None]) -> bytes:
    """Joins parts unambiguously; ``None`` differs from empty."""
    return b"".join(b"\xff" if part is None else b"\x00%s%s" % (len(part).to_bytes(4, "big"), part) for part in parts)


def digest(parts: Sequence[bytes | None]) -> bytes:
    """The key of these parts: 32 bytes."""
    return hashlib.sha256(VERSION + pack(parts)).digest()


_remembered = lru_cache(maxsize=4096)(digest)


def primary_key(parts: tuple[bytes | None, ...]) -> bytes:
    """The key under which a call's response stands. ``parts`` are those that ``LABELS`` names, and for a method with a
    body those of ``BODY_LABELS``; their order is the key's form. The method's class distinguishes the two forms.
    """
    return digest(parts) if sum(map(len, filter(None, parts))) > _MEMO_LIMIT else _remembered(parts)


def variant_key(primary: bytes, selecting: Sequence[tuple[bytes, bytes | None]]) -> bytes:
    """The key of one variant: the primary key and the request fields that ``Vary`` names (RFC 9111 §4.1)."""
    parts: list[bytes | None] = [b"variant", primary]
    for name, value in selecting:
        parts += (name, value)
    return digest(parts)

"""How a revoked token, or a subject whose tokens are over, is told to gateways: as a hash and a time. Pure: no Django, no input or
output.

A hash has 64 bits, of what is revoked and of the issuer that it belongs to, under a key of the installation: nobody can make a
token that has the hash of another's, and nothing that holds hashes tells whose they are. With a million of them a good token is
taken for a revoked one once in 10^13 tokens. They travel in 256 buckets, by their first byte, so that one more moves a few
kilobytes alone: with a million, fifty.
"""

import hashlib
import sys
from array import array
from collections.abc import Iterable
from functools import lru_cache

from apps.wire.snapshot import Revoked

JTI, SUBJECT = "jti", "subject"
"""What can be revoked at an issuer: one token, by its ID, and all tokens of a subject until a time."""

FOR_GOOD = 2**32 - 1
"""The mark of a token: whenever it was issued, it is over."""

LONGEST_VALUE = 4096
"""Characters of an ID or a subject: longer ones fit in no token that gateways take."""

HASH_BYTES, MARK_BYTES = 8, 4

BUCKETS = tuple(f"{number:02x}" for number in range(256))


def revocation_hash(pepper: bytes, kind: str, issuer: str, value: str) -> int:
    """The hash of a token's ID, or of a subject, of the issuer with this slug."""
    text = f"{kind} {issuer} {value}".encode("utf-8", "surrogatepass")  # neither kinds nor slugs have blanks
    return int.from_bytes(hashlib.blake2b(text, key=_key(pepper), digest_size=HASH_BYTES).digest())


def bucket_of(hashed: int) -> int:
    """The number of the bucket that a hash is in."""
    return hashed >> 56


def caller_of(issuer: str, subject: str) -> str:
    """Who calls with a token of this subject, whichever client it was issued to: what stored responses are known by."""
    return f"{issuer} {subject}"


def pack(bucket: str, rows: Iterable[tuple[int, int]]) -> Revoked:
    """The part of a bucket, of hashes and their marks: ``FOR_GOOD``, or the second (Unix time) up to which tokens are over. Of two
    with one hash the later mark counts.
    """
    latest: dict[int, int] = {}
    for hashed, mark in rows:
        latest[hashed] = max(mark, latest.get(hashed, 0))
    ordered = sorted(latest.items())
    return Revoked(
        bucket,
        _little_endian(array("Q", [hashed for hashed, _ in ordered])).tobytes(),
        _little_endian(array("I", [mark for _, mark in ordered])).tobytes(),
    )


def unpack(part: Revoked) -> tuple["array[int]", "array[int]"]:
    """The hashes of a bucket in ascending order, and their marks. Raises ``ValueError`` for a part that has others."""
    hashes, marks = array("Q", part.hashes), array("I", part.marks)
    if len(hashes) != len(marks):
        raise ValueError(f"bucket {part.bucket} of revocations has {len(hashes)} hashes and {len(marks)} marks")
    return _little_endian(hashes), _little_endian(marks)


def _little_endian(values: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        values.byteswap()
    return values


@lru_cache(maxsize=4)
def _key(pepper: bytes) -> bytes:
    return hashlib.blake2b(b"revocation", key=hashlib.sha256(pepper).digest(), digest_size=32).digest()

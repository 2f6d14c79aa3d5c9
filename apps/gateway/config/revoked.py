"""Revoked tokens and subjects, as a worker knows them: a question costs a binary search in one of 256 arrays."""

import logging
from array import array
from bisect import bisect_left

from apps.wire.revocations import BUCKETS, HASH_BYTES, MARK_BYTES, pack, unpack
from apps.wire.snapshot import Revoked

log = logging.getLogger(__name__)

MOST = 1_000_000
"""Revocations that the control plane keeps at once."""

MEMORY = MOST * (HASH_BYTES + MARK_BYTES) * 2
"""Bytes that they take here at most: while everything is read anew, the old ones are there beside the new ones."""


class RevokedTable:
    """The buckets that have anything in them, by number, as two arrays each: hashes, and the times up to which tokens are over."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[int, tuple[array[int], array[int]]] = {}

    def is_over(self, hashed: int, issued: int | None) -> bool:
        """Whether a token with this hash, of its ID or its subject, is revoked, where it was ``issued`` in this second (Unix time).
        One that doesn't say when counts as issued before everything.
        """
        bucket = self._buckets.get(hashed >> 56)
        if bucket is None:
            return False
        hashes, marks = bucket
        place = bisect_left(hashes, hashed)
        if place == len(hashes) or hashes[place] != hashed:
            return False
        return issued is None or issued <= marks[place]

    def put(self, part: Revoked) -> None:
        """Have a bucket in place of what stood there before. One that can't be read changes nothing."""
        try:
            self._buckets[BUCKETS.index(part.bucket)] = unpack(part)
        except ValueError as error:
            log.error("a bucket of revocations isn't taken: %s", error)

    def get(self, name: str) -> Revoked | None:
        """The part of a bucket; ``None``: nothing is in it."""
        bucket = self._buckets.get(BUCKETS.index(name)) if name in BUCKETS else None
        return None if bucket is None else pack(name, zip(*bucket, strict=True))

    def drop(self, name: str) -> None:
        """Have nothing in a bucket."""
        if name in BUCKETS:
            self._buckets.pop(BUCKETS.index(name), None)

    def __len__(self) -> int:
        return sum(len(hashes) for hashes, _ in self._buckets.values())

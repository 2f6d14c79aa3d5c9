"""The chain of audit entries: what an entry's hash is made of, so that an auditor can work it out without this program.

``hash`` is the SHA-256 of the entry's canonical form, which holds the hash of the entry before it: who changes, adds or removes
one must write all later ones anew, and meets every head (number and hash) that was kept elsewhere. ``mac`` is the HMAC-SHA-256 of
that hash under a key of the installation: who holds the database alone can't write them anew at all. See decision 32.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any, NamedTuple

from django.conf import settings

TEXTS = (
    *("actor_email", "via", "address", "agent", "request_id", "verb", "target_type", "target", "tenant_slug"),
    *("comment", "previous_hash"),
)
FIELDS = ("epoch", "at", *TEXTS, "changes", "affects")
"""Of an entry: what its hash is made of."""


class Links(NamedTuple):
    """What binds an entry into the chain: two times 64 hexadecimal digits."""

    hash: str
    mac: str


class Head(NamedTuple):
    """The last entry of a chain, or of a part of it: its number, and its hash ("" before the first)."""

    epoch: int
    hash: str

    def __str__(self) -> str:
        return f"{self.epoch}:{self.hash}"


def read_head(text: str) -> Head:
    """A head as ``verify`` prints it. Raises ``ValueError``."""
    number, _, digest = text.strip().partition(":")
    if not (number.isascii() and number.isdigit() and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise ValueError(f"{text!r} is not a head: write NUMBER:HASH, as audit verify prints it.")
    return Head(int(number), digest)


def canonical(entry: Mapping[str, Any]) -> bytes:
    """The canonical form of an entry, which has all of ``FIELDS``, or those that a row of an older release had.

    JSON with sorted keys, without spaces, in ASCII; whole numbers without a point; ``at`` in UTC with microseconds. What is empty
    is left out, so that a field that is added later changes no hash.
    """
    content = {name: str(entry[name]) for name in TEXTS if entry.get(name)}
    content |= {name: entry[name] for name in ("changes", "affects") if entry[name]}
    content |= {"epoch": entry["epoch"], "at": entry["at"].astimezone(UTC).isoformat(timespec="microseconds")}
    # Once through JSON, as the database takes it: PostgreSQL writes 1e3 as 1000, and a tuple becomes a list.
    read = json.loads(json.dumps(content), parse_float=_number)
    return json.dumps(read, sort_keys=True, separators=(",", ":")).encode()


def links_of(entry: Mapping[str, Any]) -> Links:
    """The hash and the MAC of an entry whose ``previous_hash`` is set."""
    digest = hashlib.sha256(canonical(entry)).hexdigest()
    return Links(digest, hmac.new(settings.AUDIT_MAC_KEY, digest.encode(), hashlib.sha256).hexdigest())


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number

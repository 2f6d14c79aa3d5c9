"""What is stored under one path, in labelled parts: so that "explain" can name the nearest stored response and say what
differs.

Beside each entry, in the same exchange, the shared tier gets a row in a small sorted set of the entry's API and path,
newest last. Keys are digests, which don't show what an entry was stored for. A row holds what
``RequestPlan.key_parts`` shows, no body and no credential, and is encrypted: paths and queries may be personal. The
encryption is deterministic (RFC 5297), so that storing an entry again moves its row rather than adding one.

Rows may outlive their entries, and are lost like them when the server evicts: they are a help, not a record.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings

from apps.cachestore.eviction import EvictionItem
from apps.httpcache import CacheEntry, RequestPlan
from apps.httpcache.keys import pack
from apps.httpcache.plan import shown_field

Shown = tuple[tuple[str, str], ...]


class IndexedResponse(msgspec.Struct, frozen=True, array_like=True):
    """One stored response: ``key`` is where it stands, ``call`` names the keys of calls like the one that it was stored
    for (``RequestPlan.key_name``), ``parts`` are its primary key's, ``selecting`` the fields that its ``Vary`` names,
    fit to be shown. ``owner`` and ``holder`` as in ``CacheEntry``.
    """

    key: bytes
    call: str
    parts: Shown
    selecting: Shown
    scope: int
    owner: bytes
    holder: tuple[str, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(IndexedResponse)


@lru_cache(maxsize=1)
def _secrets(master: bytes) -> tuple[bytes, AESSIV]:
    cipher = AESSIV(hashlib.blake2b(b"siblings", key=master, digest_size=64).digest())
    return hashlib.blake2b(b"sibling names", key=master, digest_size=32).digest(), cipher


def name_of(api: str, path: bytes) -> str:
    """The set of an API's path, which is normalised and below the listen path."""
    key, _ = _secrets(settings.ENTRY_MAC_KEY)
    return "siblings:" + hashlib.blake2b(pack((api.encode(), path)), key=key, digest_size=16).hexdigest()


def index_row(plan: RequestPlan, entry: CacheEntry, key: bytes) -> EvictionItem:
    """The row of an entry that is stored under ``key`` for a call with this plan."""
    index = plan.keys.index(entry.key) if entry.key in plan.keys else 0
    row = IndexedResponse(
        key,
        plan.key_name,
        plan.key_parts(index),
        tuple([(name.decode("latin-1"), shown_field(plan.policy, name, value)) for name, value in entry.selecting]),
        entry.scope,
        entry.owner,
        entry.holder,
    )
    name = name_of(entry.api, entry.path)
    _, cipher = _secrets(settings.ENTRY_MAC_KEY)
    sealed = cipher.encrypt(_encode(row), [name.encode()])
    return EvictionItem(name, sealed, max(1.0, entry.keep_until - entry.validated_at), entry.validated_at)


def read(name: str, rows: Sequence[bytes]) -> list[IndexedResponse]:
    """The rows of the set ``name_of`` gave; what this installation didn't write is left out."""
    _, cipher = _secrets(settings.ENTRY_MAC_KEY)
    found = []
    for row in rows:
        try:
            found.append(_decoder.decode(cipher.decrypt(row, [name.encode()])))
        except (InvalidTag, ValueError, msgspec.DecodeError):
            continue
    return found

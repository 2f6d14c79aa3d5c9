"""How entries travel to the shared tier and back: msgpack with a MAC, never pickle; large bodies compressed.

An attacker who can write to Redis can't make a gateway serve a response of theirs: a value without this
installation's MAC is no value, and is counted. Entries of ``personal`` APIs are encrypted as well. That an honest
entry stands under another's key is noticed by the core, which compares key, scope and owner on every hit.

A compressed entry is compressed before it is sealed. ``personal`` entries are not compressed: they are encrypted, and
the length of what was compressed together with a client's secret and an attacker's guess tells whether the guess was
right (CRIME, 2012). An attacker who sees lengths in Redis would learn what encryption hides.
"""

import hashlib
import hmac
import os
import re
import zlib
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django_redis.serializers.base import BaseSerializer

from apps.httpcache import CacheEntry, Variants

MAC_BYTES = 16
NONCE_BYTES = 12

COMPRESS_FROM = 4096
"""Bytes of body from which it is worth while."""

WORTH = 0.9
"""What compression must make of an entry at most, or it stays as it is."""

LARGEST = 64 * 2**20
"""Bytes that an entry decompresses to at most. Larger ones are stored as they are."""

LARGE = 32 * 2**10
"""Bytes from which an entry is worked on outside the event loop: in place, it would be felt."""

_COMPRESSIBLE = re.compile(
    rb"text/|application/(?:[a-z0-9.-]*\+)?(?:json|xml|yaml)\b|application/(?:x-)?(?:ndjson|javascript|jsonl|protobuf|wasm)\b"
    rb"|image/(?:svg\+xml|bmp)|font/(?:ttf|otf)",
    re.IGNORECASE,
)

_SIZE_BYTES = 4

_ENTRY, _COMPRESSED, _PERSONAL, _VARIANTS, _PLAIN = b"E", b"Z", b"P", b"V", b"M"


class Rejected:
    """What is read where a value stands that this installation didn't write. A miss."""

    def __repr__(self) -> str:
        return "REJECTED"


REJECTED = Rejected()


class Rejections:
    """How many values were rejected in this process. More than 0 is an alarm: something else writes to the shared tier."""

    count = 0


def is_large(value: object) -> bool:
    """Whether to make bytes of a record outside the event loop."""
    return isinstance(value, CacheEntry) and len(value.body) >= LARGE


def becomes_large(value: bytes) -> bool:
    """Whether to make a record of these bytes outside the event loop."""
    if len(value) < LARGE:
        start = 1 + MAC_BYTES
        return value[:1] == _COMPRESSED and int.from_bytes(value[start : start + _SIZE_BYTES], "big") >= LARGE
    return True


def is_compressible(entry: CacheEntry) -> bool:
    """Whether an entry's body is large, of a type that shrinks, not coded already, and no client's secret."""
    if entry.personal or len(entry.body) < COMPRESS_FROM:
        return False
    if any(name == b"content-encoding" for name, _ in entry.headers):
        return False
    return any(name == b"content-type" and _COMPRESSIBLE.match(value.lstrip()) for name, value in entry.headers)


class CacheEntrySerializer(BaseSerializer):
    """Entries, lists of variants, and plain data (for other users of the cache). ``loads`` never raises for foreign
    bytes.
    """

    def __init__(self, options: dict[str, Any] | None = None, key: bytes | None = None) -> None:
        super().__init__(options or {})
        master = settings.ENTRY_MAC_KEY if key is None else key
        self._mac_key = hashlib.blake2b(b"mac", key=master, digest_size=32).digest()
        self._cipher = AESGCM(hashlib.blake2b(b"personal", key=master, digest_size=32).digest())
        self._encoder = msgspec.msgpack.Encoder()
        self._entry = msgspec.msgpack.Decoder(CacheEntry)
        self._variants = msgspec.msgpack.Decoder(Variants)
        self._plain = msgspec.msgpack.Decoder()

    def dumps(self, value: Any) -> bytes:
        """The bytes of ``value``. Raises ``TypeError`` for what msgpack can't hold."""
        payload = self._encoder.encode(value)
        if isinstance(value, CacheEntry):
            kind = _ENTRY
            if value.personal:
                kind, nonce = _PERSONAL, os.urandom(NONCE_BYTES)
                payload = nonce + self._cipher.encrypt(nonce, payload, None)
            elif is_compressible(value) and len(payload) <= LARGEST:
                shrunk = len(payload).to_bytes(_SIZE_BYTES, "big") + zlib.compress(payload, 1)
                if len(shrunk) <= WORTH * len(payload):
                    kind, payload = _COMPRESSED, shrunk
        elif isinstance(value, Variants):
            kind = _VARIANTS
        else:
            kind = _PLAIN
        return kind + self._mac(kind, payload) + payload

    def loads(self, value: bytes) -> Any:
        """What ``dumps`` was given, or ``REJECTED``."""
        kind, mac, payload = value[:1], value[1 : 1 + MAC_BYTES], value[1 + MAC_BYTES :]
        if not hmac.compare_digest(mac, self._mac(kind, payload)):
            Rejections.count += 1
            return REJECTED
        try:
            if kind == _ENTRY:
                return self._entry.decode(payload)
            if kind == _COMPRESSED:
                return self._entry.decode(_decompressed(payload))
            if kind == _PERSONAL:
                return self._entry.decode(self._cipher.decrypt(payload[:NONCE_BYTES], payload[NONCE_BYTES:], None))
            return self._variants.decode(payload) if kind == _VARIANTS else self._plain.decode(payload)
        except (msgspec.DecodeError, InvalidTag, zlib.error):
            # Written by us, but by another version of the software.
            return REJECTED

    def _mac(self, kind: bytes, payload: bytes) -> bytes:
        mac = hashlib.blake2b(key=self._mac_key, digest_size=MAC_BYTES, person=b"apimgr entry")
        mac.update(kind)
        mac.update(payload)
        return mac.digest()


def _decompressed(payload: bytes) -> bytes:
    """What was compressed; never more than it says, nor than ``LARGEST``. Raises ``zlib.error``.

    The seal says that it is ours; the bound is for a fault of ours.
    """
    size = int.from_bytes(payload[:_SIZE_BYTES], "big")
    if not 0 < size <= LARGEST:
        raise zlib.error("too large")
    machine = zlib.decompressobj()
    found = machine.decompress(payload[_SIZE_BYTES:], size)
    if len(found) != size or machine.decompress(machine.unconsumed_tail, 1) or not machine.eof:
        raise zlib.error("not what it says")
    return found

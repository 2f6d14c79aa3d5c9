"""How entries travel to the shared tier and back: msgpack with a MAC, never pickle.

Whoever can write to Redis can still not make a gateway serve an answer of his own: a value without this
installation's MAC is no value, and is counted. Entries of ``personal`` APIs are encrypted as well. That an honest
entry stands under another's key is noticed by the core, which compares key, scope and owner on every hit.
"""

import hashlib
import hmac
import os
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django_redis.serializers.base import BaseSerializer

from apps.caching.http import Entry, Variants

MAC_BYTES = 16
NONCE_BYTES = 12

_ENTRY, _PERSONAL, _VARIANTS, _PLAIN = b"E", b"P", b"V", b"M"


class Rejected:
    """What is read where a value stands that this installation didn't write. A miss."""

    def __repr__(self) -> str:
        return "REJECTED"


REJECTED = Rejected()


class Rejections:
    """How many values were rejected in this process. More than 0 is an alarm: somebody writes to the shared tier."""

    count = 0


class EntrySerializer(BaseSerializer):
    """Entries, lists of variants, and plain data (for other users of the cache). ``loads`` never raises for foreign
    bytes.
    """

    def __init__(self, options: dict[str, Any] | None = None, key: bytes | None = None) -> None:
        super().__init__(options or {})
        master = settings.ENTRY_MAC_KEY if key is None else key
        self._mac_key = hashlib.blake2b(b"mac", key=master, digest_size=32).digest()
        self._cipher = AESGCM(hashlib.blake2b(b"personal", key=master, digest_size=32).digest())
        self._encoder = msgspec.msgpack.Encoder()
        self._entry = msgspec.msgpack.Decoder(Entry)
        self._variants = msgspec.msgpack.Decoder(Variants)
        self._plain = msgspec.msgpack.Decoder()

    def dumps(self, value: Any) -> bytes:
        """The bytes of ``value``. Raises ``TypeError`` for what msgpack can't hold."""
        payload = self._encoder.encode(value)
        if isinstance(value, Entry):
            kind = _ENTRY
            if value.personal:
                kind, nonce = _PERSONAL, os.urandom(NONCE_BYTES)
                payload = nonce + self._cipher.encrypt(nonce, payload, None)
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
            if kind == _PERSONAL:
                return self._entry.decode(self._cipher.decrypt(payload[:NONCE_BYTES], payload[NONCE_BYTES:], None))
            return self._variants.decode(payload) if kind == _VARIANTS else self._plain.decode(payload)
        except (msgspec.DecodeError, InvalidTag):
            # Written by us, but by another version of the software.
            return REJECTED

    def _mac(self, kind: bytes, payload: bytes) -> bytes:
        mac = hashlib.blake2b(key=self._mac_key, digest_size=MAC_BYTES, person=b"apimgr entry")
        mac.update(kind)
        mac.update(payload)
        return mac.digest()

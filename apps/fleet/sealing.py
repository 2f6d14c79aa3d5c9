"""Seals: whoever can write to Redis still can't change what gateways know. No ORM: gateways open what the control
plane sealed.

A sealed value is a MAC (keyed BLAKE2b, RFC 7693, 16 bytes) and the msgpack of a struct. The MAC covers the value's
name and the incarnation, so that neither two parts nor two times of the same state can be swapped unseen: a plan
can't stand in for another, and a record of before a refill is worth nothing after it.
"""

import hashlib
import hmac
from typing import TypeVar

import msgspec

MAC_BYTES = 16

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder] = {}


class BrokenSeal(Exception):
    """The value was not sealed with this installation's key, under this name, in this incarnation; or it is not of
    the type asked for."""


def _mac(key: bytes, incarnation: int, name: str, payload: bytes) -> bytes:
    mac = hashlib.blake2b(key=key, digest_size=MAC_BYTES, person=b"apimgr snapshot")
    bound = name.encode()
    mac.update(incarnation.to_bytes(8) + len(bound).to_bytes(4) + bound + payload)
    return mac.digest()


def seal(key: bytes, incarnation: int, name: str, value: msgspec.Struct) -> bytes:
    """``value`` ready for Redis. ``name`` is like ``api:products``, ``plan:standard`` or ``key:<digest>``."""
    payload = _encoder.encode(value)
    return _mac(key, incarnation, name, payload) + payload


def unseal(key: bytes, incarnation: int, name: str, sealed: bytes, kind: type[T]) -> T:
    """What ``seal`` was given. Raises ``BrokenSeal``."""
    mac, payload = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, incarnation, name, payload)):
        raise BrokenSeal(f"{name} does not carry this installation's seal.")
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError as error:
        # Sealed by us, but by another version of the software.
        raise BrokenSeal(f"{name} is not what this version of the gateway reads: {error}") from None

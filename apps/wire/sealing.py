"""Seals: an attacker who can write to Redis still can't change what gateways know, and one who can read it, its files or the
gateways' disk copies doesn't learn the credentials in header rules. No ORM: gateways open what the control plane sealed.

A sealed value is a random nonce and the msgpack of a struct under AES-256-GCM (NIST SP 800-38D). The value's name and
the incarnation are the additional data, so that neither two parts nor two times of the same state can be swapped
unseen: a plan can't stand in for another, and a record of before a refill is worth nothing after it.
"""

import os
from functools import lru_cache
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder] = {}


class BrokenSeal(Exception):
    """The value was not sealed with this installation's key, under this name, in this incarnation; or it is not of
    the type asked for."""


_cipher = lru_cache(maxsize=4)(AESGCM)


def _bound_to(incarnation: int, name: str) -> bytes:
    return incarnation.to_bytes(8) + name.encode()


def seal(key: bytes, incarnation: int, name: str, value: msgspec.Struct) -> bytes:
    """``value`` ready for Redis. ``name`` is like ``api:products``, ``plan:standard`` or ``key:<digest>``."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, _encoder.encode(value), _bound_to(incarnation, name))


def unseal(key: bytes, incarnation: int, name: str, sealed: bytes, kind: type[T]) -> T:
    """What ``seal`` was given. Raises ``BrokenSeal``."""
    try:
        payload = _cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(incarnation, name))
    except (InvalidTag, ValueError):  # ValueError: too short to hold anything
        raise BrokenSeal(f"{name} does not carry this installation's seal.") from None
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError as error:
        # Sealed by us, but by another version of the software.
        raise BrokenSeal(f"{name} is not what this version of the gateway reads: {error}") from None

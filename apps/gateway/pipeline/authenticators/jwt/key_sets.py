"""The keys of an issuer (RFC 7517), each bound to the algorithms that it may verify (RFC 8725 §3.1)."""

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from jwt import PyJWK
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from apps.gateway.pipeline.authenticators.jwt.parsing import ParsedToken, read_object

MOST_KEYS = 100
LEAST_BITS, MOST_BITS = 2048, 8192
"""Of RSA keys: shorter ones are weak (RFC 7518 §3.3), longer ones make each call dear."""

LONGEST_EXPONENT = 64
"""Bits of an RSA key's public exponent: with one as long as the modulus each signature would cost more than 10 ms. It is OpenSSL's
bound for moduli over 3072 bits.
"""

LEAST_SECRET = 32
"""Bytes of a shared secret: as many as SHA-256 has (RFC 7518 §3.2)."""

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
_CURVES = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
    ("OKP", "Ed448"): frozenset({"EdDSA", "Ed448"}),
}
ASYMMETRIC = _RSA.union(*_CURVES.values())
"""Algorithms whose keys may be told to everybody."""

_PUBLIC = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
"""The members of a public key that make it, as RFC 7638 §3.2 has them (RFC 8037 §2)."""

_SECRET = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_LONGEST_PART = 4096
"""Characters of a part of a key, of which nothing is computed before it is known to be small."""

_DEFAULT = get_default_algorithms()
_ALGORITHMS: dict[str, Algorithm] = {
    name: _DEFAULT["EdDSA" if name in ("Ed25519", "Ed448") else name]  # RFC 9864: the curve's own name for the same
    for name in ASYMMETRIC | _SYMMETRIC
}
_READ_AS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}
"""An algorithm whose keys are read as all of a type are."""


@dataclass(slots=True, frozen=True)
class Key:
    """``algorithms`` are those that it may verify; ``thumbprint`` is that of RFC 7638, in base64url."""

    key_id: str | None
    algorithms: frozenset[str]
    thumbprint: str
    material: Any

    def verifies(self, token: ParsedToken) -> bool:
        """Whether it made the token's signature, with the algorithm that the token names."""
        name = token.algorithm
        return name in self.algorithms and _ALGORITHMS[name].verify(token.signing_input, self.material, token.signature)

    @property
    def identity(self) -> tuple[str | None, frozenset[str], str]:
        """What makes it the same key as another."""
        return self.key_id, self.algorithms, self.thumbprint


@dataclass(slots=True, frozen=True, eq=False)
class KeySet:
    """Keys, and a sentence for each that isn't taken. Two are never the same one: what was verified by one set says nothing of
    another.
    """

    keys: tuple[Key, ...]
    refused: tuple[str, ...] = ()

    def fitting(self, algorithm: str, key_id: str | None) -> list[Key]:
        """Those that may have made a signature: with this ID, where there is one."""
        return [
            each for each in self.keys if algorithm in each.algorithms and (key_id is None or each.key_id == key_id)
        ]

    @property
    def identities(self) -> frozenset[tuple[str | None, frozenset[str], str]]:
        """What tells a set from another one."""
        return frozenset(each.identity for each in self.keys)


def read_key_set(text: bytes) -> KeySet:
    """The keys of a JWK set. Raises ``ValueError`` with a sentence where it is none, or has too many keys."""
    try:
        found = read_object(text)
    except ValueError:
        raise ValueError("This is no JWK set: no JSON object.") from None
    listed = found.get("keys")
    if not isinstance(listed, list):
        raise ValueError("This is no JWK set: its keys are no list.")
    if len(listed) > MOST_KEYS:
        raise ValueError(f"The JWK set has more than {MOST_KEYS} keys.")
    keys, refused = [], []
    for place, each in enumerate(listed, 1):
        try:
            keys.append(read_key(each))
        except ValueError as error:
            named = each.get("kid") if isinstance(each, dict) else None
            refused.append(f"Key {named[:64]!r}: {error}" if isinstance(named, str) else f"Key {place}: {error}")
    return KeySet(tuple(keys), tuple(refused))


def read_key(found: Any) -> Key:
    """A public key for signatures. Raises ``ValueError`` with a sentence."""
    if not isinstance(found, dict):
        raise ValueError("It is no JSON object.")
    kind = found.get("kty")
    if kind == "oct" or found.keys() & _SECRET:
        raise ValueError("It is a private or a symmetric key, which has no place in public.")
    if not isinstance(kind, str) or kind not in _PUBLIC:
        raise ValueError("Its type (kty) is none of RSA, EC and OKP.")
    uses = found.get("key_ops", ["verify"])
    if found.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        raise ValueError("It is not for signatures (use, key_ops).")
    algorithms = _RSA if kind == "RSA" else _CURVES.get((kind, str(found.get("crv"))), frozenset())
    if not algorithms:
        raise ValueError("Its curve (crv) is none of P-256, P-384, P-521, Ed25519 and Ed448.")
    if "alg" in found:
        algorithms &= {str(found["alg"])}
        if not algorithms:
            raise ValueError("Its algorithm (alg) is not one that such a key has.")
    public = {name: found.get(name) for name in _PUBLIC[kind]}
    if not all(isinstance(value, str) and len(value) <= _LONGEST_PART for value in public.values()):
        raise ValueError("It lacks a part of the key, or one is too long.")
    key_id = found.get("kid")
    if not isinstance(key_id, str | None):
        raise ValueError("Its ID (kid) is no text.")
    try:
        material = PyJWK(public, _READ_AS[kind]).key
    except (PyJWTError, ValueError):
        raise ValueError("It can't be read.") from None
    if kind == "RSA" and not LEAST_BITS <= material.key_size <= MOST_BITS:
        raise ValueError(f"It has {material.key_size} bits, not {LEAST_BITS} to {MOST_BITS}.")
    if kind == "RSA" and material.public_numbers().e.bit_length() > LONGEST_EXPONENT:
        raise ValueError(f"Its exponent (e) has more than {LONGEST_EXPONENT} bits.")
    return Key(key_id, algorithms, thumbprint(public), material)


def key_of_secret(secret: bytes) -> KeySet:
    """A shared secret as an issuer's only key. Raises ``ValueError`` for a short one."""
    if len(secret) < LEAST_SECRET:
        raise ValueError(f"The secret has less than {LEAST_SECRET} bytes.")
    return KeySet((Key(None, _SYMMETRIC, hashlib.sha256(secret).hexdigest(), secret),))


def thumbprint(public: dict[str, Any]) -> str:
    """Of the members of a public key (RFC 7638)."""
    text = json.dumps(public, separators=(",", ":"), sort_keys=True)
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

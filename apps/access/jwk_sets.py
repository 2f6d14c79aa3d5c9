"""Public keys of issuers, as their administrators write them: JWK sets (RFC 7517), checked. Pure."""

import base64
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.core.exceptions import ValidationError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from apps.foundation import field_names

MOST_KEYS = 100
LARGEST = 256 * 1024
"""Bytes of a set as JSON."""

SHORTEST_RSA, LONGEST_RSA = 2048, 8192
"""Bits of a modulus: shorter ones are weak (RFC 7518 §3.3), longer ones take gateways long."""

_ED = ("Ed25519", "Ed448")
_NEEDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", ())),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", _ED),
}
"""Which type of key an algorithm needs, and on which curves."""

SIGNATURES = tuple(_NEEDS)
"""Algorithms that are checked with a public key (RFC 7518 §3.1, RFC 8037)."""

_CURVES = {curve for _, curves in _NEEDS.values() for curve in curves}
_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


def check_jwk_set(value: object, algorithms: Collection[str]) -> dict[str, Any]:
    """A set of public keys, of which one at least signs by one of ``algorithms``. Raises ``ValueError`` with a sentence, or
    ``ValidationError`` by path.
    """
    keys = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(keys, list):
        raise ValueError('A JWK set is an object with keys, a list: {"keys": [...]}.')
    if len(json.dumps(value)) > LARGEST:
        raise ValueError(f"At most {LARGEST // 1024} KiB.")
    if not 0 < len(keys) <= MOST_KEYS:
        raise ValueError(f"Between one and {MOST_KEYS} keys.")
    errors: field_names.Errors = {}
    names: list[str] = []
    for index, key in enumerate(keys):
        field_names.attempt(errors, f"keys.{index}", _check_key, key)
        name = key.get("kid") if isinstance(key, dict) else None
        if name is not None and name in names:
            errors.setdefault(f"keys.{index}", []).append(f"There is another key with the kid {name!r}.")
        elif isinstance(name, str):
            names.append(name)
    if errors:
        raise ValidationError(dict(errors))
    if not any(signs(key, algorithms) for key in keys):
        raise ValueError(f"None of these keys signs with {' or '.join(algorithms) or 'any of the algorithms'}.")
    return dict(value)


def signs(key: Mapping[str, Any], algorithms: Collection[str]) -> bool:
    """Whether a signature of a key by one of ``algorithms`` can be checked: its type, curve, ``use`` and ``alg`` say so."""
    if key.get("use", "sig") != "sig" or "verify" not in key.get("key_ops", ["verify"]):
        return False
    for name in algorithms:
        kind, curves = _NEEDS.get(name, ("", ()))
        if key.get("kty") == kind and (not curves or key.get("crv") in curves) and key.get("alg", name) == name:
            return True
    return False


def described_keys(jwks: Mapping[str, Any] | None) -> list[str]:
    """Each key of a checked set by its ``kid`` and the beginning of its thumbprint (RFC 7638): for the audit log."""
    return (
        [f"{key.get('kid', 'without kid')} ({key.get('kty')} {_thumbprint(key)[:12]})" for key in jwks["keys"]]
        if jwks
        else []
    )


def _thumbprint(key: Mapping[str, Any]) -> str:
    members = {name: key.get(name) for name in _MEMBERS[str(key.get("kty"))]}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def _check_key(key: object) -> None:
    if not isinstance(key, dict):
        raise ValueError("A key is an object, like {kty: EC, crv: P-256, x: ..., y: ...}.")
    if private := [name for name in _PRIVATE if name in key]:
        raise ValueError(
            f"It has {private[0]}, which is secret: write public keys only, and replace this one, which was told."
        )
    kind, name = key.get("kty"), key.get("kid")
    if kind not in _MEMBERS:
        raise ValueError("kty is RSA, EC or OKP.")
    if name is not None and not (isinstance(name, str) and 0 < len(field_names.text(name)) <= 256):
        raise ValueError("kid is a text of up to 256 characters.")
    if not isinstance(key.get("key_ops", []), list):
        raise ValueError("key_ops is a list.")
    if key.get("use", "sig") != "sig":
        return  # for encryption: never used here, and of whatever form
    if kind != "RSA" and key.get("crv") not in _CURVES:
        raise ValueError(f"crv is one of {', '.join(sorted(_CURVES))}.")
    bits = _bits_of(key)
    if bits is not None and not SHORTEST_RSA <= bits <= LONGEST_RSA:
        raise ValueError(f"An RSA key has {SHORTEST_RSA} to {LONGEST_RSA} bits; this one has {bits}.")


def _bits_of(key: dict[str, Any]) -> int | None:
    """How long an RSA key is; ``None`` of others. Raises ``ValueError`` for what is no key."""
    readers = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
    try:
        found = readers[key["kty"]](key)
    except (InvalidKeyError, ValueError, TypeError, AttributeError):
        raise ValueError("This is no key: a member is missing, or isn't the base64url of what belongs there.") from None
    return found.key_size if isinstance(found, RSAPublicKey) else None

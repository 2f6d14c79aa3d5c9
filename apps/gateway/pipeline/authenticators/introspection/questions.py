"""The question that a gateway puts to an introspection server about a token (RFC 7662 §2.1), and how it says who asks."""

import base64
import secrets
from collections.abc import Mapping
from urllib.parse import quote_plus, urlencode

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from apps.wire.snapshot import Introspection

ASSERTION_LIFE = 60
"""Seconds for which an assertion of the gateway is good."""

SMALLEST_RSA = 2048
"""Bits of an RSA key (RFC 7518 §3.3)."""

Fields = list[tuple[bytes, bytes]]
_Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey

_OF_CURVE: Mapping[type, str] = {SECP256R1: "ES256", SECP384R1: "ES384", SECP521R1: "ES512"}


class KeyUnusable(ValueError):
    """The private key (PEM) of ``private_key_jwt`` is none that signs assertions."""


class Questions:
    """Questions to one server, as its configuration says. Raises ``KeyUnusable``."""

    def __init__(self, server: Introspection) -> None:
        self._server = server
        self._key: _Key | None = None
        if server.client_authentication == "private_key_jwt":
            self._key, self._algorithm = _signing_key(server.secret)

    def about(self, token: bytes, now: float) -> tuple[Fields, bytes]:
        """Fields and body of a question about a token that is asked ``now`` (Unix seconds)."""
        server = self._server
        form = {"token": token, "token_type_hint": b"access_token"}
        fields: Fields = [(b"content-type", b"application/x-www-form-urlencoded")]
        if server.client_authentication == "basic":
            # Both are encoded as in a form first (RFC 6749 §2.3.1), so that a colon in them separates nothing.
            pair = f"{quote_plus(server.client_id)}:{quote_plus(server.secret)}"
            fields.append((b"authorization", b"Basic " + base64.b64encode(pair.encode())))
        elif server.client_id:
            form["client_id"] = server.client_id.encode()
        if server.client_authentication == "post":
            form["client_secret"] = server.secret.encode()
        elif self._key is not None:
            form["client_assertion_type"] = b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            form["client_assertion"] = self._assertion(self._key, int(now)).encode()
        return fields, urlencode(form).encode()

    def _assertion(self, key: _Key, now: int) -> str:
        """A token of the gateway's own, which says who asks (RFC 7523 §3)."""
        server = self._server
        claims = {
            "iss": server.client_id,
            "sub": server.client_id,
            "aud": server.url,
            "iat": now,
            "exp": now + ASSERTION_LIFE,
            "jti": secrets.token_urlsafe(16),
        }
        return jwt.encode(claims, key, algorithm=self._algorithm)


def _signing_key(pem: str) -> tuple[_Key, str]:
    """A private key and the algorithm that goes with its type. Raises ``KeyUnusable``."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnusable("not a private key in PEM, without a password") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= SMALLEST_RSA:
        return key, "RS256"
    if isinstance(key, EllipticCurvePrivateKey) and type(key.curve) in _OF_CURVE:
        return key, _OF_CURVE[type(key.curve)]
    if isinstance(key, Ed25519PrivateKey | Ed448PrivateKey):
        return key, "EdDSA"
    raise KeyUnusable("neither RSA with 2048 bits or more, nor a NIST curve, nor Ed25519 or Ed448")

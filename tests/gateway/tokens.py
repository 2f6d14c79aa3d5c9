"""An issuer of tokens for tests: its keys, its tokens, made by another library than the gateway's, and what is forged of them."""

import json
import warnings
from base64 import urlsafe_b64encode
from functools import lru_cache
from time import time
from typing import Any

from django.conf import settings
from joserfc import jwk, jwt
from joserfc.errors import SecurityWarning
from joserfc.jws import JWSRegistry

from apps.wire.api_keys import identifier_digest
from apps.wire.snapshot import Credential, Grant, Issuer
from tests.gateway.house import credential

ISSUER = "https://id.corp.test/"
CLIENT = "bot-client"
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@lru_cache(maxsize=32)
def key(algorithm: str = "ES256", key_id: str | None = "one", number: int = 0) -> Any:
    """A key pair; the same one for the same arguments."""
    parameters = {} if key_id is None else {"kid": key_id}
    if algorithm in _CURVES:
        return jwk.ECKey.generate_key(_CURVES[algorithm], parameters)
    if algorithm == "EdDSA":
        return jwk.OKPKey.generate_key("Ed25519", parameters)
    return jwk.RSAKey.generate_key(2048, parameters)


def key_set(*keys: Any, **changes: Any) -> str:
    """Public keys as a JWK set; ``changes`` are made to each."""
    return json.dumps({"keys": [each.as_dict(private=False) | changes for each in keys or (key(),)]})


def issuer(slug: str = "corp", **changes: Any) -> Issuer:
    """An issuer whose one key stands in its configuration."""
    fields: dict[str, Any] = {
        "slug": slug,
        "tenant": "",
        "issuer": ISSUER,
        "algorithms": ("ES256", "RS256"),
        "audience": ("apimgr",),
        "client_claim": "azp",
        "leeway": 30.0,
    }
    if not changes.keys() & {"jwks", "jwks_url", "discovery", "secret"}:
        fields["jwks"] = key_set()
    return Issuer(**(fields | changes))


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token; ``None`` leaves one out."""
    now = int(time())
    said = {"iss": ISSUER, "aud": "apimgr", "azp": CLIENT, "sub": "ann", "iat": now, "exp": now + 300} | changes
    return {name: value for name, value in said.items() if value is not None}


def token(signed_by: Any = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token with these ``changes`` of its claims and its ``header``."""
    signed_by = signed_by or key()
    algorithm = (header or {}).get("alg") or algorithm_of(signed_by)
    said = {"alg": algorithm, "typ": "JWT"} | ({"kid": signed_by.kid} if signed_by.kid else {}) | (header or {})
    said = {name: value for name, value in said.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of EdDSA, whose name RFC 9864 deprecates
        return jwt.encode(said, claims(**changes), signed_by, algorithms=[algorithm])


def algorithm_of(signed_by: Any) -> str:
    """The algorithm that a key is for."""
    public = signed_by.as_dict()
    found = {curve: name for name, curve in _CURVES.items()} | {"Ed25519": "EdDSA"}
    return str(found.get(public.get("crv"), "RS256"))


def raw_token(header: str | dict[str, Any], payload: str | dict[str, Any], signed_by: Any = None) -> str:
    """A token of any texts, signed with ES256 all the same: the only thing wrong with it is what was put there."""
    parts = [each if isinstance(each, str) else json.dumps(each) for each in (header, payload)]
    signing_input = ".".join(base64url(each.encode()) for each in parts)
    made = JWSRegistry.algorithms["ES256"].sign(signing_input.encode(), signed_by or key())
    return f"{signing_input}.{base64url(made)}"


def base64url(data: bytes) -> str:
    """Without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def client_credential(
    grants: dict[str, Grant], client: str = CLIENT, namespace: str = "", key_id: int = 7, **changes: Any
) -> Credential:
    """The record of an application's client ID."""
    digest = identifier_digest(settings.KEY_PEPPER, "client_id", namespace, client.encode())
    return credential("unused", grants, key_id, digest=digest, kind="client_id", **changes)

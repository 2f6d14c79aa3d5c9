"""Of an issuer's keys those are taken that verify signatures safely; the others are named, with the reason."""

import json
from typing import Any

import pytest
from joserfc import jwk

from apps.gateway.pipeline.authenticators.jwt.key_sets import MOST_KEYS, read_key_set, thumbprint
from tests.gateway.tokens import base64url, key, key_set

PUBLIC = key().as_dict(private=False)
RSA = key("RS256").as_dict(private=False)


def read(*keys: Any) -> Any:
    return read_key_set(json.dumps({"keys": keys}).encode())


def test_public_keys_of_all_kinds_are_read():
    keys = [key(each, each) for each in ("RS256", "ES256", "ES384", "ES512", "EdDSA")]
    found = read_key_set(key_set(*keys).encode())
    assert not found.refused
    assert [each.key_id for each in found.keys] == ["RS256", "ES256", "ES384", "ES512", "EdDSA"]
    assert found.keys[1].algorithms == {"ES256"}
    assert "PS512" in found.keys[0].algorithms
    assert [each.thumbprint for each in found.keys] == [each.thumbprint() for each in keys]


def test_a_key_that_names_its_algorithm_is_for_that_alone():
    assert read(RSA | {"alg": "PS256"}).keys[0].algorithms == {"PS256"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (key().as_dict(private=True), "private"),
        (key("RS256").as_dict(private=True), "private"),
        (RSA | {"d": "x"}, "private"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "symmetric"),
        (PUBLIC | {"use": "enc"}, "signatures"),
        (PUBLIC | {"key_ops": ["encrypt"]}, "signatures"),
        (PUBLIC | {"key_ops": "verify"}, "signatures"),
        (PUBLIC | {"key_ops": 1}, "signatures"),
        (PUBLIC | {"alg": "RS256"}, "alg"),
        (RSA | {"n": "A" * 100_000}, "long"),
        (PUBLIC | {"alg": "none"}, "alg"),
        (RSA | {"alg": "HS256"}, "alg"),
        (PUBLIC | {"crv": "secp256k1"}, "curve"),
        (PUBLIC | {"crv": "P-384"}, "read"),
        (PUBLIC | {"crv": ["P-256"]}, "curve"),
        (PUBLIC | {"y": PUBLIC["x"]}, "read"),
        (PUBLIC | {"x": 1}, "lacks"),
        ({"kty": "EC", "crv": "P-256", "kid": "one"}, "lacks"),
        ({"kty": "DSA"}, "kty"),
        ({"kty": ["RSA"]}, "kty"),
        ({}, "kty"),
        (PUBLIC | {"kid": 1}, "kid"),
        (RSA | {"n": ""}, "read"),
        (RSA | {"n": base64url(bytes(256))}, ""),
        (RSA | {"e": "AA"}, "read"),
        (RSA | {"e": base64url(bytes([1, 0, 0, 0, 0, 0, 0, 0, 1]))}, "exponent"),
        ("key", "object"),
        (None, "object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_key_is_left_out_and_the_reason_is_told(changed: Any, reason: str):
    found = read(changed, PUBLIC | {"kid": "good"})
    assert [each.key_id for each in found.keys] == ["good"]
    assert len(found.refused) == 1
    assert reason in found.refused[0]


@pytest.mark.parametrize("bits", [1024, 16384])
def test_rsa_keys_are_neither_weak_nor_dear(bits: int):
    number = (1 << (bits - 1)) + 1
    found = read(RSA | {"n": base64url(number.to_bytes(bits // 8))})
    assert not found.keys
    assert f"{bits} bits" in found.refused[0]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b"<html>",
        b"\xff\xfe{}",
        b'{"keys":' + b"[" * 100_000,
        json.dumps({"keys": [PUBLIC] * (MOST_KEYS + 1)}).encode(),
    ],
    ids=lambda text: text[:20].decode("latin-1"),
)
def test_what_is_no_key_set_is_refused_whole(text: bytes):
    with pytest.raises(ValueError, match="JWK set"):
        read_key_set(text)


def test_as_many_keys_as_may_be_are_taken():
    assert len(read(*[PUBLIC] * MOST_KEYS).keys) == MOST_KEYS


def test_the_name_of_a_key_is_cut_where_a_reason_tells_it():
    assert len(read(PUBLIC | {"kid": "x" * 10_000, "use": "enc"}).refused[0]) < 200


def test_a_thumbprint_is_that_of_the_standard():
    """RFC 7638 §3.1."""
    number = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn"
        "64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91C"
        "bOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert thumbprint({"kty": "RSA", "n": number, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_another_library_agrees_on_thumbprints():
    for algorithm in ("ES256", "ES512", "EdDSA", "RS256"):
        made = jwk.import_key(key(algorithm).as_dict(private=False))
        assert read_key_set(key_set(key(algorithm)).encode()).keys[0].thumbprint == made.thumbprint()

"""Which tokens are good (RFC 8725 whole), whose they are, and what they allow. Without a server: time and keys are given."""

import hashlib
import hmac
import json
from collections.abc import Callable
from time import time
from typing import Any

import pytest
from joserfc import jwe, jwk, jwt

from apps.cachestore.purges import PurgedTags
from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.authenticators import Identified, Refused
from apps.gateway.pipeline.authenticators.jwt import SignedTokens
from apps.gateway.pipeline.authenticators.jwt.parsing import ParsedToken, parse
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.stages import Need
from apps.httpcache.patterns import parse_pattern
from apps.wire.snapshot import API, Issuer, ScopeRule, TokenRules
from tests.gateway.house import api
from tests.gateway.tokens import (
    CLIENT,
    ISSUER,
    algorithm_of,
    base64url,
    claims,
    issuer,
    key,
    key_set,
    raw_token,
    token,
)

PLAIN = api(authentication=("jwt",), jwt=TokenRules(issuers=("corp",)))
SECRET = "a secret of thirty-two bytes and more"


def sources_of(*issuers: Issuer) -> Sources:
    config = WorkerConfig(PurgedTags(), 900.0)
    for each in issuers or (issuer(),):
        config.put(each)
    return Sources(config)


def identified(
    given: str,
    sources: Sources | None = None,
    at: API = PLAIN,
    *,
    method: str = "GET",
    path: bytes = b"/products/items",
    now: float | None = None,
    scheme: str = "Bearer",
    more: tuple[tuple[bytes, bytes], ...] = (),
    call_id: str = "call",
) -> Identified | Need | Refused | None:
    """What the gateway finds of a token."""
    headers = ((b"host", b"api.test"), (b"authorization", f"{scheme} {given}".encode()), *more)
    x = Call(method, path, headers, call_id=call_id, began=0.0, at=time() if now is None else now)
    x.api, x.path, x.host, x.told_host = at, path, b"api.test", b"api.test"
    way = SignedTokens()
    presented = way.find(at, x.headers)
    return None if presented is None else way.identify(x, presented, sources or sources_of())


def fault_of(given: str, sources: Sources | None = None, **how: Any) -> TokenFault | None:
    found = identified(given, sources, **how)
    assert not isinstance(found, Need)
    return TokenFault(found.why) if isinstance(found, Refused) else None  # type: ignore[call-arg]


# Good ones


@pytest.mark.parametrize(
    "signed_by", [key("ES256"), key("ES384"), key("ES512"), key("EdDSA"), key("RS256")], ids=algorithm_of
)
def test_a_token_says_whose_it_is_and_until_when(signed_by: Any):
    sources = sources_of(issuer(jwks=key_set(signed_by), algorithms=(algorithm_of(signed_by),)))
    said = claims()
    found = identified(token(signed_by), sources)
    assert found == Identified(CLIENT.encode(), float(said["exp"]), "client_id", "", "corp ann")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_an_rsa_key_is_for_the_algorithms_that_its_issuer_names(algorithm: str):
    sources = sources_of(issuer(jwks=key_set(key("RS256")), algorithms=(algorithm,)))
    assert fault_of(token(key("RS256"), {"alg": algorithm}), sources) is None
    assert fault_of(token(key("RS256")), sources) is TokenFault.WRONG_ALGORITHM


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_shared_secret_signs_for_an_issuer_that_has_one(algorithm: str):
    sources = sources_of(issuer(secret=SECRET, algorithms=(algorithm,)))
    shared = jwk.OctKey.import_key(SECRET)
    assert fault_of(token(shared, {"alg": algorithm}), sources) is None
    assert fault_of(token(shared, {"alg": algorithm, "kid": "any"}), sources) is None
    other = jwk.OctKey.import_key("another" + SECRET)
    assert fault_of(token(other, {"alg": algorithm}), sources) is TokenFault.WRONG_SIGNATURE


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", "apimgr"]},
        {"azp": None, "client_id": CLIENT},
        {"sub": None},
        {"iat": None},
        {"jti": "1", "anything": {"deep": [1, {"x": None}]}},
        {"cnf": None},
    ],
    ids=str,
)
def test_good_claims(changes: dict[str, Any]):
    assert fault_of(token(None, None, **changes)) is None


@pytest.mark.parametrize(("name", "seconds"), [("nbf", -5), ("nbf", 20), ("iat", 20), ("exp", -20), ("exp", 20.5)])
def test_clocks_may_differ_by_the_leeway(name: str, seconds: float):
    assert fault_of(token(None, None, **{name: int(time()) + seconds})) is None


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_access_tokens_name_their_type_or_none(typ: str | None):
    assert fault_of(token(None, {"typ": typ})) is None


def test_a_token_without_a_key_id_is_tried_with_the_keys_of_its_algorithm():
    nameless = key("ES256", None)
    sources = sources_of(issuer(jwks=key_set(key("RS256"), key(), key("ES256", "two"), nameless)))
    assert fault_of(token(nameless), sources) is None


def test_where_an_issuer_names_another_claim_that_is_the_client_alone():
    sources = sources_of(issuer(client_claim="app"))
    found = identified(token(None, None, app="its-app"), sources)
    assert isinstance(found, Identified)
    assert found.by == b"its-app"
    assert fault_of(token(None, None, client_id="x"), sources) is TokenFault.NO_CLIENT


def test_any_audience_is_good_where_the_issuer_says_so():
    sources = sources_of(issuer(audience=()))
    for said in (None, "other", ["a", "b"], []):
        assert fault_of(token(None, None, aud=said), sources) is None


def test_keys_that_a_token_brings_along_count_for_nothing():
    own = key("ES256", "one", 1)
    for name, value in (
        ("jwk", own.as_dict(private=False)),
        ("jku", "https://evil.test/keys"),
        ("x5u", "https://evil.test/keys"),
        ("x5c", ["MIIB"]),
    ):
        header = {"alg": "ES256", "kid": "one", name: value}
        assert fault_of(raw_token(header, claims(), own)) is TokenFault.WRONG_SIGNATURE
        assert fault_of(raw_token(header, claims())) is None


# Forged and malformed ones

PARTS = token().split(".")
PUBLIC_PEM = key("RS256").as_pem(private=False)
RSA_ISSUER = issuer(jwks=key_set(key("RS256")), algorithms=("RS256", "HS256"))


def unsigned(**header: Any) -> str:
    return f"{base64url(json.dumps({'alg': 'none', **header}).encode())}.{PARTS[1]}."


def confused() -> str:
    """Signed by HMAC with the public key, which everybody knows."""
    signing_input = f"{base64url(json.dumps({'alg': 'HS256', 'kid': 'one'}).encode())}.{PARTS[1]}"
    made = hmac.digest(PUBLIC_PEM, signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{base64url(made)}"


def encrypted() -> str:
    shared = jwk.OctKey.generate_key(256)
    return str(jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, token().encode(), shared))


def text_of(**changes: Any) -> str:
    return json.dumps(claims(**changes))


GOOD = {"alg": "ES256", "kid": "one"}

ATTACKS: dict[str, tuple[Callable[[], str], TokenFault]] = {
    "no algorithm": (lambda: unsigned(), TokenFault.WRONG_ALGORITHM),
    "no algorithm in other letters": (lambda: unsigned(alg="nOnE"), TokenFault.WRONG_ALGORITHM),
    "no algorithm with a signature": (lambda: unsigned() + PARTS[2], TokenFault.WRONG_ALGORITHM),
    "an empty algorithm": (lambda: raw_token({"alg": ""}, claims()), TokenFault.WRONG_ALGORITHM),
    "an algorithm that is no text": (lambda: raw_token({"alg": ["ES256"]}, claims()), TokenFault.MALFORMED),
    "without a word for the algorithm": (lambda: raw_token({"kid": "one"}, claims()), TokenFault.MALFORMED),
    "an algorithm that the issuer doesn't use": (
        lambda: token(key("ES384"), {"kid": "one"}),
        TokenFault.WRONG_ALGORITHM,
    ),
    "an algorithm that isn't the key's": (lambda: token(key("RS256"), {"kid": "one"}), TokenFault.WRONG_ALGORITHM),
    "another's key": (lambda: token(key("ES256", "one", 1)), TokenFault.WRONG_SIGNATURE),
    "no signature": (lambda: f"{PARTS[0]}.{PARTS[1]}.", TokenFault.WRONG_SIGNATURE),
    "half a signature": (lambda: ".".join([*PARTS[:2], PARTS[2][:44]]), TokenFault.WRONG_SIGNATURE),
    "a signature of zeros": (lambda: ".".join([*PARTS[:2], base64url(bytes(64))]), TokenFault.WRONG_SIGNATURE),
    "another payload": (
        lambda: ".".join([PARTS[0], base64url(text_of(azp="admin").encode()), PARTS[2]]),
        TokenFault.WRONG_SIGNATURE,
    ),
    "another header": (
        lambda: ".".join([base64url(json.dumps(GOOD).encode()), *PARTS[1:]]),
        TokenFault.WRONG_SIGNATURE,
    ),
    "a key ID that is a path": (lambda: token(None, {"kid": "../../../../dev/null"}), TokenFault.UNKNOWN_KEY),
    "a key ID that is SQL": (lambda: token(None, {"kid": "x' UNION SELECT 'k' --"}), TokenFault.UNKNOWN_KEY),
    "a long key ID": (lambda: token(None, {"kid": "x" * 4000}), TokenFault.UNKNOWN_KEY),
    "an empty key ID": (lambda: raw_token(GOOD | {"kid": ""}, claims()), TokenFault.UNKNOWN_KEY),
    "a key ID that is a number": (lambda: raw_token(GOOD | {"kid": 1}, claims()), TokenFault.MALFORMED),
    "a key ID that is null": (lambda: raw_token(GOOD | {"kid": None}, claims()), TokenFault.MALFORMED),
    "no key ID and a strange key": (lambda: token(key("ES256", None, 1)), TokenFault.UNKNOWN_KEY),
    "a critical extension": (lambda: raw_token(GOOD | {"crit": ["exp"], "exp": 1}, claims()), TokenFault.NOT_SUPPORTED),
    "no critical extensions": (lambda: raw_token(GOOD | {"crit": []}, claims()), TokenFault.NOT_SUPPORTED),
    "a payload that isn't encoded": (
        lambda: raw_token(GOOD | {"b64": False, "crit": ["b64"]}, claims()),
        TokenFault.NOT_SUPPORTED,
    ),
    "a payload said not to be encoded": (lambda: raw_token(GOOD | {"b64": False}, claims()), TokenFault.NOT_SUPPORTED),
    "a compressed one": (lambda: raw_token(GOOD | {"zip": "DEF"}, claims()), TokenFault.NOT_SUPPORTED),
    "an encrypted one": (encrypted, TokenFault.NOT_SUPPORTED),
    "a token in a token": (lambda: raw_token(GOOD | {"cty": "JWT"}, claims()), TokenFault.NOT_SUPPORTED),
    "an ID token": (lambda: token(None, None, at_hash="x"), TokenFault.WRONG_TYPE),
    "an ID token of Keycloak's": (lambda: token(None, None, typ="ID"), TokenFault.WRONG_TYPE),
    "an ID token of Cognito's": (lambda: token(None, None, token_use="id"), TokenFault.WRONG_TYPE),
    "a refresh token": (lambda: token(None, None, typ="Refresh"), TokenFault.WRONG_TYPE),
    "a logout token": (lambda: token(None, {"typ": "logout+jwt"}), TokenFault.WRONG_TYPE),
    "a proof": (lambda: token(None, {"typ": "dpop+jwt"}), TokenFault.WRONG_TYPE),
    "a security event": (lambda: token(None, None, events={}), TokenFault.WRONG_TYPE),
    "a type that is no text": (lambda: raw_token(GOOD | {"typ": 1}, claims()), TokenFault.WRONG_TYPE),
    "of another issuer": (lambda: token(None, None, iss="https://other.test/"), TokenFault.UNKNOWN_ISSUER),
    "of an issuer almost like it": (lambda: token(None, None, iss=ISSUER.rstrip("/")), TokenFault.UNKNOWN_ISSUER),
    "of no issuer": (lambda: token(None, None, iss=None), TokenFault.UNKNOWN_ISSUER),
    "of an issuer that is a list": (lambda: raw_token(GOOD, claims() | {"iss": [ISSUER]}), TokenFault.UNKNOWN_ISSUER),
    "expired": (lambda: token(None, None, exp=int(time()) - 31), TokenFault.EXPIRED),
    "expired long ago": (lambda: token(None, None, exp=-1), TokenFault.EXPIRED),
    "without an end": (lambda: token(None, None, exp=None), TokenFault.NO_END),
    "an end that is a text": (lambda: raw_token(GOOD, claims() | {"exp": "4102444800"}), TokenFault.MALFORMED),
    "an end that is true": (lambda: raw_token(GOOD, claims() | {"exp": True}), TokenFault.MALFORMED),
    "an end that is null": (lambda: raw_token(GOOD, claims() | {"exp": None}), TokenFault.MALFORMED),
    "an end that is infinite": (
        lambda: raw_token(GOOD, text_of(exp=1).replace('"exp": 1', '"exp": 1e999')),
        TokenFault.MALFORMED,
    ),
    "an end that is no number": (
        lambda: raw_token(GOOD, text_of(exp=1).replace('"exp": 1', '"exp": NaN')),
        TokenFault.MALFORMED,
    ),
    "an end beyond all time": (lambda: raw_token(GOOD, claims() | {"exp": 10**400}), TokenFault.MALFORMED),
    "not valid yet": (lambda: token(None, None, nbf=int(time()) + 60), TokenFault.NOT_YET_VALID),
    "issued in the future": (lambda: token(None, None, iat=int(time()) + 60), TokenFault.NOT_YET_VALID),
    "a beginning that is a text": (lambda: raw_token(GOOD, claims() | {"nbf": "1"}), TokenFault.MALFORMED),
    "for somebody else": (lambda: token(None, None, aud="other"), TokenFault.WRONG_AUDIENCE),
    "for somebody almost like us": (lambda: token(None, None, aud="apimgr2"), TokenFault.WRONG_AUDIENCE),
    "for nobody": (lambda: token(None, None, aud=None), TokenFault.WRONG_AUDIENCE),
    "for an empty list": (lambda: token(None, None, aud=[]), TokenFault.WRONG_AUDIENCE),
    "for a number": (lambda: raw_token(GOOD, claims() | {"aud": 1}), TokenFault.MALFORMED),
    "for a list of lists": (lambda: raw_token(GOOD, claims() | {"aud": [["apimgr"]]}), TokenFault.MALFORMED),
    "for an object": (lambda: raw_token(GOOD, claims() | {"aud": {"apimgr": 1}}), TokenFault.MALFORMED),
    "without a client": (lambda: token(None, None, azp=None), TokenFault.NO_CLIENT),
    "a client that is a list": (lambda: token(None, None, azp=[CLIENT]), TokenFault.NO_CLIENT),
    "a client without a name": (lambda: token(None, None, azp=""), TokenFault.NO_CLIENT),
    "a client with a long name": (lambda: token(None, None, azp="x" * 600), TokenFault.NO_CLIENT),
    "a subject that is a number": (lambda: raw_token(GOOD, claims() | {"sub": 1}), TokenFault.MALFORMED),
    "bound to a certificate": (lambda: token(None, None, cnf={"x5t#S256": "x"}), TokenFault.NOT_SUPPORTED),
    "bound to nothing": (lambda: token(None, None, cnf={}), TokenFault.NOT_SUPPORTED),
    "bound to an empty key": (lambda: token(None, None, cnf={"jkt": ""}), TokenFault.NOT_SUPPORTED),
    "bound by a text": (lambda: raw_token(GOOD, claims() | {"cnf": "x"}), TokenFault.NOT_SUPPORTED),
    "bound to a key, without a proof": (lambda: token(None, None, cnf={"jkt": "x"}), TokenFault.NO_PROOF),
    "a name that stands twice": (
        lambda: raw_token(GOOD, text_of().replace("{", '{"azp": "admin", ', 1)),
        TokenFault.MALFORMED,
    ),
    "a name that stands twice in the header": (
        lambda: raw_token('{"alg": "none", "alg": "ES256", "kid": "one"}', claims()),
        TokenFault.MALFORMED,
    ),
    "half a surrogate pair": (lambda: raw_token(GOOD, claims(sub="\ud800")), TokenFault.MALFORMED),
    "claims that are a list": (lambda: raw_token(GOOD, "[]"), TokenFault.MALFORMED),
    "claims that are no JSON": (lambda: raw_token(GOOD, "{"), TokenFault.MALFORMED),
    "a header that is no JSON": (lambda: raw_token("alg", claims()), TokenFault.MALFORMED),
    "a header with a mark of its order": (lambda: raw_token("\ufeff{}", claims()), TokenFault.MALFORMED),
    "deep claims": (lambda: raw_token(GOOD, '{"a":' * 1000 + "1" + "}" * 1000), TokenFault.MALFORMED),
    "deep lists": (lambda: raw_token(GOOD, '{"a":' + "[" * 2500 + "]" * 2500 + "}"), TokenFault.MALFORMED),
    "a long number": (lambda: raw_token(GOOD, '{"exp":' + "9" * 5000 + "}"), TokenFault.MALFORMED),
    "a large one": (lambda: token(None, None, x="x" * 8000), TokenFault.TOO_LARGE),
    "padding": (lambda: PARTS[0] + "=." + ".".join(PARTS[1:]), TokenFault.MALFORMED),
    "a second spelling of the signature": (lambda: ".".join([*PARTS[:2], _respelt(PARTS[2])]), TokenFault.MALFORMED),
    "the other alphabet": (lambda: ".".join([PARTS[0], PARTS[1], "+/" + PARTS[2][2:]]), TokenFault.MALFORMED),
    "four parts": (lambda: ".".join([*PARTS, "x"]), TokenFault.MALFORMED),
    "two parts": (lambda: ".".join(PARTS[:2]), TokenFault.MALFORMED),
    "one part": (lambda: "opaque", TokenFault.MALFORMED),
    "no text": (lambda: "..", TokenFault.MALFORMED),
}


def _respelt(part: str) -> str:
    """The same bytes by other letters: the last one has bits that count for nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(part) == 86
    return part[:-1] + letters[letters.index(part[-1]) | 1]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bad_token_opens_nothing_and_the_reason_is_told(name: str):
    make, fault = ATTACKS[name]
    found = identified(make())
    assert isinstance(found, Refused)
    assert (found.problem, found.why) == (Problem.INVALID_TOKEN, fault.code)
    assert found.challenge.startswith(b"DPoP" if fault is TokenFault.NO_PROOF else b"Bearer")
    assert b'error="invalid_token"' in found.challenge


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bad_token_opens_nothing_after_a_good_one_either(name: str):
    sources = sources_of()
    assert fault_of(token(), sources) is None
    assert fault_of(ATTACKS[name][0](), sources) is ATTACKS[name][1]


def test_a_public_key_is_no_shared_secret():
    assert fault_of(confused(), sources_of(RSA_ISSUER)) is TokenFault.WRONG_ALGORITHM


def test_a_certain_number_of_keys_is_tried_and_no_more():
    others = [key("ES256", None, number) for number in range(1, 10)]
    last = issuer(jwks=key_set(*others, key("ES256", None)))
    assert fault_of(token(key("ES256", None)), sources_of(last)) is TokenFault.UNKNOWN_KEY


def test_an_issuer_whose_tokens_are_bound_takes_no_others():
    assert fault_of(token(), sources_of(issuer(dpop=True))) is TokenFault.NO_PROOF


def test_a_secret_of_a_few_bytes_checks_nothing():
    short = "thirty-one bytes are too few..."
    sources = sources_of(issuer(secret=short, algorithms=("HS256",)))
    found = identified(token(jwk.OctKey.import_key(short), {"alg": "HS256"}), sources)
    assert isinstance(found, Refused)
    assert found.problem is Problem.NOT_READY


def test_other_schemes_are_not_looked_at():
    assert identified("YTpi", scheme="Basic") is None


# What a token depends on


def test_what_was_found_once_is_not_verified_again(monkeypatch: pytest.MonkeyPatch):
    sources, given = sources_of(), token()
    first = identified(given, sources)
    monkeypatch.setattr("apps.gateway.pipeline.authenticators.jwt.signature_fault", _never)
    assert identified(given, sources) == first


def _never(*given: object) -> None:
    raise AssertionError("it is not to be verified")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (issuer(audience=("other",)), TokenFault.WRONG_AUDIENCE),
        (issuer(issuer="https://new.test/"), TokenFault.UNKNOWN_ISSUER),
        (issuer(algorithms=("RS256",)), TokenFault.WRONG_ALGORITHM),
        (issuer(client_claim="app"), TokenFault.NO_CLIENT),
        (issuer(dpop=True), TokenFault.NO_PROOF),
        (issuer(jwks=key_set(key("ES256", "two"))), TokenFault.UNKNOWN_KEY),
        (issuer(jwks=key_set(key("ES256", "one", 1))), TokenFault.WRONG_SIGNATURE),
        (issuer(secret=SECRET), TokenFault.WRONG_SIGNATURE),
        (issuer(tenant="acme"), TokenFault.UNKNOWN_ISSUER),
        (issuer(leeway=0.0), None),
    ],
    ids=lambda value: value.code if isinstance(value, TokenFault) else "",
)
def test_what_was_found_counts_no_more_once_its_issuer_changes(change: Issuer, fault: TokenFault | None):
    sources, given = sources_of(), token()
    assert fault_of(given, sources) is None
    sources.config.put(change)
    found = fault_of(given, sources)
    if change.secret:
        assert found in (TokenFault.WRONG_SIGNATURE, TokenFault.UNKNOWN_KEY, TokenFault.WRONG_ALGORITHM)
    else:
        assert found is fault


def test_what_was_found_ends_with_its_issuer():
    sources, given = sources_of(), token()
    assert fault_of(given, sources) is None
    sources.config.drop("issuer:corp")
    assert fault_of(given, sources) is TokenFault.UNKNOWN_ISSUER


def test_what_was_found_ends_with_the_token():
    sources, given = sources_of(), token()
    end = claims()["exp"]
    assert fault_of(given, sources) is None
    assert fault_of(given, sources, now=end - 1.0) is None
    assert fault_of(given, sources, now=end + 29.0) is None, "within the leeway"
    assert fault_of(given, sources, now=end + 31.0) is TokenFault.EXPIRED


def test_what_was_found_at_one_api_says_nothing_of_what_another_wants():
    sources, given = sources_of(), token(None, None, scope="read")
    assert fault_of(given, sources) is None
    assert fault_of(given, sources, at=asks(required_scopes=("write",))) is TokenFault.MISSING_SCOPE
    assert fault_of(given, sources, at=asks(issuers=("other",))) is TokenFault.UNKNOWN_ISSUER
    assert fault_of(given, sources, at=asks(required_scopes=("read",))) is None


# Issuers


def test_a_tenants_issuer_is_for_the_tenants_own_apis():
    sources = sources_of(issuer(tenant="acme"))
    assert fault_of(token(), sources) is TokenFault.UNKNOWN_ISSUER
    own = api(tenant="acme", authentication=("jwt",), jwt=TokenRules(issuers=("corp",)))
    found = identified(token(), sources, own)
    assert isinstance(found, Identified)
    assert found.namespace == "corp"


def test_an_api_takes_the_tokens_of_its_own_issuers_alone():
    other = key("ES256", "other")
    sources = sources_of(issuer(), issuer("other", issuer="https://other.test/", jwks=key_set(other)))
    assert fault_of(token(other, None, iss="https://other.test/"), sources) is TokenFault.UNKNOWN_ISSUER
    both = asks(issuers=("corp", "other"))
    assert fault_of(token(other, None, iss="https://other.test/"), sources, at=both) is None
    assert fault_of(token(None, None, iss="https://other.test/"), sources, at=both) is TokenFault.UNKNOWN_KEY


def test_of_two_issuers_of_one_name_the_first_decides():
    sources = sources_of(issuer(), issuer("other", audience=("other",)))
    assert fault_of(token(), sources, at=asks(issuers=("corp", "other"))) is None
    assert fault_of(token(), sources, at=asks(issuers=("other", "corp"))) is TokenFault.WRONG_AUDIENCE


def test_two_issuers_subjects_of_one_name_are_two():
    other = key("ES256", "other")
    sources = sources_of(issuer(), issuer("other", issuer="https://other.test/", jwks=key_set(other)))
    both = asks(issuers=("corp", "other"))
    one, two = (identified(given, sources, both) for given in (token(), token(other, None, iss="https://other.test/")))
    assert isinstance(one, Identified)
    assert isinstance(two, Identified)
    assert (one.by, one.namespace) == (two.by, two.namespace)
    assert one.subject != two.subject


# Scopes and claims


def asks(**rules: Any) -> API:
    return api(authentication=("jwt",), jwt=TokenRules(**({"issuers": ("corp",)} | rules)))


@pytest.mark.parametrize(
    ("said", "enough"),
    [
        ({"scope": "read write"}, True),
        ({"scope": "write read more"}, True),
        ({"scope": ["read", "write"]}, True),
        ({"scp": ["read", "write"]}, True),
        ({"scope": "read", "scp": "write"}, True),
        ({"scope": "read"}, False),
        ({"scope": "readwrite"}, False),
        ({"scope": "READ WRITE"}, False),
        ({"scope": {"read": 1, "write": 1}}, False),
        ({"scope": [["read", "write"]]}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_token_needs_all_scopes_of_its_api(said: dict[str, Any], enough: bool):
    found = fault_of(token(None, None, **said), at=asks(required_scopes=("read", "write")))
    assert found is (None if enough else TokenFault.MISSING_SCOPE)


def test_who_lacks_a_scope_is_told_which_the_call_needs():
    found = identified(token(), at=asks(required_scopes=("read", "write")))
    assert isinstance(found, Refused)
    assert found.problem is Problem.INSUFFICIENT_SCOPE
    assert b'error="insufficient_scope"' in found.challenge
    assert found.challenge.endswith(b'scope="read write"')


OPERATIONS = (
    ScopeRule(("POST", "PUT"), parse_pattern("/items/**"), ("write",)),
    ScopeRule((), parse_pattern("/admin/**"), ("admin",)),
    ScopeRule(("GET",), parse_pattern("/items/{id}/secret"), ("secrets",)),
)


@pytest.mark.parametrize(
    ("method", "path", "scope", "enough"),
    [
        ("GET", b"/items/1", "read", True),
        ("POST", b"/items/1", "read", False),
        ("POST", b"/items/1", "read write", True),
        ("POST", b"/items/1", "write", False),
        ("DELETE", b"/admin/users", "read", False),
        ("DELETE", b"/admin/users", "read admin", True),
        ("GET", b"/admin%2Fusers", "read", False),
        ("GET", b"/%61dmin", "read", False),
        ("GET", b"//admin/", "read", False),
        ("GET", b"/admin;x/users", "read", False),
        ("GET", b"/items/1/secret", "read", False),
        ("HEAD", b"/items/1/secret", "read", False),
        ("GET", b"/items/1/secret", "read secrets", True),
        ("POST", b"/items/1/secret", "read write", True),
    ],
)
def test_operations_need_scopes_of_their_own(method: str, path: bytes, scope: str, enough: bool):
    wants = asks(required_scopes=("read",), operations=OPERATIONS)
    given = token(None, None, scope=scope)
    found = fault_of(given, at=wants, method=method, path=b"/products" + path)
    assert found is (None if enough else TokenFault.MISSING_SCOPE)


@pytest.mark.parametrize(
    ("said", "values", "enough"),
    [
        ("gold", ("gold", "silver"), True),
        (["bronze", "gold"], ("gold",), True),
        ("bronze", ("gold", "silver"), False),
        ("gold silver", ("gold",), False),
        (True, (True,), True),
        (1, (True,), False),
        (True, (1,), False),
        (2, (2,), True),
        (2.0, (2,), True),
        ({"gold": 1}, ("gold",), False),
        ([["gold"]], ("gold",), False),
        (None, ("gold",), False),
        ("anything", (), True),
        (None, (), False),
    ],
    ids=str,
)
def test_an_api_may_want_a_claim_to_have_one_of_some_values(said: Any, values: tuple[Any, ...], enough: bool):
    found = fault_of(token(None, None, tier=said), at=asks(required_claims=(("tier", values),)))
    assert found is (None if enough else TokenFault.MISSING_CLAIM)


def test_a_missing_claim_is_no_reason_to_ask_for_another_token_in_vain():
    found = identified(token(), at=asks(required_claims=(("tier", ("gold",)),)))
    assert isinstance(found, Refused)
    assert found.problem is Problem.INSUFFICIENT_SCOPE
    assert b"scope=" not in found.challenge


def test_what_is_read_is_what_another_library_reads():
    given = token(None, None, scope="read", nested={"a": [1, 2.5, "ü"]})
    read = parse(given.encode())
    assert isinstance(read, ParsedToken)
    assert read.claims == jwt.decode(given, key(), algorithms=["ES256"]).claims

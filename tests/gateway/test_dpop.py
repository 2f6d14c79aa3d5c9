"""Who calls with a token that is bound to a key proves for each call that the key is theirs (RFC 9449)."""

import hashlib
from time import time
from typing import Any

import pytest

from apps.gateway.pipeline.authenticators import Identified, Refused
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from tests.gateway.house import Door, Origin, Published
from tests.gateway.test_jwt import identified, sources_of
from tests.gateway.test_token_calls import opened
from tests.gateway.tokens import base64url, issuer, key, raw_token, token

HOLDER = key("ES256", None, 5)
OTHER = key("ES256", None, 6)
URL = "http://api.test/products/items"


def bound(**changes: Any) -> str:
    """A token that is bound to the holder's key."""
    return token(None, None, cnf={"jkt": HOLDER.thumbprint()}, **changes)


def proof(given: str, header: dict[str, Any] | None = None, signed_by: Any = HOLDER, **changes: Any) -> str:
    """A proof for a call with a token, with ``changes``; ``None`` leaves one out."""
    hashed = base64url(hashlib.sha256(given.encode()).digest())
    said = {"jti": "1", "htm": "GET", "htu": URL, "iat": int(time()), "ath": hashed} | changes
    said = {name: value for name, value in said.items() if value is not None}
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": signed_by.as_dict(private=False)} | (header or {})
    return raw_token({name: value for name, value in head.items() if value is not None}, said, signed_by)


def fault(given: str, *proofs: str, sources: Sources | None = None, scheme: str = "DPoP", **how: Any) -> str | None:
    more = tuple((b"dpop", each.encode()) for each in proofs)
    found = identified(given, sources, scheme=scheme, more=more, **how)
    assert isinstance(found, Identified | Refused)
    return found.why if isinstance(found, Refused) else None


def test_a_token_with_a_proof_opens_its_api_for_this_call():
    given = bound()
    found = identified(given, scheme="DPoP", more=((b"dpop", proof(given).encode()),), now=(now := time()))
    assert isinstance(found, Identified)
    assert found.until == now, "the next call needs a proof of its own"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_bound_token_is_none_that_its_bearer_may_use(scheme: str):
    given = bound()
    assert fault(given, scheme=scheme) == "token_no_proof"
    assert fault(given, proof(given), scheme=scheme) == "token_no_proof"


def test_a_bound_token_comes_with_one_proof():
    given = bound()
    assert fault(given) == "token_no_proof"
    assert fault(given, proof(given), proof(given, jti="2")) == "token_no_proof"


def test_a_token_that_is_not_bound_needs_no_proof():
    assert fault(token(), scheme="DPoP") is None


GIVEN = bound(exp=int(time()) + 36_000)
HASH = base64url(hashlib.sha256(b"another token").digest())


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: proof(GIVEN, htm="POST"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htm="get"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htm=None), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htu="http://api.test/products/other"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htu="https://api.test/products/items"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htu="http://evil.test/products/items"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htu="http://api.test:81/products/items"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htu="http://api.test:x/"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htu="/products/items"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htu=1), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, htu=None), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, ath=HASH), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, ath=None), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, jti=None), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, jti=""), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, jti=1), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, jti="x" * 600), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, iat=None), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, iat="now"), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, iat=int(time()) - 120), TokenFault.OLD_PROOF),
        (lambda: proof(GIVEN, iat=int(time()) + 120), TokenFault.OLD_PROOF),
        (lambda: proof(GIVEN, {"typ": "JWT"}), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, {"typ": None}), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, {"alg": "none"}), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, {"alg": "HS256"}), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, {"jwk": None}), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, {"jwk": "key"}), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, {"jwk": HOLDER.as_dict(private=True)}), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, {"jwk": HOLDER.as_dict(private=False)}, OTHER), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN, None, OTHER), TokenFault.WRONG_PROOF),
        (lambda: proof(GIVEN)[:-4], TokenFault.WRONG_PROOF),
        (lambda: GIVEN, TokenFault.WRONG_PROOF),
        (lambda: "x", TokenFault.WRONG_PROOF),
    ],
)
def test_a_proof_that_is_not_for_this_call_proves_nothing(made: Any, why: TokenFault):
    assert fault(GIVEN, made()) == why.code


@pytest.mark.parametrize(
    "htu", [URL, "HTTP://API.TEST:80/products/items", URL + "?a=1#b", "http://api.test/products/./%69tems"]
)
def test_an_address_is_the_same_in_each_of_its_spellings(htu: str):
    assert fault(GIVEN, proof(GIVEN, htu=htu)) is None


def test_a_proof_is_used_once():
    sources = sources_of()
    assert fault(GIVEN, proof(GIVEN), sources=sources, call_id="one") is None
    assert fault(GIVEN, proof(GIVEN), sources=sources, call_id="one") is None, "a call may be looked at twice"
    assert fault(GIVEN, proof(GIVEN), sources=sources, call_id="two") == "token_used_proof"
    assert fault(GIVEN, proof(GIVEN, jti="2"), sources=sources, call_id="two") is None


def test_two_holders_may_number_their_proofs_alike():
    sources = sources_of()
    theirs = token(None, None, cnf={"jkt": OTHER.thumbprint()})
    assert fault(GIVEN, proof(GIVEN), sources=sources, call_id="one") is None
    assert fault(theirs, proof(theirs, None, OTHER), sources=sources, call_id="two") is None


async def test_each_call_through_a_gateway_needs_a_proof_of_its_own(door: Door, published: Published, origin: Origin):
    await opened(door, published, origin, issuer(dpop=True))
    given = bound()

    async def called(number: str) -> int:
        made = proof(given, jti=number)
        answer = await door.call("/products/items", key=None, authorization=f"DPoP {given}", dpop=made)
        return answer.status

    assert [await called(number) for number in "1223"] == [200, 200, 401, 200]
    answer = await door.call("/products/items", key=None, authorization=f"Bearer {given}")
    assert answer.status == 401
    assert answer["www-authenticate"].startswith('DPoP realm="products", error="invalid_token"')
    assert door.calls()[-1].trace[-1][:2] == ("authenticate", "token_no_proof")
    assert b"dpop" not in b"".join(origin.heads).lower()

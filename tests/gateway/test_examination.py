"""What people are told of a token is what calls with it meet."""

from time import time

import pytest

from apps.gateway.pipeline.authenticators.jwt.examination import Examination, examine
from apps.gateway.pipeline.authenticators.jwt.key_sets import read_key_set
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from tests.gateway.test_jwt import ATTACKS
from tests.gateway.tokens import CLIENT, ISSUER, issuer, key_set, token

CORP = issuer()
KEYS = read_key_set(key_set().encode())


def examined(given: str) -> Examination:
    return examine(given.encode(), CORP, KEYS, time())


def test_a_good_token_is_shown_with_all_that_was_checked():
    found = examined(token(None, None, scope="read write"))
    assert found.fault is None
    assert {each.about: each.said for each in found.findings} | {"exp": 0, "iat": 0} == {
        "form": "JWT",
        "signature": "ES256 one",
        "typ": None,
        "iss": ISSUER,
        "exp": 0,
        "nbf": None,
        "iat": 0,
        "aud": "apimgr",
        "sub": "ann",
        "cnf": None,
        "client": CLIENT,
    }
    assert (found.client, found.scopes) == (CLIENT, {"read", "write"})


def test_each_fault_is_told_and_not_the_first_alone():
    found = examined(token(None, None, exp=1, aud="other", azp=None))
    faults = {each.about: each.fault for each in found.findings if each.fault}
    assert faults == {
        "exp": TokenFault.EXPIRED,
        "aud": TokenFault.WRONG_AUDIENCE,
        "client": TokenFault.NO_CLIENT,
    }
    assert found.fault is TokenFault.EXPIRED


@pytest.mark.parametrize("name", [name for name in ATTACKS if ATTACKS[name][1] is not TokenFault.NO_PROOF])
def test_the_first_fault_is_the_gateways(name: str):
    make, fault = ATTACKS[name]
    found = examined(make()).fault
    if fault is TokenFault.UNKNOWN_ISSUER:
        assert found in (fault, TokenFault.WRONG_SIGNATURE)
    else:
        assert found is fault


def test_keys_that_were_not_fetched_say_nothing_of_a_signature():
    found = examine(token().encode(), CORP, None, time())
    assert found.fault is TokenFault.ISSUER_AWAY

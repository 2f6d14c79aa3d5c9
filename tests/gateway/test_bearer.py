"""Bearer tokens are read as RFC 6750 writes them, and whose token opens nothing is told why."""

import pytest

from apps.gateway.call.problems import Problem
from apps.gateway.pipeline.authenticators.bearer import (
    BearerTokens,
    challenge,
    has_form_of_jwt,
    insufficient_scope,
    invalid_token,
)
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from tests.gateway.house import api


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer abc", b"abc"),
        (b"BEARER   abc  ", b"abc"),
        (b"Bearer a.b-c_d~e+f/g==", b"a.b-c_d~e+f/g=="),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Bearer a b", None),
        (b"Bearer a,b", None),
        (b"Bearer a=b", None),
        (b"Bearer\tabc", None),
        (b"Bearerabc", None),
        (b'Bearer "abc"', None),
        (b"Bearer a\xc3\xa9", None),
    ],
)
def test_a_token_is_read_or_it_is_malformed(value: bytes, token: bytes | None):
    found = BearerTokens().find(api(), ((b"authorization", value),))
    assert found is not None
    assert found.secret == token


@pytest.mark.parametrize("value", [b"Basic YTpi", b"DPoP abc", b"Bear er", b"", b"abc"])
def test_another_scheme_is_no_bearer_token(value: bytes):
    assert BearerTokens().find(api(), ((b"authorization", value),)) is None


def test_no_field_presents_nothing():
    assert BearerTokens().find(api(), ((b"x-api-key", b"Bearer abc"),)) is None


@pytest.mark.parametrize("other", [b"Bearer abc", b"Basic YTpi"])
def test_two_fields_present_nothing_that_can_be_read(other: bytes):
    found = BearerTokens().find(api(), ((b"authorization", other), (b"authorization", b"Bearer abc")))
    assert found is not None
    assert found.secret is None


@pytest.mark.parametrize(
    ("token", "is_jwt"),
    [
        (b"a.b.c", True),
        (b"a..", True),
        (b"a.b.", True),
        (b"a.b", False),
        (b"a.b.c.d", False),
        (b"a.b.c.d.e", False),
        (b"a.b.c=", False),
        (b"abc", False),
    ],
)
def test_a_jwt_is_told_by_its_form(token: bytes, is_jwt: bool):
    assert has_form_of_jwt(token) is is_jwt


def test_who_sends_no_token_is_told_no_error():
    assert challenge("products") == b'Bearer realm="products"'


def test_a_token_that_is_worth_nothing_is_refused_with_the_reason():
    refused = invalid_token(api(), TokenFault.EXPIRED)
    assert (refused.problem, refused.why) == (Problem.INVALID_TOKEN, "token_expired")
    assert refused.challenge == (
        b'Bearer realm="products", error="invalid_token", error_description="The token has expired."'
    )


def test_a_token_without_a_scope_is_told_which():
    refused = insufficient_scope(api(), TokenFault.MISSING_SCOPE, ("read", 'a"b', "orders:write"))
    assert refused.problem is Problem.INSUFFICIENT_SCOPE
    assert refused.challenge.endswith(b'scope="read orders:write"')


@pytest.mark.parametrize("fault", TokenFault, ids=lambda fault: fault.code)
def test_no_sentence_breaks_the_fields_and_documents_that_it_stands_in(fault: TokenFault):
    assert fault.sentence.isascii()
    assert not set(fault.sentence) & set('"\\\r\n')

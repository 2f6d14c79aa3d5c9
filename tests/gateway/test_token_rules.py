"""What an API asks of tokens: scopes, of some calls more than of others, and values of claims."""

from typing import Any

import pytest

from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.authenticators.token_rules import missing, plain_claims, scopes_of
from apps.wire.snapshot import ScopeRule, TokenRules
from tests.gateway.house import api

READ, WRITE = "read", "write"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "read write"}, {READ, WRITE}),
        ({"scope": " read  write "}, {READ, WRITE}),
        ({"scope": ["read", "write"]}, {READ, WRITE}),
        ({"scp": "read"}, {READ}),
        ({"scp": ["read", 7, None]}, {READ}),
        ({"scope": ""}, set()),
        ({"scope": 7}, set()),
        ({"scope": {"read": True}}, set()),
        ({}, set()),
    ],
)
def test_scopes_are_read_in_each_form_that_issuers_give_them(claims: dict[str, Any], scopes: set[str]):
    assert scopes_of(claims) == scopes


def lacking(rules: TokenRules, claims: dict[str, Any], method: str = "GET", path: bytes = b"/products/items/7") -> Any:
    return missing(api(jwt=rules), scopes_of(claims), plain_claims(claims), method, path)


BY_OPERATION = TokenRules(
    required_scopes=(READ,),
    operations=(
        ScopeRule(("GET",), ("items", "*"), ("items",)),
        ScopeRule(("PUT", "DELETE"), ("items", "**"), (WRITE,)),
        ScopeRule((), ("admin", "**"), ("admin",)),
    ),
)


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", b"/products/", (READ,)),
        ("GET", b"/products/items/7", (READ, "items")),
        ("HEAD", b"/products/items/7", (READ, "items")),
        ("DELETE", b"/products/items/7", (READ, WRITE)),
        ("GET", b"/products/items%2F7", (READ, "items")),
        ("GET", b"/products/items/7;x=1", (READ, "items")),
        ("PATCH", b"/products/admin/a/b", (READ, "admin")),
        ("PATCH", b"/products/items/7", (READ,)),
    ],
)
def test_an_operation_asks_for_its_scopes_besides_the_apis(method: str, path: bytes, needed: tuple[str, ...]):
    assert lacking(BY_OPERATION, {"scope": " ".join(needed)}, method, path) is None
    for scope in needed:
        rest = " ".join(each for each in needed if each != scope)
        assert lacking(BY_OPERATION, {"scope": rest}, method, path) == (TokenFault.MISSING_SCOPE, needed)


@pytest.mark.parametrize(
    ("value", "allowed", "has"),
    [
        ("gold", ("gold", "silver"), True),
        ("tin", ("gold", "silver"), False),
        (["tin", "gold"], ("gold",), True),
        ([], ("gold",), False),
        (None, ("gold",), False),
        ({"gold": 1}, ("gold",), False),
        ([{"a": 1}, "gold"], ("gold",), False),
        (1, (1,), True),
        (1.0, (1,), True),
        (True, (1,), False),
        (1, (True,), False),
        (True, (True,), True),
        ("1", (1,), False),
    ],
)
def test_a_claim_has_one_of_the_values(value: object, allowed: tuple[Any, ...], has: bool):
    found = lacking(TokenRules(required_claims=(("tier", allowed),)), {"tier": value})
    assert found == (None if has else (TokenFault.MISSING_CLAIM, ()))

"""What an API demands of tokens: read, checked, compiled, and refused where it can't be."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from apps.catalog import services as catalog
from apps.catalog.choices import AUTHENTICATION
from apps.catalog.models import API, Revision
from apps.fleet.compile import compile_api
from apps.foundation import field_names
from apps.tenants.actors import PLATFORM
from apps.wire.snapshot import ScopeRule, TokenRules
from tests.support.cast import make_api, make_introspection, make_issuer

pytestmark = pytest.mark.django_db

RULES = {
    "issuers": ["corp"],
    "required_scopes": ["read"],
    "required_claims": {"tier": ["gold", "silver"], "level": [3]},
    "operations": [{"methods": ["GET"], "path": "/admin/{id}", "required_scopes": ["admin"]}],
}


def refusals(actor: Any, api: API, **fields: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as error:
        catalog.api_update(actor=actor, api=api, **fields)
    return field_names.by_path(error.value)


def test_gateways_get_the_rules_of_an_api(cast):
    make_issuer("corp")
    make_introspection()
    compiled = compile_api(make_api(cast.platform, jwt=RULES, introspection="legacy"))
    assert compiled.introspection == "legacy"
    assert compiled.jwt == TokenRules(
        issuers=("corp",),
        required_scopes=("read",),
        required_claims=(("tier", ("gold", "silver")), ("level", (3,))),
        operations=(ScopeRule(methods=("GET", "HEAD"), pattern=("admin", "*"), scopes=("admin",)),),
    )


def test_an_api_without_them_demands_nothing(cast):
    api = make_api(cast.platform)
    assert (compile_api(api).jwt, compile_api(api).introspection) == (TokenRules(), "")


@pytest.mark.parametrize(
    ("rules", "path", "words"),
    [
        ({"issuers": ["a b"]}, "jwt.issuers", "short names"),
        ({"issuers": [f"i{number}" for number in range(51)]}, "jwt.issuers", "at most 50"),
        ({"required_scopes": ["two scopes"]}, "jwt.required_scopes", "'two scopes' is no scope"),
        ({"required_scopes": ['quoted"']}, "jwt.required_scopes", "is no scope"),
        ({"required_claims": ["tier"]}, "jwt.required_claims", "Expected an object"),
        ({"required_claims": {"tier": []}}, "jwt.required_claims.tier", "Between one and 50"),
        ({"required_claims": {"tier": [None]}}, "jwt.required_claims.tier", "texts of up to 128"),
        ({"required_claims": {"tier": [{"a": 1}]}}, "jwt.required_claims.tier", "texts of up to 128"),
        ({"required_claims": {"exp": [1]}}, "jwt.required_claims.exp", "checked of every token"),
        ({"required_claims": {"": [1]}}, "jwt.required_claims", "1 to 128"),
        ({"operations": [{"path": "admin", "required_scopes": ["a"]}]}, "jwt.operations.0.path", "starts with a slash"),
        ({"operations": [{"path": "/admin"}]}, "jwt.operations.0.required_scopes", "Name the scopes"),
        (
            {"operations": [{"path": "/admin", "methods": ["FETCH"], "required_scopes": ["a"]}]},
            "jwt.operations.0.methods",
            "Some of GET",
        ),
        (
            {"operations": [{"path": "/admin", "required_scopes": [each]} for each in ("a", "b")]},
            "jwt.operations.1.path",
            "there already",
        ),
        ({"scopes": ["read"]}, "jwt.scopes", "Unknown word"),
        ({"issuers": ["nobody"]}, "jwt.issuers", "There is no issuer nobody"),
    ],
)
def test_rules_that_make_no_sense_are_refused_by_their_place(cast, rules, path, words):
    found = refusals(PLATFORM, make_api(cast.platform), jwt=rules)
    assert words in " ".join(found[path]), found


def test_an_api_takes_tokens_of_the_platforms_and_its_own_tenants_issuers(cast):
    for slug, tenant in (("corp", None), ("own", cast.platform), ("others", cast.acme)):
        make_issuer(slug, tenant, issuer=f"https://{slug}.test/")
        make_introspection(slug, tenant)
    api = make_api(cast.platform)
    api = catalog.api_update(actor=cast.olga, api=api, jwt={"issuers": ["corp", "own"]}, introspection="own")
    assert api.jwt["issuers"] == ["corp", "own"]
    for actor in (cast.olga, cast.ada):
        assert "others" in refusals(actor, api, jwt={"issuers": ["others"]})["jwt.issuers"][0]
        assert "others" in refusals(actor, api, introspection="others")["introspection"][0]


def test_two_issuers_of_an_api_do_not_say_the_same_in_iss(cast):
    make_issuer("one")
    make_issuer("two")
    found = refusals(cast.ada, make_api(cast.platform), jwt={"issuers": ["one", "two"]})
    assert "one and two both say https://id.corp.test/" in found["jwt.issuers"][0]


def test_a_way_that_needs_an_issuer_or_a_server_is_refused_without(cast, monkeypatch):
    api = make_api(cast.platform)
    for word, field in (("jwt", "jwt.issuers"), ("introspection", "introspection")):
        monkeypatch.setitem(AUTHENTICATION, word, word)
        found = refusals(cast.ada, api, authentication=["api_key", word])
        assert f"or leave {word} out of authentication" in found[field][0]


def test_a_roll_back_brings_the_rules_back_or_takes_them_away(cast):
    make_issuer("corp")
    api = make_api(cast.platform)
    api = catalog.api_update(actor=PLATFORM, api=api, jwt=RULES)
    older = Revision.objects.get(api=api, number=1)
    del older.document["jwt"]
    older.save()
    assert catalog.api_rollback(actor=PLATFORM, api=api, number=1).jwt["issuers"] == []
    assert catalog.api_rollback(actor=PLATFORM, api=api, number=2).jwt == RULES

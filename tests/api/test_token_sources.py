"""Issuers, introspection servers and client IDs over REST: made, shown without secrets, changed, refused."""

import json

import pytest

from apps.access.models import Credential, Introspection, Issuer
from tests.support.cast import make_api, make_application, make_introspection, make_issuer, make_key
from tests.support.public_keys import EC_KEY

SECRET = "0123456789abcdef0123456789abcdef"
ISSUER = {
    "slug": "corp",
    "issuer": "https://id.corp.test/",
    "jwks": {"keys": [EC_KEY]},
    "algorithms": ["ES256"],
    "audience": ["apimgr"],
}


def test_an_issuer_is_made_shown_and_changed_in_the_words_of_the_file(cast, calls_as, state_redis):
    ada = calls_as(cast.ada)
    made = ada.post("/api/v1/issuers/", ISSUER)
    assert made.status_code == 201, made.content
    assert "receipt" in made.json()
    shown = ada.get("/api/v1/issuers/corp/").json()
    assert shown == ISSUER | {"tenant": None, "client_claim": "azp", "leeway": "30s", "has_secret": False}
    assert ada.patch("/api/v1/issuers/corp/", shown).status_code == 200, "what was read can be sent back"
    changed = ada.patch("/api/v1/issuers/corp/", {"leeway": "5s", "audience": "any"}).json()
    assert (changed["leeway"], changed["audience"]) == ("5s", "any")
    assert ada.delete("/api/v1/issuers/corp/").status_code == 204
    assert not Issuer.objects.exists()


def test_a_secret_is_taken_and_never_given_back(cast, calls_as, state_redis):
    alice = calls_as(cast.alice)
    own = {"slug": "own", "tenant": "acme", "issuer": "https://own.test/", "audience": "any", "algorithms": ["HS256"]}
    made = alice.post("/api/v1/issuers/", own | {"secret": SECRET})
    assert (made.status_code, made.json()["has_secret"], made.json()["tenant"]) == (201, True, "acme")
    server = {"slug": "own", "tenant": "acme", "url": "https://own.test/introspect", "client_id": "gw"}
    refused = alice.post("/api/v1/introspections/", server)
    assert list(refused.json()["errors"]) == ["client_secret"]
    asked = alice.post("/api/v1/introspections/", server | {"client_secret": SECRET})
    assert (asked.status_code, asked.json()["has_secret"]) == (201, True)
    pages = [alice.get(f"/api/v1/{noun}/").content.decode() for noun in ("issuers", "introspections", "audit")]
    assert SECRET not in "".join([*pages, made.content.decode(), asked.content.decode()])
    assert Introspection.objects.get().secret == SECRET


def test_of_the_platforms_members_see_what_callers_need_and_change_nothing(cast, calls_as, state_redis):
    make_issuer("corp", jwks_url="https://id.corp.test/keys")
    make_introspection("legacy")
    alice = calls_as(cast.alice)
    shown = alice.get("/api/v1/issuers/corp/").json()
    assert shown.keys() == {"slug", "tenant", "issuer", "algorithms", "audience", "client_claim"}
    assert alice.get("/api/v1/introspections/legacy/").json() == {"slug": "legacy", "tenant": None}
    for noun, slug in (("issuers", "corp"), ("introspections", "legacy")):
        assert alice.patch(f"/api/v1/{noun}/{slug}/", {"client_claim": "sub"}).status_code == 403
        assert alice.delete(f"/api/v1/{noun}/{slug}/").status_code == 403
        assert alice.post(
            f"/api/v1/{noun}/", ISSUER if noun == "issuers" else {"slug": "x", "url": "x"}
        ).status_code in (
            400,
            403,
        )


def test_other_tenants_issuers_are_not_there(cast, calls_as, state_redis):
    make_issuer("own", cast.acme)
    make_introspection("own", cast.acme)
    charlie, vera = calls_as(cast.charlie), calls_as(cast.vera)
    for noun in ("issuers", "introspections"):
        assert charlie.get(f"/api/v1/{noun}/own/").status_code == 404
        assert charlie.get(f"/api/v1/{noun}/").json()["results"] == []
        assert vera.get(f"/api/v1/{noun}/own/").json()["has_secret"] is False
        assert vera.patch(f"/api/v1/{noun}/own/", {"client_claim": "sub"}).status_code == 403
        refused = charlie.post(f"/api/v1/{noun}/", {"slug": "mine", "tenant": "acme"})
        assert list(refused.json()["errors"]) == ["tenant"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slug": None}, "slug"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"audience": "all"}, "audience"),
        ({"jwks": "keys"}, "jwks"),
        ({"jwks": {"keys": [EC_KEY | {"d": "AAAA"}]}}, "jwks.keys.0"),
        ({"leeway": "soon"}, "leeway"),
        ({"typo": 1}, "typo"),
    ],
)
def test_what_is_wrong_with_an_issuer_is_named_by_its_word(cast, calls_as, body, field):
    refused = calls_as(cast.ada).post("/api/v1/issuers/", {**ISSUER, **body})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field]), refused.content


def test_slug_and_owner_never_change(cast, calls_as, state_redis):
    make_issuer("own", cast.acme)
    refused = calls_as(cast.ada).patch("/api/v1/issuers/own/", {"slug": "other", "tenant": None})
    assert refused.json()["errors"].keys() == {"slug", "tenant"}


def test_one_that_an_api_takes_is_refused_with_its_name(cast, calls_as, state_redis):
    make_issuer()
    make_api(cast.platform, jwt={"issuers": ["corp"]})
    refused = calls_as(cast.ada).delete("/api/v1/issuers/corp/")
    assert refused.status_code == 409
    assert "Products" in refused.json()["detail"]


def test_lists_are_filtered(cast, calls_as):
    make_issuer("corp")
    make_issuer("own", cast.acme)
    ada = calls_as(cast.ada)

    def slugs(query: str) -> list[str]:
        return [each["slug"] for each in ada.get(f"/api/v1/issuers/?{query}").json()["results"]]

    assert slugs("tenant=acme") == ["own"]
    assert slugs("platform=true") == ["corp"]
    assert slugs("ordering=-slug") == ["own", "corp"]


def test_the_rules_for_tokens_are_a_setting_of_an_api(cast, calls_as, state_redis):
    make_issuer()
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    rules = {"issuers": ["corp"], "required_scopes": ["read"], "required_claims": {"tier": ["gold"]}}
    changed = olga.patch("/api/v1/apis/products/", {"jwt": rules})
    assert (changed.status_code, changed.json()["jwt"]) == (200, rules)
    assert calls_as(cast.charlie).get("/api/v1/apis/products/").json()["jwt"] == rules, "who calls has to know"
    refused = olga.patch("/api/v1/apis/products/", {"jwt": {"issuers": ["nobody"]}})
    assert list(refused.json()["errors"]) == ["jwt.issuers"]


def test_a_client_id_is_added_listed_bound_and_revoked(cast, calls_as, state_redis):
    make_issuer("own", cast.acme)
    make_api(cast.platform)
    make_key(make_application(cast.acme))
    bob = calls_as(cast.bob)
    body = {"application": "acme/bot", "kind": "client_id", "identifier": "bot-client", "issuer": "own"}
    made = bob.post("/api/v1/keys/", body)
    assert made.status_code == 201, made.content
    row = made.json()
    assert (row["kind"], row["identifier"], row["issuer"], row["name"]) == (
        "client_id",
        "bot-client",
        "own",
        "bot-client",
    )
    [listed] = bob.get("/api/v1/keys/?kind=client_id").json()["results"]
    assert (listed["id"], "secret" in listed) == (row["id"], False)
    assert [each["kind"] for each in bob.get("/api/v1/keys/?kind=api_key").json()["results"]] == ["api_key"]
    assert bob.patch(f"/api/v1/keys/{row['id']}/", {"apis": ["products"]}).json()["apis"] == ["products"]
    assert bob.post(f"/api/v1/keys/{row['id']}/rotate/", {}).status_code == 409
    assert bob.post("/api/v1/keys/", body).status_code == 409
    assert bob.post(f"/api/v1/keys/{row['id']}/revoke/", {}).json()["state"] == "revoked"
    again = bob.post("/api/v1/keys/", body | {"apis": ["products"], "expires_at": "2099-01-01T00:00:00Z"})
    assert (again.status_code, again.json()["apis"]) == (201, ["products"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "client_id"}, "identifier"),
        ({"kind": "client_id", "identifier": "b\tt"}, "identifier"),
        ({"kind": "client_id", "identifier": "bot", "secret": SECRET}, "secret"),
        ({"kind": "client_id", "identifier": "bot", "name": "bot"}, "name"),
        ({"kind": "client_id", "identifier": "bot", "issuer": "others"}, "issuer"),
        ({"kind": "client_id", "identifier": "bot", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"kind": "passport"}, "kind"),
        ({}, "name"),
        ({"name": "ci", "identifier": "bot"}, "identifier"),
        ({"name": "ci", "issuer": "own"}, "issuer"),
    ],
)
def test_what_is_wrong_with_a_credential_is_named_by_its_field(cast, calls_as, body, field):
    make_application(cast.acme)
    make_issuer("own", cast.acme)
    make_issuer("others", cast.globex)
    given = {"issuer": "own"} if body.get("kind") == "client_id" else {}
    refused = calls_as(cast.bob).post("/api/v1/keys/", {"application": "acme/bot", **given, **body})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field]), refused.content
    assert not Credential.objects.exists()


def test_what_a_signing_key_is_checked_with_is_never_shown(cast, calls_as):
    Credential.objects.create(
        application=make_application(cast.acme), kind="signing_key", name="s", identifier="s", digest="d", secret=SECRET
    )
    text = calls_as(cast.alice).get("/api/v1/keys/").content.decode()
    assert "signing_key" in text
    assert SECRET not in text


def test_client_ids_of_the_platforms_issuers_are_administrators_to_add(cast, calls_as, state_redis):
    make_application(cast.acme)
    body = {"application": "acme/bot", "kind": "client_id", "identifier": "bot-client"}
    assert calls_as(cast.alice).post("/api/v1/keys/", body).status_code == 403
    assert calls_as(cast.ada).post("/api/v1/keys/", body).json()["issuer"] is None


def test_names_that_no_database_holds_name_nothing(cast, calls_as, state_redis):
    """JSON can write a NUL and half of a pair, PostgreSQL can't be asked for one, and no driver for the other."""
    make_issuer("own", cast.acme)
    make_application(cast.acme)
    alice = calls_as(cast.alice)
    for name in ("a\0", "\ud800"):
        bodies = {
            "keys": {"application": "acme/bot", "kind": "client_id", "identifier": "x", "issuer": name},
            "revocations": {"issuer": name, "jti": "x"},
            "issuers": ISSUER | {"tenant": name},
        }
        for noun, body in bodies.items():
            refused = alice.post(f"/api/v1/{noun}/", json.dumps(body), content_type="application/json")
            assert (refused.status_code, list(refused.json()["errors"])) == (
                400,
                ["tenant" if noun == "issuers" else "issuer"],
            )


def test_a_key_nested_deeper_than_keys_are_is_refused(cast, calls_as, state_redis):
    nested = f"{'[' * 500}1{']' * 500}"
    body = json.dumps(ISSUER).replace('"kty"', f'"note": {nested}, "kty"')
    refused = calls_as(cast.ada).post("/api/v1/issuers/", body, content_type="application/json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["jwks"])


def test_a_revocations_comment_is_bounded(cast, calls_as, state_redis):
    make_issuer("own", cast.acme)
    body = {"issuer": "own", "jti": "x", "comment": "c" * 1001}
    assert list(calls_as(cast.alice).post("/api/v1/revocations/", body).json()["errors"]) == ["comment"]


def test_an_older_revision_brings_back_no_issuer_that_is_another_tenants_now(cast, calls_as, state_redis):
    alice, charlie = calls_as(cast.alice), calls_as(cast.charlie)
    make_issuer("own", cast.acme)
    make_api(cast.acme, jwt={"issuers": ["own"]})
    assert alice.patch("/api/v1/apis/products/", {"jwt": {"issuers": []}}).status_code == 200
    assert alice.delete("/api/v1/issuers/own/").status_code == 204
    assert charlie.post("/api/v1/issuers/", ISSUER | {"slug": "own", "tenant": "globex"}).status_code == 201
    back = alice.post("/api/v1/apis/products/rollback/", {"number": 1})
    assert (back.status_code, list(back.json()["errors"])) == (400, ["jwt.issuers"])

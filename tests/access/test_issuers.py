"""Issuers of tokens: who may make them, what they may say, and what gateways hear of it."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from apps.access.models import Credential, Issuer
from apps.access.selectors import issuers_visible_to
from apps.access.services import client_id_add, issuer_create, issuer_delete, issuer_update
from apps.audit.models import Entry
from apps.catalog import services as catalog
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from apps.tenants.egress import egress_update
from apps.tenants.services import tenant_delete
from tests.support.cast import make_api, make_application, make_introspection, make_issuer, make_tenant
from tests.support.public_keys import EC_KEY, ED_KEY, RSA_KEY

pytestmark = pytest.mark.django_db

SECRET = "0123456789abcdef0123456789abcdef"


FIELDS: Any = {
    "issuer": "https://id.corp.test/",
    "algorithms": ["ES256"],
    "audience": ["apimgr"],
    "jwks": {"keys": [EC_KEY]},
}


def refused(**given: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as error:
        make_issuer(**given)
    return error.value.message_dict


def test_an_issuer_is_made_and_told_to_gateways_with_its_entry():
    issuer = make_issuer()
    assert (issuer.client_claim, issuer.leeway, issuer.audience) == ("azp", 30.0, ["apimgr"])
    entry = Entry.objects.get(verb="issuer.create")
    assert entry.affects == [["issuer", "corp"]]
    assert entry.changes["jwks"][1] == ["ec (cn-I_WNMCleh)"], "by thumbprint (RFC 7638)"


def test_administrators_make_the_platforms_and_owners_and_developers_their_tenants(cast):
    for actor in (cast.alice, cast.bob):
        with pytest.raises(PermissionDenied):
            issuer_create(actor=actor, slug="corp", **FIELDS)
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            issuer_create(actor=actor, slug="own", tenant=cast.acme, **FIELDS)
    platforms = issuer_create(actor=cast.ada, slug="corp", **FIELDS)
    own = issuer_create(actor=cast.bob, slug="own", tenant=cast.acme, **FIELDS)
    for service in (issuer_update, issuer_delete):
        with pytest.raises(PermissionDenied):
            service(actor=cast.alice, row=platforms)
        with pytest.raises(PermissionDenied):
            service(actor=cast.charlie, row=own)
    assert issuer_update(actor=cast.alice, row=own, leeway=5.0).leeway == 5.0


def test_everybody_sees_the_platforms_and_members_their_own(cast):
    make_issuer("corp")
    make_issuer("own", cast.acme)
    assert {issuer.slug for issuer in issuers_visible_to(cast.vera)} == {"corp", "own"}
    assert {issuer.slug for issuer in issuers_visible_to(cast.charlie)} == {"corp"}
    assert not issuers_visible_to(None).exists()


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"issuer": "id.corp.test"}, "issuer", "starts with https://"),
        ({"issuer": "http://id.corp.test/"}, "issuer", "whoever is on the way"),
        ({"issuer": "https://id.corp.test/?tenant=1"}, "issuer", "no query"),
        ({"issuer": "https://id.corp.test/#x"}, "issuer", "no fragment"),
        ({"issuer": "https://user:pass@id.corp.test/"}, "issuer", "No credentials"),
        ({"issuer": "https://id.corp.test/" + "x" * 600}, "issuer", "At most 512"),
        ({"jwks_url": "ftp://id.corp.test/keys"}, "jwks_url", "starts with https://"),
        ({"jwks_url": "http://id.corp.test/keys"}, "jwks_url", "whoever is on the way"),
        ({"jwks_url": "https://169.254.169.254/keys"}, "jwks_url", "metadata"),
        ({"algorithms": []}, "algorithms", "Name the only algorithms"),
        ({"algorithms": ["none"]}, "algorithms", "Name the only algorithms"),
        ({"algorithms": ["ES256", "ES256"]}, "algorithms", "once"),
        ({"algorithms": ["ES256", "HS256"]}, "algorithms", "need a shared secret"),
        ({"algorithms": ["RS256"]}, "jwks", "None of these keys verifies signatures by RS256"),
        ({"secret": SECRET, "algorithms": ["HS256", "ES256"]}, "algorithms", "HS256, HS384 and HS512 alone"),
        ({"secret": "short", "algorithms": ["HS256"]}, "secret", "Between 32 and"),
        ({"secret": SECRET, "algorithms": ["HS256", "HS512"]}, "secret", "Between 64 and"),
        ({"jwks": None}, "__all__", "none is given"),
        ({"jwks_url": "https://id.corp.test/keys", "discovery": True}, "__all__", "not jwks_url and discovery"),
        ({"audience": []}, "audience", "any says that all do"),
        ({"audience": [""]}, "audience", "A list of up to 50"),
        ({"client_claim": ""}, "client_claim", "The name of a claim"),
        ({"leeway": 301.0}, "leeway", "Between 0 and 300 seconds"),
        ({"leeway": float("nan")}, "leeway", "Between 0 and 300 seconds"),
        ({"slug": "no slug"}, "slug", "valid"),
    ],
)
def test_what_an_issuer_may_not_say_is_refused_beside_its_field(given, field, words):
    slug = given.pop("slug", "corp")
    messages = refused(slug=slug, **given)
    assert words in " ".join(messages[field]), messages
    assert not Issuer.objects.exists()


def test_the_audience_is_said_even_where_any_will_do():
    left_out = {name: value for name, value in FIELDS.items() if name != "audience"}
    with pytest.raises(ValidationError) as error:
        issuer_create(actor=PLATFORM, slug="corp", **left_out)
    assert "or any" in error.value.message_dict["audience"][0]
    assert make_issuer(audience="any").audience == []


@pytest.mark.parametrize(
    ("jwks", "words"),
    [
        ({"key": EC_KEY}, "an object with keys"),
        ({"keys": []}, "Between one and 100"),
        ({"keys": [EC_KEY | {"kid": str(number)} for number in range(101)]}, "Between one and 100"),
        ({"keys": [EC_KEY], "note": "x" * 300_000}, "At most 256 KiB"),
        ({"keys": ["EC"]}, "no JSON object"),
        ({"keys": [EC_KEY | {"d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}]}, "no place in public"),
        ({"keys": [{"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}]}, "no place in public"),
        ({"keys": [{"kty": "oct"}]}, "no place in public"),
        ({"keys": [EC_KEY | {"crv": "secp256k1"}]}, "Its curve (crv) is none of"),
        ({"keys": [EC_KEY | {"x": "AAAA"}]}, "can't be read"),
        ({"keys": [EC_KEY | {"x": 1}]}, "It lacks a part"),
        ({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}, "It"),
        ({"keys": [RSA_KEY | {"n": RSA_KEY["n"][:171]}]}, "not 2048 to 8192"),
        ({"keys": [EC_KEY, ED_KEY | {"kid": "ec"}]}, "another key with the kid 'ec'"),
        ({"keys": [EC_KEY | {"kid": 7}]}, "(kid) is no text"),
        ({"keys": [EC_KEY | {"kid": ""}]}, "1 to 256 characters"),
        ({"keys": [EC_KEY | {"use": "enc"}]}, "None of these keys verifies"),
        ({"keys": [EC_KEY | {"use": "enc", "d": "AAAA"}]}, "no place in public"),
        ({"keys": [EC_KEY | {"alg": "ES384"}]}, "(alg) is not one"),
    ],
)
def test_a_jwk_set_holds_public_keys_of_a_good_length_alone(jwks, words):
    messages = refused(jwks=jwks)
    assert words in str(messages), messages
    assert "870MB6gfuTJ4" not in str(messages)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA_KEY, "RS256"), (RSA_KEY, "PS512"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")],
)
def test_each_type_of_key_is_taken_with_its_algorithms(key, algorithm):
    beside = {"kty": "RSA", "use": "enc", "kid": "for encryption"}
    assert make_issuer(jwks={"keys": [key, beside]}, algorithms=[algorithm]).jwks["keys"][0] == key


def test_keys_are_fetched_from_where_egress_rules_let_calls_lead(cast, settings):
    settings.EGRESS_ALLOW = []
    local = {"jwks_url": "http://127.0.0.1:9000/keys"}
    assert "no egress rule allows it" in refused(**local)["jwks_url"][0]
    assert "no egress rule allows it" in refused(issuer="http://localhost:9000", discovery=True)["issuer"][0]
    egress_update(actor=PLATFORM, allow=["127.0.0.0/8"])
    assert make_issuer(**local).jwks_url == local["jwks_url"]
    settings.OWN_PLACES = [("localhost", 9001)]
    assert "belongs to the platform itself" in refused(jwks_url="http://127.0.0.1:9001/")["jwks_url"][0]
    assert make_issuer("other", jwks_url="https://id.corp.test/keys?p=b2c").jwks_url.endswith("?p=b2c")


def test_a_tenants_issuer_is_not_where_another_tenants_private_upstream_is(cast):
    make_api(cast.globex, upstream="http://127.0.0.1:9000/")
    with pytest.raises(ValidationError, match="Another tenant's API has this private host"):
        issuer_create(
            actor=cast.bob,
            slug="own",
            tenant=cast.acme,
            **FIELDS | {"jwks": None, "jwks_url": "http://127.0.0.1:9000/keys"},
        )


def test_naming_one_source_of_keys_ends_the_other():
    issuer = make_issuer()
    fetched = issuer_update(actor=PLATFORM, row=issuer, jwks_url="https://id.corp.test/keys")
    assert (fetched.jwks, fetched.jwks_url) == (None, "https://id.corp.test/keys")
    shared = issuer_update(actor=PLATFORM, row=issuer, secret=SECRET, algorithms=["HS256"])
    assert (shared.jwks_url, shared.secret) == ("", SECRET)


def test_a_secret_is_in_no_entry_and_stays_unless_another_is_given():
    issuer = make_issuer(secret=SECRET, algorithms=["HS256"])
    issuer_update(actor=PLATFORM, row=issuer, leeway=0.0)
    issuer_update(actor=PLATFORM, row=issuer, secret=SECRET[::-1])
    issuer.refresh_from_db()
    assert issuer.secret == SECRET[::-1]
    told = str(list(Entry.objects.values_list("changes", flat=True)))
    assert SECRET not in told
    assert SECRET[::-1] not in told
    assert Entry.objects.first().changes == {"secret": ["(hidden)", "(hidden)"]}


def test_what_changes_nothing_leaves_no_entry():
    issuer = make_issuer()
    before = Entry.objects.count()
    issuer_update(actor=PLATFORM, row=issuer, **FIELDS)
    assert Entry.objects.count() == before


def test_one_that_an_api_takes_is_not_deleted_and_says_which_does(cast):
    issuer = make_issuer()
    api = make_api(cast.platform, jwt={"issuers": ["corp"]})
    with pytest.raises(Conflict, match="Products"):
        issuer_delete(actor=cast.ada, row=issuer)
    catalog.api_update(actor=PLATFORM, api=api, jwt={})
    issuer_delete(actor=cast.ada, row=issuer)
    assert not Issuer.objects.exists()
    assert Entry.objects.first().affects == [["issuer", "corp"]]


def test_its_client_ids_go_with_a_tenants_issuer(cast):
    issuer = make_issuer("own", cast.acme)
    row = client_id_add(actor=PLATFORM, application=make_application(cast.acme), client_id="bot", issuer=issuer)
    issuer_delete(actor=cast.alice, row=issuer)
    assert not Credential.objects.exists()
    entry = Entry.objects.first()
    assert entry.changes == {"client_ids": [1, 0]}
    assert entry.affects == [["key", row.digest], ["stored", f"s:key:{row.pk}"], ["issuer", "own"]]


def test_two_issuers_that_an_api_takes_do_not_come_to_say_the_same_in_iss(cast):
    make_issuer("corp")
    other = make_issuer("other", issuer="https://other.test/")
    make_api(cast.platform, jwt={"issuers": ["corp", "other"]})
    with pytest.raises(ValidationError, match="say the same in iss"):
        issuer_update(actor=PLATFORM, row=other, issuer="https://id.corp.test/")


def test_a_tenant_with_an_issuer_is_not_deleted():
    tenant = make_tenant("globex")
    make_issuer("own", tenant)
    with pytest.raises(ValidationError, match="issuers or introspection servers"):
        tenant_delete(actor=PLATFORM, tenant=tenant)


@pytest.mark.parametrize("note", ["a\0", "\ud800", float("nan"), {"\0": 1}, [[[[[[[[1]]]]]]]]])
def test_what_no_database_holds_is_refused_in_whatever_member_of_a_key(cast, note):
    assert list(refused(jwks={"keys": [EC_KEY | {"note": note}]})) == ["jwks"]


def test_a_tenant_has_no_more_issuers_and_servers_than_each_worker_can_hold(cast, monkeypatch):
    monkeypatch.setattr("apps.access.services.issuers.MOST_OF_A_TENANT", 1)
    make_issuer("own", cast.acme)
    make_introspection("own", cast.acme)
    for make in (make_issuer, make_introspection):
        with pytest.raises(Conflict, match="has 1 already, which is as many as a tenant may have"):
            make("another", cast.acme)
        make("platforms")

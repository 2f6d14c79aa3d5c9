"""Issuers of tokens, introspection servers and client IDs in the console: who sees, makes, changes and removes which."""

import json
import time

import pytest
from django.urls import reverse

from apps.access.models import Credential, Introspection, Issuer, Revocation
from apps.catalog.models import API
from tests.console.conftest import errors_of, last_entry, text_of
from tests.explain.test_typed_token import PUBLIC, token
from tests.support.cast import make_api, make_introspection, make_issuer
from tests.support.client_certificates import make_certificate, pem
from tests.support.public_keys import EC_KEY

SECRET = "a secret that is shared with the issuer"
FIELDS = {
    "slug": "bank",
    "issuer": "https://id.bank.test/",
    "source": "jwks",
    "jwks": json.dumps({"keys": [EC_KEY]}),
    "algorithms": ["ES256"],
    "audience": "apimgr",
    "client_claim": "azp",
    "leeway": "30s",
}
SERVER = {
    "slug": "bank",
    "url": "https://id.bank.test/introspect",
    "client_authentication": "basic",
    "client_id": "gateway",
    "secret": SECRET,
    "client_claim": "client_id",
    "cache": "30s",
    "negative_cache": "5s",
}


def shown(client, route: str, *names: str) -> str:
    answer = client.get(reverse(f"console:{route}", args=names))
    assert answer.status_code == 200
    return answer.content.decode()


def edited(client, route: str, name: str, **changes):
    """The form as it is shown, sent with some changes."""
    address = reverse(f"console:{route}", args=[name])
    form = client.get(address).context["form"]
    sent = {key: form[key].value() for key in form.fields}
    return client.post(address, {key: value for key, value in sent.items() if value not in (None, False)} | changes)


def test_an_administrator_adds_an_issuer_of_the_platform(world, browse):
    ada = browse(world.people.ada)
    answer = ada.post(reverse("console:issuer_new"), FIELDS, follow=True)
    assert "bank is there" in text_of(answer)
    made = Issuer.objects.get(slug="bank")
    assert (made.tenant, made.audience, made.leeway, made.jwks) == (None, ["apimgr"], 30.0, {"keys": [EC_KEY]})
    assert last_entry().verb == "issuer.create"


def test_a_developer_adds_one_of_the_tenant_and_none_of_the_platform(world, browse):
    bob = browse(world.people.bob)
    refused = bob.post(reverse("console:issuer_new"), FIELDS | {"tenant": ""})
    assert errors_of(refused).keys() == {"tenant"}
    assert errors_of(bob.post(reverse("console:issuer_new"), FIELDS | {"tenant": "globex"})).keys() == {"tenant"}
    assert bob.post(reverse("console:issuer_new"), FIELDS | {"tenant": "acme"}).status_code == 302
    assert Issuer.objects.get(slug="bank").tenant == world.people.acme


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"issuer": "id.bank.test"}, "issuer"),
        ({"jwks": "{}"}, "jwks"),
        ({"jwks": "no JSON"}, "jwks"),
        ({"jwks": ""}, "jwks"),
        ({"source": "jwks_url"}, "jwks_url"),
        ({"source": "jwks_url", "jwks_url": "ftp://id.bank.test/"}, "jwks_url"),
        ({"source": "secret"}, "secret"),
        ({"source": "secret", "secret": "short", "algorithms": ["HS256"]}, "secret"),
        ({"source": "secret", "secret": SECRET}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"audience": ""}, "audience"),
        ({"any_audience": "on"}, "any_audience"),
        ({"leeway": "1h"}, "leeway"),
        ({"slug": "new"}, "slug"),
        ({"slug": "corp"}, "slug"),
    ],
)
def test_what_is_wrong_with_an_issuer_stands_beside_its_field(world, browse, changes, field):
    answer = browse(world.people.ada).post(reverse("console:issuer_new"), FIELDS | changes)
    assert answer.status_code == 422
    assert errors_of(answer).keys() == {field}
    assert not Issuer.objects.filter(slug="bank").exists()


def test_a_shared_secret_is_written_and_never_shown(world, browse):
    ada = browse(world.people.ada)
    secret = {"source": "secret", "secret": SECRET, "algorithms": ["HS256"]}
    ada.post(reverse("console:issuer_new"), FIELDS | secret)
    for route in ("issuer", "issuer_edit", "issuer_keys"):
        assert SECRET not in shown(ada, route, "bank")
    assert "A shared secret, which is never shown" in shown(ada, "issuer", "bank")
    refused = edited(ada, "issuer_edit", "bank", secret="another secret, which is typed", leeway="1h")
    assert "another secret" not in refused.content.decode()

    assert edited(ada, "issuer_edit", "bank", leeway="10s").status_code == 302
    assert Issuer.objects.get(slug="bank").secret == SECRET
    assert SECRET not in json.dumps(last_entry().changes)
    assert edited(ada, "issuer_edit", "bank", secret=SECRET * 2).status_code == 302
    assert Issuer.objects.get(slug="bank").secret == SECRET * 2


def test_another_source_of_keys_ends_the_one_before(world, browse):
    ada = browse(world.people.ada)
    source = {"source": "jwks_url", "jwks_url": "https://id.corp.test/jwks"}
    assert edited(ada, "issuer_edit", "corp", **source).status_code == 302
    issuer = Issuer.objects.get(slug="corp")
    assert (issuer.jwks, issuer.jwks_url, issuer.discovery) == (None, "https://id.corp.test/jwks", False)
    assert edited(ada, "issuer_edit", "corp", source="discovery", audience="", any_audience="on").status_code == 302
    issuer.refresh_from_db()
    assert (issuer.jwks_url, issuer.discovery, issuer.audience) == ("", True, [])
    assert "any" in text_of(ada.get(reverse("console:issuer", args=["corp"])))


def test_members_read_the_platforms_issuers_and_manage_their_tenants(world, browse):
    make_issuer("acme-id", world.people.acme, issuer="https://id.acme.test/")
    bob, vera, charlie = (browse(getattr(world.people, name)) for name in ("bob", "vera", "charlie"))
    for client in (bob, vera):
        page = shown(client, "issuers")
        assert "https://id.corp.test/" in page
        assert "https://id.acme.test/" in page
    assert "acme-id" not in shown(charlie, "issuers")
    assert charlie.get(reverse("console:issuer", args=["acme-id"])).status_code == 404
    for route in ("issuer_edit", "issuer_delete", "issuer_keys"):
        assert bob.get(reverse(f"console:{route}", args=["corp"])).status_code == 403
        assert vera.get(reverse(f"console:{route}", args=["acme-id"])).status_code == 403
        assert bob.get(reverse(f"console:{route}", args=["acme-id"])).status_code == 200
        assert reverse(f"console:{route}", args=["corp"]) not in shown(bob, "issuer", "corp")
    assert reverse("console:issuer_new") not in shown(vera, "issuers")


def test_an_issuers_page_shows_its_keys_its_apis_and_its_client_ids(world, browse):
    API.objects.filter(pk=world.api.pk).update(jwt=world.api.jwt | {"issuers": ["corp"], "required_scopes": ["read"]})
    page = text_of(browse(world.people.ada).get(reverse("console:issuer", args=["corp"])))
    for part in ("ec EC P-256", "Products", "needs read", "bot-client", "Bot of Acme", "apimgr", "ES256"):
        assert part in page


def test_an_issuers_page_shows_others_nothing_of_what_is_not_theirs(world, browse):
    hidden = make_api(world.people.platform, "hidden", publish=False)
    API.objects.filter(pk=hidden.pk).update(jwt=hidden.jwt | {"issuers": ["corp"]})
    page = shown(browse(world.people.charlie), "issuer", "corp")
    assert "bot-client" not in page
    assert "Hidden" not in page


def test_deleting_an_issuer_says_which_apis_take_its_tokens(world, browse):
    ada, address = browse(world.people.ada), reverse("console:issuer_delete", args=["corp"])
    API.objects.filter(pk=world.api.pk).update(jwt=world.api.jwt | {"issuers": ["corp"]})
    assert "APIs take its tokens: Products." in text_of(ada.get(address))
    assert "Products" in text_of(ada.post(address, {"confirm": "corp"}))
    assert Issuer.objects.filter(slug="corp").exists()
    API.objects.filter(pk=world.api.pk).update(jwt=world.api.jwt | {"issuers": []})
    assert errors_of(ada.post(address, {"confirm": "crop"})).keys() == {"confirm"}
    assert ada.post(address, {"confirm": "corp"})["Location"] == reverse("console:issuers")
    assert not Issuer.objects.filter(slug="corp").exists()


def test_an_introspection_server_is_added_changed_and_removed(world, browse):
    ada = browse(world.people.ada)
    assert ada.post(reverse("console:introspection_new"), SERVER).status_code == 302
    for route in ("introspection", "introspection_edit"):
        assert SECRET not in shown(ada, route, "bank")
    assert edited(ada, "introspection_edit", "bank", cache="2m").status_code == 302
    server = Introspection.objects.get(slug="bank")
    assert (server.cache, server.secret) == (120.0, SECRET)
    refused = edited(ada, "introspection_edit", "bank", cache="2h", secret="typed anew")
    assert errors_of(refused).keys() == {"cache"}
    assert "typed anew" not in refused.content.decode()
    edited(ada, "introspection_edit", "bank", client_authentication="none")
    server.refresh_from_db()
    assert server.secret is None

    API.objects.filter(pk=world.api.pk).update(introspection="bank")
    assert "Products" in shown(ada, "introspection", "bank")
    address = reverse("console:introspection_delete", args=["bank"])
    assert "APIs ask it: Products." in text_of(ada.post(address, {"confirm": "bank"}))
    API.objects.filter(pk=world.api.pk).update(introspection="")
    ada.post(address, {"confirm": "bank"})
    assert not Introspection.objects.filter(slug="bank").exists()


def test_members_see_their_tenants_introspection_servers_and_how_the_platforms_are_asked_stays_hidden(world, browse):
    make_introspection("acme-server", world.people.acme)
    bob, charlie = browse(world.people.bob), browse(world.people.charlie)
    assert world.introspection.url in shown(browse(world.people.ada), "introspection", "legacy")
    assert world.introspection.url not in shown(bob, "introspection", "legacy")
    assert "https://id.corp.test/introspect" in shown(bob, "introspection", "acme-server")
    assert charlie.get(reverse("console:introspection", args=["acme-server"])).status_code == 404
    assert bob.get(reverse("console:introspection_edit", args=["legacy"])).status_code == 403


def test_a_client_id_is_added_listed_and_revoked(world, browse):
    issuer = make_issuer("acme-id", world.people.acme, issuer="https://id.acme.test/")
    bob = browse(world.people.bob)
    address = reverse("console:client_id_new", args=["acme", "bot"])
    assert errors_of(bob.post(address, {"client_id": "robot", "known_to": ""})).keys() == {"known_to"}
    assert errors_of(bob.post(address, {"client_id": "robot", "known_to": "issuer:corp"})).keys() == {"known_to"}
    assert errors_of(bob.post(address, {"client_id": "two\tparts", "known_to": "issuer:acme-id"})).keys() == {
        "client_id"
    }
    assert bob.post(address, {"client_id": "robot", "known_to": "issuer:acme-id"}).status_code == 302
    taken = bob.post(address, {"client_id": "robot", "known_to": "issuer:acme-id"})
    assert "robot" in text_of(taken)
    assert taken.status_code == 422
    made = Credential.objects.get(identifier="robot")
    assert (made.kind, made.issuer) == ("client_id", issuer)
    page = text_of(bob.get(reverse("console:application", args=["acme", "bot"])))
    assert "Client ID robot of acme-id" in page
    assert "API key" in page

    revoke = reverse("console:key_revoke", args=[made.pk])
    assert "Revoke the client ID robot?" in text_of(bob.get(revoke))
    bob.post(revoke, {})
    made.refresh_from_db()
    assert made.state == "revoked"
    assert revoke not in shown(bob, "application", "acme", "bot")


def test_a_client_id_may_be_known_to_an_introspection_server(world, browse):
    server = make_introspection("acme-server", world.people.acme)
    bob = browse(world.people.bob)
    sent = {"client_id": "robot", "known_to": "introspection:acme-server", "expires_at": "2020-01-01T00:00"}
    address = reverse("console:client_id_new", args=["acme", "bot"])
    assert errors_of(bob.post(address, sent)).keys() == {"expires_at"}
    bob.post(address, sent | {"expires_at": ""})
    assert Credential.objects.get(identifier="robot").introspection == server
    assert "robot" in shown(bob, "introspection", "acme-server")
    assert "robot" not in shown(bob, "introspection", "legacy")
    assert "robot of acme-server" in text_of(bob.get(reverse("console:application", args=["acme", "bot"])))


def test_a_credential_of_each_kind_is_limited_and_revoked_and_only_a_key_is_rotated(world, browse):
    page = shown(browse(world.people.bob), "application", "acme", "bot")
    for credential in (world.key.key, world.client_id):
        for route in ("key_limits", "key_revoke"):
            assert reverse(f"console:{route}", args=[credential.pk]) in page
    assert reverse("console:key_rotate", args=[world.key.key.pk]) in page
    assert reverse("console:key_rotate", args=[world.client_id.pk]) not in page


def test_a_certificate_is_added_by_its_fingerprint(world, browse):
    bob, address = browse(world.people.bob), reverse("console:certificate_new", args=["acme", "bot"])
    refused = bob.post(address, {"name": "edge", "certificate": "no certificate"})
    assert errors_of(refused).keys() == {"certificate"}
    assert bob.post(address, {"name": "edge", "certificate": pem(make_certificate())}).status_code == 302
    made = Credential.objects.get(kind="certificate")
    page = shown(bob, "application", "acme", "bot")
    assert made.identifier in page
    assert "Revoke the certificate edge?" in text_of(bob.get(reverse("console:key_revoke", args=[made.pk])))


def test_a_signing_key_is_shown_once(world, browse):
    bob, address = browse(world.people.bob), reverse("console:signing_key_new", args=["acme", "bot"])
    past = bob.post(address, {"name": "hooks", "expires_at": "2020-01-01T00:00"})
    assert errors_of(past).keys() == {"expires_at"}
    answer = bob.post(address, {"name": "hooks"})
    made = Credential.objects.get(kind="signing_key")
    assert made.identifier in text_of(answer)
    assert made.secret in text_of(answer)
    page = shown(bob, "application", "acme", "bot")
    assert made.identifier in page
    assert made.secret not in page


def test_client_ids_of_the_platforms_issuers_are_given_by_administrators(world, browse):
    address = reverse("console:client_id_new", args=["acme", "bot"])
    assert "added by administrators" in text_of(browse(world.people.bob).get(address))
    browse(world.people.ada).post(address, {"client_id": "robot", "known_to": ""})
    assert Credential.objects.get(identifier="robot").issuer is None


def test_an_api_is_told_whose_tokens_it_takes_and_what_they_need(world, browse):
    olga, address = browse(world.people.olga), reverse("console:api_settings", args=["products"])

    def save(**changes):
        form = olga.get(address).context["form"]
        sent = {name: form[name].value() for name in form.fields}
        return olga.post(address, {name: value for name, value in sent.items() if value not in (None, False)} | changes)

    assert errors_of(save(authentication=["jwt", "api_key"])).keys() == {"token_issuers"}
    assert errors_of(save(authentication=["introspection"])).keys() == {"introspection"}
    rules = {
        "authentication": ["jwt", "api_key", "introspection"],
        "token_issuers": ["corp"],
        "token_scopes": "read, write",
        "token_claims": 'tier: gold, silver\nlevel: 3, "3"',
        "token_operations": "post, put /orders/** -> orders.write\n/admin -> admin audit",
        "introspection": "legacy",
    }
    assert save(**rules).status_code == 302
    api = API.objects.get(slug="products")
    assert api.authentication == ["jwt", "api_key", "introspection"]
    assert api.introspection == "legacy"
    assert api.jwt == {
        "issuers": ["corp"],
        "required_scopes": ["read", "write"],
        "required_claims": {"tier": ["gold", "silver"], "level": [3, "3"]},
        "operations": [
            {"methods": ["POST", "PUT"], "path": "/orders/**", "required_scopes": ["orders.write"]},
            {"methods": [], "path": "/admin", "required_scopes": ["admin", "audit"]},
        ],
    }
    assert save(name="Wares").status_code == 302
    assert API.objects.get(slug="products").jwt == api.jwt

    for field, wrong in {
        "token_claims": "tier gold",
        "token_operations": "/orders",
        "token_scopes": 'quo"te',
    }.items():
        assert errors_of(save(**{field: wrong})).keys() == {field}
    refused = errors_of(save(token_operations="/fine -> a\nGRAB /orders -> b"))
    assert refused["token_operations"][0].startswith("Line 2: ")
    assert errors_of(save(token_claims="exp: 7"))["token_claims"][0].startswith("exp: ")


def test_callers_are_shown_how_to_call_with_each_way_and_whose_tokens_count(world, browse):
    API.objects.filter(pk=world.api.pk).update(
        authentication=["jwt", "api_key"],
        jwt=world.api.jwt | {"issuers": ["corp"], "required_scopes": ["read"], "required_claims": {"tier": ["gold"]}},
    )
    page = text_of(browse(world.people.bob).get(reverse("console:catalogue_entry", args=["products"])))
    assert "Authorization: Bearer YOUR_TOKEN" in page
    assert "X-API-Key: YOUR_KEY" in page
    for part in ("https://id.corp.test/", "apimgr", "the scope read", "the claim tier"):
        assert part in page


def test_a_token_is_explained_claim_by_claim_and_not_given_back(world, browse):
    make_issuer("lab", jwks={"keys": [PUBLIC]})
    API.objects.filter(pk=world.api.pk).update(authentication=["jwt"], jwt=world.api.jwt | {"issuers": ["lab"]})
    bob, address = browse(world.people.bob), reverse("console:issuer_test", args=["lab"])
    good = token(azp="bot-client", sub="alice", scope="read", tier="gold", exp=int(time.time()) + 290)
    answer = bob.post(address, {"token": f"Bearer {good[:40]}\n{good[40:]} "})
    page = text_of(answer)
    for part in ("Nothing is wrong with this token", "Expires exp", "in 4 minutes", "tier", "gold", "read"):
        assert part in page
    assert "The client bot-client is Bot of Acme." in page
    assert "Products /products/" in page
    assert good not in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]

    page = text_of(bob.post(address, {"token": token(aud="others", exp=1)}, headers={"HX-Request": "true"}))
    for part in ("Gateways refuse this token", "The token has expired.", "The token is meant for somebody else."):
        assert part in page
    assert "Whose it is" not in page
    assert "The token is malformed." in text_of(bob.post(address, {"token": "no token"}))
    assert errors_of(bob.post(address, {"token": ""})).keys() == {"token"}


def test_keys_are_fetched_when_asked_for(world, browse):
    make_issuer("away", jwks_url="http://127.0.0.1:1/jwks")
    ada, address = browse(world.people.ada), reverse("console:issuer_keys", args=["away"])
    assert "Fetch now" in text_of(ada.get(address))
    assert "There was no answer" in text_of(ada.post(address))
    assert "Fetch now" not in text_of(ada.get(reverse("console:issuer_keys", args=["corp"])))


def test_an_api_that_takes_tokens_alone_is_tried_with_one_and_without_an_application(world, browse):
    API.objects.filter(pk=world.api.pk).update(authentication=["jwt"], jwt=world.api.jwt | {"issuers": ["corp"]})
    answer = browse(world.people.vera).get(reverse("console:try", args=["products"]))
    assert "This API takes no keys. Write what it takes into the headers below: Token (JWT)" in text_of(answer)
    assert "Authorization: Bearer YOUR_TOKEN" in text_of(answer)
    assert "application" not in answer.context["form"].fields


def test_a_subject_and_a_token_are_revoked_on_the_issuers_page_and_a_subject_restored(world, browse):
    ada, address = browse(world.people.ada), reverse("console:issuer_revoke", args=["corp"])
    for kind, value, said in (
        ("subject", "ben@corp.test", "The subject's tokens are revoked"),
        ("jti", "the-id-of-a-token", "The token is revoked"),
    ):
        answer = ada.post(address, {"kind": kind, "value": value, "comment": "left"}, follow=True)
        assert said in text_of(answer)
        assert value not in answer.content.decode(), "a masked form alone"
        assert last_entry().verb == {"jti": "revocation.token"}.get(kind, "revocation.subject")
    page = shown(ada, "issuer", "corp")
    assert "ben@…" in page
    assert "the-…" in page
    found = Revocation.objects.get(shown="ben@…")
    restored = ada.post(reverse("console:revocation_restore", args=[found.pk]), {"comment": ""}, follow=True)
    assert "The subject is restored" in text_of(restored)
    assert not Revocation.objects.filter(pk=found.pk).exists()


def test_what_is_no_subject_is_said_beside_its_field(world, browse):
    ada, address = browse(world.people.ada), reverse("console:issuer_revoke", args=["corp"])
    assert errors_of(ada.post(address, {"kind": "subject", "value": ""})).keys() == {"value"}
    assert errors_of(ada.post(address, {"kind": "all", "value": "x"})).keys() == {"kind"}


def test_who_may_not_change_an_issuer_sees_nothing_of_what_is_revoked(world, browse):
    alice = browse(world.people.alice)
    assert "Revoked" not in shown(alice, "issuer", "corp")
    assert alice.get(reverse("console:issuer_revoke", args=["corp"])).status_code == 403
    assert alice.get(reverse("console:revocation_restore", args=[world.revocation.pk])).status_code == 404

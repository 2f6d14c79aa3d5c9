"""Issuers, introspection servers and client IDs in the declarative file."""

import json

import pytest

from apps.access.choices import KeyState
from apps.access.models import Credential, Introspection, Issuer
from apps.audit.models import Entry
from apps.catalog.models import API
from apps.declarative.exporting import as_yaml, export
from tests.declarative.test_apply import applied, refusal_of
from tests.support.public_keys import EC_KEY

pytestmark = pytest.mark.django_db

FILE = f"""
version: 1
tenants: [{{slug: platform}}, {{slug: acme}}]
issuers:
  - slug: corp
    issuer: "https://id.corp.test/"
    jwks: {json.dumps({"keys": [EC_KEY]})}
    algorithms: [ES256, RS256]
    audience: [apimgr]
    client_claim: azp
    leeway: 30s
  - {{slug: shared, tenant: acme, issuer: "https://shared.test/", algorithms: [HS256], audience: any, secret_env: HS_SECRET}}
introspections:
  - slug: legacy
    url: "http://127.0.0.1:9001/introspect"
    client_id: gw
    client_secret_env: GW_SECRET
    cache: 30s
    negative_cache: 5s
  - {{slug: own, tenant: acme, url: "https://own.test/introspect"}}
apis:
  - slug: orders
    tenant: platform
    listen_path: /orders/
    upstreams: [{{url: "http://127.0.0.1:9000/"}}]
    jwt: {{issuers: [corp], required_scopes: [read], required_claims: {{tier: [gold, silver], active: true}}}}
    introspection: legacy
applications:
  - tenant: acme
    slug: bot
    keys: []
    client_ids: [bot-client, {{client_id: bot, issuer: shared}}, {{client_id: bot, introspection: own}}]
"""


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("HS_SECRET", "a secret of thirty-two bytes or so")
    monkeypatch.setenv("GW_SECRET", "the client's secret")


def test_the_file_makes_issuers_servers_and_client_ids_before_what_names_them():
    assert applied(FILE) == [
        "+ tenant platform",
        "+ tenant acme",
        "+ issuer corp",
        "+ issuer shared",
        "+ introspection server legacy",
        "+ introspection server own",
        "+ api orders",
        "+ application acme/bot",
        "+ client ID acme/bot/bot-client",
        "+ client ID acme/bot/bot",
        "+ client ID acme/bot/bot",
    ]
    assert Issuer.objects.get(slug="shared").secret == "a secret of thirty-two bytes or so"
    assert Introspection.objects.get(slug="legacy").secret == "the client's secret"
    assert API.objects.get().jwt["required_claims"] == {"tier": ["gold", "silver"], "active": [True]}


def test_applied_again_it_changes_nothing():
    applied(FILE)
    entries = Entry.objects.count()
    assert applied(FILE, prune=True) == []
    assert Entry.objects.count() == entries


def test_what_is_exported_holds_no_secret_and_applied_changes_nothing():
    applied(FILE)
    exported = as_yaml(export())
    assert "thirty-two" not in exported
    assert "client's secret" not in exported
    assert applied(exported, prune=True) == []
    assert as_yaml(export()) == exported


def test_another_secret_of_the_environment_is_a_line_that_does_not_say_it(monkeypatch):
    applied(FILE)
    monkeypatch.setenv("HS_SECRET", "another secret of thirty-two bytes")
    monkeypatch.setenv("GW_SECRET", "another")
    assert applied(FILE) == ["~ issuer shared: secret", "~ introspection server legacy: client_secret"]


def test_a_changed_field_is_one_line_that_says_from_what_to_what():
    applied(FILE)
    changed = FILE.replace("leeway: 30s", "leeway: 5s").replace("required_scopes: [read]", "required_scopes: [write]")
    assert applied(changed) == [
        "~ issuer corp: leeway 30s → 5s",
        "~ api orders: jwt.required_scopes ['read'] → ['write']",
    ]


def test_what_the_lists_do_not_name_goes_only_with_prune():
    applied(FILE)
    without = FILE.replace(", {client_id: bot, issuer: shared}", "")
    assert applied(without) == []
    assert applied(without, prune=True) == ["- client ID acme/bot/bot"]
    assert Credential.objects.get(issuer__slug="shared").state == KeyState.REVOKED
    nothing = "version: 1\napis: []\nissuers: []\nintrospections: []\n"
    assert applied(nothing, prune=True) == [
        "- api orders",
        "- introspection server legacy",
        "- introspection server own",
        "- issuer corp",
        "- issuer shared",
    ]


def test_an_issuer_that_an_api_takes_stays():
    applied(FILE)
    [problem] = refusal_of("version: 1\nissuers: []\n", prune=True)
    assert "orders" in problem
    assert "take tokens of corp" in problem


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    audience: [apimgr]\n", "", "issuers[0].audience: Name the audiences"),
        ("algorithms: [ES256, RS256]", "algorithms: [none]", "issuers[0].algorithms: Name the only algorithms"),
        ("audience: any", "audience: all", "issuers[1].audience: Expected a list of audiences"),
        (
            "secret_env: HS_SECRET",
            "secret_env: UNSET",
            "issuers[1].secret_env: the environment variable UNSET is not set",
        ),
        ("secret_env: HS_SECRET", "secret_env: HS_SECRET, secret: x", "give secret or secret_env, not both"),
        ("secret_env: HS_SECRET", "leeway: 1s", "Its keys are in one place"),
        ("    client_secret_env: GW_SECRET\n", "", "introspections[0].client_secret: Give the client's secret"),
        ("issuers: [corp]", "issuers: [shared]", "apis[0].jwt.issuers: There is no issuer shared that platform may"),
        (
            "introspection: legacy",
            "introspection: other",
            "apis[0].introspection: There is no introspection server other",
        ),
        ("issuer: shared}", "issuer: none}", "there is no issuer none"),
        ("[bot-client,", "[bot-client, bot-client,", "this client ID stands in the file twice"),
        ("tenant: acme, issuer", "tenant: nobody, issuer", "there is no tenant nobody"),
    ],
)
def test_what_is_wrong_names_its_line_and_changes_nothing(old, new, words):
    [problem] = refusal_of(FILE.replace(old, new))
    assert words in problem
    assert not Issuer.objects.exists()


def test_the_owner_of_an_issuer_does_not_change():
    applied(FILE)
    [problem] = refusal_of(FILE.replace("slug: shared, tenant: acme", "slug: shared, tenant: platform"))
    assert "shared belongs to acme" in problem

"""Introspection servers: who may make them, what they may say, and what gateways hear of it."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import PermissionDenied, ValidationError

from apps.access.models import Introspection
from apps.access.selectors import introspections_visible_to
from apps.access.services import introspection_create, introspection_delete, introspection_update
from apps.audit.models import Entry
from apps.catalog import services as catalog
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from tests.support.cast import make_api

pytestmark = pytest.mark.django_db

URL = "https://id.corp.test/introspect"


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def make_server(slug: str = "legacy", tenant: Any = None, **given: Any) -> Introspection:
    usual = {"url": URL, "client_id": "gw", "secret": "s3cret"}
    return introspection_create(actor=PLATFORM, slug=slug, tenant=tenant, **(usual | given))


def test_a_server_is_made_and_told_to_gateways_with_its_entry():
    server = make_server()
    assert (server.client_authentication, server.cache, server.negative_cache) == ("basic", 30.0, 5.0)
    assert make_server("open", client_id="", secret=None).client_authentication == "none"
    entry = Entry.objects.get(verb="introspection.create", target="legacy")
    assert entry.affects == [["introspection", "legacy"]]
    assert entry.changes["secret"] == [None, "(hidden)"]
    assert "s3cret" not in str(list(Entry.objects.values_list("changes", flat=True)))


def test_administrators_make_the_platforms_and_owners_and_developers_their_tenants(cast):
    with pytest.raises(PermissionDenied):
        introspection_create(actor=cast.alice, slug="legacy", url=URL)
    with pytest.raises(PermissionDenied):
        introspection_create(actor=cast.vera, slug="own", tenant=cast.acme, url=URL)
    platforms = introspection_create(actor=cast.ada, slug="legacy", url=URL)
    own = introspection_create(actor=cast.bob, slug="own", tenant=cast.acme, url=URL)
    for service in (introspection_update, introspection_delete):
        with pytest.raises(PermissionDenied):
            service(actor=cast.alice, server=platforms)
        with pytest.raises(PermissionDenied):
            service(actor=cast.charlie, server=own)
    assert introspection_update(actor=cast.alice, server=own, cache=0.0).cache == 0.0
    assert {row.slug for row in introspections_visible_to(cast.vera)} == {"legacy", "own"}
    assert {row.slug for row in introspections_visible_to(cast.charlie)} == {"legacy"}


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"url": "id.corp.test"}, "url", "starts with https://"),
        ({"url": "http://id.corp.test/"}, "url", "whoever is on the way"),
        ({"url": "https://169.254.169.254/"}, "url", "metadata"),
        (
            {"client_id": ""},
            "client_id",
            "client_authentication to none",
        ),
        ({"client_id": "tab\t"}, "client_id", "visible ASCII"),
        ({"secret": None}, "secret", "Give the client's secret"),
        ({"secret": "ü"}, "secret", "visible ASCII"),
        ({"client_authentication": "none"}, "secret", "there is no client secret"),
        ({"client_authentication": "private_key_jwt"}, "secret", "private key in PEM"),
        (
            {"client_authentication": "private_key_jwt", "secret": pem(ec.generate_private_key(ec.SECP256K1()))},
            "secret",
            "P-256",
        ),
        ({"client_authentication": "guess"}, "client_authentication", "not a valid choice"),
        ({"client_claim": ""}, "client_claim", "names the client"),
        ({"cache": 3601.0}, "cache", "Between 0 and an hour"),
        ({"negative_cache": float("inf")}, "negative_cache", "Between 0 and an hour"),
    ],
)
def test_what_a_server_may_not_say_is_refused_beside_its_field(given, field, words):
    with pytest.raises(ValidationError) as error:
        make_server(**{"client_authentication": "basic"} | given)
    assert words in " ".join(error.value.message_dict[field]), error.value.message_dict
    assert not Introspection.objects.exists()


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()], ids=["P-256", "Ed25519"]
)
def test_a_private_key_says_who_the_gateway_is(key):
    server = make_server(client_authentication="private_key_jwt", secret=pem(key))
    assert server.secret == pem(key)


def test_a_secret_stays_unless_another_is_given():
    server = make_server()
    introspection_update(actor=PLATFORM, server=server, cache=10.0)
    introspection_update(actor=PLATFORM, server=server, secret="another")
    server.refresh_from_db()
    assert server.secret == "another"
    assert Entry.objects.first().changes == {"secret": ["(hidden)", "(hidden)"]}
    before = Entry.objects.count()
    introspection_update(actor=PLATFORM, server=server, secret="another", url=URL)
    assert Entry.objects.count() == before


def test_servers_are_asked_where_egress_rules_let_calls_lead(cast, settings):
    settings.EGRESS_ALLOW = []
    with pytest.raises(ValidationError, match="no egress rule allows it"):
        make_server(url="http://127.0.0.1:9001/introspect")
    cast.acme.egress = ["127.0.0.0/8"]
    cast.acme.save()
    assert make_server(tenant=cast.acme, url="http://127.0.0.1:9001/introspect").tenant == cast.acme


def test_one_that_an_api_asks_is_not_deleted_and_says_which_does(cast):
    server = make_server()
    api = make_api(cast.platform, introspection="legacy")
    with pytest.raises(Conflict, match="Products"):
        introspection_delete(actor=cast.ada, server=server)
    catalog.api_update(actor=PLATFORM, api=api, introspection="")
    introspection_delete(actor=cast.ada, server=server)
    assert Entry.objects.first().affects == [["introspection", "legacy"]]


def test_a_secret_that_is_kept_goes_to_no_other_server(cast):
    server = make_server()
    for url in ("https://evil.test/introspect", "https://id.corp.test:8443/introspect"):
        with pytest.raises(ValidationError) as refused:
            introspection_update(actor=cast.ada, server=server, url=url)
        assert "give the secret anew" in refused.value.message_dict["secret"][0]
    assert introspection_update(actor=cast.ada, server=server, url=f"{URL}/v2").secret == "s3cret"
    moved = introspection_update(actor=cast.ada, server=server, url="https://new.corp.test/", secret="an0ther")
    assert (moved.url, moved.secret) == ("https://new.corp.test/", "an0ther")
    without = make_server("open", client_id="", secret=None)
    assert introspection_update(actor=cast.ada, server=without, url="https://new.corp.test/").url.endswith(
        "new.corp.test/"
    )

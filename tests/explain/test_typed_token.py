"""A typed token: everything that is wrong with it is told, whose it is, and which APIs would take it."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm

from apps.access.models import Issuer
from apps.access.services import client_id_add, key_revoke, subject_revoke, token_revoke
from apps.catalog.models import API
from apps.explain.typed_token import TypedToken, explain_token
from apps.fleet.issuer_keys import LARGEST, KeysAway, keys_of
from apps.tenants.actors import PLATFORM
from tests.support.cast import Cast, make_api, make_application, make_issuer, make_plan, make_subscription

PRIVATE, OTHER = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
PUBLIC = {**ECAlgorithm.to_jwk(PRIVATE.public_key(), as_dict=True), "kid": "one"}
SET = json.dumps({"keys": [PUBLIC]}).encode()
SECRET = "a secret that is shared with the issuer"


def token(key: Any = PRIVATE, algorithm: str = "ES256", kid: str | None = "one", **claims: Any) -> str:
    """A good token of the issuer ``corp``, but for what is said otherwise; a claim that is ``None`` is left out."""
    now = int(time.time())
    said = {"iss": "https://id.corp.test/", "aud": "apimgr", "exp": now + 300, "iat": now, "azp": "robot"} | claims
    headers = {"kid": kid} if kid else None
    return jwt.encode({name: each for name, each in said.items() if each is not None}, key, algorithm, headers)


@pytest.fixture
def corp(cast: Cast, state_redis: Any) -> Issuer:
    """An issuer of the platform, whose keys are written down."""
    return make_issuer(jwks={"keys": [PUBLIC]})


@pytest.fixture
def products(cast: Cast, corp: Issuer) -> API:
    """An API that names it, and takes its tokens."""
    api = make_api(cast.platform)
    rules = api.jwt | {"issuers": ["corp"]}
    API.objects.filter(pk=api.pk).update(authentication=["jwt"], jwt=rules)
    api.refresh_from_db()
    return api


def wrong(found: TypedToken) -> dict[str, str]:
    """What is wrong, by claim."""
    return {each.about: each.fault.code for each in found.examination.findings if each.fault}


def test_nothing_is_wrong_with_a_good_token(cast, corp):
    found = explain_token(cast.ada, corp, token(scope="read write", sub="alice"))
    assert found.is_good
    assert found.examination.client == "robot"


def test_a_revoked_token_is_told_of_as_one(cast, corp):
    now = int(time.time())
    token_revoke(actor=PLATFORM, issuer=corp, jti="lost")
    subject_revoke(actor=PLATFORM, issuer=corp, subject="alice")
    assert wrong(explain_token(cast.ada, corp, token(jti="lost"))) == {"jti": "token_revoked"}
    assert wrong(explain_token(cast.ada, corp, token(sub="alice", iat=now - 60))) == {"sub": "token_revoked"}
    assert wrong(explain_token(cast.ada, corp, token(sub="alice", iat=now + 20))) == {}


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"key": OTHER}, {"signature": "token_wrong_signature"}),
        ({"kid": "two"}, {"signature": "token_unknown_key"}),
        ({"key": SECRET, "algorithm": "HS256"}, {"signature": "token_wrong_algorithm"}),
        ({"iss": "https://id.corp.test"}, {"iss": "token_unknown_issuer"}),
        ({"aud": "others"}, {"aud": "token_wrong_audience"}),
        ({"exp": 1}, {"exp": "token_expired"}),
        ({"exp": None}, {"exp": "token_no_end"}),
        ({"nbf": 2**33}, {"nbf": "token_not_yet_valid"}),
        ({"azp": None}, {"client": "token_no_client"}),
        (
            {"key": OTHER, "exp": 1, "aud": "others"},
            {"signature": "token_wrong_signature", "exp": "token_expired", "aud": "token_wrong_audience"},
        ),
    ],
)
def test_all_that_is_wrong_is_told_at_once(cast, corp, changes, faults):
    found = explain_token(cast.ada, corp, token(**changes))
    assert wrong(found) == faults
    assert not found.is_good


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "ü", "e30.e30.", "a.b.c.d.e"])
def test_what_is_no_token_is_told_so(cast, corp, text):
    found = explain_token(cast.ada, corp, text)
    assert wrong(found).keys() == {"form"}
    assert not found.is_good


def test_whose_it_is_and_which_apis_take_it(cast, corp, products):
    application = make_application(cast.acme)
    (unknown,) = explain_token(cast.ada, corp, token()).apis
    assert unknown.code == "token_unknown_client"

    client_id = client_id_add(actor=cast.ada, application=application, client_id="robot")
    found = explain_token(cast.bob, corp, token())
    assert found.application == application
    assert [each.code for each in found.apis] == ["not_subscribed"]

    make_subscription(application, products, make_plan())
    (taken,) = explain_token(cast.bob, corp, token()).apis
    assert (taken.api, taken.code, taken.sentence) == (products, "", "")

    key_revoke(actor=PLATFORM, key=client_id)
    assert explain_token(cast.bob, corp, token()).application is None


def test_what_an_api_misses_is_told(cast, corp, products):
    make_subscription(make_application(cast.acme), products, make_plan())
    client_id_add(actor=cast.ada, application=cast.acme.applications.get(), client_id="robot")

    def at_products(**claims: Any) -> Any:
        (found,) = explain_token(cast.ada, corp, token(**claims)).apis
        return found

    def rules(**changes: Any) -> None:
        API.objects.filter(pk=products.pk).update(jwt=products.jwt | changes)

    rules(required_scopes=["read"])
    assert at_products().code == "token_missing_scope"
    assert "read" in at_products().sentence
    assert at_products(scope="read").code == ""
    rules(required_claims={"tier": ["gold"]})
    assert at_products(tier="silver").code == "token_missing_claim"
    assert at_products(tier="gold").code == ""
    rule = {"methods": ["POST"], "path": "/**", "required_scopes": ["write"]}
    rules(operations=[rule])
    assert at_products().code == ""
    assert at_products().closed == (rule,)
    assert at_products(scope="write").closed == ()
    API.objects.filter(pk=products.pk).update(authentication=["api_key"])
    assert at_products().code == "not_taken"
    API.objects.filter(pk=products.pk).update(state="retired")
    assert at_products().code == "not_served"


def test_a_reader_learns_nothing_of_other_tenants(cast, corp, products):
    application = make_application(cast.acme)
    client_id_add(actor=cast.ada, application=application, client_id="robot")
    hidden = make_api(cast.platform, "hidden", publish=False)
    API.objects.filter(pk=hidden.pk).update(jwt=hidden.jwt | {"issuers": ["corp"]})
    found = explain_token(cast.charlie, corp, token())
    assert (found.application, found.application_hidden) == (None, True)
    assert [each.api for each in found.apis] == [products]
    forged = explain_token(cast.charlie, corp, token(key=OTHER))
    assert (forged.application, forged.application_hidden, forged.apis) == (None, False, ())


def test_a_shared_secret_checks_its_own_algorithms(cast, state_redis):
    issuer = make_issuer(secret=SECRET, algorithms=["HS256"])
    assert explain_token(cast.ada, issuer, token(key=SECRET, algorithm="HS256")).is_good
    other = explain_token(cast.ada, issuer, token(key=SECRET[::-1], algorithm="HS256"))
    assert wrong(other) == {"signature": "token_wrong_signature"}


class Responses(BaseHTTPRequestHandler):
    """Responses by path; anything else is 404."""

    server: Any

    def do_GET(self) -> None:
        body = self.server.bodies.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Any]:
    """An issuer's own server; ``url`` is where it is, ``bodies`` what it answers with."""
    found: Any = ThreadingHTTPServer(("127.0.0.1", 0), Responses)
    found.bodies, found.url = {}, f"http://127.0.0.1:{found.server_port}"
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def test_keys_are_fetched_from_their_address(cast, state_redis, server):
    issuer = make_issuer(jwks_url=f"{server.url}/jwks")
    found = explain_token(cast.ada, issuer, token())
    assert wrong(found) == {"signature": "token_issuer_away"}
    assert "404" in found.away
    assert explain_token(cast.bob, issuer, token()).away == ""
    server.bodies["/jwks"] = SET
    assert explain_token(cast.ada, issuer, token()).is_good


@pytest.mark.parametrize(
    "place", ["/realm/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realm"]
)
def test_keys_are_found_by_the_issuers_metadata(cast, state_redis, server, place):
    iss = f"{server.url}/realm"
    issuer = make_issuer(issuer=iss, discovery=True)
    server.bodies |= {place: json.dumps({"issuer": iss, "jwks_uri": f"{server.url}/jwks"}).encode(), "/jwks": SET}
    assert [key.key_id for key in keys_of(issuer).keys] == ["one"]


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ({}, "404"),
        ({"/jwks": b"<html>"}, "no JSON"),
        ({"/jwks": b" " * (LARGEST + 1)}, "1 MiB"),
    ],
)
def test_keys_that_cannot_be_had_are_told_so(cast, state_redis, server, bodies, said):
    issuer = make_issuer(jwks_url=f"{server.url}/jwks")
    server.bodies |= bodies
    with pytest.raises(KeysAway, match=said):
        keys_of(issuer)


def test_a_place_that_no_rule_opens_is_not_asked(cast, state_redis, server, settings):
    issuer = make_issuer(jwks_url=f"{server.url}/jwks")
    settings.EGRESS_ALLOW = []
    with pytest.raises(KeysAway, match="no egress rule allows it"):
        keys_of(issuer)


def test_an_issuer_that_is_away_is_told_so(cast, state_redis, server):
    issuer = make_issuer(jwks_url=f"{server.url}/jwks")
    Issuer.objects.filter(pk=issuer.pk).update(jwks_url="http://127.0.0.1:1/jwks")
    issuer.refresh_from_db()
    with pytest.raises(KeysAway, match="There was no answer"):
        keys_of(issuer)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/keys", "//x", "http://", "", "http://["])
def test_metadata_that_leads_to_no_address_of_the_web_is_told_so(cast, state_redis, server, place):
    issuer = make_issuer(issuer=server.url, discovery=True)
    found = {"issuer": server.url, "jwks_uri": place}
    server.bodies["/.well-known/openid-configuration"] = json.dumps(found).encode()
    with pytest.raises(KeysAway):
        keys_of(issuer)

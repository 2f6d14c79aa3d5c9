"""A typed request, explained over REST."""

from time import thread_time

import pytest

from apps.access.models import Credential
from apps.access.services import key_create, key_update
from apps.analytics.models import CallRecord
from apps.catalog.models import API
from apps.fleet.publisher import publish_pending
from apps.wire.api_keys import make_key as make_key_text
from tests.explain.test_lookup import kept
from tests.gateway.test_hostile_values import VALUES, value
from tests.support.calls import make_calls
from tests.support.cast import make_api, make_application, make_key, make_subscription

PATH = "/api/v1/apis/products/explain/"


@pytest.fixture
def published(cast, state_redis, cache_redis):
    """``products`` of the tenant platform, with acme's bot as its subscriber."""
    api = make_api(cast.platform)
    application = make_application(cast.acme)
    make_key(application)
    make_subscription(application, api)
    publish_pending()
    return api


def test_the_key_the_decision_and_the_nearest_stored_answer(cast, calls_as, published):
    kept("/products/items?a=2")
    answer = calls_as(cast.alice).post(
        PATH, {"url": "/products/items?a=1", "application": "acme/bot", "headers": ["Accept: text/html"]}
    )
    assert answer.status_code == 200
    said = answer.json()
    assert (said["result"], said["reason"], said["api"], said["application"]) == (
        "MISS",
        "not_found",
        "products",
        "acme/bot",
    )
    assert {"label": "query", "value": "a=1"} in said["parts"]
    assert said["stored"] is None
    nearest = said["nearest"]
    assert nearest["differences"] == [{"label": "query", "wanted": "a=1", "stored": "(another)"}]
    assert (nearest["stored"]["status"], nearest["stored"]["state"]) == (200, "fresh")
    assert nearest["stored"]["stored_at"].endswith("Z")
    assert "body" not in nearest["stored"]


def test_only_the_apis_owner_explains_calls_of_other_tenants_applications(cast, calls_as, published):
    asked = {"url": "/products/items", "application": "acme/bot"}
    assert calls_as(cast.olga).post(PATH, asked).json()["application"] == "acme/bot"
    refused = calls_as(cast.charlie).post(PATH, asked)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["application"])


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({}, "url"),
        ({"url": "products"}, "url"),
        ({"url": "/other/items"}, "url"),
        ({"url": "/products/", "method": "TRACE"}, "method"),
        ({"url": "/products/", "headers": ["nonsense"]}, "headers"),
        ({"url": "/products/", "headers": "Accept: a"}, "headers"),
        ({"url": "/products/", "application": "globex/nobody"}, "application"),
        ({"url": "/products/", "speed": 1}, "speed"),
    ],
)
def test_a_refused_word_is_named(cast, calls_as, published, words, field):
    refused = calls_as(cast.olga).post(PATH, words)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])


def test_an_api_that_hides_its_cache_explains_nothing_to_callers(cast, calls_as, published):
    API.objects.update(debug_headers="none")
    refused = calls_as(cast.alice).post(PATH, {"url": "/products/items", "application": "acme/bot"})
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


def test_an_api_that_one_doesnt_see_isnt_there(cast, calls_as, state_redis):
    make_api(cast.acme, publish=False)
    assert calls_as(cast.charlie).post(PATH, {"url": "/products/"}).status_code == 404


def test_a_body_is_explained_as_it_would_be_keyed(cast, calls_as, published):
    API.objects.get().cache_policy.__class__.objects.update(methods=["GET", "POST"])
    said = (
        calls_as(cast.alice)
        .post(
            PATH,
            {
                "url": "/products/search",
                "method": "POST",
                "headers": ["Content-Type: application/json"],
                "body": '{"secret": "hunter2"}',
                "application": "acme/bot",
            },
        )
        .json()
    )
    assert {"label": "body form", "value": "json"} in said["parts"]
    assert "hunter2" not in str(said)


def test_explaining_a_call_over_rest_has_it(cast, published, calls_as):
    _, name = kept("/products/items?a=1")
    make_calls({"path": "/products/items", "cache_key": name}, {"path": "/products/items"})
    known, unknown = CallRecord.objects.order_by("id")
    client = calls_as(cast.olga)
    said = client.get(f"/api/v1/calls/{known.call_id}/explain/").json()
    assert {"label": "query", "value": "a=1"} in said["key"]["parts"]
    assert said["key"]["stored"]["status"] == 200
    assert client.get(f"/api/v1/calls/{unknown.call_id}/explain/").json()["key"] is None


def test_a_key_that_is_limited_to_other_apis_is_refused_and_one_that_is_for_this_one_is_taken(
    cast, calls_as, published
):
    make_api(cast.platform, "weather")
    asked, alice = {"url": "/products/items", "application": "acme/bot"}, calls_as(cast.alice)
    key = Credential.objects.get()
    key_update(actor=cast.alice, key=key, apis=["weather"])
    said = alice.post(PATH, asked).json()
    assert (said["result"], said["reason"]) == ("REFUSED", "key_not_for_api")
    key_create(actor=cast.alice, application=key.application, name="this", apis=["products"])
    key_create(actor=cast.alice, application=key.application, name="that", apis=["weather"])
    assert alice.post(PATH, asked).json()["result"] == "MISS"


def test_a_key_in_a_query_is_explained_as_left_out(cast, calls_as, published):
    asked = {"url": f"/products/items?a=1&key={make_key_text()}", "application": "acme/bot"}
    answer = calls_as(cast.alice).post(PATH, asked)
    assert {"label": "query", "value": "a=1"} in answer.json()["parts"]


@pytest.mark.parametrize("kind", VALUES)
def test_nothing_typed_holds_the_console(cast, calls_as, published, kind):
    """The parsers are the gateway's; what is typed may be as long as a field of the form lets it be."""
    client = calls_as(cast.olga)
    worst = value(kind, 8900).decode("latin-1")
    headers = [
        f"{name}: {worst}x" for name in ("Cache-Control", "If-None-Match", "Connection", "Pragma", "Vary", "Range")
    ]
    body = {"url": f"/products/{worst}"[:9000], "method": "POST", "headers": headers, "body": worst * 20}
    client.post(PATH, {"url": "/products/items"})
    began = thread_time()
    assert client.post(PATH, body).status_code in (200, 400)
    assert thread_time() - began < 1.0

"""Pushing entries over REST."""

import base64

import pytest

from apps.caching.models import CachePolicy
from apps.fleet.publisher import publish_pending
from apps.warming.api.views import PushThrottle
from tests.support.cast import make_api

ENTRIES = "/api/v1/cache-entries/"


@pytest.fixture
def products(cast, state_redis, cache_redis):
    """A published API of acme of which Redis knows."""
    api = make_api(cast.acme)
    publish_pending()
    return api


def entry(**change):
    return {
        "api": "products",
        "url": "http://api.test/products/items/1?lang=en",
        "headers": {"Cache-Control": "max-age=60", "Surrogate-Key": ["bread", "basics"]},
        "body": "pushed",
    } | change


def test_an_entry_is_pushed_and_told_with_its_receipt(cast, calls_as, products, cache_redis):
    pushed = calls_as(cast.bob).put(ENTRIES, entry())
    assert pushed.status_code == 201
    shown = pushed.json()
    assert (shown["api"], shown["urls"]) == ("products", ["http://api.test/products/items/1?lang=en"])
    assert (shown["reason"], shown["tags"]) == ("stored", ["bread", "basics"])
    assert shown["fresh_until"] < shown["keep_until"] or shown["fresh_until"] == shown["keep_until"]
    assert shown["receipt"]["sentence"] == "in force as soon as a gateway runs; none does"
    assert len(shown["keys"]) == 1
    assert [key for key in cache_redis.keys("*") if shown["keys"][0].encode() in key]


def test_a_body_of_bytes_comes_in_base64(cast, calls_as, products):
    body = entry(body_base64=base64.b64encode(bytes(range(256))).decode())
    del body["body"]
    assert calls_as(cast.bob).put(ENTRIES, body).status_code == 201


def test_a_body_larger_than_other_routes_take_is_taken(cast, calls_as, products):
    assert calls_as(cast.bob).put(ENTRIES, entry(body="x" * 3 * 2**20)).status_code == 201


def test_a_body_beyond_all_bounds_is_not_read(cast, calls_as, products):
    refused = calls_as(cast.bob).put(ENTRIES, entry(body="x" * 13 * 2**20))
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"api": "orders"}, "api"),
        ({"url": "http://api.test/orders/1"}, "url"),
        ({"url": None}, "url"),
        ({"status": 100}, "status"),
        ({"status": "fine"}, "status"),
        ({"headers": ["cache-control: max-age=60"]}, "headers"),
        ({"headers": {"a b": "c"}}, "headers"),
        ({"headers": {"a": 1}}, "headers"),
        ({"headers": {"a": ["b", 1]}}, "headers"),
        ({"headers": {"a": "b\r\nset-cookie: c"}}, "headers"),
        ({"headers": {"a": ["b"] * 101}}, "headers"),
        ({"headers": {"a": "b" * 40_000}}, "headers"),
        ({"headers": {"content-length": "7000"}}, "headers"),
        ({"headers": {"cache-control": "no-store"}}, "answer"),
        ({"headers": {"cache-control": "private, max-age=60"}}, "answer"),
        ({"headers": {"cache-control": "max-age=60", "set-cookie": "a=b"}}, "answer"),
        ({"headers": {}}, "answer"),
        ({"body_base64": "AAAA"}, "body_base64"),
        ({"body": None, "body_base64": "A"}, "body"),
        ({"body": 7.5, "headers": [7]}, "headers"),
        ({"request_headers": {"authorization": "Bearer x"}}, "request_headers"),
        ({"request_headers": {"range": "bytes=0-1"}}, "request_headers"),
        ({"lifetime": 60}, "lifetime"),
    ],
)
def test_what_is_wrong_is_said_by_field_and_nothing_is_stored(cast, calls_as, products, cache_redis, change, field):
    refused = calls_as(cast.bob).put(ENTRIES, entry(**change))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    assert field in refused.json()["errors"]
    assert not cache_redis.keys("*:r:*")


def test_what_is_no_base64_is_said_to_be_none(cast, calls_as, products):
    body = entry(body_base64="!")
    del body["body"]
    assert "body_base64" in calls_as(cast.bob).put(ENTRIES, body).json()["errors"]


def test_a_refusal_says_why_in_the_caches_own_words(cast, calls_as, products):
    refused = calls_as(cast.bob).put(ENTRIES, entry(headers={"cache-control": "private"})).json()
    assert refused["errors"]["answer"] == [
        "The origin allows only the caller's own cache to store the response (private). (private)"
    ]


def test_viewers_may_not_push_and_strangers_see_no_such_api(cast, calls_as, products, cache_redis):
    assert calls_as(cast.vera).put(ENTRIES, entry()).status_code == 403
    refused = calls_as(cast.charlie).put(ENTRIES, entry())
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["api"])
    assert not cache_redis.keys("*:r:*")


def test_an_api_that_caches_nothing_says_so(cast, calls_as, products):
    CachePolicy.objects.update(mode="off")
    assert "mode_off" in calls_as(cast.bob).put(ENTRIES, entry()).json()["errors"]["url"][0]


def test_pushes_have_a_rate(cast, calls_as, products, monkeypatch):
    monkeypatch.setattr(PushThrottle, "rate", "2/min")
    bob = calls_as(cast.bob)
    assert [bob.put(ENTRIES, entry()).status_code for _ in range(3)] == [201, 201, 429]
    refused = bob.put(ENTRIES, entry())
    assert (refused["Content-Type"], "Retry-After" in refused) == ("application/problem+json", True)


def test_nothing_can_be_read_there(cast, calls_as, products):
    assert calls_as(cast.bob).get(ENTRIES).status_code == 405

"""Cache policies and purges over REST."""

import pytest

from apps.caching.models import Purge
from apps.catalog.models import API
from apps.fleet.publisher import publish_pending
from tests.support.cast import make_api


@pytest.fixture
def configured(cast, state_redis):
    """A published API of which Redis knows."""
    make_api(cast.platform)
    publish_pending()


def test_a_policy_is_read_in_the_words_of_the_declarative_file(cast, calls_as):
    make_api(cast.platform)
    shown = calls_as(cast.olga).get("/api/v1/cache-policies/products/").json()
    assert (shown["api"], shown["mode"], shown["ttl"], shown["query"]) == ("products", "origin", "60s", {"mode": "all"})
    assert shown["sensitivity"] == "internal"


def test_a_policy_is_changed_where_it_is_named_and_makes_a_revision(cast, calls_as):
    make_api(cast.platform)
    changed = calls_as(cast.olga).patch(
        "/api/v1/cache-policies/products/",
        {"mode": "ttl", "ttl": 90, "query": {"mode": "exclude", "names": ["utm_source"]}, "sensitivity": "public"},
    )
    assert changed.status_code == 200
    assert (changed.json()["ttl"], changed.json()["sensitivity"]) == ("90s", "public")
    assert changed.json()["query"] == {"mode": "exclude", "names": ["utm_source"]}
    assert "receipt" in changed.json()
    assert API.objects.get().revision == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [({"ttl": "soon"}, "ttl"), ({"mode": "always"}, "mode"), ({"api": "other"}, "api"), ({"speed": 1}, "speed")],
)
def test_a_refused_field_of_a_policy_is_named_as_it_was_written(cast, calls_as, change, field):
    make_api(cast.platform)
    refused = calls_as(cast.olga).patch("/api/v1/cache-policies/products/", change)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])


def test_viewers_read_policies_and_change_none(cast, calls_as):
    make_api(cast.acme)
    vera = calls_as(cast.vera)
    assert vera.get("/api/v1/cache-policies/?mode=origin").json()["results"][0]["api"] == "products"
    assert vera.patch("/api/v1/cache-policies/products/", {"mode": "off"}).status_code == 403


def test_a_stranger_sees_no_policy(cast, calls_as):
    make_api(cast.acme)
    charlie = calls_as(cast.charlie)
    assert charlie.get("/api/v1/cache-policies/").json()["results"] == []
    assert charlie.get("/api/v1/cache-policies/products/").status_code == 404
    assert charlie.patch("/api/v1/cache-policies/products/", {"mode": "off"}).status_code == 404


@pytest.mark.parametrize(
    ("named", "kind", "value"),
    [
        ({}, "api", ""),
        ({"path": "/items/1"}, "path", "/items/1"),
        ({"prefix": "/items/"}, "prefix", "/items/"),
        ({"tag": "item-1", "soft": True}, "tag", "item-1"),
        ({"path": "https://api.example.com/products/items/1"}, "path", "https://api.example.com/products/items/1"),
    ],
)
def test_a_purge_answers_with_its_receipt_and_is_noted(cast, calls_as, configured, named, kind, value):
    made = calls_as(cast.olga).post("/api/v1/purges/", {"api": "products"} | named)
    assert made.status_code == 201
    body = made.json()
    assert (body["api"], body["kind"], body["value"], body["soft"]) == (
        "products",
        kind,
        value,
        named.get("soft", False),
    )
    assert (body["actor"], body["workers"], body["in_force"]) == (cast.olga.email, 0, 0)
    assert body["receipt"]["sentence"]
    listed = calls_as(cast.olga).get("/api/v1/purges/?api=products").json()["results"]
    assert listed == [{name: held for name, held in body.items() if name != "receipt"}]


def test_each_purge_moves_the_clock(cast, calls_as, configured):
    olga = calls_as(cast.olga)
    first = olga.post("/api/v1/purges/", {"api": "products"}).json()["clock"]
    assert olga.post("/api/v1/purges/", {"api": "products"}).json()["clock"] > first


def test_a_purge_names_one_thing(cast, calls_as, configured):
    refused = calls_as(cast.olga).post("/api/v1/purges/", {"api": "products", "path": "/a", "tag": "b"})
    assert (refused.status_code, set(refused.json()["errors"])) == (400, {"path", "tag"})
    assert not Purge.objects.exists()


def test_a_purge_of_nothing_that_one_sees_is_refused(cast, calls_as, configured):
    refused = calls_as(cast.olga).post("/api/v1/purges/", {"api": "nothing"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["api"])


def test_strangers_neither_purge_nor_see_purges(cast, calls_as, configured):
    made = calls_as(cast.olga).post("/api/v1/purges/", {"api": "products"}).json()["id"]
    charlie = calls_as(cast.charlie)
    assert charlie.post("/api/v1/purges/", {"api": "products"}).status_code == 403
    assert charlie.get("/api/v1/purges/").json()["results"] == []
    assert charlie.get(f"/api/v1/purges/{made}/").status_code == 404


@pytest.mark.parametrize(
    "named", [{"path": "items"}, {"prefix": "items"}, {"tag": "two words"}, {"operation": "GET /x"}]
)
def test_what_a_purge_cannot_mean_is_an_error_of_that_field(cast, calls_as, configured, named):
    refused = calls_as(cast.olga).post("/api/v1/purges/", {"api": "products"} | named)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, list(named))


def test_while_redis_is_away_nothing_is_purged_and_that_is_said(cast, calls_as, settings):
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    settings.REDIS_URL = "unix:///nowhere/state.sock"
    refused = olga.post("/api/v1/purges/", {"api": "products"})
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (503, "unavailable", "5")
    assert not Purge.objects.exists()


def test_the_words_that_a_purge_is_read_by_do_not_make_one_of_everything(cast, calls_as, configured):
    refused = calls_as(cast.olga).post("/api/v1/purges/", {"api": "products", "kind": "path", "value": "/items"})
    assert (refused.status_code, set(refused.json()["errors"])) == (400, {"kind", "value"})
    assert not Purge.objects.exists()

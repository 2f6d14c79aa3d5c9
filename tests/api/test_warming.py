"""Warm-ups over REST."""

import pytest

from apps.caching.models import Purge
from apps.fleet.publisher import publish_pending
from apps.warming.models import WarmUp
from tests.support.cast import make_api

WARM_UPS = "/api/v1/apis/products/warm-ups/"


def test_a_warm_up_is_started_and_says_how_far_it_is(cast, calls_as):
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    started = olga.post(
        WARM_UPS, {"urls": ["/items/1?lang=en"], "top": 20, "rate": "5/s", "headers": {"Accept": "*/*"}}
    )
    assert started.status_code == 201
    shown = started.json()
    assert (shown["api"], shown["state"], shown["cause"], shown["total"]) == ("products", "queued", "manual", None)
    assert (shown["urls"], shown["top"], shown["rate"]) == (["/items/1?lang=en"], 20, "5/s")
    assert (shown["headers"], shown["actor"], shown["percent"]) == ({"accept": "*/*"}, cast.olga.email, 0)
    WarmUp.objects.update(state="running", total=40, done=10, stored=10)
    half = olga.get(f"{WARM_UPS}{shown['id']}/").json()
    assert (half["percent"], half["is_over"], half["sentence"]) == (25, False, "10 of 40: 10 stored")
    assert olga.get(f"{WARM_UPS}?state=running").json()["results"] == [half]


def test_a_warm_up_without_a_word_is_the_usual_one(cast, calls_as):
    make_api(cast.platform)
    assert calls_as(cast.olga).post(WARM_UPS, {}).json()["top"] == 100


def test_a_warm_up_is_cancelled_once(cast, calls_as):
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    warm_up = olga.post(WARM_UPS, {}).json()["id"]
    assert olga.post(f"{WARM_UPS}{warm_up}/cancel/").json()["state"] == "cancelled"
    refused = olga.post(f"{WARM_UPS}{warm_up}/cancel/")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"urls": ["items"]}, "urls"),
        ({"urls": "/items"}, "urls"),
        ({"urls": ["http://api.test/elsewhere"]}, "urls"),
        ({"top": "many"}, "top"),
        ({"top": 100_000}, "top"),
        ({"rate": "fast"}, "rate"),
        ({"headers": {"Cookie": "a=b"}}, "headers"),
        ({"speed": 1}, "speed"),
    ],
)
def test_what_is_wrong_is_said_by_field(cast, calls_as, body, field):
    make_api(cast.platform)
    refused = calls_as(cast.olga).post(WARM_UPS, body)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])
    assert not WarmUp.objects.exists()


def test_viewers_look_on_and_strangers_see_nothing(cast, calls_as):
    make_api(cast.acme)
    warm_up = calls_as(cast.bob).post(WARM_UPS, {}).json()["id"]
    vera, charlie = calls_as(cast.vera), calls_as(cast.charlie)
    assert vera.get(f"{WARM_UPS}{warm_up}/").status_code == 200
    assert vera.post(WARM_UPS, {}).status_code == 403
    assert vera.post(f"{WARM_UPS}{warm_up}/cancel/").status_code == 403
    assert charlie.get(WARM_UPS).json()["results"] == []
    assert charlie.post(WARM_UPS, {}).status_code == 404
    assert charlie.post(f"{WARM_UPS}{warm_up}/cancel/").status_code == 404
    assert WarmUp.objects.get().state == "queued"


def test_a_purge_may_ask_for_a_warm_up_after_it(cast, calls_as, state_redis):
    make_api(cast.platform)
    publish_pending()
    olga = calls_as(cast.olga)
    purged = olga.post("/api/v1/purges/", {"api": "products", "warm_up": {"urls": ["/a"], "rate": "5/s"}})
    assert purged.status_code == 201
    warm_up = WarmUp.objects.get()
    assert (purged.json()["warm_up"], purged.json()["id"]) == (warm_up.pk, warm_up.mark)
    assert (warm_up.cause, warm_up.urls, warm_up.rate) == ("purge", ["/a"], 5.0)
    usual = olga.post("/api/v1/purges/", {"api": "products", "warm_up": {}})
    assert WarmUp.objects.get(pk=usual.json()["warm_up"]).top == 100
    assert "warm_up" not in olga.post("/api/v1/purges/", {"api": "products"}).json()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"urls": ["items"]}, "warm_up.urls"),
        ({"rate": "fast"}, "warm_up.rate"),
        ({"speed": 1}, "warm_up"),
        (True, "warm_up"),
    ],
)
def test_a_purge_whose_warm_up_is_wrong_purges_nothing(cast, calls_as, state_redis, asked, field):
    make_api(cast.platform)
    publish_pending()
    refused = calls_as(cast.olga).post("/api/v1/purges/", {"api": "products", "warm_up": asked})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])
    assert not Purge.objects.exists()
    assert not WarmUp.objects.exists()

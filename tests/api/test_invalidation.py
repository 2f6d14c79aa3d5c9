"""Webhooks, signed messages and CDNs over REST."""

import json
import time

import pytest
from rest_framework.test import APIClient

from apps.audit.models import Entry
from apps.caching.models import Purge
from apps.fleet.publisher import publish_pending
from apps.invalidation.models import CDN, PurgeWebhook, RefusedMessage
from apps.invalidation.signatures import WINDOW, sign
from apps.wire import redis_names
from tests.support.cast import make_api

DOOR = "/api/v1/purge-webhooks/products/messages/"
PURGE = {"path": {"method": "PURGE", "url": "{url}"}}


@pytest.fixture
def products(cast, state_redis):
    api = make_api(cast.platform)
    publish_pending()
    return api


@pytest.fixture
def secret(cast, calls_as, products):
    made = calls_as(cast.olga).post("/api/v1/purge-webhooks/", {"api": "products"})
    assert made.status_code == 201
    return made.json()["secret"]


def send(secret, *items, door=DOOR, at=None, body=None, signature=None):
    """A message as an origin sends it: no account, no token."""
    body = json.dumps(items if len(items) > 1 else items[0]).encode() if body is None else body
    signature = sign(secret, body, int(time.time() if at is None else at)) if signature is None else signature
    return APIClient().post(door, body, content_type="application/json", headers={"X-Apimgr-Signature": signature})


def test_a_signed_message_purges_and_is_in_the_audit_log(secret, state_redis):
    answer = send(
        secret, {"kind": "path", "value": "/items/7", "id": "1"}, {"kind": "tag", "value": "shelf", "api": "products"}
    )
    assert answer.status_code == 200
    assert answer.json() == {"purged": 2, "duplicates": 0, "refused": {}, "clock": Purge.objects.first().clock}
    assert b"p:products:/items/7" in state_redis.hgetall(redis_names.PURGES)
    entry = Entry.objects.filter(verb="cache.purge").get()
    assert (entry.via, entry.target, entry.tenant_slug) == ("webhook", "products", "platform")


def test_a_message_sent_twice_counts_once_with_an_id_and_without(secret):
    now = time.time()
    for item in ({"kind": "api", "id": "1"}, {"kind": "api"}):
        assert send(secret, item, at=now).json()["purged"] == 1
        again = send(secret, item, at=now)
        assert (again.status_code, again.json()["purged"], again.json()["duplicates"]) == (200, 0, 1)
    assert Purge.objects.count() == 2


def refused(answer):
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer["WWW-Authenticate"] == 'Signature realm="apimgr"'
    assert not Purge.objects.exists()
    return answer.json()["detail"]


def test_nobody_gets_in_without_the_signature(cast, calls_as, secret):
    body = b'{"kind": "api"}'
    assert "X-Apimgr-Signature" in refused(send(secret, body=body, signature=""))
    wrong = refused(send("whs_other", body=body))
    assert wrong == refused(send(secret, body=body, signature=sign(secret, b'{"kind": "tag"}', int(time.time()))))
    assert "clock" in refused(send(secret, body=body, at=time.time() - WINDOW - 5))
    assert "clock" in refused(send(secret, body=body, at=time.time() + WINDOW + 5))
    for other in ("nothing", "orders"):
        # What isn't there, and what has no webhook, is answered like a wrong signature.
        assert refused(send(secret, body=body, door=DOOR.replace("products", other))) == wrong
    # A token, even an administrator's, is no signature.
    assert calls_as(cast.ada).post(DOOR, {"kind": "api"}).status_code == 401
    for method in ("get", "put", "patch", "delete"):
        assert getattr(APIClient(), method)(DOOR).status_code == 401


def test_a_secret_signs_for_its_own_api_alone(cast, calls_as, secret):
    make_api(cast.platform, "orders")
    calls_as(cast.olga).post("/api/v1/purge-webhooks/", {"api": "orders"})
    refused(send(secret, {"kind": "api"}, door=DOOR.replace("products", "orders")))
    crossed = send(secret, {"kind": "api", "api": "orders"})
    assert (crossed.status_code, crossed.json()["refused"]) == (
        400,
        {"0": "This message may name the API products alone."},
    )


@pytest.mark.parametrize(
    ("body", "status"), [(b"[]", 400), (b"{", 400), (b'{"kind": "path", "value": "x"}', 400), (b" " * (2**20 + 1), 413)]
)
def test_what_cannot_be_taken_is_said_and_kept(secret, body, status):
    answer = send(secret, body=body)
    assert answer.status_code == status
    assert not Purge.objects.exists()
    assert RefusedMessage.objects.exists() is (status == 400)


def test_the_rest_of_a_message_is_done(secret):
    answer = send(secret, {"kind": "tag", "value": "a"}, {"kind": "tag", "value": "a b"}, {"kind": "tag", "value": "c"})
    assert (answer.status_code, answer.json()["purged"]) == (200, 2)
    assert answer.json()["refused"] == {"1": "A tag has no spaces and no controls."}


def test_while_redis_is_away_the_sender_is_told_to_come_again(secret, settings):
    settings.REDIS_URL = "unix:///nowhere/state.sock"
    answer = send(secret, {"kind": "api", "id": "1"})
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "unavailable", "5")


def test_a_secret_is_shown_once_and_the_one_before_holds_for_a_day(cast, calls_as, secret, products):
    olga = calls_as(cast.olga)
    shown = olga.get("/api/v1/purge-webhooks/products/").json()
    assert (shown["api"], shown["previous_until"], "secret" in shown) == ("products", None, False)
    assert secret not in json.dumps(olga.get("/api/v1/purge-webhooks/").json())
    newer = olga.post("/api/v1/purge-webhooks/", {"api": "products"}).json()
    assert newer["secret"] != secret
    assert newer["previous_until"]
    for each in (secret, newer["secret"]):
        assert send(each, {"kind": "api"}).status_code == 200
    webhook = PurgeWebhook.objects.get()
    webhook.previous_until = webhook.changed_at
    webhook.save()
    assert send(secret, {"kind": "tag", "value": "late"}).status_code == 401
    assert [entry.verb for entry in Entry.objects.filter(verb__startswith="webhook.")] == ["webhook.make"] * 2
    assert secret not in json.dumps(list(Entry.objects.values_list("changes", flat=True)))


def test_a_removed_webhook_takes_nothing(cast, calls_as, secret):
    assert calls_as(cast.olga).delete("/api/v1/purge-webhooks/products/").status_code == 204
    refused(send(secret, {"kind": "api"}))


def test_only_who_may_edit_the_api_makes_a_secret_or_a_cdn(cast, calls_as, products):
    charlie = calls_as(cast.charlie)
    assert charlie.post("/api/v1/purge-webhooks/", {"api": "products"}).status_code == 403
    assert (
        charlie.post(
            "/api/v1/cdns/", {"api": "products", "calls": {"path": {"method": "PURGE", "url": "http://a/"}}}
        ).status_code
        == 403
    )
    assert not PurgeWebhook.objects.exists()
    assert not CDN.objects.exists()
    acme = make_api(cast.acme, "acme")
    vera = calls_as(cast.vera)
    assert vera.post("/api/v1/purge-webhooks/", {"api": acme.slug}).status_code == 403


def test_a_cdn_is_described_and_its_headers_are_never_shown(cast, calls_as, products):
    olga = calls_as(cast.olga)
    told = {
        "api": "products",
        "base_url": "https://cdn.example.com/products",
        "headers": {"Authorization": "Bearer abc"},
        "calls": PURGE,
    }
    made = olga.post("/api/v1/cdns/", told)
    assert made.status_code == 201
    assert made.json() == told | {"headers": {"Authorization": None}}
    changed = olga.patch("/api/v1/cdns/products/", made.json() | {"base_url": "https://cdn.example.com/goods"})
    assert changed.status_code == 200
    assert CDN.objects.get().headers == {"Authorization": "Bearer abc"}, "what was read can be sent back"
    moved = olga.patch("/api/v1/cdns/products/", made.json() | {"base_url": "https://other.example.com"})
    assert (moved.status_code, list(moved.json()["errors"])) == (400, ["headers"]), "and not be sent elsewhere"
    assert "abc" not in json.dumps(list(Entry.objects.values_list("changes", flat=True)))
    assert olga.delete("/api/v1/cdns/products/").status_code == 204
    assert olga.get("/api/v1/cdns/products/").status_code == 404


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"calls": {}}, "calls"),
        ({"calls": {"path": {"method": "PURGE", "url": "http://169.254.169.254/{path}"}}}, "calls"),
        ({"base_url": "ftp://cdn"}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"speed": 1}, "speed"),
    ],
)
def test_a_cdn_that_cannot_be_is_refused_by_field(cast, calls_as, products, told, field):
    good = {"api": "products", "base_url": "https://cdn.example.com/products", "calls": PURGE}
    answer = calls_as(cast.olga).post("/api/v1/cdns/", good | told)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert not CDN.objects.exists()


def test_refused_messages_are_for_administrators(cast, calls_as, secret):
    send(secret, body=b"[")
    shown = calls_as(cast.ada).get("/api/v1/refused-messages/").json()["results"]
    assert [(row["source"], row["body"]) for row in shown] == [("webhook", "[")]
    assert calls_as(cast.olga).get("/api/v1/refused-messages/").json()["results"] == []
    assert calls_as(cast.ada).post("/api/v1/refused-messages/", {}).status_code == 405

"""Purges that warm up afterwards, warm-ups and how far they are, explained requests, webhooks and CDNs: as pages."""

import dataclasses
import re
import subprocess

import pytest
from django.utils import timezone

from apps.analytics.models import CallRecord
from apps.caching.models import Purge
from apps.catalog.models import API
from apps.catalog.services import api_update
from apps.console.views.invalidation import signed_curl
from apps.explain.nearest import KeyOfCall, KeyPart
from apps.fleet.receipts import wait_for_receipt
from apps.invalidation.models import CDN, Forwarding, PurgeWebhook
from apps.invalidation.services import cdn_update, webhook_secret_make
from apps.purging.selectors import CacheTiers, LocalTier, SharedTier, StoredSize
from apps.warming.models import WarmUp
from tests.console.conftest import errors_of, last_entry, text_of
from tests.support.cast import make_application, make_key, make_subscription

NEW = "/apis/products/cache/warm-up/"


def newest() -> WarmUp:
    return WarmUp.objects.order_by("-pk")[0]


# Warm-ups


def test_a_warm_up_is_started_and_leads_to_its_page(world, browse):
    typed = {"urls": "/items/1\n/items/2", "rate": "5/s", "top": "", "headers": "Accept-Language: de"}
    answer = browse(world.people.olga).post(NEW, typed, follow=True)
    begun = newest()
    assert answer.redirect_chain[-1][0] == f"/cache/warm-ups/{begun.pk}/"
    assert (begun.urls, begun.rate, begun.top) == (["/items/1", "/items/2"], 5, 0)
    assert begun.headers == {"accept-language": "de"}
    assert "A warm-up of Products has begun." in text_of(answer)
    assert last_entry().actor_email == world.people.olga.email


def test_a_warm_up_of_any_of_one_s_apis_is_started_from_the_cache_s_page(world, browse):
    answer = browse(world.people.olga).post("/cache/warm-ups/new/", {"api": "products", "top": "7", "rate": "10/s"})
    assert answer["Location"] == f"/cache/warm-ups/{newest().pk}/"
    assert newest().top == 7


@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"rate": "often"}, "rate", "100/s"),
        ({"rate": "9999/s"}, "rate", "1000/s"),
        ({"urls": "items"}, "urls", "Write a path"),
        ({"top": "20000"}, "top", "10000"),
        ({"headers": "nonsense"}, "headers", "is not a header"),
    ],
)
def test_a_refused_warm_up_is_told_beside_its_field_and_nothing_typed_is_lost(world, browse, fields, field, error):
    answer = browse(world.people.olga).post(NEW, {"rate": "10/s", "urls": "/items/1"} | fields)
    assert answer.status_code == 422
    assert error in " ".join(errors_of(answer)[field])
    assert fields[field] in answer.content.decode()
    assert newest() == world.warm_up


def test_progress_asks_for_itself_until_it_is_over_and_is_said_at_each_quarter(world, browse):
    olga, address = browse(world.people.olga), f"/cache/warm-ups/{world.warm_up.pk}/"
    whole = olga.get(address).content.decode()
    assert f'hx-get="{address}?seen=40"' in whole

    def part(seen: str) -> str:
        return olga.get(f"{address}?seen={seen}", headers={"HX-Request": "true"}).content.decode()

    assert "<h1" not in part("40")
    assert "data-say" not in part("40")
    assert "data-say" not in part("nonsense")
    assert "data-say" in part("20")
    WarmUp.objects.filter(pk=world.warm_up.pk).update(state="done", done=100, stored=98, ended_at=timezone.now())
    over = part("40")
    assert "hx-trigger" not in over
    assert "Done: 100 of 100: 98 stored, 2 failed" in over


def test_what_could_not_be_stored_is_listed(world, browse):
    WarmUp.objects.filter(pk=world.warm_up.pk).update(problems=[["/items/<b>", "The upstream answered 500."]])
    page = browse(world.people.olga).get(f"/cache/warm-ups/{world.warm_up.pk}/")
    assert "/items/<b> The upstream answered 500." in text_of(page)
    assert b"/items/<b>" not in page.content


def test_a_warm_up_is_cancelled_once(world, browse):
    olga, address = browse(world.people.olga), f"/cache/warm-ups/{world.warm_up.pk}/"
    assert "The warm-up is cancelled." in text_of(olga.post(f"{address}cancel/", follow=True))
    world.warm_up.refresh_from_db()
    assert world.warm_up.state == "cancelled"
    assert olga.post(f"{address}cancel/").status_code == 422


def test_warm_ups_are_their_owners(world, browse):
    address = f"/cache/warm-ups/{world.warm_up.pk}/"
    for person, status in (("charlie", 404), ("alice", 404), ("olga", 200), ("ada", 200)):
        client = browse(getattr(world.people, person))
        assert client.get(address).status_code == status, person
        if status == 404:
            assert client.post(f"{address}cancel/").status_code == 404
            assert client.post(NEW, {"rate": "10/s"}).status_code in {403, 404}
            refused = client.post("/cache/warm-ups/new/", {"api": "products", "rate": "10/s"})
            assert refused.status_code in {403, 422}
            assert "Warm-up of" not in text_of(client.get("/cache/"))
    assert newest() == world.warm_up


# Purges


@pytest.fixture
def published(world):
    """Redis knows the installation: what there is is published."""
    wait_for_receipt()


def test_a_purge_may_warm_up_afterwards(world, browse, published):
    answer = browse(world.people.olga).post(
        "/apis/products/cache/purge/", {"kind": "prefix", "value": "/items", "soft": "on", "warm_up": "on"}, follow=True
    )
    made = Purge.objects.get(value="/items")
    assert made.soft
    assert (newest().cause, newest().mark) == ("purge", made.pk)
    assert answer.redirect_chain[-1][0] == f"/cache/warm-ups/{newest().pk}/"
    assert "Purged of products: A path prefix /items: in force" in text_of(answer)


def test_a_purge_of_an_operation(world, browse, published):
    api_update(actor=world.people.olga, api=world.api, operations=[{"method": "GET", "path": "/items/{id}"}])
    answer = browse(world.people.olga).post(
        "/cache/purge/", {"api": "products", "kind": "operation", "value": "GET /items/{id}"}, follow=True
    )
    assert "An operation GET /items/{id}" in text_of(answer)


@pytest.mark.parametrize(
    ("state", "said"),
    [("waiting", "CDN: being forwarded"), ("done", "CDN: forwarded: 200"), ("failed", "CDN: not forwarded: 503")],
)
def test_beside_a_purge_stands_what_became_of_it_at_the_cdn(world, browse, state, said):
    detail = said.rpartition(": ")[2] if said.count(": ") > 1 else ""
    Forwarding.objects.create(purge=world.purge, state=state, detail=detail, next_at=world.purge.at)
    for address in ("/cache/", "/apis/products/cache/"):
        page = text_of(browse(world.people.olga).get(address)).replace("\u00a0", " ")
        assert f"in force on 2 of 2, slowest 3 ms {said}" in page, address


@pytest.mark.parametrize("address", ["/cache/", "/apis/products/cache/"])
def test_lists_follow_what_still_goes_on_and_rest_afterwards(world, browse, address):
    def followed() -> list[str]:
        page = browse(world.people.olga).get(address).content.decode()
        return re.findall(r'<div id="([\w-]+)" hx-get', page)

    Forwarding.objects.create(purge=world.purge, state="waiting", next_at=world.purge.at)
    assert followed() == ["purges", "warm-ups"]
    Forwarding.objects.update(state="done")
    WarmUp.objects.update(state="done", ended_at=timezone.now())
    assert followed() == []


# Explain


def asked(client, **fields):
    return client.post("/cache/explain/", {"method": "GET", "url": "/products/items/7?page=2"} | fields)


def test_a_typed_request_is_explained_with_its_key_in_parts(world, browse, cache_redis):
    answer = asked(browse(world.people.olga), application="acme/bot")
    page = text_of(answer)
    assert answer.status_code == 200
    assert "This request would be: MISS because nothing is stored under this key." in page
    assert "Path /items/7" in page
    assert "Query page=2" in page


def test_a_call_without_a_key_would_be_refused(world, browse):
    assert "This request would be: REFUSED because" in text_of(asked(browse(world.people.olga)))


@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"url": ""}, "url", "required"),
        ({"application": "nobody/there"}, "application", "There is no such application"),
        ({"headers": "nonsense"}, "headers", "is not a header"),
        ({"method": "BREW"}, "method", "valid choice"),
    ],
)
def test_what_is_typed_wrong_is_told_beside_its_field(world, browse, fields, field, error):
    answer = asked(browse(world.people.olga), **fields)
    assert answer.status_code == 422
    assert error in " ".join(errors_of(answer)[field])


def test_another_tenant_s_calls_are_not_explained(world, browse):
    other = make_application(world.people.globex, "shop")
    make_key(other)
    make_subscription(other, world.api, world.plan)
    assert asked(browse(world.people.alice), application="globex/shop").status_code == 422
    assert asked(browse(world.people.charlie), application="acme/bot").status_code == 422
    assert asked(browse(world.people.charlie)).status_code == 403


def test_a_call_of_the_log_leads_to_its_explanation(world, browse):
    answer = browse(world.people.ada).get("/calls/")
    address = re.search(r'href="(/calls/[^"?/]+/)"', answer.content.decode())
    assert address
    page = browse(world.people.ada).get(address[1]).content.decode()
    link = re.search(r'href="(/cache/explain/\?[^"]+)"', page)
    assert link
    form = browse(world.people.ada).get(link[1].replace("&amp;", "&")).context["form"]
    assert form["url"].value().startswith("/products/")


# Webhooks and CDNs


def test_a_webhook_s_secret_is_shown_once_and_then_replaced(world, browse):
    olga = browse(world.people.olga)
    shown = text_of(olga.post("/apis/products/cache/webhook/"))
    webhook = PurgeWebhook.objects.get(api=world.api)
    assert webhook.secret in shown
    assert "This is the only time this secret is shown." in shown
    page = olga.get("/apis/products/cache/")
    assert webhook.secret not in page.content.decode()
    assert "Replace the secret" in text_of(page)
    again = olga.post("/apis/products/cache/webhook/", {"old_holds": "2h"})
    assert "holds until" in text_of(again)
    webhook.refresh_from_db()
    assert webhook.previous in shown
    assert "the one before holds until" in text_of(olga.get("/apis/products/cache/"))
    refused = olga.post("/apis/products/cache/webhook/", {"old_holds": "90d"})
    assert errors_of(refused) == {"old_holds": ["Between 0 and 30 days."]}
    assert "takes no more messages" in text_of(olga.post("/apis/products/cache/webhook/remove/", follow=True))
    assert not PurgeWebhook.objects.exists()


def test_the_curl_beside_a_secret_signs_what_it_posts(world, published, client, tmp_path):
    """The shell's lines are run as they stand, with a curl that only says how it was called."""
    made = webhook_secret_make(actor=world.people.olga, api=world.api)
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "curl").chmod(0o755)
    said = subprocess.run(
        ["/bin/sh", "-c", f'PATH="{tmp_path}:$PATH"\n{signed_curl(world.api, made.secret)}'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    header = next(line for line in said if line.startswith("X-Apimgr-Signature: "))
    body = said[said.index("--data-raw") + 1]
    address = said[-1].partition("://")[2].partition("/")[2]
    answer = client.post(
        f"/{address}",
        body,
        content_type="application/json",
        headers={"X-Apimgr-Signature": header.partition(": ")[2]},
    )
    assert answer.status_code in {200, 201, 202}, answer.content
    assert Purge.objects.filter(kind="path", value="/items/7").count() == 2


def test_a_cdn_is_described_and_its_credentials_never_shown(world, browse):
    olga, address = browse(world.people.olga), "/apis/products/cache/cdn/"
    typed = {
        "base_url": "https://shop.example/products",
        "headers": "Authorization: Bearer hush",
        "path_method": "PURGE",
        "path_url": "{url}",
        "tag_method": "POST",
        "tag_url": "https://cdn.example/purge",
        "tag_body": '{"tags": ["{tag}"]}',
    }
    assert olga.post(address, typed).status_code == 302
    cdn = CDN.objects.get(api=world.api)
    assert cdn.calls == {
        "path": {"method": "PURGE", "url": "{url}"},
        "tag": {"method": "POST", "url": "https://cdn.example/purge", "body": '{"tags": ["{tag}"]}'},
    }
    page = olga.get(address).content.decode()
    assert "Authorization" in page
    assert "hush" not in page
    assert olga.post(address, typed | {"headers": "Authorization:", "tag_url": ""}).status_code == 302
    cdn.refresh_from_db()
    assert (cdn.headers, list(cdn.calls)) == ({"Authorization": "Bearer hush"}, ["path"])
    assert "Purges are told on for https://shop.example/products : path." in text_of(olga.get("/apis/products/cache/"))
    olga.post(f"{address}remove/")
    assert not CDN.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"base_url": ""}, "base_url", "say where callers reach the API"),
        ({"headers": "Authorization:"}, "headers", "There is no value of Authorization to keep"),
        ({"path_url": "{nothing}"}, "__all__", "begins with"),
        ({"path_url": ""}, "__all__", "at least one kind"),
        ({"path_body": "{what}"}, "__all__", "stands for nothing"),
    ],
)
def test_a_description_that_can_t_work_is_refused(world, browse, fields, field, error):
    typed = {"base_url": "https://shop.example/products", "headers": "", "path_method": "PURGE", "path_url": "{url}"}
    answer = browse(world.people.olga).post("/apis/products/cache/cdn/", typed | fields)
    assert answer.status_code == 422
    assert error in " ".join(errors_of(answer)[field])
    assert not CDN.objects.exists()


def test_webhooks_and_cdns_are_their_owners(world, browse):
    cdn_update(
        actor=world.people.olga,
        api=API.objects.get(pk=world.api.pk),
        base_url="https://shop.example",
        headers={},
        calls={"path": {"method": "PURGE", "url": "{url}"}},
    )
    webhook_secret_make(actor=world.people.olga, api=world.api)
    for name in ("webhook/", "webhook/remove/", "cdn/", "cdn/remove/"):
        for person in ("charlie", "alice"):
            client = browse(getattr(world.people, person))
            assert client.get(f"/apis/products/cache/{name}").status_code in {403, 404}, (person, name)
            assert client.post(f"/apis/products/cache/{name}").status_code in {403, 404}, (person, name)
    assert CDN.objects.exists()
    assert PurgeWebhook.objects.exists()


# What the cache holds


def tiers(**changed) -> CacheTiers:
    local = LocalTier("vm/0", "vm", 0, 3_000_000, 67_000_000, 1204, 17, timezone.now(), True)
    shared = SharedTier(
        used=9_000_000,
        maximum=268_000_000,
        policy="allkeys-lfu",
        keys=5,
        booked=7_000_000,
        bound=226_000_000,
        entries=4711,
        evictions=3,
        server_evictions=2,
        expired=0,
        hits=1,
        misses=1,
    )
    sizes = (StoredSize("platform", "products", 6_000_000, 4000, 3),)
    owners = (StoredSize("platform", "", 6_000_000, 4000, 3), StoredSize("acme", "", 1_000_000, 711, 0))
    return CacheTiers(**({"local": (local,), "shared": shared, "tenants": owners, "apis": sizes} | changed))


def cache_page(browse, person, monkeypatch, found: CacheTiers) -> str:
    monkeypatch.setattr("apps.console.views.cache.cache_tiers", lambda user, most: found)
    return text_of(browse(person).get("/cache/")).replace("\u00a0", " ")


def test_both_tiers_say_what_they_hold_and_what_had_to_go(world, browse, monkeypatch):
    page = cache_page(browse, world.people.ada, monkeypatch, tiers())
    assert "In memory vm / 0 3 MB of 67 MB 1,204 17" in page
    assert "7 MB of 226 MB the server uses 9 MB of 268 MB 4,711 3 2 by the server" in page
    assert "products platform 6 MB 4,000 3" in page
    assert "acme 1 MB in 711 entries, 0 evicted" in page


def test_a_tier_that_is_away_or_off_is_said_to_be(world, browse, monkeypatch):
    off = dataclasses.replace(tiers().local[0], capacity=0, bytes=0)
    page = cache_page(browse, world.people.ada, monkeypatch, tiers(local=(off,), shared=None))
    assert "switched off" in page
    assert "can't be reached" in page


def test_a_tenant_sees_the_sizes_of_its_own_apis_and_no_servers(world, browse, monkeypatch):
    page = cache_page(browse, world.people.olga, monkeypatch, tiers(local=(), shared=None))
    assert "products platform 6 MB" in page
    assert "Both tiers" not in page
    assert "can't be reached" not in page


def test_the_tiers_are_read_as_they_are(world, browse, cache_redis):
    assert "Shared Redis" in text_of(browse(world.people.ada).get("/cache/"))


def test_a_recorded_call_shows_its_key_in_parts_while_something_of_it_is_stored(world, browse, monkeypatch):
    record = CallRecord.objects.filter(api="products").latest("at")
    found = KeyOfCall("abc123", (KeyPart("path", "/items/7"), KeyPart("api", "products")))
    monkeypatch.setattr("apps.console.analytics.views.key_of_call", lambda **asked: found)
    page = text_of(browse(world.people.ada).get(f"/calls/{record.call_id}/"))
    assert "Path /items/7 API products" in page
    monkeypatch.setattr("apps.console.analytics.views.key_of_call", lambda **asked: KeyOfCall("abc123"))
    assert "Nothing of it is stored any more" in text_of(browse(world.people.ada).get(f"/calls/{record.call_id}/"))

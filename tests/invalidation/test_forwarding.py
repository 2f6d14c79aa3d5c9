"""Purges reach the CDN after they are in force here, again where that fails, and what came of it stands beside them."""

import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.caching.models import Purge
from apps.invalidation import forwarding, services
from apps.invalidation.forwarding import PAUSES, forward_due
from apps.invalidation.models import Forwarding, Message
from apps.invalidation.tasks import forward, retain
from apps.purging import services as caching
from apps.tenants.actors import PLATFORM
from apps.wire import redis_names
from tests.support.cast import Cast, make_api


class Edge(BaseHTTPRequestHandler):
    """A CDN's purge address."""

    server: Any

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline()
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls.append((self.command, self.path, dict(self.headers), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status in (301, 307):
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def edge():
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Edge)
    server.calls, server.statuses = [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def products(cast: Cast, state_redis, edge):
    state_redis.hset(redis_names.EPOCH, mapping={"incarnation": 1, "n": 1, "seq": 0})
    api = make_api(cast.platform)
    services.cdn_update(
        actor=cast.olga,
        api=api,
        base_url=f"{edge.url}/shop",
        headers={"Authorization": "Bearer abc"},
        calls={
            "path": {"method": "PURGE", "url": "{url}"},
            "tag": {"method": "POST", "url": f"{edge.url}/purge", "body": '{"tags": ["{tag}"]}'},
        },
    )
    return api


def purged(api, kind="path", value="/items/7", **options):
    return caching.purge(actor=PLATFORM, api=api, kind=kind, value=value, **options)


def test_a_purge_is_told_to_the_cdn_as_it_was_described(products, edge):
    path, tag = purged(products, value="/products/items/7"), purged(products, "tag", "shelf")
    assert [row.state for row in Forwarding.objects.all()] == ["waiting", "waiting"]
    assert edge.calls == [], "nobody waits for a CDN"
    assert forward_due() == 2
    sent = {call[0]: call for call in edge.calls}
    assert sent["PURGE"][1] == "/shop/items/7"
    assert (sent["POST"][1], sent["POST"][3]) == ("/purge", b'{"tags": ["shelf"]}')
    assert {call[2]["Authorization"] for call in edge.calls} == {"Bearer abc"}
    for purge in (path, tag):
        purge.refresh_from_db()
        assert (purge.forwarding.state, purge.forwarding.detail) == ("done", "It answered 200.")
    assert forward_due() == 0


def test_what_the_cdn_cannot_do_and_an_api_without_one_are_not_forwarded(products, cast):
    purged(products, "api", "")
    purged(products, "prefix", "/items")
    purged(make_api(cast.platform, "orders"))
    assert not Forwarding.objects.exists()


def test_a_failure_is_tried_again_and_at_last_said(products, edge):
    purged(products)
    edge.statuses = [503] * 10
    now = timezone.now()
    for number, pause in enumerate(PAUSES, 1):
        assert forward_due(now=now) == 1
        row = Forwarding.objects.get()
        assert (row.state, row.tries, row.detail) == ("waiting", number, "It answered 503.")
        assert forward_due(now=now + timedelta(seconds=pause - 1)) == 0
        now += timedelta(seconds=pause)
    assert forward_due(now=now) == 1
    assert Forwarding.objects.get().state == "failed"
    assert forward_due(now=now + timedelta(days=1)) == 0


def test_one_that_works_the_second_time_is_done(products, edge):
    purged(products)
    edge.statuses = [429]
    now = timezone.now()
    forward_due(now=now)
    forward_due(now=now + timedelta(seconds=PAUSES[0]))
    assert Forwarding.objects.get().state == "done"


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404])
def test_what_no_other_try_would_change_has_failed_at_once(products, edge, status):
    purged(products)
    edge.statuses = [status]
    forward_due()
    row = Forwarding.objects.get()
    assert (row.state, row.detail) == ("failed", f"It answered {status}.")
    assert len(edge.calls) == 1, "redirects lead anywhere: none is followed"


def test_a_cdn_that_cannot_be_reached_is_tried_again_and_told_without_its_address(products, edge):
    services.cdn_update(actor=PLATFORM, api=products, base_url="http://127.0.0.1:1/secret", headers={})
    purged(products)
    forward_due()
    row = Forwarding.objects.get()
    assert (row.state, row.detail) == ("waiting", "It can't be reached (ConnectError).")


@pytest.mark.parametrize(
    "moved",
    [
        {"base_url": "http://elsewhere.test/shop"},
        {"calls": {"path": {"method": "PURGE", "url": "https://elsewhere.test/{path}"}}},
        {"base_url": "http://elsewhere.test/", "headers": {"Authorization": None}},
    ],
)
def test_values_that_nobody_is_shown_are_not_sent_to_another_place(products, edge, moved):
    with pytest.raises(ValidationError) as refusal:
        services.cdn_update(actor=PLATFORM, api=products, **moved)
    assert list(refusal.value.message_dict) == ["headers"]
    again = moved | {"headers": {"Authorization": "Bearer new"}}
    assert services.cdn_update(actor=PLATFORM, api=products, **again).headers == {"Authorization": "Bearer new"}


def test_within_the_same_place_they_stay(products, edge):
    cdn = services.cdn_update(
        actor=PLATFORM, api=products, base_url=f"{edge.url}/store", headers={"Authorization": None}
    )
    assert cdn.headers == {"Authorization": "Bearer abc"}


def test_a_purge_whose_cdn_or_api_is_gone_is_settled(products):
    purged(products)
    purged(products, "tag", "shelf")
    services.cdn_update(actor=PLATFORM, api=products, calls={"path": {"method": "PURGE", "url": "{url}"}})
    forward_due()
    assert Forwarding.objects.get(purge__kind="tag").detail == "No call is described for tag any more."
    purged(products)
    services.cdn_remove(actor=PLATFORM, api=products)
    forward_due()
    assert Forwarding.objects.latest("pk").detail == "There is no CDN any more."


def test_two_processes_forward_each_purge_once(products, edge):
    purged(products)
    row = Forwarding.objects.select_related("purge").get()
    assert forwarding._claim(Forwarding.objects.get(), timezone.now())
    assert not forwarding._claim(row, timezone.now())
    assert forward_due() == 0
    assert forward_due(now=timezone.now() + forwarding.CLAIMED) == 1, "whoever claimed it died"


def test_a_tenant_whose_cdn_is_slow_holds_up_nobody_elses_purges(products, edge, cast, monkeypatch):
    """Twenty of its purges are due before another tenant's, and none of its calls ends before that one's has."""
    others = make_api(cast.globex, "orders")
    services.cdn_update(
        actor=PLATFORM, api=others, base_url=edge.url, calls={"path": {"method": "PURGE", "url": "{url}"}}
    )
    for number in range(20):
        purged(products, value=f"/slow/{number}")
    purged(others, value="/orders/1")
    told, at_once = threading.Event(), []
    call = forwarding.HTTPForwarder.forward

    def forward_slowly(self, purge, api):
        if api.slug == "orders":
            result = call(self, purge, api)
            told.set()
            return result
        at_once.append(1)
        assert told.wait(20), "the other tenant's purge waits for this one"
        at_once.append(-1)
        return call(self, purge, api)

    monkeypatch.setattr(forwarding.HTTPForwarder, "forward", forward_slowly)
    assert forward_due() == 21
    assert set(Forwarding.objects.values_list("state", flat=True)) == {"done"}
    assert max(sum(at_once[:end]) for end in range(len(at_once))) <= forwarding.OF_A_TENANT


def test_a_turn_begins_no_calls_when_its_time_is_over(products, edge, monkeypatch):
    monkeypatch.setattr(forwarding, "TURN", 0.0)
    purged(products)
    assert forward_due() == 0
    monkeypatch.undo()
    assert forward_due() == 1


def test_the_task_leaves_it_to_one_at_a_time(products, edge, state_redis, settings):
    purged(products)
    state_redis.set(redis_names.FORWARDING, 1)
    forward()
    assert edge.calls == []
    state_redis.delete(redis_names.FORWARDING)
    forward()
    assert len(edge.calls) == 1
    assert not state_redis.exists(redis_names.FORWARDING)


def test_a_target_that_rules_refuse_since_is_not_called_and_the_reason_is_said(products, edge, settings):
    settings.EGRESS_ALLOW = []
    purged(products)
    forward_due()
    row = Forwarding.objects.get()
    assert row.state == "failed"
    assert "no egress rule allows it" in row.detail
    assert not edge.calls


@pytest.mark.parametrize(
    "target",
    [{"base_url": "http://10.0.0.9/"}, {"calls": {"path": {"method": "PURGE", "url": "http://10.0.0.9/{path}"}}}],
)
def test_a_target_needs_a_rule_when_it_is_saved_and_one_that_is_there_may_stay(products, edge, settings, target):
    settings.EGRESS_ALLOW = []
    with pytest.raises(ValidationError) as refusal:
        services.cdn_update(actor=PLATFORM, api=products, **target, headers={"Authorization": "x"})
    assert list(refusal.value.message_dict) == list(target)
    services.cdn_update(actor=PLATFORM, api=products, base_url=f"{edge.url}/store", headers={"Authorization": None})
    settings.EGRESS_ALLOW = ["10.0.0.0/8:80"]
    services.cdn_update(actor=PLATFORM, api=products, **target, headers={"Authorization": "x"})


def test_a_cdn_on_another_tenant_s_private_upstream_needs_an_administrator(products, cast):
    make_api(cast.acme, "billing", upstream="http://10.0.0.9:8080/")
    target = {"base_url": "http://10.0.0.9:8080/", "headers": {"Authorization": "x"}}
    with pytest.raises(ValidationError, match="Another tenant's API"):
        services.cdn_update(actor=cast.olga, api=products, **target)
    services.cdn_update(actor=PLATFORM, api=products, **target)


def test_old_purges_and_messages_are_forgotten_but_for_the_newest_clock(products):
    for value in "abc":
        purged(products, "tag", value)
    Message.objects.create(api_slug="products", message_id="1", source="queue")
    long_ago = timezone.now() - timedelta(days=3)
    Purge.objects.update(at=long_ago)
    Message.objects.update(at=long_ago)
    Purge.objects.filter(value="b").update(actor_email="olga@platform.test")
    retain()
    assert sorted(Purge.objects.values_list("value", flat=True)) == ["b", "c"]
    assert not Message.objects.exists()
    Purge.objects.update(at=timezone.now() - timedelta(days=91))
    retain()
    assert list(Purge.objects.values_list("value", flat=True)) == ["c"]

"""Messages are taken once, bad ones are kept, and nothing is lost while a part is away."""

import json
from typing import Any

import pytest

from apps.audit.models import Entry
from apps.caching.models import Purge
from apps.foundation.errors import Unavailable
from apps.invalidation import message_inbox
from apps.invalidation.choices import MessageSource
from apps.invalidation.message_inbox import take
from apps.invalidation.models import Message, RefusedMessage
from apps.purging import services
from apps.wire import redis_names
from tests.support.cast import Cast, make_api


@pytest.fixture
def state(state_redis):
    state_redis.hset(redis_names.EPOCH, mapping={"incarnation": 1, "n": 1, "seq": 0})
    return state_redis


@pytest.fixture
def products(cast: Cast, state):
    return make_api(cast.platform)


def message(*items: dict[str, Any]) -> bytes:
    return json.dumps(items if len(items) > 1 else items[0]).encode()


def test_a_message_is_purged_with_its_rows_and_one_entry_of_the_audit_log(products, state):
    make_api(products.tenant, "orders")
    taken = take(
        message(
            {"api": "products", "kind": "path", "value": "/items/7", "id": "1"},
            {"api": "products", "kind": "tag", "value": "shelf", "soft": True},
            {"api": "orders", "kind": "api"},
        ),
        source=MessageSource.QUEUE,
    )
    assert (len(taken.purges), taken.duplicates, taken.refused) == (3, 0, {})
    assert set(state.hgetall(redis_names.PURGES)) == {
        b"p:products:/items/7",
        b"k:products:shelf",
        b"k:products:*",
        b"a:orders",
    }
    assert state.hget(redis_names.PURGES, "k:products:shelf").startswith(b"0 "), "soft"
    entries = Entry.objects.filter(verb="cache.purge").order_by("epoch")
    assert [(entry.target, entry.via, entry.actor_email) for entry in entries] == [
        ("products", "queue", ""),
        ("orders", "queue", ""),
    ]
    assert entries[0].changes["purged"] == [None, "path /items/7; tag shelf (soft)"]
    assert Message.objects.get().message_id == "1"


def test_a_message_that_comes_again_is_not_taken_again(products):
    body = message({"api": "products", "kind": "tag", "value": "a", "id": "x-1"})
    assert len(take(body, source=MessageSource.QUEUE).purges) == 1
    again = take(body, source=MessageSource.WEBHOOK)
    assert (again.purges, again.duplicates, again.nothing) == ([], 1, False)
    both = take(
        message(*[{"api": "products", "kind": "tag", "value": "a", "id": "x-2"}] * 2), source=MessageSource.QUEUE
    )
    assert (len(both.purges), both.duplicates) == (1, 1)


def test_the_id_is_the_apis_own(products):
    make_api(products.tenant, "orders")
    for api in ("products", "orders"):
        assert take(message({"api": api, "kind": "api", "id": "1"}), source=MessageSource.QUEUE).duplicates == 0


def test_without_an_id_it_is_taken_each_time_unless_its_signature_stands_for_it(products):
    body = message({"api": "products", "kind": "api"})
    for _ in range(2):
        assert len(take(body, source=MessageSource.QUEUE).purges) == 1
    assert len(take(body, source=MessageSource.WEBHOOK, api=products, signature="abc").purges) == 1
    assert take(body, source=MessageSource.WEBHOOK, api=products, signature="abc").duplicates == 1


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"api": "nothing", "kind": "api"}, "There is no API nothing."),
        ({"kind": "api"}, "Name the API."),
        ({"api": "products", "kind": "path", "value": "items"}, "starts with a slash"),
        ({"api": "products", "kind": "tag", "value": "two words"}, "no spaces"),
        ({"api": "products", "kind": "api", "value": "/a"}, "names nothing else"),
        ({"api": "products", "kind": "operation", "value": "GET /nothing"}, "no such operation"),
        ({"api": "products", "kind": "everything"}, "everything"),
    ],
)
def test_what_cannot_be_done_is_kept_with_its_reason_and_the_rest_is_done(products, item, said):
    good = {"api": "products", "kind": "tag", "value": "good"}
    taken = take(message(good, item, good | {"value": "better"}), source=MessageSource.QUEUE)
    assert [purge.value for purge in taken.purges] == ["good", "better"]
    assert list(taken.refused) == [1]
    kept = RefusedMessage.objects.get()
    assert said in kept.detail
    assert kept.detail.startswith("Item 2: ")
    assert "good" in kept.body
    assert take(message(item), source=MessageSource.QUEUE).nothing


def test_rubbish_is_kept_and_bounded(products, monkeypatch):
    monkeypatch.setattr(message_inbox, "KEPT", 3)
    for number in range(5):
        assert take(b"[\x00\xff%d" % number, source=MessageSource.QUEUE).nothing
    assert [row.body[-1] for row in RefusedMessage.objects.all()] == ["4", "3", "2"]
    assert "\x00" not in RefusedMessage.objects.all()[0].body
    assert len(take(b"x" * 10_000, source=MessageSource.QUEUE).refused) == 1
    assert len(RefusedMessage.objects.all()[0].body) == 4000


def test_a_message_for_one_api_names_no_other(products):
    make_api(products.tenant, "orders")
    taken = take(
        message({"kind": "tag", "value": "a"}, {"api": "orders", "kind": "api"}, {"api": "products", "kind": "api"}),
        source=MessageSource.WEBHOOK,
        api=products,
    )
    assert {purge.api_slug for purge in taken.purges} == {"products"}
    assert taken.refused == {1: "This message may name the API products alone."}


def test_while_redis_is_away_nothing_is_taken_and_it_wants_to_be_told_again(products, settings):
    url = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nowhere/state.sock"
    body = message({"api": "products", "kind": "tag", "value": "a", "id": "1"})
    with pytest.raises(Unavailable):
        take(body, source=MessageSource.QUEUE)
    assert not Purge.objects.exists()
    assert not Message.objects.exists()
    settings.REDIS_URL = url
    assert len(take(body, source=MessageSource.QUEUE).purges) == 1


def test_a_process_that_dies_after_the_purge_is_told_again_and_purges_again(products, monkeypatch):
    body = message({"api": "products", "kind": "tag", "value": "a", "id": "1"})
    whole = services.purge_many

    def dies(**options: Any):
        whole(**options)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(services, "purge_many", dies)
        with pytest.raises(SystemExit):
            take(body, source=MessageSource.QUEUE)
    assert not Message.objects.exists()
    assert len(take(body, source=MessageSource.QUEUE).purges) == 1

"""Seals, events and connections: what travels through Redis."""

import pytest

from apimgr.environment import celery_broker, sentinels
from apps.wire import events
from apps.wire.redis_client import connect, connect_async
from apps.wire.sealing import BrokenSeal, seal, unseal
from apps.wire.snapshot import Credential, Plan

KEY = b"k" * 32
GOLD = Plan("gold", 1.5, 3, None, "month", True, None)


def test_what_is_sealed_is_unsealed():
    assert unseal(KEY, 3, "plan:gold", seal(KEY, 3, "plan:gold", GOLD), Plan) == GOLD


@pytest.mark.parametrize(
    ("key", "incarnation", "name"),
    [(b"l" * 32, 3, "plan:gold"), (KEY, 4, "plan:gold"), (KEY, 3, "plan:golden"), (KEY, 3, "plan:gol")],
)
def test_a_seal_holds_for_one_key_incarnation_and_name(key, incarnation, name):
    with pytest.raises(BrokenSeal):
        unseal(key, incarnation, name, seal(KEY, 3, "plan:gold", GOLD), Plan)


def test_every_byte_of_a_sealed_value_counts():
    sealed = seal(KEY, 3, "plan:gold", GOLD)
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(BrokenSeal):
            unseal(KEY, 3, "plan:gold", changed, Plan)
    for short in (b"", sealed[:10], sealed[:-1]):
        with pytest.raises(BrokenSeal):
            unseal(KEY, 3, "plan:gold", short, Plan)


def test_a_sealed_value_tells_its_reader_nothing():
    first, second = seal(KEY, 3, "plan:gold", GOLD), seal(KEY, 3, "plan:gold", GOLD)
    assert first != second
    assert b"gold" not in first


def test_a_value_of_another_version_is_refused_though_its_seal_is_good():
    with pytest.raises(BrokenSeal, match="this version"):
        unseal(KEY, 3, "plan:gold", seal(KEY, 3, "plan:gold", GOLD), Credential)


def fields(flat: list[str]) -> dict[bytes, bytes]:
    return {flat[index].encode(): flat[index + 1].encode() for index in range(0, len(flat), 2)}


def test_a_change_is_told_as_it_was_made():
    flat = ["at", "17", "after", "16", *events.change_fields(9, ("api:a", "plan:b"), ("d1", "d2"))]
    event = events.parse(b"3-12", fields(flat))
    assert event == events.Event(3, 12, 17, 16, "change", 9, ("api:a", "plan:b"), ("d1", "d2"))


def test_a_change_of_very_many_keys_names_none_of_them(monkeypatch):
    monkeypatch.setattr(events, "MOST_DIGESTS", 1)
    event = events.parse(b"3-12", fields(events.change_fields(9, (), ("d1", "d2"))))
    assert (event.all_keys, event.digests) == (True, ())


def test_a_purge_is_told_with_its_tags():
    event = events.parse(b"3-12", {b"kind": b"purge", b"clock": b"4", b"soft": b"1", b"tags": "a:\u00e9\nb".encode()})
    assert (event.kind, event.clock, event.soft, event.tags) == ("purge", 4, True, ("a:\u00e9", "b"))


@pytest.mark.parametrize(
    ("identifier", "given"), [(b"3-1", {}), (b"3-1", {b"kind": b"novelty"}), (b"x", {b"kind": b"purge"})]
)
def test_what_is_no_event_is_refused(identifier, given):
    with pytest.raises(ValueError):  # noqa: PT011  of several parts of the parser
        events.parse(identifier, given)


def test_an_address_of_sentinels_is_read():
    assert sentinels("redis+sentinel://me:p%40ss@one:1,two/my%20master/2") == (
        [("one", 1), ("two", 26379)],
        "my master",
        {"db": 2, "username": "me", "password": "p@ss"},
    )
    assert sentinels("redis+sentinel://one/main") == ([("one", 26379)], "main", {"db": 0})
    assert sentinels("redis+sentinel://[::1]:7,[::2]/main").hosts == [("::1", 7), ("::2", 26379)]
    assert sentinels("redis://one/0") is None


@pytest.mark.parametrize("url", ["redis+sentinel://one", "redis+sentinel:///main", "redis+sentinel://one,/main"])
def test_an_address_of_sentinels_without_host_or_master_is_refused_in_words(url):
    with pytest.raises(ValueError, match=r"is redis\+sentinel://HOST:PORT,HOST:PORT/MASTER"):
        sentinels(url)


def test_celery_gets_the_broker_in_its_own_words():
    assert celery_broker("unix:///tmp/state.sock") == ("redis+socket:///tmp/state.sock", {})
    assert celery_broker("amqp://broker/") == ("amqp://broker/", {})
    url, options = celery_broker("redis+sentinel://me:p%40ss@one:1,[::2]/my%20master/2")
    assert url == "sentinel://me:p%40ss@one:1/2;sentinel://me:p%40ss@[::2]:26379/2"
    assert options["master_name"] == "my master"
    assert celery_broker("redis+sentinel://one/main")[0] == "sentinel://one:26379/0"


async def test_clients_try_nothing_twice_behind_their_callers_back():
    for url in ("redis://127.0.0.1:1/0", "redis+sentinel://127.0.0.1:1/main"):
        client = connect(url, timeout=0.3)
        assert client.connection_pool.connection_kwargs["retry"].get_retries() == 0
        assert client.connection_pool.connection_kwargs["socket_timeout"] == 0.3
        client.close()
        waiting = connect_async(url, timeout=0.3)
        assert waiting.connection_pool.connection_kwargs["retry"].get_retries() == 0
        await waiting.aclose()

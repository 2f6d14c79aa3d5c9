"""Rows of what is stored under one path, for "explain"."""

import pytest
from django.conf import settings

from apps.cachestore import eviction, path_index
from apps.cachestore.fair_share import UNCHARGED
from apps.httpcache import Identity, Policy
from tests.httpcache.build import NOW, plan, stored

FRESH = ("Cache-Control", "max-age=60")


def noted(*fields, said=(FRESH,), at=NOW, **parts):
    the_plan = plan([*fields], **parts)
    entry = stored([*said], the_plan=the_plan, at=at).entry
    return path_index.index_row(the_plan, entry, entry.key), entry


def rows_of(redis, note):
    return path_index.read(note.name, redis.zrevrange(note.name, 0, -1))


def write(redis, *notes):
    for note in notes:
        entry = eviction.EvictionItem("entry", b"value", 60.0)
        items = [entry, note]
        assert redis.eval(eviction.SCRIPT, *eviction.command(items, UNCHARGED, eviction.Bounds(), NOW)) == 1


def test_a_row_says_what_an_entry_was_stored_for(cache_redis):
    note, entry = noted(("Foo", "1"), said=(FRESH, ("Vary", "Foo, Bar")), query="a=1")
    write(cache_redis, note)
    (row,) = rows_of(cache_redis, note)
    assert row.key == entry.key
    assert dict(row.parts)["query"] == "a=1"
    assert row.selecting == (("bar", "(none)"), ("foo", "1"))
    assert (row.scope, row.owner, row.holder) == (0, b"", ())


def test_an_entry_stored_again_moves_its_row_up(cache_redis):
    first, _ = noted(query="a=1")
    other, _ = noted(query="a=2", at=NOW + 1)
    again, _ = noted(query="a=1", at=NOW + 2)
    write(cache_redis, first, other, again)
    assert [dict(row.parts)["query"] for row in rows_of(cache_redis, first)] == ["a=1", "a=2"]


def test_a_path_keeps_a_bounded_number_of_rows(cache_redis):
    notes = [noted(query=f"a={number}", at=NOW + number)[0] for number in range(eviction.SIBLINGS + 5)]
    write(cache_redis, *notes)
    kept = [dict(row.parts)["query"] for row in rows_of(cache_redis, notes[0])]
    assert kept == [f"a={number}" for number in range(eviction.SIBLINGS + 4, 4, -1)]


def test_the_rows_live_as_long_as_the_longest_of_their_entries(cache_redis):
    short, _ = noted(query="a=1")
    long, _ = noted(query="a=2", said=(("Cache-Control", "max-age=9000"),))
    write(cache_redis, long, short)
    assert 9000_000 < cache_redis.pttl(short.name) <= long.seconds * 1000
    assert short.seconds < 200


def test_each_path_of_each_api_has_its_own(cache_redis):
    names = {
        noted(path=path, policy=Policy(api=api))[0].name
        for api, path in (("a", "/b/c"), ("a/b", "/c"), ("a", "/b"), ("ab", "/"))
    }
    assert len(names) == 4


def test_nothing_of_it_can_be_read_without_the_installations_secret(cache_redis, monkeypatch):
    policy = Policy(api="products", sensitivity="personal")
    note, _ = noted(path="/people/ann", query="name=ann", policy=policy, identity=Identity("acme", "acme/bot"))
    write(cache_redis, note)
    ((row, _),) = cache_redis.zrange(note.name, 0, -1, withscores=True)
    assert b"ann" not in row
    assert "ann" not in note.name
    assert b"acme" not in row
    monkeypatch.setattr(settings, "ENTRY_MAC_KEY", b"another")
    assert rows_of(cache_redis, note) == []


@pytest.mark.parametrize("planted", [b"", b"x" * 100])
def test_what_this_installation_did_not_write_is_left_out(cache_redis, planted):
    note, _ = noted()
    write(cache_redis, note)
    cache_redis.zadd(note.name, {planted: NOW + 9})
    elsewhere, _ = noted(path="/elsewhere")
    cache_redis.zadd(note.name, {elsewhere.value: NOW + 9})
    assert len(rows_of(cache_redis, note)) == 1


def test_a_credential_is_a_digest_in_a_row(cache_redis):
    note, _ = noted(
        ("Cookie", "hunter2"), said=(("Cache-Control", "max-age=60, public"), ("Vary", "Cookie"))
    )  # fmt: skip
    write(cache_redis, note)
    (row,) = rows_of(cache_redis, note)
    assert "hunter2" not in repr(row)
    assert dict(row.selecting)["cookie"].startswith("(credential ")


def test_a_note_is_the_same_each_time():
    one, other = noted(query="a=1")[0], noted(query="a=1")[0]
    assert one == other
    assert one.value != noted(query="a=2")[0].value

"""Each way of saying who calls reads what it shows to callers, and a word that a worker doesn't know opens nothing."""

from typing import Any

import pytest

from apps.gateway.pipeline.authenticators import Authenticator
from apps.gateway.pipeline.authenticators.table import AUTHENTICATORS, OPEN, presented_to, secret_fields
from apps.wire.api_keys import make_key
from tests.gateway.house import Door, Origin, Published, api, ok
from tests.support.waiting import until

SECRET = make_key()


def lines(way: Authenticator, key_header: str = "X-API-Key") -> tuple[tuple[bytes, bytes], ...]:
    name, value = way.example(key_header, "acme/bot", SECRET)
    return ((name.lower().encode(), value.encode()),)


def test_no_two_ways_have_one_word():
    words = [way.word for way in AUTHENTICATORS]
    assert len({OPEN, *words}) == len(words) + 1


@pytest.mark.parametrize("way", AUTHENTICATORS, ids=lambda way: way.word)
@pytest.mark.parametrize("key_header", ["X-API-Key", "X-Acme-Key"])
def test_a_way_reads_what_it_shows_to_callers(way: Authenticator, key_header: str):
    found = presented_to(api(authentication=(way.word,), api_key_header=key_header), lines(way, key_header))
    assert found is not None
    assert found[0] is way
    assert found[1].secret == SECRET.encode()


@pytest.mark.parametrize("way", AUTHENTICATORS, ids=lambda way: way.word)
def test_what_is_said_twice_is_no_secret(way: Authenticator):
    found = presented_to(api(authentication=(way.word,)), lines(way) * 2)
    assert found is not None
    assert found[1].secret is None


@pytest.mark.parametrize("way", AUTHENTICATORS, ids=lambda way: way.word)
def test_its_fields_never_go_on_where_it_is_taken_and_are_looked_into_where_it_is_not(way: Authenticator):
    ((name, value),) = lines(way)
    taken, _ = secret_fields(api(authentication=(way.word,)))
    assert name in taken
    withheld, readers = secret_fields(api(authentication=(OPEN,)))
    assert withheld == frozenset()
    assert readers[name].secret_in(value) == SECRET.encode()


@pytest.mark.parametrize("way", AUTHENTICATORS, ids=lambda way: way.word)
async def test_who_says_nothing_is_told_how(way: Authenticator, lane: Door, published: Published, origin: Origin):
    answer = await called_at(lane, published, origin, way.word)
    assert answer.status == 401
    assert answer["www-authenticate"] == way.challenge(api(authentication=(way.word,))).decode()


async def test_an_api_whose_only_way_a_worker_does_not_know_is_not_open(
    lane: Door, published: Published, origin: Origin
):
    assert (await called_at(lane, published, origin, "something_newer")).status == 401
    assert not origin.heads


async def called_at(door: Door, published: Published, origin: Origin, word: str) -> Any:
    origin.paths["/items"] = ok(b"items")
    wanted = api("products", upstreams=origin.url, revision=2, authentication=(word,))
    published.change(wanted)
    await until(lambda: door.gateway.config.route(b"", b"/products/") == wanted)
    return await door.call("/products/items", key=None)

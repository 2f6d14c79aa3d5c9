"""Each way of saying who calls reads what it shows to callers, and a word that a worker doesn't know opens nothing."""

from time import time
from typing import Any

import pytest

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.pipeline.authenticators import Authenticator, Identified, Presented, Refused, table
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.table import AUTHENTICATORS, OPEN, secret_fields
from apps.gateway.pipeline.stages import Need
from apps.wire.api_keys import make_key
from apps.wire.snapshot import API
from tests.gateway.house import KEY, Door, Origin, Published, api, ok
from tests.support.waiting import until

SECRET = make_key()


SHOWN = [way for way in AUTHENTICATORS if type(way).example is not Authenticator.example]
"""Ways whose callers put one secret into one field."""


def lines(way: Authenticator, key_header: str = "X-API-Key") -> tuple[tuple[bytes, bytes], ...]:
    name, value = way.example(key_header, "acme/bot", SECRET)
    return ((name.lower().encode(), value.encode()),)


def test_no_two_ways_have_one_word():
    words = [way.word for way in AUTHENTICATORS]
    assert len({OPEN, *words}) == len(words) + 1


@pytest.mark.parametrize("way", SHOWN, ids=lambda way: way.word)
@pytest.mark.parametrize("key_header", ["X-API-Key", "X-Acme-Key"])
def test_a_way_reads_what_it_shows_to_callers(way: Authenticator, key_header: str):
    found = way.find(api(authentication=(way.word,), api_key_header=key_header), lines(way, key_header))
    assert found is not None
    assert found.secret == SECRET.encode()


@pytest.mark.parametrize("way", SHOWN, ids=lambda way: way.word)
def test_what_is_said_twice_is_no_secret(way: Authenticator):
    found = way.find(api(authentication=(way.word,)), lines(way) * 2)
    assert found is not None
    assert found.secret is None


@pytest.mark.parametrize("way", SHOWN, ids=lambda way: way.word)
def test_its_fields_never_go_on_where_it_is_taken_and_are_looked_into_for_keys_where_it_is_not(way: Authenticator):
    ((name, value),) = lines(way)
    taken, _ = secret_fields(api(authentication=(way.word,)))
    assert name in taken
    withheld, readers = secret_fields(api(authentication=(OPEN,)))
    assert withheld == frozenset()
    assert way.secret_in(value) == SECRET.encode()
    assert not way.secret_is_key or SECRET.encode() in [each.secret_in(value) for each in readers[name]]


@pytest.mark.parametrize("way", SHOWN, ids=lambda way: way.word)
def test_keys_never_go_on_and_tokens_do_where_an_administrator_says_so(way: Authenticator):
    ((name, _),) = lines(way)
    withheld, _ = secret_fields(api(authentication=(way.word,), forward_credential=True))
    assert (name in withheld) is way.secret_is_key


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


class Badges(Authenticator):
    """A way of the test's own: badges, of which somebody else knows whose they are, and until when."""

    word = "badge"
    label = "Badge"
    usual = frozenset({b"x-badge"})

    def __init__(self) -> None:
        self.known: dict[bytes, Identified | Refused] = {}
        self.asked: list[bytes] = []

    def secret_in(self, value: bytes) -> bytes | None:
        return value

    def challenge(self, api: API) -> bytes:
        return b"Badge"

    def identify(self, x: Call, presented: Presented, sources: Sources) -> Identified | Need | Refused:
        badge = presented.secret
        if badge is None:
            return Refused(Problem.INVALID_CREDENTIAL)
        return self.known.get(badge) or Need(lambda: self._ask(badge))

    async def _ask(self, badge: bytes) -> None:
        self.asked.append(badge)
        answers = {b"anna": Identified(KEY.encode(), time() + 60), b"otto": Refused(Problem.NOT_READY)}
        self.known[badge] = answers.get(badge, Refused(Problem.INVALID_CREDENTIAL))


@pytest.fixture
def badges(monkeypatch: pytest.MonkeyPatch) -> Badges:
    way = Badges()
    monkeypatch.setattr(table, "AUTHENTICATORS", (*AUTHENTICATORS, way))
    monkeypatch.setitem(table._BY_WORD, way.word, way)
    table._secret_fields.cache_clear()
    return way


async def test_a_way_may_ask_somebody_whose_a_credential_is(
    lane: Door, published: Published, origin: Origin, badges: Badges
):
    assert (await called_at(lane, published, origin, badges.word)).status == 401
    for badge, status in (("anna", 200), ("eve", 401), ("otto", 503), ("anna", 200)):
        answer = await lane.call("/products/items", key=None, x_badge=badge)
        assert answer.status == status, badge
    assert badges.asked == [b"anna", b"eve", b"otto"]
    assert lane.calls()[-1].application == "acme/bot"
    assert b"x-badge" not in b"".join(origin.heads).lower()


@pytest.mark.parametrize(("seconds", "again"), [(60.0, 200), (-1.0, 401)])
async def test_a_head_is_remembered_as_long_as_it_says_who_calls(
    lane: Door, published: Published, origin: Origin, badges: Badges, seconds: float, again: int
):
    await called_at(lane, published, origin, badges.word)
    badges.known[b"anna"] = Identified(KEY.encode(), time() + seconds)
    # The first one waits for the record, and is not remembered.
    statuses = [(await lane.call("/products/items", key=None, x_badge="anna")).status for _ in range(2)]
    badges.known[b"anna"] = Refused(Problem.INVALID_CREDENTIAL)
    statuses.append((await lane.call("/products/items", key=None, x_badge="anna")).status)
    assert statuses == [200, 200, again]

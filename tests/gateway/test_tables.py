"""Every table of a worker has a bound in bytes that is written down, and keeps to it whatever strangers send."""

import asyncio
import gc
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import Any

import pytest

from apps.cachestore.purges import MAX_BYTES, PurgedTags
from apps.cachestore.store import ResponseStore
from apps.catalog.certificates import LARGEST
from apps.gateway import memory
from apps.gateway.config.worker_config import WorkerConfig, _size_of_credential
from apps.gateway.fetch import owed_purges
from apps.gateway.fetch.owed_purges import OwedPurges
from apps.gateway.gateway import Gateway
from apps.gateway.memory import TABLES
from apps.gateway.pipeline import graphql
from apps.gateway.pipeline.authenticators.introspection import asking
from apps.gateway.pipeline.authenticators.introspection.responses import TokenInfo
from apps.gateway.pipeline.authenticators.jwt import read_verified
from apps.gateway.pipeline.authenticators.jwt.key_sets import read_key_set
from apps.gateway.pipeline.authenticators.jwt.parsing import ParsedToken, read_object
from apps.gateway.pipeline.authenticators.jwt.verified_tokens import VerifiedTokens
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.records.metrics import Metrics
from apps.gateway.server.http1 import HTTP1Connection
from apps.gateway.server.worker import end_the_largest
from apps.gateway.upstream import headers
from apps.gateway.upstream.client import IDLE_IN_ALL, HTTP1Client, _origin_of, origin_of
from apps.gateway.upstream.connection import Connection
from apps.httpcache import entity_tags, keys, normalise, patterns
from apps.httpcache.bounded_table import Recent, Remembered
from apps.httpcache.directives import _request_directives, request_directives
from apps.wire.snapshot import Credential, Grant
from tests.gateway.house import Door, Origin, gateway_options, ok
from tests.gateway.introspection_server import server_part
from tests.gateway.tokens import claims, issuer, key_set
from tests.support.tables import modules_loaded_by, names_of_tables, tables_of
from tests.support.waiting import until


def test_every_table_of_a_worker_says_its_bound_in_bytes() -> None:
    found = {table for module in modules_loaded_by("apps.gateway.server.worker") for table in tables_of(module)}
    assert len(found) > 60
    assert found - set(TABLES) == set(), "Enter these in apps/gateway/memory.py, with their bound in bytes."
    assert set(TABLES) - found == set(), "These are no tables any more."


def test_a_table_is_found_in_whatever_form_it_is_written() -> None:
    source = """
import functools
from collections import deque
constant = {"a": 1}
one = {}
two: dict[str, int] = dict()
made = functools.lru_cache(maxsize=2)(len)
class Thing:
    shared = []
    def __init__(self):
        local = {}
        self.three = set()
        self.four: deque[int] = deque(maxlen=4)
        self.five, self.six = Recent[str, int](8, len), 1
        self.seven = lru_cache(maxsize=4)(self.of) if self.six else None
    @functools.cache
    def of(self): ...
@remembered(8, len)
def kept(text): ...
async def later():
    global two
    two = {}
"""
    assert set(names_of_tables(source)) == {
        *("one", "two", "made", "kept"),
        *("Thing.shared", "Thing.three", "Thing.four", "Thing.five", "Thing.seven", "Thing.of"),
    }


def test_the_sum_is_one_that_a_machine_can_plan_with() -> None:
    assert memory.bound(0) + 64 * 2**20 == memory.bound(64 * 2**20) < 896 * 2**20


def texts(size: int, *, form: str = "{:x}", count: int = 10**6) -> Iterator[bytes]:
    for number in range(count):
        start = form.format(number).encode()
        yield start + b"~" * (size - len(start))


def fill_targets(count: int) -> None:
    for _, text in zip(range(count), texts(500, form="/%7f{:x}"), strict=False):
        normalise.normalise_target(text.replace(b"~", b"|"))


def fill_selected(count: int) -> None:
    for _, text in zip(range(count), texts(512, form="a={:x}&"), strict=False):
        normalise.select_query(text, "exclude", ("x",))


def fill_sorted(count: int) -> None:
    for _, text in zip(range(count), texts(512, form="a={:x}&"), strict=False):
        normalise.sort_query(text)


def fill_preferences(count: int) -> None:
    for number in range(count):
        normalise.accept_language(b",".join(b"%x" % each for each in range(number, number + 120))[:512])


def fill_keys(count: int) -> None:
    for _, text in zip(range(count), texts(900), strict=False):
        keys.primary_key((b"http", text[:400], b"api", None, b"GET", text[:500], None, b"", b"0", b"", b""))


def fill_steps(count: int) -> None:
    for number in range(count):
        entity_tags.parse_path(f"a{number:x}" + ".b" * 95)


def fill_directives(count: int) -> None:
    for _, text in zip(range(count), texts(500, form="max-age={}, x"), strict=False):
        request_directives(text, None)


def fill_nodes(count: int) -> None:
    for number in range(count):
        headers._node(b"2001:db8::%x%b" % (number, b"%" + b"z" * 30))


def fill_origins(count: int) -> None:
    for number in range(count):
        origin_of(f"http://{number:x}.{'a.' * 100}test/" + "p" * 250, f"{number:x}" + "A" * LARGEST)


FILLS: dict[str, tuple[Any, Callable[[int], None]]] = {
    "apps.httpcache.normalise:_remembered": (normalise._remembered, fill_targets),
    "apps.httpcache.normalise:_selected": (normalise._selected, fill_selected),
    "apps.httpcache.normalise:_sorted": (normalise._sorted, fill_sorted),
    "apps.httpcache.normalise:_preferences": (normalise._preferences, fill_preferences),
    "apps.httpcache.keys:_remembered": (keys._remembered, fill_keys),
    "apps.httpcache.directives:_request_directives": (_request_directives, fill_directives),
    "apps.httpcache.entity_tags:parse_path": (entity_tags.parse_path, fill_steps),
    "apps.gateway.upstream.headers:_remembered_node": (headers._remembered_node, fill_nodes),
    "apps.gateway.upstream.client:_origin_of": (_origin_of, fill_origins),
}

FILLED = 200
"""Entries that are put into each: what they take stands for what as many as the table has would take."""


def grown_by(work: Callable[[], Any]) -> int:
    """Bytes that are kept after ``work``, its result among them."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = work()
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        del kept
        return size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FILLS)
def test_what_is_remembered_of_the_largest_texts_keeps_to_its_bound(name: str) -> None:
    function, fill = FILLS[name]
    function.cache_clear()
    grown = grown_by(lambda: fill(FILLED))
    info = function.cache_info()
    assert info.currsize == FILLED
    largest = TABLES[name].size / info.maxsize
    assert largest / 20 < grown / FILLED <= largest
    function.cache_clear()


@pytest.mark.parametrize(
    ("function", "call"),
    [
        (normalise._remembered, lambda text: normalise.normalise_target(b"/" + text)),
        (normalise._selected, lambda text: normalise.select_query(text, "include", ("x",))),
        (normalise._sorted, normalise.sort_query),
        (normalise._preferences, normalise.accept_encoding),
        (normalise._preferences, normalise.accept_language),
        (
            keys._remembered,
            lambda text: keys.primary_key((b"http", text, b"", b"", b"GET", b"/", None, b"", b"", b"", b"")),
        ),
        (_request_directives, lambda text: request_directives(text, None)),
        (_request_directives, lambda text: request_directives(None, text)),
        (headers._remembered_node, headers._node),
    ],
)
def test_what_is_larger_is_not_remembered(function: Any, call: Callable[[bytes], object]) -> None:
    before = function.cache_info().currsize
    call(b"a" * 8000)
    assert function.cache_info().currsize == before


def documents() -> Iterator[str]:
    for number in range(60):
        yield "{{ a {{ b {{ c {{ {} }} }} }} }}".format(" ".join(f"f{number}_{each}" for each in range(200)))


def templates() -> Iterator[str]:
    for number in range(20):
        yield f"/{number:x}/" + "\u4e00" * 280 + "{a}"
        yield f"/{number:x}/" + "{a}x" * 70
        yield f"/{number:x}"


@pytest.mark.parametrize(
    ("function", "size_of", "arguments"),
    [
        (graphql._read.function, graphql._size_of, documents),
        (patterns.template.function, patterns._size_of, templates),
    ],
    ids=["documents", "templates"],
)
def test_what_is_bounded_in_bytes_counts_what_it_keeps(
    function: Callable[[str], Any], size_of: Callable[[str, Any], int], arguments: Callable[[], Iterator[str]]
) -> None:
    bound = 2**19

    def filled() -> Remembered[str, Any]:
        remembered = Remembered(function, bound, size_of)
        for argument in arguments():
            remembered(argument)
        re.purge()  # its own memory of 512 patterns is entered beside the tables
        return remembered

    assert bound / 10 < grown_by(filled) <= bound


def test_the_table_of_purges_keeps_to_its_bound_while_redis_is_away_too() -> None:
    bound = 2 * 2**20

    def filled() -> PurgedTags:
        table = PurgedTags(max_bytes=bound)
        table.load(1, 0, {})
        for number in range(4000):
            table.note([f"p:api{number % 7}:/{number:x}" + "~" * 500])
        for number in range(4000):
            table.apply([f"k:api{number % 7}:{number:x}" + "\u4e00" * 500], number, False)
        return table

    assert bound / 8 < grown_by(filled) <= bound
    assert TABLES["apps.cachestore.purges:PurgedTags._hard"].size == MAX_BYTES


def test_long_tags_fold_so_that_nothing_that_was_purged_lives() -> None:
    table = PurgedTags(max_bytes=2**20)
    table.load(1, 0, {})
    tags = [f"p:api:/{number}" + "~" * 400 for number in range(5000)]
    for clock, tag in enumerate(tags, 1):
        table.apply([tag], clock, False)
    assert 1000 <= len(table) < 2000
    for tag in tags:
        assert table._hard.get(tag, 0) or table._hard["a:api"] >= tags.index(tag) + 1


def test_purges_that_wait_for_redis_are_bounded_and_none_is_forgotten() -> None:
    owed = OwedPurges()
    for number in range(3 * owed_purges.MOST):
        owed.add(f"api{number % 3}", (f"p:api{number % 3}:/{number:x}" + "~" * 500,))
        assert len(owed) <= owed_purges.MOST + 3
    taken: dict[str, set[str]] = {}
    while (some := owed.take()) is not None:
        assert len(some[1]) <= owed_purges.AT_ONCE
        taken.setdefault(some[0], set()).update(some[1])
    assert {name: f"a:{name}" in tags for name, tags in taken.items()} == {"api0": True, "api1": True, "api2": True}
    assert len(owed) == 0


def test_keys_that_wait_for_a_purge_wait_once() -> None:
    owed = OwedPurges()
    for _ in range(1000):
        owed.add("api", ("p:api:/a", "p:api:/b"))
    assert len(owed) == 2
    assert owed.take() == ("api", ("p:api:/a", "p:api:/b"))
    assert owed.take() is None


@pytest.mark.parametrize("fault", [None, TokenFault.INACTIVE])
async def test_what_is_known_of_opaque_tokens_keeps_to_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: TokenFault | None
) -> None:
    for name in ("GOOD_BYTES", "FAILED_BYTES"):
        monkeypatch.setattr(asking, name, 2**20)
    gateway = Gateway(gateway_options(tmp_path, "redis://127.0.0.1:1/0", None))
    introspector = gateway.sources.introspector
    assert introspector is not None
    server = server_part("http://127.0.0.1/")

    def fill() -> None:
        for number in range(5000):
            text = b"" if fault else b'{"active": true, "client_id": "%d"}' % number
            key = introspector._key(server, b"%d" % number)
            introspector._remember(key, TokenInfo(time() + 60, text, fault), "127.0.0.1")

    assert 2**20 / 8 < grown_by(fill) <= 2**20
    await gateway.stop()


async def test_the_digests_of_long_keys_are_not_kept(tmp_path: Path) -> None:
    gateway = Gateway(gateway_options(tmp_path, "redis://127.0.0.1:1/0", None))

    def fill() -> None:
        for number in range(20_500):
            gateway.digest(b"%0512d" % number)
            if number % 10 == 0:
                gateway.digest(b"%030000d" % number)

    size = TABLES["apps.gateway.gateway:Gateway._digest"].size
    assert size / 4 < grown_by(fill) <= size
    await gateway.stop()


def test_statuses_without_end_make_no_series_without_end(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, 0, lambda now: ())

    def fill() -> None:
        for number in range(30_000):
            metrics.called(f"{number // 500:064}", 100 + number % 500, b"MISS", 1.0, ())

    assert grown_by(fill) <= TABLES["apps.gateway.records.metrics:Metrics._calls"].size
    assert sum(metrics._calls.values()) == 30_000
    assert len(metrics._calls) <= 20_000 + 10


def test_passes_keep_to_their_bound() -> None:
    store = ResponseStore(0, None)
    size = TABLES["apps.cachestore.store:ResponseStore._hit_for_miss"].size

    def fill() -> None:
        for number in range(12_000):
            store.remember_hit_for_miss(b"%032d" % number, 1.0)

    assert grown_by(fill) <= size


def test_credentials_with_many_grants_count_as_large() -> None:
    def filled() -> Recent[str, Credential]:
        table: Recent[str, Credential] = Recent(2**20, _size_of_credential)
        for number in range(200):
            grants = {
                f"api-{number}-{each}": Grant(10**6 + each, f"plan{number}", "active", 1e9 + each)
                for each in range(number % 50)
            }
            table.put(f"{number:064}", Credential(10**6 + number, f"{number:064}", "active", "a", "a/b", grants))
        return table

    assert 2**20 / 8 < grown_by(filled) <= 2**20


def test_credentials_that_are_for_many_apis_count_as_large() -> None:
    def filled() -> Recent[str, Credential]:
        table: Recent[str, Credential] = Recent(2**20, _size_of_credential)
        for number in range(400):
            apis = tuple(f"{number:03}-{each:03}-{'a' * 56}" for each in range(100))
            table.put(f"{number:064}", Credential(10**6 + number, f"{number:064}", "active", "a", "a/b", {}, apis=apis))
        return table

    assert 2**20 / 8 < grown_by(filled) <= 2**20


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"roles": [f"role {number}" for number in range(200)]},
        {"scope": " ".join(f"s{number}" for number in range(500))},
        {f"c{number}": number for number in range(300)},
        {"texts": "\u4e00" * 1500},
    ],
    ids=["usual", "list", "scopes", "claims", "wide text"],
)
def test_tokens_that_are_remembered_count_what_they_hold(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 2**20
    monkeypatch.setattr("apps.gateway.pipeline.authenticators.jwt.verified_tokens.BYTES", bound)
    corp, its_keys = issuer(), read_key_set(key_set().encode())

    def filled() -> VerifiedTokens:
        table = VerifiedTokens(Sources(WorkerConfig(PurgedTags(), 900.0)))
        for number in range(400):
            text = json.dumps(claims(sub=f"subject {number}") | more).encode()
            read = ParsedToken({}, read_object(text), b"", b"")
            table.put(b"%0800d" % number, read_verified(b"", read, corp, its_keys, b"pepper"))
        return table

    assert bound / 12 < grown_by(filled) <= bound


async def test_idle_connections_are_bounded_over_all_upstreams() -> None:
    class Idle(Connection):
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    loop = asyncio.get_running_loop()
    client = HTTP1Client(loop)
    connections = [Idle(loop) for _ in range(IDLE_IN_ALL + 100)]
    for number, connection in enumerate(connections):
        client.keep(("http", f"host{number}", 80), connection)
    assert [each.aborted for each in connections] == [False] * IDLE_IN_ALL + [True] * 100
    client.sweep()
    late = Idle(loop)
    client.keep(("http", "another", 80), late)
    assert late.aborted
    connections[0].closed = True
    client.sweep()
    client.keep(("http", "another", 80), again := Idle(loop))
    assert not again.aborted


async def test_clients_that_do_not_read_their_responses_lose_their_connection_the_largest_first(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.paths["/large"] = ok(b"x" * 8_000_000, "cache-control: max-age=60")
    origin.paths["/small"] = ok(b"x" * 6_000_000, "cache-control: max-age=60")
    for name in ("large", "small"):
        await lane.call(f"/products/{name}")
    writers = []
    for name in ("small", "large", "large"):
        _, writer = await lane.connect()
        writer.transport.pause_reading()
        writer.write(
            f"GET /products/{name} HTTP/1.1\r\nhost: api.test\r\nx-api-key: a-key-of-acme-bot-0001\r\n\r\n".encode()
        )
        writers.append(writer)
    lanes = [each for each in lane.server.server_state.connections if isinstance(each, HTTP1Connection)]
    await until(lambda: sum(each.unread > 0 for each in lanes) == 3)
    largest = max(each.unread for each in lanes)
    monkeypatch.setattr("apps.gateway.server.worker.UNREAD", sum(each.unread for each in lanes) - largest)
    end_the_largest(lanes)
    left = [each.unread for each in lanes if each.unread]
    assert len(left) == 2
    assert max(left) <= largest
    for writer in writers:
        writer.close()

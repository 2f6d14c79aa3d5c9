"""What is remembered of heads: it is bounded in bytes, and keeps nothing alive that the cache let go of."""

import gc
import sys
from types import FunctionType, ModuleType
from typing import Any

import pytest

from apps.gateway.gateway import Gateway
from apps.gateway.pipeline.head_cache import HeadCacheEntry
from apps.gateway.pipeline.pipeline import LARGEST
from apps.httpcache import StoredResponse
from apps.httpcache.bounded_table import Recent
from apps.wire.snapshot import API, Credential, Grant, Operation, Plan
from tests.gateway.house import KEY, Door, Origin, Published, api, ok, read_answer, serving
from tests.support.waiting import until

LARGE = 300_000


async def test_bodies_that_the_cache_let_go_of_are_gone(gateways: Any, origin: Origin) -> None:
    gateway: Gateway = await gateways(l1_bytes=4 * 2**20, cache=None)
    for number in range(40):
        origin.paths[f"/{number}"] = ok(b"x" * LARGE, "cache-control: max-age=600")
    async with serving(gateway) as door:
        for number in range(40):
            assert [(await door.call(f"/products/{number}")).cache for _ in range(3)] == ["MISS", "HIT", "HIT"]
    gc.collect()
    alive = [each for each in gc.get_objects() if type(each) is StoredResponse and each.entry.path == b"/0"]
    assert not alive
    held = [each for each in gc.get_objects() if type(each) is StoredResponse and len(each.entry.body) == LARGE]
    assert sum(each.size for each in held) <= gateway.store.local.capacity
    assert len(gateway.pipeline.heads) == 40


async def test_no_head_keeps_an_older_configuration_alive(lane: Door, published: Published, origin: Origin) -> None:
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=600")
    before = lane.gateway.config.version
    for number in range(5):
        published.change(api("products", upstreams=origin.url, revision=number + 2))
        await until(lambda number=number: lane.gateway.config.part("api:products").revision == number + 2)
        await lane.call("/products/item")
        await lane.call("/products/item", x_n=str(number))
    assert lane.gateway.config.version > before
    gc.collect()
    known = {each.revision for each in gc.get_objects() if type(each) is API and each.slug == "products"}
    # The first call asked the upstream: its connection may still be closing.
    assert known & {3, 4, 5, 6} == {6}
    assert len(lane.gateway.pipeline.heads) == 2


async def test_many_heads_share_what_is_ready_of_a_response(lane: Door, origin: Origin) -> None:
    large = "x" * 20_000
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=600", f"link: {large}")
    reader, writer = await lane.connect()
    for number in range(50):
        for _ in range(2):
            writer.write(
                f"GET /products/item HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\nx-n: {number}\r\n\r\n".encode()
            )
            assert (await read_answer(reader)).body == b"item"
    writer.close()
    ready = {
        id(head_memo.ready.stored().ready) for head_memo in lane.gateway.pipeline.heads.values() if head_memo.ready
    }
    assert len(lane.gateway.pipeline.heads) == 50
    assert len(ready) == 1


async def test_a_head_request_is_never_answered_with_what_is_ready_for_get(lane: Door, origin: Origin) -> None:
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=600")
    for _ in range(3):
        assert (await lane.call("/products/item")).body == b"item"
        answer = await lane.call("/products/item", method="HEAD")
        assert (answer.body, answer["content-length"]) == (b"", "4")


async def test_an_attackers_heads_do_not_push_out_those_in_use(lane: Door, origin: Origin) -> None:
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=600")
    heads = lane.gateway.pipeline.heads = Recent(64 * 1024, lambda head, head_memo: len(head) + head_memo.size)
    used = f"GET /products/item HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode()
    await lane.call("/products/item")  # its key is looked up: that head isn't remembered yet
    reader, writer = await lane.connect()
    for number in range(60):
        for data in (used, used.replace(b"\r\n\r\n", b"\r\nx-n: %d\r\n\r\n" % number)):
            writer.write(data)
            await read_answer(reader)
        assert used in {*heads._young, *heads._old}
        assert (
            sum(len(head) + each.size for table in (heads._young, heads._old) for head, each in table.items()) <= 2**16
        )
    writer.close()
    assert len(heads) < 20


@pytest.mark.parametrize("fields", [0, 1, 20, 120])
async def test_an_admission_says_what_it_costs(fields: int, lane: Door, origin: Origin) -> None:
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=600, stale-while-revalidate=1")
    room = (LARGEST - 200) // fields if fields else 0
    lines = "".join(f"x-{number}: {'y' * (room - 12)}\r\n" for number in range(fields))
    data = f"GET /products/item HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n{lines}\r\n".encode()
    assert len(data) <= LARGEST
    await lane.call("/products/other")  # its key is looked up, so that the next call's head is remembered at once
    reader, writer = await lane.connect()
    for _ in range(3):
        writer.write(data)
        assert (await read_answer(reader)).body == b"item"
    writer.close()
    head_memo = next(each for each in lane.gateway.pipeline.heads.values() if target_of(each) == b"/products/item")
    assert head_memo.ready is not None
    assert head_memo.forwarded is not None
    assert head_memo.size / 3 < deep_size(head_memo) <= head_memo.size


async def test_an_admission_says_what_it_costs_for_a_browsers_head_too(lane: Door, origin: Origin) -> None:
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=600")
    cookies = "; ".join(f"c{number}={'v' * 60}" for number in range(30))
    lines = (
        f"cookie: {cookies}\r\nauthorization: Bearer {'t' * 500}\r\naccept-language: {'de, en;q=0.8, ' * 20}x\r\n"
        f"accept-encoding: gzip, br, zstd\r\nuser-agent: {'u' * 200}\r\ncache-control: max-age=0\r\n"
    )
    data = f"GET /products/item?{'q=1&' * 50} HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n{lines}\r\n".encode()
    assert len(data) <= LARGEST
    await lane.call("/products/other")
    reader, writer = await lane.connect()
    for _ in range(3):
        writer.write(data)
        assert (await read_answer(reader)).body == b"item"
    writer.close()
    head_memo = next(
        each for each in lane.gateway.pipeline.heads.values() if target_of(each).startswith(b"/products/item?")
    )
    assert deep_size(head_memo) <= head_memo.size


SHARED = (API, Plan, Credential, Grant, Operation, StoredResponse, type, ModuleType, FunctionType)
"""What an admission names and doesn't own: the configuration, and what is stored."""


def target_of(head_memo: HeadCacheEntry) -> bytes:
    """The request target of a head."""
    return head_memo.again("", 0.0, 0.0, "").target


def deep_size(thing: Any) -> int:
    """The bytes of ``thing`` and all that it alone refers to."""
    seen: set[int] = set()
    total, left = 0, [thing]
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, SHARED) or each is None:
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        left += gc.get_referents(each)
    return total


def test_a_deep_size_counts_what_is_inside() -> None:
    assert deep_size((b"x" * 1000, [b"y" * 1000])) > 2000
    assert deep_size(api()) == 0
    assert HeadCacheEntry.__slots__

"""What a gateway makes of a cache server that answers late, holds rubbish, or is written to by somebody else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from apps.cachestore import fetch_lock, store
from apps.gateway.gateway import Gateway
from tests.gateway.house import Door, Origin, Published, api, ok, serving
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a busy test machine answers within 20 ms is not what these tests are about."""
    for module, name in ((fetch_lock, "WAIT"), (store, "READ_WAIT"), (store, "WRITE_WAIT")):
        monkeypatch.setattr(module, name, 5.0)


@pytest.fixture
async def two(gateways: Callable[..., Awaitable[Gateway]]) -> AsyncIterator[tuple[Door, Door]]:
    """Two gateways that share the cache server and nothing else."""
    async with serving(await gateways()) as one, serving(await gateways()) as other:
        yield one, other


async def test_what_was_stored_before_one_waited_is_not_taken_for_what_the_leader_fetched(
    two: tuple[Door, Door], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose look-up came back too late knows of nothing stored; what it finds after waiting may be old."""
    one, other = two
    origin.paths["/items"] = ok(b"first", "cache-control: no-cache", 'etag: "1"')
    assert (await other.call("/products/items")).body == b"first"
    go_on = asyncio.Event()
    asked = 0

    async def broken(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        nonlocal asked
        asked += 1
        await go_on.wait()
        writer.write(ok(b"", status="503 Service Unavailable"))

    origin.paths["/items"] = broken
    leading = asyncio.create_task(other.call("/products/items"))
    await until(lambda: asked == 1)

    look = one.gateway.store.look

    async def too_late(plan: Any, now: float) -> Any:
        monkeypatch.setattr(one.gateway.store, "look", look)
        return None, None

    monkeypatch.setattr(one.gateway.store, "look", too_late)
    following = asyncio.create_task(one.call("/products/items"))
    await until(lambda: one.gateway.store.locks.stats.waits == 1)
    go_on.set()
    assert [(await each).status for each in (leading, following)] == [503, 503]


@pytest.fixture
async def lock(lane: Door, origin: Origin, cache_redis: Any) -> bytes:
    """The name of the fetch lock of ``/products/items``, which is free."""
    origin.paths["/items"] = ok(b"", "cache-control: private")
    await lane.call("/products/items")
    await until(lambda: cache_redis.keys("*fetch:*"))
    (name,) = cache_redis.keys("*fetch:*")
    cache_redis.delete(name)
    lane.gateway.store._hit_for_miss.clear()
    origin.paths["/items"] = ok(b"fresh", "cache-control: max-age=60")
    return bytes(name)


@pytest.mark.parametrize("rubbish", [b"", b"X", b"P", b"L\xff\xfe", b"Gnobody"])
async def test_rubbish_in_place_of_a_lock_fails_no_call(
    lane: Door, published: Published, origin: Origin, cache_redis: Any, lock: bytes, rubbish: bytes
) -> None:
    """Nobody but a gateway writes there, and whoever does can deny the cache's help, but not the API."""
    published.change(api("products", upstreams=origin.url, connect_timeout=0.1, read_timeout=0.2, retries=0))
    await until(lambda: lane.gateway.config.epoch == 2)
    cache_redis.set(lock, rubbish)
    answer = await lane.call("/products/items")
    assert (answer.status, answer.body) == (200, b"fresh")


async def test_what_is_no_lock_at_all_fails_no_call(lane: Door, cache_redis: Any, lock: bytes) -> None:
    cache_redis.rpush(lock, b"a", b"b")
    assert (await lane.call("/products/items")).body == b"fresh"


@pytest.mark.parametrize("book", ["tenants", "accounts", "sums", "evictions"])
async def test_books_that_hold_rubbish_fail_no_call(lane: Door, cache_redis: Any, origin: Origin, book: str) -> None:
    origin.paths["/items"] = ok(b"fresh", "cache-control: max-age=60")
    cache_redis.set(f"apimgr:books:{book}", b"rubbish")
    assert (await lane.call("/products/items")).body == b"fresh"
    cache_redis.delete(f"apimgr:books:{book}")

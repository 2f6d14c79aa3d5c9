"""The cache backend: both planes see the same entries, through Django's cache API, on a real Valkey."""

import asyncio

import pytest
from django.core.cache import caches

from apps.cachestore import backend
from apps.cachestore.backend import ResponsesCache, close_clients
from apps.cachestore.serializer import Rejections
from apps.httpcache import CacheEntry
from tests.httpcache.build import stored


@pytest.fixture
def cache(cache_redis):
    Rejections.count = 0
    return caches["responses"]


@pytest.fixture
async def acache(cache):
    yield cache
    await close_clients()


def entry() -> CacheEntry:
    return stored([("Cache-Control", "max-age=60")]).entry


def test_it_is_djangos_cache_of_responses(cache):
    assert isinstance(cache, ResponsesCache)
    assert cache.url


async def test_what_one_plane_writes_the_other_reads(acache):
    await acache.aset("a", entry(), 60)
    assert await asyncio.to_thread(acache.get, "a") == entry()
    await asyncio.to_thread(acache.set, "b", entry(), 60)
    assert await acache.aget("b") == entry()
    await asyncio.to_thread(acache.set, "n", 5)
    assert await acache.aget("n") == 5


def test_the_synchronous_side(cache):
    assert cache.get("a") is None
    assert cache.get("a", "default") == "default"
    cache.set_many({"a": 1, "b": entry()})
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": entry()}
    cache.delete("a")
    assert not cache.has_key("a")
    assert cache.add("a", 2)
    assert not cache.add("a", 3)
    assert cache.get("a") == 2


async def test_the_asynchronous_side(acache):
    assert await acache.aget("a") is None
    assert await acache.aget("a", "default") == "default"
    assert await acache.aset_many({"a": 1, "b": entry()}, 60) == []
    assert await acache.aget_many(["a", "b", "c"]) == {"a": 1, "b": entry()}
    assert await acache.aget_many([]) == {}
    assert await acache.ahas_key("a")
    assert await acache.adelete("a")
    assert not await acache.adelete("a")
    assert await acache.aadd("a", 2)
    assert not await acache.aadd("a", 3)
    assert await acache.aget("a") == 2
    assert await acache.adelete_many(["a", "b"]) == 2
    assert await acache.adelete_many([]) == 0
    assert await acache.aget_or_set("x", lambda: 9, 60) == 9


async def test_values_have_timeouts(acache, cache_redis):
    await acache.aset("default", 1)
    await acache.aset("ever", 1, None)
    await acache.aset("short", 1, 10)
    await acache.awrite([("written", 1, 20.0), ("gone", 1, 20.0)])
    await acache.awrite([("written", 2, 20.0)], ["gone", "never"])
    left = {name.rpartition(b":")[2].decode(): cache_redis.pttl(name) for name in cache_redis.keys("apimgr:r:*")}
    assert set(left) == {"default", "ever", "short", "written"}
    assert 290_000 < left["default"] <= 300_000
    assert left["ever"] == -1
    assert 9_000 < left["short"] <= 10_000
    assert 19_000 < left["written"] <= 20_000
    assert await acache.atouch("short", 100)
    assert await acache.atouch("written", None)
    assert await acache.atouch("ever", None)
    assert not await acache.atouch("never", 5)
    assert not await acache.atouch("never", None)
    assert cache_redis.pttl("apimgr:r:1:written") == -1
    assert not await acache.aset("short", 1, 0), "no time left is a deletion"
    assert not await acache.ahas_key("short")
    await acache.aset_many({"ever": 1}, 0)
    assert not await acache.ahas_key("ever")


async def test_a_value_that_we_did_not_write_is_a_miss(acache, cache_redis):
    for planted in (b"1", b"forged", b"E" + b"\x00" * 40):
        cache_redis.set("apimgr:r:1:a", planted)
        assert await acache.aget("a") is None
        assert await acache.aget_many(["a"]) == {}
        assert await asyncio.to_thread(acache.get, "a", "default") == "default"
        assert await asyncio.to_thread(acache.get_many, ["a"]) == {}
    assert Rejections.count == 12


def test_each_event_loop_has_its_own_client(cache):
    async def client():
        await cache.aset("a", 1)
        found = cache.redis
        assert cache.redis is found is caches["responses"].redis
        await cache.aclose()
        assert await cache.aget("a") == 1, "Django's closing after a request leaves it open"
        await close_clients()
        await close_clients()
        return found

    assert asyncio.run(client()) is not asyncio.run(client())
    assert not backend._async_clients


def test_an_address_with_several_sentinels_is_not_split():
    address = "redis+sentinel://h1:26379,h2:26379/master"
    assert ResponsesCache(address, {}).client._server == [address]

"""A purge costs the same for ten entries and for a thousand: what it does is counted, not timed.

``python -m benchmarks.purge`` measures it with a million.
"""

import time

import pytest
from django.core.cache import caches

from apps.cachestore import purges
from apps.cachestore.backend import close_clients
from apps.cachestore.fair_share import UNCHARGED
from apps.cachestore.store import ResponseStore
from apps.httpcache.invalidation import tag_of_key
from apps.wire import redis_names
from tests.httpcache.build import plan, stored

COMMON = ("Cache-Control", "max-age=600")


def fill(tag, count):
    """Entries that carry ``tag``, in the shared tier; returns the plans that find them."""
    cache = caches["responses"]
    plans = [plan(path=f"/{tag}/{number}") for number in range(count)]
    for each in plans:
        entry = stored([COMMON, ("Surrogate-Key", tag)], the_plan=each, at=time.time()).entry
        assert cache.write([(entry.key.hex(), entry, 600.0)], account=UNCHARGED) == 1
    return plans


def calls(redis):
    """How often each command has run since the last look."""
    found = {name.removeprefix("cmdstat_"): said["calls"] for name, said in redis.info("commandstats").items()}
    redis.config_resetstat()
    return {name: count for name, count in found.items() if not name.startswith(("info", "config"))}


@pytest.fixture
async def closed_afterwards():
    yield
    await close_clients()


async def test_a_purge_runs_the_same_commands_whatever_carries_the_tag(state_redis, cache_redis, closed_afterwards):
    state_redis.hset(redis_names.EPOCH, mapping={"incarnation": 1, "n": 1, "seq": 1})
    plans = {"few": fill("few", 10), "many": fill("many", 1000)}
    purges.purge(state_redis, [tag_of_key("products", "first")])  # the script is loaded
    ran, sizes = {}, {}
    for tag in plans:
        calls(state_redis)
        calls(cache_redis)
        before = state_redis.hlen(redis_names.PURGES), cache_redis.dbsize()
        calls(state_redis)
        calls(cache_redis)
        clock = purges.purge(state_redis, [tag_of_key("products", tag)])
        ran[tag] = calls(state_redis)
        assert calls(cache_redis) == {}, "the entries aren't touched"
        sizes[tag] = state_redis.hlen(redis_names.PURGES) - before[0]
        assert cache_redis.dbsize() == before[1]
    assert ran["few"] == ran["many"]
    assert sum(ran["many"].values()) < 20
    assert sizes == {"few": 1, "many": 1}

    worker = ResponseStore(0, caches["responses"])
    worker.purges.load(1, clock, state_redis.hgetall(redis_names.PURGES))
    for each in (*plans["few"], *plans["many"][::100]):
        assert await worker.find(each, time.time()) is None
    assert len(worker.purges) == 3

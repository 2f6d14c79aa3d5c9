"""The two tiers as a worker uses them: on a real Valkey, and with it away, frozen, full, or lied to."""

import asyncio
import signal
import time

import pytest
from django.core.cache import caches

from apps.cachestore import eviction, purges, store
from apps.cachestore.backend import ResponsesCache, close_clients
from apps.cachestore.store import ResponseStore
from apps.httpcache import Fetch, Identity, Policy, Reason, Refreshed, Serve, Store, StoredResponse, Variants, on_entry
from apps.wire import redis_names
from apps.wire.circuit_breaker import Breaker
from tests.httpcache.build import plan, respond
from tests.support.waiting import SOON

FRESH = ("Cache-Control", "max-age=60")


def now():
    return time.time()


def entries(redis):
    """The names of what is stored; the books and the rows of siblings are kept beside them."""
    return [name for name in redis.keys("*:1:*") if b":siblings:" not in name]


def worker(backend=None, l1_bytes=10_000_000, **how):
    made = ResponseStore(l1_bytes, backend, **how)
    made.purges.load(1, 0, {})
    return made


@pytest.fixture
async def shared(cache_redis, monkeypatch):
    # Whether a busy test machine answers within 20 ms is not what these tests are about.
    monkeypatch.setattr(store, "READ_WAIT", 5.0)
    monkeypatch.setattr(store, "WRITE_WAIT", 5.0)
    yield caches["responses"]
    await close_clients()


async def remember(where, headers=(FRESH,), *, body=b"hello", the_plan=None, at=None):
    the_plan = the_plan or plan()
    at = now() if at is None else at
    decision = respond(the_plan, headers, at=at, birth=where.purge_clock())
    assert isinstance(decision, Store)
    decision.entry.body = body
    return await where.put(the_plan, decision.entry)


async def test_what_one_worker_stored_another_finds_and_keeps(shared):
    one, other = worker(shared), worker(shared)
    await remember(one)
    assert one.find_local(plan(), now()) is not None
    assert other.find_local(plan(), now()) is None
    found = await other.find(plan(), now())
    assert found is not None
    assert found.entry.body == b"hello"
    assert other.find_local(plan(), now()) is found
    assert (other.stats.shared_hits, other.stats.local_hits, other.stats.misses) == (1, 0, 0)
    assert await other.find(plan(), now()) is found
    assert other.stats.local_hits == 1
    assert await other.find(plan(path="/other"), now()) is None
    assert other.stats.misses == 1
    assert one.stats.shared_writes == 1
    assert other.local_stats.entries == 1


async def test_without_the_local_tier_everything_is_found_in_the_shared_one(shared):
    one, other = worker(shared, 0), worker(shared, 0)
    await remember(one, [FRESH, ("Vary", "Foo")], the_plan=plan([("Foo", "1")]))
    await remember(one, [FRESH, ("Vary", "Foo")], the_plan=plan([("Foo", "2")]), body=b"two")
    assert other.find_local(plan([("Foo", "1")]), now()) is None
    first, second = [await other.find(plan([("Foo", value)]), now()) for value in "12"]
    assert first is not None
    assert second is not None
    assert (first.entry.body, second.entry.body) == (b"hello", b"two")
    missing = plan([("Foo", "3")])
    assert await other.find(missing, now()) is None
    assert missing.missed is Reason.VARY_MISMATCH


async def test_the_shared_tier_forgets_entries_by_itself(shared, cache_redis):
    await remember(worker(shared))
    (name,) = entries(cache_redis)
    assert 100_000 < cache_redis.pttl(name) <= 120_000, "a minute fresh and one more for an upstream that is away"


async def test_without_a_shared_tier_a_worker_remembers_alone():
    alone = worker()
    await remember(alone)
    assert await alone.find(plan(), now()) is not None
    await alone.drop(plan())
    assert await alone.find(plan(), now()) is None


async def test_variants_over_the_bound_leave_both_tiers(shared, cache_redis):
    one = worker(shared)
    policy = Policy(api="products", max_variants=2)
    for value in "123":
        await remember(one, [FRESH, ("Vary", "Foo")], the_plan=plan([("Foo", value)], policy=policy))
    assert len(entries(cache_redis)) == 3
    assert one.local_stats.entries == 3
    assert one.find_local(plan([("Foo", "1")]), now()) is None
    assert one.find_local(plan([("Foo", "3")]), now()) is not None
    assert isinstance(one.local.get(plan().keys[0]), Variants)


async def test_a_call_with_credentials_finds_its_own_answer_in_either_tier(shared):
    one, other = worker(shared), worker(shared)
    await remember(one, body=b"anonymous")
    mine = [("Authorization", "me")]
    await remember(one, the_plan=plan(mine), body=b"mine")
    for where in (one, other):
        found = await where.find(plan(mine), now())
        assert found is not None
        assert found.entry.body == b"mine"
        assert where.find_local(plan(mine), now()) is found
        stranger = plan([("Authorization", "you")])
        assert await where.find(stranger, now()) is None
        assert where.find_local(stranger, now()) is None
        assert stranger.missed is Reason.AUTHORIZATION


async def test_a_stale_answer_here_gives_way_to_the_one_that_another_worker_refreshed(shared):
    one, other = worker(shared), worker(shared)
    start = now()
    fields = [("Cache-Control", "max-age=1"), ("ETag", '"a"')]
    old = await remember(one, fields, at=start)
    await other.find(plan(), start)
    decision = respond(plan(), [FRESH, ("ETag", '"a"')], status=304, held=old, at=start + 2, birth=one.purge_clock())
    assert isinstance(decision, Refreshed)
    await one.put(plan(), decision.entry)
    assert other.find_local(plan(), start + 3).entry.validated_at == start
    found = await other.find(plan(), start + 3)
    assert found is not None
    assert isinstance(on_entry(plan(), found, start + 3), Serve)
    assert other.find_local(plan(), start + 3) is found


async def test_an_older_answer_in_the_shared_tier_does_not_replace_a_newer_one_here(shared):
    one = worker(shared)
    start = now()
    await remember(worker(shared), [("Cache-Control", "max-age=1"), ("ETag", '"a"')], at=start - 5)
    newer = StoredResponse(
        (await remember(worker(), [("Cache-Control", "max-age=1"), ("ETag", '"b"')], at=start)).entry
    )
    one.local.put(newer.entry.key, newer)
    assert await one.find(plan(), start + 2) is newer
    assert one.find_local(plan(), start + 2) is newer


async def test_a_purge_ends_entries_in_both_tiers(shared):
    one, other = worker(shared), worker(shared)
    await remember(one)
    for where in (one, other):
        where.purges.apply(["a:products"], 1, False)
        the_plan = plan()
        assert where.find_local(the_plan, now()) is None
        assert await where.find(the_plan, now()) is None
        assert the_plan.missed is Reason.PURGED
    assert len(one.local) == 0
    assert one.stats.purged >= 1


async def test_what_is_purged_while_it_is_fetched_is_stored_nowhere(shared, cache_redis):
    one = worker(shared)
    born = one.purge_clock()
    one.purges.apply(["p:products:/items/1"], 1, False)
    decision = respond(plan(), [FRESH], at=now(), birth=born)
    assert isinstance(decision, Store)
    held = await one.put(plan(), decision.entry)
    assert held.entry is decision.entry, "the caller gets its answer all the same"
    assert one.find_local(plan(), now()) is None
    assert len(entries(cache_redis)) == 0


async def test_what_another_worker_wrote_without_knowing_of_the_purge_is_dead_here(shared):
    unknowing, knowing = worker(shared), worker(shared)
    knowing.purges.apply(["a:products"], 1, False)
    await remember(unknowing)
    assert await knowing.find(plan(), now()) is None
    unknowing.purges.apply(["a:products"], 1, False)
    await remember(unknowing)
    assert await knowing.find(plan(), now()) is not None


async def test_the_whole_way_of_a_purge_through_redis(shared, state_redis):
    state_redis.hset(redis_names.EPOCH, mapping={"incarnation": 1, "n": 0})
    one = worker(shared)
    await remember(one)
    clock = purges.purge(state_redis, ["x:products:/items"])
    one.purges.apply(["x:products:/items"], clock, False)
    assert await one.find(plan(), now()) is None
    await remember(one, body=b"new")
    assert (await one.find(plan(), now())).entry.body == b"new"


async def test_entries_of_before_a_refill_are_dead(shared):
    one = worker(shared)
    await remember(one)
    one.purges.load(2, 0, {})
    assert one.find_local(plan(), now()) is None
    assert await one.find(plan(), now()) is None


async def test_a_worker_learns_of_variants_that_another_met(shared):
    one, other = worker(shared), worker(shared)
    await remember(one, [FRESH, ("Vary", "Foo")], the_plan=plan([("Foo", "1")]))
    assert await other.find(plan([("Foo", "1")]), now()) is not None
    await remember(one, [FRESH, ("Vary", "Bar")], the_plan=plan([("Bar", "2")]), body=b"by bar")
    found = await other.find(plan([("Foo", "new"), ("Bar", "2")]), now())
    assert found is not None
    assert found.entry.body == b"by bar"
    assert other.stats.misses == 0
    assert await other.find(plan([("Foo", "new"), ("Bar", "new")]), now()) is None


async def test_a_worker_learns_that_an_answer_varies_no_more(shared):
    one, other = worker(shared), worker(shared)
    await remember(one, [FRESH, ("Vary", "Foo")], the_plan=plan([("Foo", "1")]))
    assert await other.find(plan([("Foo", "1")]), now()) is not None
    whole = respond(plan(), [FRESH], at=now(), birth=one.purge_clock())
    assert isinstance(whole, Store)
    await shared.awrite([(whole.entry.key.hex(), whole.entry, 60.0)])
    found = await other.find(plan([("Foo", "2")]), now())
    assert found is not None
    assert found.entry.selecting == ()


async def test_before_the_purges_are_known_nothing_is_served_and_nothing_stored(shared, cache_redis):
    await remember(worker(shared))
    early = ResponseStore(10_000_000, shared)
    assert await early.find(plan(), now()) is None
    await remember(early, the_plan=plan(path="/b"))
    assert len(entries(cache_redis)) == 1
    assert len(early.local) == 0


async def test_an_entry_past_its_end_is_forgotten(shared):
    one = worker(shared)
    await remember(one)
    assert one.find_local(plan(), now() + 121) is None
    assert len(one.local) == 0


async def test_dropping_one_answer_leaves_the_other_variants(shared):
    one, other = worker(shared), worker(shared)
    held = [await remember(one, [FRESH, ("Vary", "Foo")], the_plan=plan([("Foo", value)])) for value in "12"]
    await one.drop(plan([("Foo", "1")]), held[0])
    for where in (one, other):
        assert await where.find(plan([("Foo", "1")]), now()) is None
        assert await where.find(plan([("Foo", "2")]), now()) is not None
    await one.drop(plan(), await remember(one, the_plan=plan(path="/x")))
    assert await one.find(plan(path="/x"), now()) is None


async def test_a_forged_entry_is_a_miss(shared, cache_redis):
    one, other = worker(shared), worker(shared)
    await remember(one)
    (name,) = entries(cache_redis)
    cache_redis.set(name, cache_redis.get(name).replace(b"hello", b"hacked"))
    before = other.stats.rejected
    assert await other.find(plan(), now()) is None
    assert other.stats.rejected == before + 1


async def test_an_honest_entry_under_another_key_raises_the_alarm(shared, cache_redis):
    await remember(worker(shared), the_plan=plan([("Authorization", "you")]))
    (name,) = entries(cache_redis)
    mine = plan([("Authorization", "me")])
    cache_redis.rename(name, f"apimgr:r:1:{mine.keys[1].hex()}")
    found = await worker(shared).find(mine, now())
    assert found is not None
    assert on_entry(mine, found, now()) == Fetch(Reason.SCOPE_MISMATCH)


def test_what_turned_out_uncacheable_is_remembered_for_a_while():
    one = worker()
    one.remember_hit_for_miss(b"k", 10.0)
    one.remember_hit_for_miss(None, 10.0)
    assert one.is_hit_for_miss(b"k", 9.9)
    assert not one.is_hit_for_miss(b"k", 10.0)
    assert not one.is_hit_for_miss(b"k", 9.9), "forgotten when it was over"
    assert not one.is_hit_for_miss(None, 0.0)


def test_what_is_remembered_as_uncacheable_is_bounded(monkeypatch):
    monkeypatch.setattr(store, "MAX_HIT_FOR_MISS", 3)
    one = worker()
    for number in range(5):
        one.remember_hit_for_miss(b"%d" % number, 10.0)
    assert [one.is_hit_for_miss(b"%d" % number, 0.0) for number in range(5)] == [False, False, True, True, True]


async def test_storing_ends_the_memory_of_having_been_uncacheable():
    one = worker()
    one.remember_hit_for_miss(plan().fetch_key, now() + 10)
    await remember(one)
    assert not one.is_hit_for_miss(plan().fetch_key, now())


@pytest.fixture
async def own(extra_valkey):
    """A cache server of the test's own, and a backend that speaks to it."""
    server = extra_valkey("cache")
    backend = ResponsesCache(server.url, {"KEY_PREFIX": "apimgr:r"})
    yield server, backend
    await close_clients()


async def test_while_the_server_is_frozen_nobody_waits_for_long(own):
    server, backend = own
    one = worker(backend)
    one._exchanges.breaker = Breaker(pause=60.0)
    await remember(one)
    server.send(signal.SIGSTOP)
    try:
        paths = (f"/{number}" for number in range(1000))
        while not one.breaker.is_open:
            began = time.perf_counter()
            await remember(one, the_plan=plan(path=next(paths)))
            assert time.perf_counter() - began < SOON
        skipped = one.stats.shared_skipped
        await remember(one, the_plan=plan(path="/open"))
        assert one.find_local(plan(path="/open"), now()) is not None
        assert await one.find(plan(path="/none"), now()) is None
        assert one.stats.shared_skipped == skipped + 2, "an open breaker costs no wait at all"
    finally:
        server.send(signal.SIGCONT)


async def _until_back(one, within=30.0):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        await remember(one, the_plan=plan(path="/probe"))
        if not one.breaker.is_open:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the breaker did not close")


async def test_when_the_server_comes_back_it_is_used_again(own):
    server, backend = own
    one, other = worker(backend), worker(backend)
    await remember(one)
    server.kill()
    for number in range(4):
        await remember(one, the_plan=plan(path=f"/{number}"))
    assert one.breaker.is_open
    assert one.stats.shared_failures >= 3
    assert one.stats.shared_skipped >= 1
    server.start()
    await _until_back(one)
    await remember(one, the_plan=plan(path="/again"))
    assert await other.find(plan(path="/again"), now()) is not None


async def test_a_slow_write_is_finished_in_the_background(own, monkeypatch):
    server, backend = own
    one = worker(backend)
    await remember(one)
    server.send(signal.SIGSTOP)
    try:
        await remember(one, the_plan=plan(path="/slow"))
    finally:
        server.send(signal.SIGCONT)
    await one.close()
    assert await worker(backend).find(plan(path="/slow"), now()) is not None


async def test_where_cache_and_state_are_one_server_a_full_one_is_spared(extra_valkey):
    server = extra_valkey("state", maxmemory="16mb")
    backend = ResponsesCache(server.url, {})
    client = server.client()
    try:
        one = worker(backend, shares_server=True)
        await remember(one)
        assert len(entries(client)) == 1
        client.mset({f"state{number}": b"x" * 100_000 for number in range(60)})
        client.mset({f"state{number}": b"x" * 100_000 for number in range(60, 115)})
        one._room_known_until = 0.0
        await remember(one, the_plan=plan(path="/b"))
        assert len(entries(client)) == 1
        assert one.stats.shared_skipped == 1
        assert one.find_local(plan(path="/b"), now()) is not None
        client.delete(*(f"state{number}" for number in range(115)))
        await remember(one, the_plan=plan(path="/c"))
        assert len(entries(client)) == 1, "memory is asked for once a second only"
        one._room_known_until = 0.0
        await remember(one, the_plan=plan(path="/d"))
        assert len(entries(client)) == 2
    finally:
        client.close()
        await close_clients()


def call(path, *, caller, owner="platform", api="products", **fields):
    policy = Policy(api=api, tenant=owner, **fields)
    return plan(path=path, policy=policy, identity=Identity(caller, f"{caller}/bot"))


async def hits(where, calls):
    return sum([await where.find(each, now()) is not None for each in calls])


@pytest.mark.parametrize(
    ("quiet", "flooding"),
    [
        pytest.param(
            {"caller": "y", "owner": "y", "api": "y-api"}, {"caller": "x", "owner": "x", "api": "x-api"}, id="api"
        ),
        pytest.param({"caller": "y"}, {"caller": "x"}, id="caller-of-a-shared-api"),
    ],
)
async def test_while_one_floods_both_tiers_the_others_hits_stay(extra_valkey, monkeypatch, quiet, flooding):
    monkeypatch.setattr(store, "READ_WAIT", 5.0)
    monkeypatch.setattr(store, "WRITE_WAIT", 5.0)
    backend = ResponsesCache(extra_valkey("cache", maxmemory="8mb").url, {})
    one, fresh = worker(backend, l1_bytes=400_000), worker(backend, l1_bytes=0)
    try:
        wanted = [call(f"/wanted/{number}", **quiet) for number in range(20)]
        for each in wanted:
            await remember(one, the_plan=each, body=b"y" * 4000)
        for number in range(1400):
            await remember(one, the_plan=call(f"/flood/{number}", **flooding), body=b"x" * 4000)
        assert sum(one.find_local(each, now()) is not None for each in wanted) == 20
        assert await hits(fresh, wanted) == 20
        assert one.local_stats.evictions > 1000
        books = backend.client.get_client().hgetall("apimgr:books:sums")
        assert int(books[b"evictions"]) > 200
        memory = backend.client.get_client().info()
        assert memory["evicted_keys"] == 0, "the books keep the server from having to choose"
        assert int(books[b"bytes"]) <= eviction.FILL * (memory["maxmemory"] - eviction.BASE)
    finally:
        await close_clients()


async def test_an_apis_own_bound_holds_in_both_tiers(shared, cache_redis):
    one = worker(shared)
    for number in range(30):
        await remember(one, the_plan=call(f"/{number}", caller="x", max_size=40_000), body=b"x" * 2000)
    assert one.local_stats.bytes <= 40_000
    assert 5 <= one.local_stats.entries < 30
    assert int(cache_redis.hget("apimgr:books:sums", "bytes")) <= 40_000
    assert 5 <= len(entries(cache_redis)) < 30
    large = call("/large", caller="x", max_size=40_000)
    await remember(one, the_plan=large, body=b"x" * 50_000)
    assert await one.find(large, now()) is None


async def test_a_tenant_keeps_to_its_part_of_the_shared_tier(extra_valkey, settings, monkeypatch):
    monkeypatch.setattr(store, "WRITE_WAIT", 5.0)
    settings.CACHE_TENANT_SHARE = 0.25
    backend = ResponsesCache(extra_valkey("cache", maxmemory="8mb").url, {})
    one = worker(backend, tenant_share=0.25)
    assert one.local._tenant_capacity == one.local.capacity // 4
    try:
        for number in range(500):
            await remember(one, the_plan=call(f"/{number}", caller="x"), body=b"x" * 2000)
        memory = backend.client.get_client().info()
        booked = int(backend.client.get_client().hget("apimgr:books:sums", "bytes"))
        assert 0.8 < booked / (0.25 * eviction.FILL * (memory["maxmemory"] - eviction.BASE)) <= 1
    finally:
        await close_clients()


async def test_a_large_answer_is_stored_small_and_found_whole(shared, cache_redis):
    one, other = worker(shared), worker(shared)
    body = b'{"id": 1, "name": "the same again"}, ' * 20_000
    await remember(one, [FRESH, ("Content-Type", "application/json")], body=body)
    (name,) = entries(cache_redis)
    assert cache_redis.strlen(name) < len(body) / 20
    found = await other.find(plan(), now())
    assert found is not None
    assert found.entry.body == body
    assert other.local_stats.bytes > len(body), "in a worker's memory it stands as it is sent"


async def test_what_is_over_and_what_was_purged_leaves_a_workers_memory_by_itself():
    one = worker()
    at = now()
    await remember(one)
    await remember(one, [("Cache-Control", "max-age=60"), ("Surrogate-Key", "gone")], the_plan=plan(path="/purged"))
    await remember(one, [("Cache-Control", "max-age=5"), ("Vary", "Foo")], the_plan=plan(path="/varies"))
    assert len(one.local) == 4
    one.tidy(at)
    assert len(one.local) == 4
    one.purges.apply(["k:products:gone"], 1, False)
    one.tidy(at)
    assert len(one.local) == 3
    one.tidy(at + 7 * 86400)
    assert len(one.local) == 0


async def test_a_server_that_was_well_a_moment_ago_is_given_time_and_one_that_failed_is_not(monkeypatch):
    class Slow:
        def __init__(self):
            self.answers = asyncio.Event()

        async def aget_many(self, keys):
            await self.answers.wait()
            return {keys[0]: Variants(((b"foo",),), (), now() + 60)}

    monkeypatch.setattr(store, "READ_WAIT", 0.001)
    monkeypatch.setattr(store, "PATIENCE", 30.0)
    slow = Slow()
    one = worker(slow)
    looking = asyncio.ensure_future(one._fetch([b"k"], plan(), now()))
    asyncio.get_running_loop().call_later(0.02, slow.answers.set)
    assert isinstance((await looking)[0], Variants)
    one.breaker.failed(time.monotonic())
    slow.answers.clear()
    assert await one._fetch([b"k"], plan(), now()) == [None]
    slow.answers.set()
    await one.close()


async def test_a_mistake_of_ours_is_not_taken_for_an_absent_server():
    class Broken:
        async def aget_many(self, keys):
            raise KeyError("ours")

    with pytest.raises(KeyError):
        await worker(Broken()).find(plan(), now())

"""The fetch lock between two workers, on a real Valkey: who leads, who waits, who may write, and who takes over."""

import asyncio
import time

import pytest
from django.core.cache import caches

from apps.cachestore import eviction, fetch_lock
from apps.cachestore.backend import close_clients
from apps.cachestore.fetch_lock import FetchLease, FetchLocks, LockAttempt, LockState
from apps.httpcache import CacheEntry
from tests.httpcache.build import plan, respond
from tests.support.waiting import until

KEY = b"k" * 32


async def patient(operation, wait):
    """An exchange that takes as long as it takes."""
    return await operation()


@pytest.fixture
async def shared(cache_redis):
    yield caches["responses"]
    await close_clients()


@pytest.fixture
async def two(shared):
    """Two workers' parts in the lock."""
    made = FetchLocks(shared, patient), FetchLocks(shared, patient)
    yield made
    for each in made:
        await each.close()


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr(fetch_lock, "LEASE", 0.2)
    monkeypatch.setattr(fetch_lock, "RENEW", 0.02)


def entry(body: bytes) -> CacheEntry:
    made = respond(plan(), [("Cache-Control", "max-age=60")], at=time.time(), birth=(1, 0)).entry
    made.body = body
    return made


async def claim(locks: FetchLocks, **how) -> LockAttempt | None:
    found, _ = await locks.look(KEY, [KEY], **how)
    return found


async def lead(locks: FetchLocks) -> FetchLease:
    """The lock, held."""
    taken = await claim(locks)
    assert taken is not None
    assert taken.state is LockState.LEADING
    return locks.hold(KEY, taken)


async def settled(locks: FetchLocks) -> None:
    await until(lambda: not locks._errands)


async def write(shared, lease: FetchLease, body: bytes) -> int:
    return await shared.awrite([(KEY.hex(), entry(body), 60.0)], guard=(lease.name, lease.token))


async def test_a_look_that_finds_nothing_takes_the_lock_and_the_next_is_told_to_wait(two):
    mine, other = two
    lease = await lead(mine)
    told = await claim(other)
    assert told == LockAttempt(LockState.HELD, lease.token)
    # The same worker's next caller goes on with the same lease.
    assert await claim(mine) == LockAttempt(LockState.LEADING, lease.token)
    assert mine.hold(KEY, LockAttempt(LockState.LEADING, lease.token)) == lease
    assert mine.stats.led == 1


async def test_a_look_that_finds_something_takes_the_lock_only_when_asked_to(two, shared):
    mine, _ = two
    await shared.aset(KEY.hex(), entry(b"there"))
    found, values = await mine.look(KEY, [KEY])
    assert found is None
    assert values[KEY].body == b"there"
    found, values = await mine.look(KEY, [KEY], although_there=True)
    assert found is not None
    assert found.state is LockState.LEADING
    assert values[KEY].body == b"there"


async def test_whoever_holds_the_lock_writes_and_frees_it_in_one(two, shared):
    mine, other = two
    lease = await lead(mine)
    assert await write(shared, lease, b"new") == 1
    mine.written(lease, True)
    assert mine.stats.fenced == 0
    found, values = await other.look(KEY, [KEY])
    assert found is None
    assert values[KEY].body == b"new"


@pytest.mark.usefixtures("short_lease")
async def test_whoever_slept_longer_than_its_lease_can_not_overwrite_its_successors_answer(two, shared):
    asleep, other = two
    lease = await lead(asleep)
    for task in asleep._loops.values():
        task.cancel()
    await until(lambda: _leads(other))
    successor = await lead(other)
    assert await write(shared, lease, b"old") == eviction.FENCED
    assert await write(shared, successor, b"new") == 1
    # Nor later, when the lock is free.
    assert await write(shared, lease, b"old") == eviction.FENCED
    assert (await shared.aget(KEY.hex())).body == b"new"


async def _leads(locks: FetchLocks) -> bool:
    told = await claim(locks)
    return told is not None and told.state is LockState.LEADING


@pytest.mark.usefixtures("short_lease")
async def test_a_lease_is_renewed_for_as_long_as_the_fetch_goes_on(two):
    mine, other = two
    await lead(mine)
    ends = time.monotonic() + 3 * fetch_lock.LEASE
    while time.monotonic() < ends:
        told = await claim(other)
        assert told is not None
        assert told.state is LockState.HELD
        await asyncio.sleep(0)


async def test_a_lock_is_freed_and_marked_only_under_its_own_token(two, cache_redis):
    mine, other = two
    lease = await lead(mine)
    stranger = FetchLease(lease.name, "somebody-else")
    for state in (None, LockState.BESIDE, LockState.HIT_FOR_MISS):
        other.leave(stranger, state)
    other.wait_no_more(stranger)
    await settled(other)
    assert cache_redis.get(lease.name) == b"L" + lease.token.encode()
    mine.leave(lease)
    await settled(mine)
    assert cache_redis.get(lease.name) is None


async def test_what_cannot_be_cached_is_remembered_for_all_workers_and_for_a_while(two, cache_redis):
    mine, _ = two
    lease = await lead(mine)
    mine.leave(lease, LockState.HIT_FOR_MISS, 7.0)
    await settled(mine)
    for worker in two:
        told = await claim(worker, although_there=True)
        assert told is not None
        assert told.state is LockState.HIT_FOR_MISS
        assert 0 < told.seconds <= 7.0
    assert 0 < cache_redis.pttl(lease.name) <= 7000


async def test_after_a_failure_workers_do_not_wait_for_each_other(two):
    mine, _ = two
    mine.leave(await lead(mine), LockState.BESIDE)
    await settled(mine)
    for worker in two:
        told = await claim(worker)
        assert told is not None
        assert told.state is LockState.BESIDE


async def test_whoever_tells_the_others_not_to_wait_may_still_write(two, shared):
    mine, other = two
    lease = await lead(mine)
    mine.wait_no_more(lease)
    await settled(mine)
    told = await claim(other)
    assert told is not None
    assert told.state is LockState.BESIDE
    assert await write(shared, lease, b"at last") == 1


@pytest.mark.parametrize("how", ["written", "freed", "marked", "told"])
async def test_whoever_waits_is_woken_when_there_is_nothing_to_wait_for(two, shared, how):
    mine, other = two
    lease = await lead(mine)
    waiting = asyncio.create_task(other.changed(KEY, lease.token))
    await until(lambda: other._waiting)
    if how == "written":
        await write(shared, lease, b"new")
    elif how == "told":
        mine.wait_no_more(lease)
    else:
        mine.leave(lease, LockState.HIT_FOR_MISS if how == "marked" else None)
    async with asyncio.timeout(30):
        await waiting
    assert other.stats.waits == 1


async def test_the_holder_hears_whether_another_worker_waits(two):
    mine, other = two
    lease = await lead(mine)
    assert not await mine.is_waited_for(lease)
    await claim(other)
    assert await mine.is_waited_for(lease)
    # Being waited for takes nothing from its rights.
    told = await claim(mine)
    assert told == LockAttempt(LockState.LEADING, lease.token)
    mine.leave(lease)
    await settled(mine)
    assert not await mine.is_waited_for(lease)


async def test_a_lock_that_came_too_late_for_its_caller_is_freed(shared, cache_redis):
    late = []

    async def impatient(operation, wait):
        late.append(asyncio.ensure_future(operation()))

    locks = FetchLocks(shared, impatient)
    assert await locks.look(KEY, [KEY]) == (None, {})
    await late[0]
    assert cache_redis.get(locks.name(KEY)) is None


async def test_whoever_waits_goes_on_when_the_cache_server_says_nothing(two, shared):
    mine, _ = two
    lease = await lead(mine)

    async def nothing(operation, wait):
        return None

    cut_off = FetchLocks(shared, nothing)
    async with asyncio.timeout(30):
        await cut_off.changed(KEY, lease.token)
    assert await cut_off.look(KEY, [KEY]) == (None, {})
    assert not await cut_off.is_waited_for(lease)


async def test_nobody_is_left_waiting_when_the_watch_is_stopped_or_the_holder_is_another(two):
    mine, other = two
    lease = await lead(mine)
    first = asyncio.create_task(other.changed(KEY, "an-earlier-token"))
    second = asyncio.create_task(other.changed(KEY, lease.token))
    async with asyncio.timeout(30):
        await first
    assert not second.done()
    await other.close()
    async with asyncio.timeout(30):
        await second


async def test_a_worker_that_stops_frees_what_it_holds(two, cache_redis):
    mine, _ = two
    lease = await lead(mine)
    await mine.close()
    assert cache_redis.get(lease.name) is None


async def test_without_a_shared_tier_there_is_nothing_to_wait_for():
    locks = FetchLocks(None, patient)
    assert await locks.look(KEY, [KEY]) == (None, {})
    assert not await locks.is_waited_for(FetchLease("fetch", "token"))
    with pytest.raises(ValueError, match="no shared tier"):
        locks.name(KEY)
    await locks.close()

"""Limits: exact over all workers, and a stated share while Redis is away."""

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio
from django.conf import settings

from apps.gateway.gateway import Gateway
from apps.gateway.limits.allowances import LOAN, QUOTA, Allowance, Allowances
from apps.supervisor.valkey import EmbeddedValkey
from apps.wire import redis_names
from apps.wire.snapshot import Grant, Plan
from tests.gateway.house import KEY, OTHER_KEY, Door, Origin, Published, api, credential, ok, serving
from tests.support.waiting import SOON, until

SUBSCRIPTION = 7


def plan(rate: float | None = None, burst: int | None = None, quota: int | None = None, **changes: Any) -> Plan:
    fields = {"slug": "p", "quota_period": "month", "charge_failures": True, "trust_lease": None, **changes}
    return Plan(rate=rate, burst=burst, quota=quota, **fields)


@pytest.fixture
async def workers(state_redis: redis.Redis) -> AsyncIterator[Callable[..., Allowances]]:
    """Makes workers that borrow from one Valkey."""
    made: list[Allowances] = []

    def make(url: str = settings.REDIS_URL, alive: int = 1) -> Allowances:
        allowances = Allowances(url, f"worker{len(made)}", lambda: alive)
        allowances.start()
        made.append(allowances)
        return allowances

    yield make
    for allowances in made:
        await allowances.stop()


async def take(worker: Allowances, limits: Plan) -> bool:
    """One call as the limit stage takes it, waiting for a loan where it must."""
    while True:
        now = time.monotonic()
        allowance = worker.of(SUBSCRIPTION, limits, now)
        if allowance.take(now):
            if allowance.tokens <= allowance.low:
                worker.refill_soon(allowance)
            return True
        if now < allowance.refused_until:
            return False
        if worker.away:  # a machine that is busy elsewhere: no share is taken here
            await asyncio.sleep(0.02)
        else:
            await worker.borrow(allowance)


def most_in_any_interval(passed: list[float], rate: float) -> float:
    """The largest (calls - rate × T) over all intervals between two calls: what the burst must have been."""
    passed = sorted(passed)
    worst, least = 0.0, float("inf")
    for index, at in enumerate(passed):
        least = min(least, index - rate * at)
        worst = max(worst, index + 1 - rate * at - least)
    return worst


@pytest.mark.parametrize(("rate", "burst"), [(200.0, 40), (50.0, 1), (500.0, 500)])
async def test_in_every_interval_at_most_burst_and_rate_pass_over_all_workers(
    workers: Callable[..., Allowances], rate: float, burst: int
) -> None:
    three = [workers(alive=3) for _ in range(3)]
    limits = plan(rate, burst)
    passed: list[float] = []
    chance = random.Random(1)
    ends = time.monotonic() + 1.5

    async def caller(worker: Allowances) -> None:
        while time.monotonic() < ends:
            if await take(worker, limits):
                passed.append(time.monotonic())
            await asyncio.sleep(chance.random() * 0.004)

    began = time.monotonic()
    await asyncio.gather(*(caller(worker) for worker in three for _ in range(3)))
    seconds = time.monotonic() - began
    assert most_in_any_interval(passed, rate) <= burst + 1e-6
    assert len(passed) >= 0.6 * (burst + rate * seconds), "limits must not refuse much more than they have to"


async def test_a_quota_is_exact_over_all_workers(workers: Callable[..., Allowances]) -> None:
    two = [workers(alive=2) for _ in range(2)]
    limits = plan(quota=100)
    taken = [await take(two[turn % 2], limits) for turn in range(110)]
    assert taken == [True] * 100 + [False] * 10


async def test_a_small_quota_is_not_used_up_by_what_another_worker_holds(workers: Callable[..., Allowances]) -> None:
    two, limits = [workers(alive=2) for _ in range(2)], plan(quota=10, quota_period="day")
    assert [await take(two[turn % 2], limits) for turn in range(12)] == [True] * 10 + [False] * 2
    refusal = two[0].of(SUBSCRIPTION, limits, time.monotonic())
    assert refusal.refused_why == QUOTA
    assert refusal.retry_at > time.monotonic() + 1


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_order_of_calls_over_workers_just_the_quota_passes(
    workers: Callable[..., Allowances], seed: int
) -> None:
    chance = random.Random(seed)
    made = [workers(alive=3) for _ in range(3)]
    quota, limits = 60, plan(quota=60) if seed % 2 else plan(rate=10_000.0, burst=10_000, quota=60)
    passed = 0

    async def caller(calls: int) -> None:
        nonlocal passed
        for _ in range(calls):
            got = await take(chance.choice(made), limits)
            passed += got
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random() * 0.3)

    await asyncio.gather(*(caller(calls) for calls in (20, 13, 25, 1, 30)))
    assert passed == quota


async def test_what_a_worker_that_died_held_of_a_quota_is_waited_for_and_then_refused(
    workers: Callable[..., Allowances], state_redis: redis.Redis
) -> None:
    worker, limits = workers(alive=2), plan(quota=3)
    name = f"{redis_names.ALLOWANCES}{SUBSCRIPTION}"
    arguments = ["dead.1", 1, 0, 0, 0, "0", 2, 0.3, "", "", 3, "month", 2, 2]
    assert (await worker._script(keys=[name], args=arguments))[0] == 2
    assert [await take(worker, limits) for _ in range(2)] == [True, False]
    assert worker.of(SUBSCRIPTION, limits, time.monotonic()).refused_why == QUOTA


async def test_unspent_calls_go_back(workers: Callable[..., Allowances], state_redis: redis.Redis) -> None:
    worker = workers()
    limits = plan(100.0, 100, 1000)
    for _ in range(30):
        await take(worker, limits)
    allowance = worker.of(SUBSCRIPTION, limits, time.monotonic())
    await until(lambda: allowance.tokens == 0)

    def used() -> int:
        return int(state_redis.hget(f"{redis_names.ALLOWANCES}{SUBSCRIPTION}", "used") or 0)

    await until(lambda: used() == 30)


async def test_a_report_that_comes_late_does_no_harm(
    workers: Callable[..., Allowances], state_redis: redis.Redis
) -> None:
    worker = workers()
    script = worker._script

    async def ask(seq: int, spent: int, remaining: int, want: int) -> list[int]:
        arguments = ["w", seq, spent, remaining, 0, "0", want, 60, "10.0", 20, "", "month"]
        return await script(keys=[f"{redis_names.ALLOWANCES}late"], args=arguments)

    assert (await ask(1, 0, 0, 5))[0] == 5
    assert (await ask(3, 5, 0, 5))[0] == 5
    late = await ask(2, 3, 2, 5)
    assert (late[0], late[2]) == (0, 3)
    out, *_ = state_redis.hget(f"{redis_names.ALLOWANCES}late", "w:w").split()
    assert int(out) == 5


async def test_a_loan_whose_worker_died_counts_as_spent(
    workers: Callable[..., Allowances], state_redis: redis.Redis
) -> None:
    worker = workers()
    name = f"{redis_names.ALLOWANCES}died"

    async def ask(who: str, seq: int, want: int, ttl: float, spent: int = 0) -> list[int]:
        arguments = [who, seq, spent, 0, 0, "0", want, ttl, "", "", 10, "month"]
        return await worker._script(keys=[name], args=arguments)

    assert (await ask("dead", 1, 4, 0.05))[0] == 4
    assert (await ask("alive", 1, 10, 60))[0] == 6
    await asyncio.sleep(0.06)
    assert (await ask("alive", 2, 10, 60, spent=6))[2] == 2  # nothing is left of the quota
    assert int(state_redis.hget(name, "used")) == 10


@pytest.mark.parametrize(
    ("at", "period", "seconds"),
    [
        ("2026-01-31 23:00:00", "month", 3600),
        ("2026-02-01 00:00:00", "month", 28 * 86400),
        ("2028-02-29 12:00:00", "month", 12 * 3600),
        ("2026-12-31 23:59:59", "month", 1),
        ("2026-06-15 23:59:00", "day", 60),
        ("2026-06-15 23:59:00", "hour", 60),
    ],
)
def test_periods_are_calendar_periods_in_utc(state_redis: redis.Redis, at: str, period: str, seconds: int) -> None:
    from calendar import timegm
    from pathlib import Path

    import apps.gateway.limits.allowances as module

    text = Path(module.__file__).with_name("allowances.lua").read_text()
    now = timegm(time.strptime(at, "%Y-%m-%d %H:%M:%S"))
    text = text.replace("redis.call('TIME')", f"{{'{now}', '0'}}")
    reply = state_redis.register_script(text)(keys=["period"], args=["w", 1, 0, 0, 0, "0", 1, 60, "", "", 10, period])
    assert reply[5] == seconds


def test_a_loan_is_not_spent_after_its_end() -> None:
    limits = plan(10.0, 10)
    allowance = Allowance(1, limits, "w.1", 100.0)
    allowance.lent([5, 5000, 0, 0, -1, 0], 100.0, 100.05)
    assert allowance.take(100.0 + LOAN - 0.01)
    assert not allowance.take(100.0 + LOAN)


def test_the_local_share_is_a_part_of_rate_and_burst() -> None:
    limits = plan(10.0, 20)
    allowance = Allowance(1, limits, "w.1", 0.0)
    assert sum(allowance.take_local(1.0, 2) for _ in range(50)) == 10
    assert sum(allowance.take_local(2.0, 2) for _ in range(50)) == 5


def test_the_local_share_of_a_quota_is_what_was_left() -> None:
    limits = plan(quota=100)
    allowance = Allowance(1, limits, "w.1", 0.0)
    allowance.lent([1, 0, 0, 0, 7, 1000], 0.0, 0.0)
    assert sum(allowance.take_local(1.0, 2) for _ in range(50)) == 4


# Through the doors


@pytest.fixture
def limited(published: Published, origin: Origin) -> Callable[..., None]:
    """Puts KEY's subscription under a plan."""

    def put(limits: Plan) -> None:
        origin.paths["/items"] = ok(b"[]", "cache-control: max-age=60")
        published.change(limits, credential(KEY, {"products": Grant(SUBSCRIPTION, "p", "active")}))

    return put


async def test_over_the_rate_is_a_429_with_a_time_to_come_back(door: Door, limited: Callable[..., None]) -> None:
    limited(plan(0.5, 2))
    await until(lambda: door.gateway.config.epoch == 2)
    answers = [await door.call("/products/items") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    last = answers[-1]
    assert json.loads(last.body)["code"] == "rate_limited"
    assert 1 <= int(last["retry-after"]) <= 2
    assert last["ratelimit-policy"] == '"rate";q=2;w=4'
    assert last["ratelimit"].startswith('"rate";r=0;t=')
    assert [answer["ratelimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]
    record = door.calls()[-1]
    assert (record.status, record.code, record.cache) == (429, "rate_limited", "BYPASS")


async def test_over_the_quota_is_told_from_over_the_rate(door: Door, limited: Callable[..., None]) -> None:
    limited(plan(100.0, 100, quota=2, quota_period="day"))
    await until(lambda: door.gateway.config.epoch == 2)
    answers = [await door.call("/products/items") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert json.loads(answers[-1].body)["code"] == "quota_exceeded"
    assert 1 <= int(answers[-1]["retry-after"]) <= 86400


async def test_refusals_cost_no_quota(lane: Door, limited: Callable[..., None], published: Published) -> None:
    limited(plan(quota=3))
    await until(lambda: lane.gateway.config.epoch == 2)
    for _ in range(5):
        await lane.call("/products/items", key=None)
        await lane.call("/nothing")
    assert [(await lane.call("/products/items")).status for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.parametrize(("charged", "statuses"), [(True, [502, 502, 429]), (False, [502, 502, 502])])
async def test_a_failed_call_costs_what_the_plan_says(
    lane: Door, limited: Callable[..., None], published: Published, charged: bool, statuses: list[int]
) -> None:
    limited(plan(quota=2, charge_failures=charged))
    published.change(api("products", upstreams="http://127.0.0.1:9", retries=0))
    await until(lambda: lane.gateway.config.epoch == 3)
    found = []
    for _ in range(3):
        found.append((await lane.call("/products/items")).status)
        await asyncio.sleep(0.3)  # the report of a refund travels with the next borrowing or giving back
    assert found == statuses


async def test_a_larger_plan_holds_at_once(lane: Door, limited: Callable[..., None]) -> None:
    limited(plan(0.1, 1))
    await until(lambda: lane.gateway.config.epoch == 2)
    assert [(await lane.call("/products/items")).status for _ in range(2)] == [200, 429]
    limited(plan(1000.0, 1000))
    await until(lambda: lane.gateway.config.epoch == 3)

    async with asyncio.timeout(30):
        while (await lane.call("/products/items")).status != 200:
            pass


async def test_two_gateways_share_one_limit(
    gateways: Callable[..., Awaitable[Gateway]], limited: Callable[..., None]
) -> None:
    limited(plan(1.0, 10))
    first, second = await gateways(), await gateways()
    async with serving(first) as one, serving(second) as two:
        await until(lambda: first.config.epoch == second.config.epoch == 2)
        statuses = []
        for _ in range(20):
            statuses.append((await one.call("/products/items")).status)
            statuses.append((await two.call("/products/items")).status)
    assert 10 <= statuses.count(200) <= 13
    assert statuses.count(429) == 40 - statuses.count(200)


# Redis away


@pytest.fixture
async def on_own_state(
    own_state: EmbeddedValkey, origin: Origin, gateways: Callable[..., Awaitable[Gateway]], cache_redis: redis.Redis
) -> AsyncIterator[Door]:
    """A gateway whose state server the test may freeze and kill."""
    client = own_state.client()
    origin.paths["/items"] = ok(b"[]", "cache-control: max-age=60")
    origin.paths["/live"] = ok(b"now", "cache-control: no-store")
    Published(client).everything(
        plan(1000.0, 2000, quota=10_000),
        api("products", upstreams=origin.url),
        credential(KEY, {"products": Grant(SUBSCRIPTION, "p", "active")}),
        credential(OTHER_KEY, {"products": Grant(8, "p", "active")}, key_id=2),
    )
    gateway = await gateways(redis_url=own_state.url)
    async with serving(gateway) as door:
        yield door
    client.close()


async def test_a_frozen_redis_fails_no_call_with_a_known_key(on_own_state: Door, own_state: EmbeddedValkey) -> None:
    door = on_own_state
    for target in ("/products/items", "/products/live"):
        assert (await door.call(target)).status == 200
    own_state.send(signal.SIGSTOP)
    try:
        slowest = 0.0
        statuses = []
        for turn in range(200):
            began = time.monotonic()
            statuses.append((await door.call("/products/items" if turn % 2 else "/products/live")).status)
            slowest = max(slowest, time.monotonic() - began)
        assert set(statuses) == {200}
        assert slowest < 1.0
        assert any("local_share" in record.flags for record in door.calls())
        assert door.gateway.allowances.away
    finally:
        own_state.send(signal.SIGCONT)
    await until(lambda: not door.gateway.allowances.away)
    assert (await door.call("/products/items")).status == 200
    assert len(door.calls()) == 203


async def test_a_redis_that_is_down_fails_no_call_with_a_known_key(
    on_own_state: Door, own_state: EmbeddedValkey
) -> None:
    door = on_own_state
    for target in ("/products/items", "/products/live"):
        assert (await door.call(target)).status == 200
    own_state.kill()
    statuses = {(await door.call("/products/items" if turn % 2 else "/products/live")).status for turn in range(100)}
    assert statuses == {200}
    own_state.start()
    await until(lambda: not door.gateway.allowances.away)


async def test_a_key_that_is_not_known_is_a_503_while_redis_is_away(
    on_own_state: Door, own_state: EmbeddedValkey
) -> None:
    door = on_own_state
    own_state.kill()
    answer = await door.call("/products/items", key=OTHER_KEY)
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "not_ready")
    assert int(answer["retry-after"]) >= 1


async def test_after_the_lease_good_keys_get_a_503_and_never_a_401(on_own_state: Door) -> None:
    door = on_own_state
    assert (await door.call("/products/items")).status == 200
    await door.gateway.subscriber.stop()
    door.gateway.config.trust_lease.ends = door.gateway.config.trust_lease.contact = time.monotonic() - 1
    for key in (KEY, OTHER_KEY, "nobody-has-this-key"):
        answer = await door.call("/products/items", key=key)
        assert (answer.status, json.loads(answer.body)["code"]) == (503, "not_ready")
        assert "retry-after" in answer
    assert (await door.call("/_gateway/readyz", key=None)).status == 503
    assert (await door.call("/_gateway/livez", key=None)).status == 200


async def test_a_write_is_answered_while_redis_is_frozen_and_ends_what_is_stored_here(
    on_own_state: Door, own_state: EmbeddedValkey
) -> None:
    door = on_own_state
    await door.call("/products/items")
    assert (await door.call("/products/items")).cache == "HIT"
    own_state.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert (await door.call("/products/items", method="POST", body=b"x")).status == 200
        assert time.monotonic() - began < SOON
        assert (await door.call("/products/items")).cache == "MISS"
    finally:
        own_state.send(signal.SIGCONT)
    clock = own_state.client()
    await until(lambda: int(clock.get(redis_names.PURGE_CLOCK) or 0) >= 1)
    clock.close()

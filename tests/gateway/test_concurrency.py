"""How many calls go to one API's upstreams at once: a bound, a short queue, and what comes of those beyond."""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apps.gateway.call.call import Call
from apps.gateway.server.http1 import HTTP1Connection
from apps.gateway.upstream import concurrency
from apps.gateway.upstream.calls import consumer_of
from apps.gateway.upstream.concurrency import WARM_UPS, ConcurrencyLimits, Slot
from apps.gateway.upstream.errors import Busy
from apps.wire.snapshot import Concurrency
from tests.gateway.house import KEY, OTHER_KEY, Answered, Door, Origin, Published, api, ok, read_answer
from tests.gateway.test_loop_detection import led_round
from tests.support.waiting import until

NO_STORE = "cache-control: no-store"

_number = itertools.count()


def slow(path: str = "slow") -> str:
    """An address of its own each time: calls of one would wait for each other."""
    return f"/products/{path}?{next(_number)}"


class Gate:
    """An origin's handler that answers when it is opened, and counts who waits."""

    def __init__(self, *lines: str) -> None:
        self.opened = asyncio.Event()
        self.waiting = 0
        self.most = 0
        self.lines = lines

    async def __call__(self, origin: Origin, head: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.opened.wait()
        finally:
            self.waiting -= 1
        writer.write(ok(b"at last", *self.lines))


async def bounded(door: Door, origin: Origin, published: Published, **changes: Any) -> None:
    """Have the API ``products`` with other bounds."""
    concurrency = Concurrency(**changes)
    published.change(api("products", upstreams=origin.url, concurrency=concurrency, read_timeout=60.0))
    await until(lambda: door.gateway.config.part("api:products").concurrency == concurrency)


def counts(door: Door) -> tuple[int, int]:
    """Calls under way and waiting."""
    ((_, running, waiting),) = door.gateway.concurrency.counts() or [("", 0, 0)]
    return running, waiting


@pytest.fixture
async def gate(origin: Origin) -> AsyncIterator[Gate]:
    gate = Gate(NO_STORE)
    origin.paths["/slow"] = gate
    yield gate
    gate.opened.set()


def code(answer: Answered) -> str:
    return json.loads(answer.body)["code"]


async def test_a_bound_a_queue_and_a_refusal(door: Door, origin: Origin, published: Published, gate: Gate) -> None:
    await bounded(door, origin, published, calls=2, queue=3, wait=30.0)
    calls = []
    for number in range(5):
        calls.append(asyncio.create_task(door.call(slow())))
        await until(lambda number=number: sum(counts(door)) == number + 1)
    assert counts(door) == (2, 3)
    for _ in range(3):
        refused = await door.call(slow())
        assert (refused.status, code(refused), refused["retry-after"]) == (503, "upstream_busy", "1")
        assert (refused["content-type"], refused["cache-control"]) == ("application/problem+json", "no-store")
    text = door.gateway.metrics.text(0.0).decode()
    assert 'apimgr_upstream_calls_in_flight{api="products",worker="0"} 2\n' in text
    assert 'apimgr_upstream_calls_queued{api="products",worker="0"} 3\n' in text
    assert 'apimgr_upstream_calls_refused_total{api="products",worker="0"} 3\n' in text
    gate.opened.set()
    assert {(await call).status for call in calls} == {200}
    assert gate.most == 2
    await until(lambda: not door.gateway.concurrency.counts())
    assert (
        sorted("queued" in record.flags for record in door.calls() if record.status == 200) == [False] * 2 + [True] * 3
    )


async def test_who_waits_too_long_is_refused(lane: Door, origin: Origin, published: Published, gate: Gate) -> None:
    await bounded(lane, origin, published, calls=1, queue=1, wait=0.05)
    first = asyncio.create_task(lane.call(slow()))
    await until(lambda: gate.waiting == 1)
    assert code(await lane.call(slow())) == "upstream_busy"
    assert counts(lane) == (1, 0)
    gate.opened.set()
    assert (await first).status == 200


async def test_a_client_that_leaves_the_queue_frees_its_place(
    seeing: Door, origin: Origin, published: Published, gate: Gate
) -> None:
    await bounded(seeing, origin, published, calls=1, queue=1, wait=30.0)
    first = asyncio.create_task(seeing.call(slow()))
    await until(lambda: gate.waiting == 1)
    _, writer = await seeing.connect()
    writer.write(f"GET {slow()} HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode())
    await until(lambda: counts(seeing) == (1, 1))
    writer.close()
    await until(lambda: counts(seeing) == (1, 0))
    gate.opened.set()
    assert (await first).status == 200
    await until(lambda: not seeing.gateway.concurrency.counts())


async def test_a_client_that_leaves_its_call_gives_its_place_to_the_next(
    seeing: Door, origin: Origin, published: Published, gate: Gate
) -> None:
    origin.paths["/quick"] = ok(b"quick", NO_STORE)
    await bounded(seeing, origin, published, calls=1, queue=1, wait=30.0)
    _, writer = await seeing.connect()
    writer.write(f"GET {slow()} HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode())
    await until(lambda: gate.waiting == 1)
    next_one = asyncio.create_task(seeing.call("/products/quick"))
    await until(lambda: counts(seeing) == (1, 1))
    writer.close()
    assert (await next_one).body == b"quick"


async def test_no_consumer_fills_the_queue_for_the_others(
    lane: Door, origin: Origin, published: Published, gate: Gate
) -> None:
    await bounded(lane, origin, published, calls=1, queue=3, wait=30.0)
    greedy = []
    for number in range(4):
        greedy.append(asyncio.create_task(lane.call(slow())))
        await until(lambda number=number: sum(counts(lane)) == number + 1)
    assert code(await lane.call(slow())) == "upstream_busy"
    modest = asyncio.create_task(lane.call(slow(), key=OTHER_KEY))
    # The last of the greedy makes room.
    assert code(await greedy.pop()) == "upstream_busy"
    gate.opened.set()
    assert {(await call).status for call in (modest, *greedy)} == {200}
    served = [record.application for record in lane.calls() if record.status == 200]
    assert served == ["acme/bot", "acme/bot", "zenith/bot", "acme/bot"]


def test_a_client_without_a_key_waits_in_one_name_and_never_in_that_of_warm_ups() -> None:
    def consumer(client: str) -> str:
        return consumer_of(Call("GET", b"/", (), call_id="1", began=0.0, at=0.0, client=client))

    assert consumer("2001:db8::1") == consumer("2001:db8::2")
    assert (
        len({WARM_UPS, *map(consumer, ("", "unix:/run/proxy.sock", "192.0.2.1", "2001:db8::1", "2001:db8:1::1"))}) == 6
    )


async def test_callers_who_wait_for_one_fetch_take_one_place(door: Door, origin: Origin, published: Published) -> None:
    await bounded(door, origin, published, calls=1, queue=0)
    gate = origin.paths["/one"] = Gate("cache-control: max-age=60")
    calls = [asyncio.create_task(door.call("/products/one")) for _ in range(20)]
    await until(lambda: gate.waiting == 1 and door.gateway.metrics.in_flight == 20)
    gate.opened.set()
    assert {(await call).status for call in calls} == {200}
    assert origin.calls_to("/one") == 1


async def test_a_stale_response_is_served_at_once_where_there_is_no_place(
    door: Door, origin: Origin, published: Published, gate: Gate
) -> None:
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=0, stale-if-error=600", 'etag: "1"')
    await bounded(door, origin, published, calls=1, queue=5, wait=600.0)
    assert (await door.call("/products/item")).cache == "MISS"
    first = asyncio.create_task(door.call(slow()))
    await until(lambda: gate.waiting == 1)
    stale = await door.call("/products/item")
    assert (stale.status, stale.cache, stale.body) == (200, "STALE", b"item")
    assert origin.calls_to("/item") == 1
    gate.opened.set()
    assert (await first).status == 200
    assert (await door.call("/products/item")).cache != "STALE"


async def test_a_refresh_in_the_background_gives_way(
    lane: Door, origin: Origin, published: Published, gate: Gate
) -> None:
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=0, stale-while-revalidate=600")
    await bounded(lane, origin, published, calls=1, queue=5, wait=600.0)
    await lane.call("/products/item")
    first = asyncio.create_task(lane.call(slow()))
    await until(lambda: gate.waiting == 1)
    for _ in range(3):
        assert (await lane.call("/products/item")).cache == "STALE"
    assert (counts(lane), origin.calls_to("/item")) == ((1, 0), 1)
    gate.opened.set()
    await first
    await lane.call("/products/item")
    await until(lambda: origin.calls_to("/item") == 2)


async def test_a_streamed_response_holds_its_place_until_its_end(
    door: Door, origin: Origin, published: Published
) -> None:
    go_on = asyncio.Event()

    async def stream(origin: Origin, head: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await go_on.wait()
        writer.write(b"1\r\nb\r\n0\r\n\r\n")

    origin.paths["/stream"] = stream
    await bounded(door, origin, published, calls=1, queue=0)
    reader, writer = await door.connect()
    writer.write(f"GET {slow('stream')} HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode())
    await until(lambda: any(record.kind == "begun" for record in door.records()))
    assert code(await door.call(slow("stream"))) == "upstream_busy"
    go_on.set()
    assert (await read_answer(reader)).body == b"ab"
    writer.close()
    assert (await door.call(slow("stream"))).body == b"ab"


async def test_an_unsafe_call_without_a_place_ends_nothing(
    lane: Door, origin: Origin, published: Published, gate: Gate
) -> None:
    origin.paths["/item"] = ok(b"item", "cache-control: max-age=600")
    await bounded(lane, origin, published, calls=1, queue=0)
    await lane.call("/products/item")
    first = asyncio.create_task(lane.call(slow()))
    await until(lambda: gate.waiting == 1)
    assert code(await lane.call("/products/item", method="POST", body=b"x")) == "upstream_busy"
    assert (await lane.call("/products/item")).cache == "HIT"
    gate.opened.set()
    await first


async def test_one_apis_calls_take_no_place_of_anothers(
    lane: Door, origin: Origin, published: Published, gate: Gate
) -> None:
    origin.paths["/quick"] = ok(b"quick", NO_STORE)
    published.change(api("others", upstreams=origin.url, authentication=("none",)))
    await bounded(lane, origin, published, calls=1, queue=0)
    first = asyncio.create_task(lane.call(slow()))
    await until(lambda: gate.waiting == 1)
    assert (await lane.call("/others/quick")).body == b"quick"
    gate.opened.set()
    await first


async def test_a_loop_that_hides_itself_ends_at_the_bound(lane: Door, origin: Origin, published: Published) -> None:
    """A proxy on the way takes ``CDN-Loop`` off, so that nobody can see that the call goes round."""

    def hidden(head: bytes) -> bytes:
        return b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"cdn-loop"))

    await led_round(lane, origin, published, hidden, concurrency=Concurrency(calls=8, queue=0))
    assert code(await lane.call("/round/x")) == "upstream_busy"
    assert len(origin.heads) == 8


# The queue by itself


@pytest.fixture
async def limits() -> ConcurrencyLimits:
    return ConcurrencyLimits(asyncio.get_running_loop())


async def entered(limits: ConcurrencyLimits, consumer: str, bounds: Concurrency) -> "asyncio.Task[Slot]":
    task = asyncio.create_task(limits.enter("api", bounds, consumer))
    await asyncio.sleep(0)
    return task


async def test_warm_ups_come_last_and_give_way_first(limits: ConcurrencyLimits) -> None:
    bounds = Concurrency(calls=1, queue=2, wait=30.0)
    first = await limits.enter("api", bounds, "acme/bot")
    warm_ups = [await entered(limits, WARM_UPS, bounds) for _ in range(2)]
    with pytest.raises(Busy):
        await limits.enter("api", bounds, WARM_UPS)
    caller = await entered(limits, "acme/bot", bounds)
    with pytest.raises(Busy):
        await warm_ups[1]
    first.leave()
    place = await caller
    assert not warm_ups[0].done()
    place.leave()
    (await warm_ups[0]).leave()
    assert limits.counts() == []


async def test_fewer_places_take_effect_as_calls_end(limits: ConcurrencyLimits) -> None:
    many, few = Concurrency(calls=3, queue=9, wait=30.0), Concurrency(calls=1, queue=9, wait=30.0)
    places = [await limits.enter("api", many, "a") for _ in range(3)]
    waiting = await entered(limits, "a", few)
    for place in places[:2]:
        place.leave()
        place.leave()
    await asyncio.sleep(0)
    assert (limits.counts(), waiting.done()) == ([("api", 1, 1)], False)
    places[2].leave()
    (await waiting).leave()
    assert limits.counts() == []


async def test_a_place_that_was_handed_to_who_just_left_goes_on(limits: ConcurrencyLimits) -> None:
    bounds = Concurrency(calls=1, queue=9, wait=30.0)
    first = await limits.enter("api", bounds, "a")
    gone, next_one = await entered(limits, "a", bounds), await entered(limits, "b", bounds)
    first.leave()
    gone.cancel()
    (await next_one).leave()
    assert gone.cancelled()
    assert limits.counts() == []


async def test_consumers_are_served_in_turn(limits: ConcurrencyLimits) -> None:
    bounds = Concurrency(calls=1, queue=99, wait=30.0)
    place = await limits.enter("api", bounds, "z")
    served: list[str] = []

    async def call(consumer: str) -> None:
        place = await limits.enter("api", bounds, consumer)
        served.append(consumer)
        place.leave()

    calls = [asyncio.create_task(call(consumer)) for consumer in "aaaabbc"]
    await asyncio.sleep(0)
    place.leave()
    await asyncio.gather(*calls)
    assert "".join(served) == "abcabaa"


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_the_bounds_hold_and_nothing_is_left(limits: ConcurrencyLimits, seed: int) -> None:
    draw = random.Random(seed)
    tasks: set[asyncio.Task[Slot]] = set()
    for _ in range(400):
        bounds = Concurrency(calls=draw.randint(1, 4), queue=draw.randint(0, 6), wait=draw.choice((0.0, 30.0)))
        what = draw.random()
        if what < 0.6 or not tasks:
            consumer = draw.choice(("a", "a", "a", "b", "c", WARM_UPS))
            tasks.add(asyncio.create_task(limits.enter("api", bounds, consumer, waits=draw.random() < 0.9)))
        else:
            task = draw.choice(sorted(tasks, key=id))
            if not task.done():
                task.cancel()
            else:
                tasks.discard(task)
                if not task.cancelled() and task.exception() is None:
                    task.result().leave()
        if draw.random() < 0.7:
            await asyncio.sleep(0)
        for _, running, waiting in limits.counts():
            assert running <= 4
            assert waiting <= 6
    while tasks:
        for task in tuple(tasks):
            if task.done():
                tasks.discard(task)
                if not task.cancelled() and task.exception() is None:
                    task.result().leave()
        await asyncio.sleep(0)
    assert limits.counts() == []


class Slow:
    """Keeps a place, and has waited for its client for so long."""

    def __init__(self, place: Slot, seconds: float) -> None:
        self.place, self.seconds = place, seconds
        self.gave_up = False
        place.held_by = self

    def seconds_waited(self) -> float:
        return self.seconds

    def give_up(self) -> None:
        self.gave_up = True
        self.place.leave()


async def test_a_slow_client_gives_its_place_to_a_consumer_with_fewer(limits: ConcurrencyLimits) -> None:
    bounds = Concurrency(calls=4, queue=9, wait=30.0)
    held = [Slow(await limits.enter("api", bounds, "patient"), seconds) for seconds in (0.0, 6.0, 9.0, 4.0)]
    more = [await entered(limits, "patient", bounds) for _ in range(3)]
    assert not any(each.gave_up for each in held)  # with themselves nobody takes turns
    first = await entered(limits, "other", bounds)
    assert (await first).consumer == "other"  # although others came before
    assert [each.gave_up for each in held] == [False, False, True, False]
    second = await entered(limits, "other", bounds)
    assert (await second).consumer == "other"
    third = await entered(limits, "other", bounds)  # they have two now, each
    warm_up = await entered(limits, WARM_UPS, bounds)
    assert not any(each.done() for each in (third, warm_up, *more))
    assert [each.gave_up for each in held] == [False, True, True, False]


async def test_who_is_waited_for_less_than_the_upstream_is_not_slow(
    limits: ConcurrencyLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = Concurrency(calls=2, queue=9, wait=30.0)
    held = [Slow(await limits.enter("api", bounds, "busy"), 20.0) for _ in range(2)]
    for each in held:
        each.place._began -= 60.0
    waiting = await entered(limits, "other", bounds)
    assert not waiting.done()
    held[0].seconds = 40.0
    assert (await (await entered(limits, "third", bounds))).consumer == "third"
    assert [each.gave_up for each in held] == [True, False]
    waiting.cancel()


@pytest.mark.parametrize("how", ["sends", "reads"])
async def test_one_client_that_takes_its_time_does_not_hold_all_places(
    lane: Door, origin: Origin, published: Published, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def large(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        if how == "sends":
            await reader.read()
            raise ConnectionError
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\ncache-control: no-store\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()

    origin.paths |= {"/large": large, "/items": ok(b"items", NO_STORE)}
    await bounded(lane, origin, published, calls=3, queue=9, wait=30.0)
    writers = []
    for number in range(3):
        _, writer = await lane.connect()
        writer.transport.pause_reading()
        method, lines = ("POST", "content-length: 900000\r\n") if how == "sends" else ("GET", "")
        target = f"{method} /products/large?{number} HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n{lines}\r\n"
        writer.write(target.encode() + b"b" * (method == "POST"))
        writers.append(writer)
    await until(lambda: counts(lane) == (3, 0) and len(origin.heads) == 3)
    if how == "reads":
        connections = [each for each in lane.server.server_state.connections if isinstance(each, HTTP1Connection)]
        await until(lambda: all(each.flow.write_paused for each in connections))
    monkeypatch.setattr(concurrency, "SLOW", 0.0)
    answer = await lane.call("/products/items", key=OTHER_KEY)
    assert (answer.status, answer.body) == (200, b"items")
    assert counts(lane) == (2, 0)
    for writer in writers:
        writer.close()
    await until(lambda: not lane.gateway.concurrency.counts())

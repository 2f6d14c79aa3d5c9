"""Which of an upstream's addresses is connected to (RFC 8305)."""

import asyncio

import pytest

from apps.gateway.upstream import client as upstream
from apps.gateway.upstream import connection_attempts
from apps.gateway.upstream.client import HTTP1Client
from apps.gateway.upstream.connection_attempts import AddressOrder, first_connection
from apps.gateway.upstream.errors import Unreachable
from apps.wire.snapshot import Upstream
from tests.gateway.house import Door, Published, api
from tests.gateway.test_upstream import Served, client, get, names, ok
from tests.support.ports import free_port
from tests.support.waiting import SOON, until

__all__ = ["client", "names"]

PLACE = ("http", "api.test", 80)


class Network:
    """Addresses that connect, refuse or drop what is sent to them, or give up late; which were tried, what was closed."""

    def __init__(self, **addresses: str) -> None:
        self.addresses, self.tried, self.closed = addresses, list[str](), list[str]()
        self.connects, self.ends, self.ending = asyncio.Event(), asyncio.Event(), False

    async def connect(self, address: str) -> str:
        self.tried.append(address)
        match self.addresses[address]:
            case "refuses":
                raise ConnectionRefusedError(address)
            case "drops":
                await asyncio.Event().wait()
            case "connects late":
                await self.connects.wait()
            case "ends late":
                try:
                    await asyncio.Event().wait()
                finally:
                    self.ending = True
                    await self.ends.wait()
        return address

    async def first(self) -> str:
        async with asyncio.timeout(SOON):
            return await first_connection(list(self.addresses), self.connect, self.closed.append)


async def test_an_address_that_drops_everything_costs_a_quarter_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_attempts, "DELAY", 0.01)
    network = Network(a="drops", b="drops", c="connects", d="connects")
    assert await network.first() == "c"
    assert network.tried == ["a", "b", "c"]


async def test_after_a_refusal_the_next_is_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_attempts, "DELAY", 3600.0)
    network = Network(a="refuses", b="refuses", c="connects")
    assert await network.first() == "c"


async def test_when_none_can_be_reached_the_last_refusal_says_so() -> None:
    with pytest.raises(ConnectionRefusedError, match="b"):
        await Network(a="refuses", b="refuses").first()


async def test_of_two_that_connect_together_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_attempts, "DELAY", 0.0)
    network = Network(a="connects late", b="connects late")
    attempt = asyncio.create_task(network.first())
    await until(lambda: len(network.tried) == 2)
    network.connects.set()
    won = await attempt
    assert network.closed == [address for address in "ab" if address != won]


async def test_a_caller_that_leaves_leaves_no_attempt_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_attempts, "DELAY", 0.0)
    network = Network(a="drops", b="drops")
    attempt = asyncio.create_task(network.first())
    await until(lambda: len(network.tried) == 2)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_a_caller_that_leaves_while_the_other_attempts_end_leaves_no_connection_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_attempts, "DELAY", 0.0)
    network = Network(a="connects late", b="ends late")
    attempt = asyncio.create_task(network.first())
    await until(lambda: len(network.tried) == 2)
    network.connects.set()
    await until(lambda: network.ending)
    attempt.cancel()
    used = [won for won in await asyncio.gather(attempt, return_exceptions=True) if isinstance(won, str)]
    network.ends.set()
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert used + network.closed == ["a"]


def test_the_families_take_turns_and_the_order_of_the_resolver_stays() -> None:
    assert AddressOrder().of(PLACE, ["::1", "::2", "::3", "1.1.1.1"]) == ["::1", "1.1.1.1", "::2", "::3"]
    assert AddressOrder().of(PLACE, ["1.1.1.1", "1.1.1.2", "::1"]) == ["1.1.1.1", "::1", "1.1.1.2"]


def test_what_connected_last_is_first_and_what_failed_last_is_last() -> None:
    order, three = AddressOrder(), ["1.1.1.1", "1.1.1.2", "1.1.1.3"]
    order.connected(PLACE, "1.1.1.3")
    order.failed(PLACE, "1.1.1.1")
    assert order.of(PLACE, three) == ["1.1.1.3", "1.1.1.2", "1.1.1.1"]
    order.failed(PLACE, "1.1.1.3")
    assert order.of(PLACE, three) == ["1.1.1.1", "1.1.1.2", "1.1.1.3"]
    assert order.of(("http", "other.test", 80), three) == three


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_attempts, "PLACES_KEPT", 2)
    order = AddressOrder()
    for port in range(5):
        order.connected(("http", "api.test", port), "1.1.1.1")
        order.failed(("http", "api.test", port), "1.1.1.2")
    assert len(order._good) == len(order._bad) == 2


async def test_a_call_is_answered_though_the_first_address_of_its_upstream_refuses_or_drops(
    client: HTTP1Client, origin: Served, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_attempts, "DELAY", 0.01)
    origin.paths["/"] = ok(b"x")
    tried: list[str] = []
    create = client._loop.create_connection

    async def connect(factory: object, host: str, *args: object, **options: object) -> object:
        tried.append(host)
        if host == "127.0.0.2":
            await asyncio.Event().wait()
        return await create(factory, host, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(client._loop, "create_connection", connect)
    names["two.test"] = ["127.0.0.2", "127.0.0.1"]
    for _ in range(2):
        response = await get(client, f"http://two.test:{origin.port}", connect_timeout=SOON)
        assert response.whole == b"x"
        response._connection.abort()
    assert tried == ["127.0.0.2", "127.0.0.1", "127.0.0.1"], "the good one is remembered"


async def test_a_busy_connection_is_given_up_when_it_is_old(
    client: HTTP1Client, origin: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = set()

    async def peer(origin: Served, head: bytes, reader: object, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        writer.write(ok(b"x"))

    origin.paths["/"] = peer
    for age, expected in ((60.0, 1), (-1.0, 2), (60.0, 3)):
        monkeypatch.setattr(upstream, "OLDEST", age)
        (await get(client, origin.url)).close()
        assert len(peers) == expected, age


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT"])
async def test_what_was_surely_not_sent_is_sent_elsewhere_whatever_its_method(
    door: Door, origin: Served, published: Published, method: str
) -> None:
    refuses = Upstream(f"http://127.0.0.1:{free_port()}/")
    published.change(api("products", upstreams=(refuses, Upstream(origin.url)), retries=1))
    origin.paths["/orders"] = ok(b"x")
    body = None if method == "GET" else b"one order"
    statuses = {(await door.call("/products/orders", method=method, body=body)).status for _ in range(20)}
    assert statuses == {200}
    assert set(origin.bodies) <= {b"", b"one order"}
    assert len(origin.heads) == 20


async def test_the_trace_says_when_each_attempt_began_and_how_it_ended(
    door: Door, origin: Served, published: Published
) -> None:
    origin.paths["/orders"] = ok(b"x")
    assert (await door.call("/products/orders")).status == 200
    published.change(api("products", upstreams=f"http://127.0.0.1:{free_port()}/", retries=1))
    await until(lambda: door.gateway.config.epoch == 2)
    assert (await door.call("/products/orders")).status == 502
    answered, failed = door.calls()
    told = [
        ("forward", "attempt 1"),
        ("upstream", "connection_refused"),
        ("forward", "attempt 2"),
        ("upstream", "connection_refused"),
    ]
    assert [(stage, decision) for stage, decision, _ in failed.trace][-4:] == told
    assert [(stage, decision) for stage, decision, _ in answered.trace][-2:] == [told[0], ("upstream", "200")]
    times = [ms for _, _, ms in answered.trace]
    assert times == sorted(times)
    assert times[-1] <= answered.duration


async def test_what_may_have_been_sent_is_not_sent_again_by_a_method_that_is_not_idempotent(
    door: Door, origin: Served, published: Published
) -> None:
    async def breaks_off(origin: Served, head: bytes, reader: object, writer: asyncio.StreamWriter) -> None:
        raise ConnectionError

    origin.paths["/orders"] = breaks_off
    published.change(api("products", upstreams=origin.url, retries=3))
    assert (await door.call("/products/orders", method="POST", body=b"one order")).status == 502
    assert len(origin.heads) == 1


async def test_a_name_none_of_whose_addresses_connects_is_looked_up_anew(
    client: HTTP1Client, origin: Served, names: dict[str, list[str]]
) -> None:
    origin.paths["/"] = ok(b"x")
    names["moves.test"] = ["127.0.0.2"]
    with pytest.raises(Unreachable):
        await get(client, f"http://moves.test:{origin.port}")
    names["moves.test"] = ["127.0.0.1"]
    assert (await get(client, f"http://moves.test:{origin.port}")).whole == b"x"

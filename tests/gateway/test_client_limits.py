"""What one client may take: a minimum rate in both directions, and a number of connections."""

import asyncio
import json
import logging
import resource
from typing import Any

import pytest

from apps.gateway.gateway import Gateway
from apps.gateway.limits import client_limits
from apps.gateway.limits.client_limits import GRACE, SAID_AGAIN, SPARE, ClientConnections, MinimumRate, client_key
from apps.gateway.server import asgi, worker
from tests.gateway.house import KEY, Door, Origin, Published, ok, read_answer, serving


def seconds_until_out(pace: MinimumRate, size: int, each: float, most: float = 86400.0) -> float:
    """How long a client is waited for that moves ``size`` bytes every ``each`` seconds."""
    passed = 0.0
    while passed < most:
        if pace.left < each:
            return passed + pace.left
        pace.waited(each, size)
        passed += each
    return passed


def test_a_byte_every_29_seconds_ends_at_the_next() -> None:
    assert seconds_until_out(MinimumRate(500), 1, 29) == pytest.approx(GRACE, abs=0.1)


def test_less_than_the_minimum_rate_ends_and_as_much_goes_on() -> None:
    assert seconds_until_out(MinimumRate(500), 400, 1) == pytest.approx(GRACE / 0.2, rel=0.05)
    assert seconds_until_out(MinimumRate(500), 500, 1) == 86400
    assert seconds_until_out(MinimumRate(500), 15_000, 29.9) >= 86400


def test_nobody_saves_up_for_a_pause() -> None:
    pace = MinimumRate(500)
    pace.waited(1, 10**9)
    assert pace.left == GRACE


def test_without_a_minimum_rate_only_a_pause_ends() -> None:
    assert seconds_until_out(MinimumRate(0), 1, 29) >= 86400
    assert seconds_until_out(MinimumRate(0), 0, 1) == GRACE


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unix:/run/proxy.sock", "unix:/run/proxy.sock"),
        ("", ""),
    ],
)
def test_one_client_is_an_address_or_a_network_of_64_bits(address: str, key: str) -> None:
    assert client_key(address) == key


def test_all_clients_together_have_no_more_connections_than_there_are_descriptors_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connections = ClientConnections(1000, most=6, clock=lambda: 0.0)
    addresses = [f"192.0.2.{number}" for number in range(6)]
    with caplog.at_level(logging.WARNING):
        assert [connections.take(address) for address in addresses] == [0] * 6
        assert connections.take("192.0.2.9") > SPARE  # ended without an answer
    assert caplog.text.count("hold all of the 6 connections") == 1
    for address in (*addresses, "192.0.2.9"):
        connections.give(address)
    assert (connections.open, len(connections)) == (0, 0)


def test_no_client_has_more_than_half_of_the_connections_that_there_can_be() -> None:
    connections = ClientConnections(1000, most=6)
    assert [connections.take("192.0.2.1") for _ in range(4)] == [0, 0, 0, 1]
    assert connections.take("192.0.2.2") == 0
    assert ClientConnections(0, most=6).bound == 0


def test_a_worker_takes_the_descriptors_that_it_may_have() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        assert worker.most_connections() == 384
        worker.take_descriptors()
        taken, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert taken == (worker.DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, worker.DESCRIPTORS))


def test_connections_are_counted_by_client(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    connections = ClientConnections(2, clock=lambda: now)
    addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"]
    with caplog.at_level(logging.WARNING):
        assert [connections.take(address) for address in addresses] == [0, 0, 1, 0]
        assert connections.take("2001:db8::4") == 2
        assert caplog.text.count("2001:db8::/64 has more than 2 connections") == 1
        now = SAID_AGAIN
        assert connections.take("2001:db8::5") == 3
        assert caplog.text.count("2001:db8::/64 has more than 2 connections") == 2
    assert (connections.open, connections.refused, len(connections)) == (6, 3, 2)
    for address in (*addresses, "2001:db8::4", "2001:db8::5"):
        connections.give(address)
    assert (connections.open, len(connections)) == (0, 0)


def test_a_bound_of_0_is_none() -> None:
    connections = ClientConnections(0)
    assert not any(connections.take("192.0.2.1") for _ in range(5000))


@pytest.mark.parametrize("coded", [False, True])
async def test_a_body_that_drips_is_refused(
    seeing: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch, coded: bool
) -> None:
    """At the lane and at the ASGI door. Django has read a body before it calls a view: there it is for the site's server."""
    monkeypatch.setattr(client_limits, "GRACE", 0.3)
    monkeypatch.setattr(asgi, "LINGER", 0.02)
    monkeypatch.setattr(asgi, "MinimumRate", lambda rate: MinimumRate(1e9))  # a byte gives back next to nothing
    here = asyncio.Event()

    async def read_on(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        while await reader.read(100):
            here.set()
        raise ConnectionError

    origin.paths["/items"] = read_on
    framing = "transfer-encoding: chunked" if coded else "content-length: 1000000"
    part = b"1\r\na\r\n" if coded else b"a"
    reader, writer = await seeing.connect()
    writer.write(f"POST /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n{framing}\r\n\r\n".encode() + part)
    answer = asyncio.create_task(read_answer(reader))
    async with asyncio.timeout(30):
        while not answer.done():
            here.clear()
            arrival = asyncio.create_task(here.wait())
            await asyncio.wait({arrival, answer}, return_when=asyncio.FIRST_COMPLETED)
            arrival.cancel()
            if not writer.is_closing():
                writer.write(part)
    assert ((await answer).status, json.loads((await answer).body)["code"]) == (408, "request_timeout")
    writer.close()


async def test_a_body_that_keeps_up_is_waited_for(
    gateways: Any, published: Published, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_limits, "GRACE", 10.0)
    origin.paths["/items"] = ok(b"made")
    gateway: Gateway = await gateways(client_min_rate=1.0)
    async with serving(gateway) as door:
        reader, writer = await door.connect()
        writer.write(
            f"POST /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-length: 8\r\n\r\n".encode()
        )
        for _ in range(8):
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0)
        assert (await read_answer(reader)).status == 200
        writer.close()
    assert origin.bodies == [b"a" * 8]


def test_the_settings_reach_a_worker(settings: Any) -> None:
    settings.CLIENT_MIN_RATE, settings.CONNECTIONS_PER_CLIENT = 7.0, 11
    options = worker.options(0)
    assert (options.client_min_rate, options.connections_per_client) == (7.0, 11)

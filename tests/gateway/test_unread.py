"""What waits in a worker for its clients: all of it counts, however they call, and there is a bound on the sum."""

import gc
from typing import Any

import pytest

from apps.gateway.fetch.body_fanout import FanoutReader
from apps.gateway.gateway import Gateway
from apps.gateway.server import worker
from apps.gateway.server.http1 import HTTP1Connection
from apps.httpcache.policy import Policy
from tests.gateway.house import KEY, Door, Origin, Published, api, ok
from tests.gateway.test_http1 import connections, head, narrow
from tests.support.waiting import until

SIZE = 6_000_000


async def without_length(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
    """Storable, and not whole with its head."""
    writer.write(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(SIZE // 60_000):
        writer.write(b"%x\r\n%b\r\n" % (60_000, b"x" * 60_000))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def without_end(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n")
    writer.write(b"%x\r\n%b\r\n" % (SIZE, b"x" * SIZE))
    await reader.read()
    raise ConnectionError


def is_collected(lane: Door, connection: HTTP1Connection) -> bool:
    return not lane.gateway.coalescer._running and connection.unread > SIZE // 2


@pytest.mark.parametrize(
    ("path", "version", "lines"),
    [
        ("whole", "1.1", ()),
        ("whole", "1.1", ("connection: close",)),
        ("whole", "1.0", ()),
        ("streamed", "1.1", ()),
        ("streamed", "1.1", ("connection: close",)),
        ("streamed", "1.0", ()),
        ("endless", "1.0", ()),
    ],
)
async def test_what_a_client_does_not_read_counts_and_is_let_go(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch, path: str, version: str, lines: tuple[str, ...]
) -> None:
    origin.paths |= {
        "/whole": ok(b"x" * SIZE, "cache-control: max-age=60"),
        "/streamed": without_length,
        "/endless": without_end,
    }
    if path == "whole":
        await lane.call("/products/whole")
    writer, connection = await narrow(lane)
    writer.write(head(f"/products/{path}", *lines, version=version))
    await until(lambda: is_collected(lane, connection))
    monkeypatch.setattr(worker, "UNREAD", SIZE // 2)
    worker.end_the_largest([connection])
    assert connection.unread == 0
    await until(lambda: not connections(lane))
    await until(lambda: lane.gateway.metrics.in_flight == 0)
    writer.close()


async def test_a_body_that_is_read_ahead_counts(
    gateway: Gateway, lane: Door, published: Published, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(api="products", methods=("GET", "QUERY"))
    published.change(api("products", upstreams=origin.url, policy=policy))
    await until(lambda: gateway.config.epoch == 2)
    _, writer = await lane.connect()
    data = f"QUERY /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-length: 900000\r\n\r\n".encode()
    writer.write(data + b"b" * 800_000)
    await until(lambda: connections(lane))
    (connection,) = connections(lane)
    await until(lambda: connection.unread >= 800_000)
    monkeypatch.setattr(worker, "UNREAD", 500_000)
    worker.end_the_largest([connection])
    await until(lambda: not connections(lane))
    assert not origin.heads
    writer.close()


async def test_readers_of_one_body_share_what_it_takes(lane: Door, origin: Origin) -> None:
    origin.paths["/streamed"] = without_length
    clients = []
    for number in range(3):
        _, writer = await lane.connect()
        writer.transport.pause_reading()
        writer.write(head("/products/streamed"))
        clients.append(writer)
        await until(lambda: lane.gateway.metrics.in_flight == number + 1)  # noqa: B023  awaited at once
    await until(lambda: not lane.gateway.coalescer._running)
    held = lambda: sum(each._under_way[0][0].held_bytes() for each in connections(lane) if each._under_way)  # noqa: E731
    await until(lambda: 0 < held() <= SIZE)
    for writer in clients:
        writer.close()


async def test_a_body_whose_last_part_has_left_is_held_by_the_cache_alone(lane: Door, origin: Origin) -> None:
    """No cycle keeps it until garbage is collected: with large bodies that is several times the cache's own bound."""
    origin.paths["/streamed"] = without_length
    gc.collect()
    gc.disable()
    try:
        reader, writer = await lane.connect()
        writer.write(head("/products/streamed", "connection: close"))
        assert len(await reader.read()) > SIZE
        writer.close()
        await until(lambda: not connections(lane))
        await until(lambda: lane.gateway.metrics.in_flight == 0)
        await until(lambda: not [each for each in gc.get_objects() if type(each) is FanoutReader])
    finally:
        gc.enable()

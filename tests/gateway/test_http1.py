"""What the lane owns because it goes past the server: order, deadlines, output, last calls."""

import asyncio
import contextlib
import json
import socket
import time
from typing import Any

import pytest

from apps.gateway.call.head_limits import FIELDS
from apps.gateway.gateway import Gateway
from apps.gateway.limits.client_limits import GRACE
from apps.gateway.server import http1 as lane_module
from apps.gateway.server.worker import Server
from apps.gateway.upstream import headers
from tests.gateway.house import KEY, Door, Origin, Published, api, credential, ok, read_answer, serving
from tests.gateway.test_head_cache import deep_size, target_of
from tests.support.waiting import until


def head(target: str, *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join(
        [f"{method} {target} HTTP/{version}", "host: api.test", f"x-api-key: {KEY}", *lines, "", ""]
    ).encode()


def connections(door: Door) -> list[lane_module.HTTP1Connection]:
    return [each for each in door.server.server_state.connections if isinstance(each, lane_module.HTTP1Connection)]


async def narrow(door: Door) -> tuple[asyncio.StreamWriter, lane_module.HTTP1Connection]:
    """A connection whose client reads nothing, and for which the kernel holds next to nothing: both ends."""
    _, writer = await door.connect()
    writer.transport.pause_reading()
    await until(lambda: connections(door))
    (connection,) = connections(door)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return writer, connection


async def test_pipelined_calls_are_answered_in_order(lane: Door, origin: Origin) -> None:
    go_on = asyncio.Event()

    async def slowly(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        writer.write(ok(b"slow", "cache-control: no-store"))

    origin.paths["/slow"] = slowly
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    await lane.call("/products/fast")
    reader, writer = await lane.connect()
    writer.write(head("/products/fast") + head("/products/slow") + head("/products/fast") + head("/products/fast"))
    first = await read_answer(reader)
    go_on.set()
    rest = [await read_answer(reader) for _ in range(3)]
    assert [answer.body for answer in (first, *rest)] == [b"fast", b"slow", b"fast", b"fast"]
    assert len({answer["x-call-id"] for answer in (first, *rest)}) == 4
    writer.close()


async def test_no_more_calls_wait_on_a_connection_than_may(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is the client's to send again, on another connection."""
    monkeypatch.setattr(lane_module, "PIPELINED", 2)
    origin.paths["/slow"] = ok(b"slow", "cache-control: no-store")
    reader, writer = await lane.connect()
    writer.write(head("/products/slow") * 10)
    answers = [await read_answer(reader) for _ in range(3)]
    assert [(answer.status, answer["connection"]) for answer in answers] == [(200, ""), (200, ""), (200, "close")]
    assert await reader.read() == b""
    assert origin.calls_to("/slow") == 3
    writer.close()


async def test_a_head_in_pieces_is_the_same_head(lane: Door, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    await lane.call("/products/fast")
    reader, writer = await lane.connect()
    for at in range(0, len(head("/products/fast")), 7):
        writer.write(head("/products/fast")[at : at + 7])
        await writer.drain()
        await asyncio.sleep(0)
    assert (await read_answer(reader)).body == b"fast"
    writer.close()


async def test_the_same_head_again_is_a_call_of_its_own(lane: Door, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    reader, writer = await lane.connect()
    answers = []
    for _ in range(4):
        writer.write(head("/products/fast"))
        answers.append(await read_answer(reader))
    assert [answer.cache for answer in answers] == ["MISS", "HIT", "HIT", "HIT"]
    assert len({answer["x-call-id"] for answer in answers}) == 4
    assert len({record.call_id for record in lane.calls()}) == 4
    assert lane.gateway.pipeline.heads
    writer.close()


async def test_a_remembered_head_does_not_outlive_its_key(lane: Door, published: Published, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    reader, writer = await lane.connect()
    for _ in range(3):
        writer.write(head("/products/fast"))
        assert (await read_answer(reader)).status == 200
    published.change(credential(KEY, {}, state="revoked"))
    await until(lambda: lane.gateway.config.epoch == 2)
    writer.write(head("/products/fast"))
    assert (await read_answer(reader)).status == 401
    writer.close()


async def test_an_outdated_head_is_replaced_when_it_is_decided_anew(
    lane: Door, published: Published, origin: Origin
) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    pipeline, config = lane.gateway.pipeline, lane.gateway.config
    reader, writer = await lane.connect()
    for epoch in (1, 2, 3):
        if epoch > 1:
            published.change(api("other", upstreams=origin.url))
        await until(lambda: config.epoch == epoch)  # noqa: B023
        for _ in range(2):
            writer.write(head("/products/fast"))
            assert (await read_answer(reader)).status == 200
        assert [each.version for each in pipeline.heads.values()] == [config.version]
        assert [each.version for each in pipeline._entries.values()] == [config.version]
    writer.close()


async def test_a_known_head_whose_response_is_gone_leaves_nothing_behind(lane: Door, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    reader, writer = await lane.connect()
    for _ in range(2):
        writer.write(head("/products/fast"))
        await read_answer(reader)
    (connection,) = connections(lane)
    await lane.call("/products/fast", method="DELETE")
    writer.write(head("/products/fast"))
    assert (await read_answer(reader)).cache == "MISS"
    assert connection._begun is None
    assert connection._between
    writer.close()


async def test_a_trailer_without_end_ends_its_connection(lane: Door, origin: Origin) -> None:
    async def read_on(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await reader.read()
        raise ConnectionError

    origin.paths["/items"] = read_on
    reader, writer = await lane.connect()
    data = head("/products/items", "transfer-encoding: chunked", method="POST")
    writer.write(data + b"2\r\nok\r\n0\r\nx-trailer: ")
    await until(lambda: origin.heads)
    with contextlib.suppress(ConnectionError):
        for _ in range(64):
            writer.write(b"a" * 16384)
            await writer.drain()
        assert await reader.read() == b""
    await until(lambda: any("client_left" in each.flags for each in lane.calls()))
    writer.close()


async def test_a_head_that_is_too_large_does_not_overtake_the_response_of_the_call_before_it(
    lane: Door, origin: Origin
) -> None:
    go_on = asyncio.Event()

    async def slowly(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        writer.write(ok(b"slow", "cache-control: no-store"))

    origin.paths["/slow"] = slowly
    reader, writer = await lane.connect()
    writer.write(head("/products/slow"))
    await until(lambda: origin.heads)
    (connection,) = connections(lane)
    writer.write(b"GET /products/slow HTTP/1.1\r\nx: " + b"a" * 40_000)
    await until(lambda: connection._deaf)
    go_on.set()
    answer = await read_answer(reader)
    assert (answer.status, answer.body, answer["connection"]) == (200, b"slow", "close")
    writer.close()


async def test_no_more_fields_of_a_head_are_kept_than_it_may_have(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"made", "cache-control: no-store")
    reader, writer = await lane.connect()
    writer.write(head("/products/items", method="POST")[:-2] + b"ab:cd\r\n" * 4000)
    await until(lambda: connections(lane))
    (connection,) = connections(lane)
    await until(lambda: connection._head_bytes > 25_000)
    assert len(connection.headers) == FIELDS + 1
    # What proposes an upgrade is parsed again; what wasn't kept of it would be lost.
    writer.write(b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 50\r\n\r\n" + head("/products/items"))
    answer = await read_answer(reader)
    assert (answer.status, answer["connection"]) == (431, "close")
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("first", [b"connection: upgrade\r\nupgrade: h2c\r\n", b""])
async def test_a_field_behind_the_last_one_that_is_kept_is_never_ignored(
    lane: Door, origin: Origin, first: bytes
) -> None:
    origin.paths["/items"] = ok(b"made", "cache-control: no-store")
    start = head("/products/items", method="POST")[:-2] + first
    fill = b"a: b\r\n" * (FIELDS + 1 - (start.count(b"\r\n") - 1))
    answer = await lane.raw(start + fill + b"content-length: 5\r\n\r\nGET /")
    assert answer.status == 431
    assert not origin.heads


async def test_the_end_of_a_large_body_does_not_count_for_the_head_behind_it(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"made", "cache-control: no-store")
    reader, writer = await lane.connect()
    data = head("/products/items", "content-length: 60000", method="POST") + b"b" * 60_000
    writer.write(data[:200])
    await until(lambda: origin.heads)
    writer.write(data[200:] + b"GET /products/items HT")  # one segment
    assert (await read_answer(reader)).status == 200
    writer.write(head("/products/items").removeprefix(b"GET /products/items HT"))
    assert (await read_answer(reader)).status == 200
    assert [len(body) for body in origin.bodies] == [60_000, 0]
    writer.close()


async def test_nothing_behind_a_connect_is_a_call(lane: Door, origin: Origin) -> None:
    """RFC 9110 §9.3.6: what follows it belongs to a tunnel that nobody opens."""
    lines: tuple[str, ...]
    for target in ("origin.test:80", "/products/items"):
        for lines in ((), ("content-length: 4",), ("transfer-encoding: chunked",)):
            reader, writer = await lane.connect()
            writer.write(head(target, *lines, method="CONNECT") + head("/products/hidden"))
            answer = await read_answer(reader)
            assert (answer.status, answer["connection"]) == (400, "close")
            assert await reader.read() == b""
            writer.close()
    assert not origin.heads


async def test_a_remembered_head_does_not_outlive_the_end_of_its_key(
    lane: Door, published: Published, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    grants = lane.gateway.config.credentials
    reader, writer = await lane.connect()
    for _ in range(3):
        writer.write(head("/products/fast"))
        assert (await read_answer(reader)).status == 200
    assert grants is not None
    for head_memo in lane.gateway.pipeline.heads.values():
        head_memo.expires = time.time() - 1
    published.change(credential(KEY, {}, expires_at=time.time() - 1))
    await until(lambda: lane.gateway.config.epoch == 2)
    writer.write(head("/products/fast"))
    assert (await read_answer(reader)).status == 401
    writer.close()


async def test_a_remembered_head_does_not_outlive_a_purge(lane: Door, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    reader, writer = await lane.connect()
    for _ in range(3):
        writer.write(head("/products/fast"))
        await read_answer(reader)
    await lane.call("/products/fast", method="DELETE")
    writer.write(head("/products/fast"))
    assert (await read_answer(reader)).cache == "MISS"
    writer.close()


async def test_an_http_1_0_caller_gets_a_length_and_the_end_of_the_connection(lane: Door, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    origin.paths["/chunks"] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    await lane.call("/products/fast")
    for target, body in (("/products/fast", b"fast"), ("/products/chunks", b"abc")):
        reader, writer = await lane.connect()
        writer.write(head(target, version="1.0"))
        whole = await reader.read()
        text, _, rest = whole.partition(b"\r\n\r\n")
        assert rest == body
        assert b"content-length: %d" % len(body) in text
        assert b"connection: close" in text
        assert b"transfer-encoding" not in text
        writer.close()


async def test_an_http_1_0_caller_is_not_given_half_an_answer(lane: Door, origin: Origin) -> None:
    async def break_off(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        raise ConnectionError

    origin.paths["/broken"] = break_off
    answer = await lane.raw(head("/products/broken", version="1.0"))
    assert answer.status == 502


async def test_connection_close_is_kept(lane: Door, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    await lane.call("/products/fast")
    reader, writer = await lane.connect()
    writer.write(head("/products/fast", "connection: close"))
    answer = await read_answer(reader)
    assert (answer.cache, answer["connection"]) == ("HIT", "close")
    assert await reader.read() == b""
    writer.close()


async def test_expect_100_continue_is_answered_before_the_body(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"made")
    reader, writer = await lane.connect()
    writer.write(head("/products/items", "content-length: 4", "expect: 100-continue", method="POST"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"body")
    assert (await read_answer(reader)).status == 200
    assert origin.bodies == [b"body"]
    writer.close()


async def test_an_http_1_0_caller_gets_no_continue(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"made")
    data = head("/products/items", "content-length: 4", "expect: 100-continue", version="1.0", method="POST")
    answer = await lane.raw(data + b"body")
    assert answer.status == 200
    assert origin.bodies == [b"body"]
    reader, writer = await lane.connect()
    writer.write(data)
    await until(lambda: len(origin.heads) == 2)
    writer.write(b"body")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_refused_call_with_an_expectation_gets_its_refusal_and_no_continue(lane: Door) -> None:
    data = b"POST /products/items HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n"
    answer = await lane.raw(data)
    assert answer.status == 401


async def test_a_head_that_takes_too_long_is_ended(lane: Door) -> None:
    reader, writer = await lane.connect()
    writer.write(b"GET /products/fast HTTP/1.1\r\nhost: a\r\n")
    await until(lambda: any(each._in_head for each in connections(lane)))
    (connection,) = connections(lane)
    connection.sweep(time.monotonic() + 1)
    assert not connection._linger_until
    connection.sweep(time.monotonic() + lane_module.HEAD_WAIT + 1)
    answer = await read_answer(reader)
    assert answer.status == 408
    assert await reader.read() == b""
    writer.close()
    assert lane.calls()[0].code == "request_timeout"


async def test_a_silent_connection_is_ended(lane: Door) -> None:
    reader, writer = await lane.connect()
    await until(lambda: connections(lane))
    (connection,) = connections(lane)
    connection.sweep(time.monotonic() + 1)
    assert not connection.transport.is_closing()
    connection.sweep(time.monotonic() + lane_module.IDLE_WAIT + 1)
    assert await reader.read() == b""
    writer.close()


async def test_a_caller_that_does_not_read_is_let_go(lane: Door, origin: Origin) -> None:
    origin.paths["/large"] = ok(b"x" * 4_000_000, "cache-control: max-age=60")
    await lane.call("/products/large")
    _, writer = await lane.connect()
    for _ in range(20):
        writer.write(head("/products/large"))
    await until(lambda: any(each.flow.write_paused for each in connections(lane)))
    (connection,) = connections(lane)
    held = connection.transport.get_write_buffer_size()
    assert held < 3 * 4_100_000
    now = time.monotonic()
    connection.sweep(now)
    connection.sweep(now + 1)
    assert not connection.transport.is_closing()
    connection.sweep(now + GRACE + 2)
    await until(lambda: not connections(lane))
    writer.transport.abort()


async def test_a_caller_that_reads_a_byte_now_and_then_is_let_go(lane: Door, origin: Origin) -> None:
    """Each part that is read gives back what it is worth at the minimum rate, and no more."""
    origin.paths["/large"] = ok(b"x" * 900_000, "cache-control: max-age=60")
    await lane.call("/products/large")
    await until(lambda: lane.gateway.store.local_stats.entries == 1)
    writer, connection = await narrow(lane)
    writer.write(head("/products/large"))
    await until(lambda: connection.flow.write_paused)
    now, waiting = time.monotonic(), connection.transport.get_write_buffer_size()

    class Dripping:
        """The transport of a caller who takes a byte in 29 seconds."""

        def __getattr__(self, name: str) -> Any:
            return getattr(transport, name)

        def get_write_buffer_size(self) -> int:
            return waiting

    transport, connection.transport = connection.transport, Dripping()
    connection.sweep(now)
    lookups = 0
    while not transport.is_closing():
        now, waiting, lookups = now + 29, waiting - 1, lookups + 1
        connection.sweep(now)
    assert lookups == 2
    await until(lambda: not connections(lane))
    writer.transport.abort()


async def test_a_caller_that_never_reads_the_last_response_of_a_connection_is_let_go(
    lane: Door, origin: Origin
) -> None:
    """The transport is closing, and would wait for its reader without end."""
    origin.paths["/large"] = ok(b"x" * 900_000, "cache-control: max-age=60")
    await lane.call("/products/large")
    await until(lambda: lane.gateway.store.local_stats.entries == 1)
    writer, connection = await narrow(lane)
    writer.write(head("/products/large", "connection: close"))
    await until(connection.transport.is_closing)
    now = time.monotonic()
    connection.sweep(now)
    assert connection.transport.get_write_buffer_size()
    connection.sweep(now + GRACE + 1)
    await until(lambda: not connections(lane))
    writer.transport.abort()


async def test_a_client_has_no_more_connections_than_it_may(
    gateways: Any, published: Published, origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    gateway: Gateway = await gateways(connections_per_client=2)
    async with serving(gateway) as door:
        held = [await door.connect() for _ in range(2)]
        await until(lambda: gateway.connections.open == 2)
        answer = await door.raw(head("/products/fast"))
        assert (answer.status, answer["retry-after"], answer["connection"]) == (429, "1", "close")
        assert json.loads(answer.body)["code"] == "too_many_connections"
        assert gateway.connections.refused == 1
        assert "127.0.0.1 has more than 2 connections" in caplog.text
        assert b'apimgr_connections_refused_total{worker="0"} 1\n' in gateway.metrics.text(time.monotonic())
        assert not origin.heads
        assert not door.calls()
        for reader, writer in held:  # those that it has go on
            writer.write(head("/products/fast"))
            assert (await read_answer(reader)).status == 200
            writer.close()
        await until(lambda: gateway.connections.open == 0)
        assert len(gateway.connections) == 0
        assert (await door.raw(head("/products/fast"))).status == 200


async def test_refused_connections_are_bounded_too(
    gateways: Any, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "SPARE", 1)
    gateway: Gateway = await gateways(connections_per_client=1)
    async with serving(gateway) as door:
        made = [await door.connect() for _ in range(2)]
        assert (await read_answer(made[1][0])).status == 429
        reader, writer = await door.connect()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        for _, each in (*made, (reader, writer)):
            each.close()


async def test_a_trusted_proxy_may_have_any_number_of_connections(
    gateways: Any, published: Published, origin: Origin
) -> None:
    origin.paths["/fast"] = ok(b"fast")
    gateway: Gateway = await gateways(connections_per_client=1, trusted_proxies=("127.0.0.0/8",))
    async with serving(gateway) as door:
        held = [await door.connect() for _ in range(3)]
        assert (await door.raw(head("/products/fast"))).status == 200
        assert gateway.connections.open == 0
        for _, writer in held:
            writer.close()


async def test_a_stopping_worker_takes_the_last_call_of_an_idle_connection(lane: Door, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    reader, writer = await lane.connect()
    writer.write(head("/products/fast"))
    await read_answer(reader)
    server: Server = lane.server
    server.should_exit = True
    await until(lambda: lane.gateway.stopping)
    writer.write(head("/products/fast"))
    answer = await read_answer(reader)
    assert (answer.status, answer.cache, answer["connection"]) == (200, "HIT", "close")
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("line", ["CONNECT origin.test:80", "GET /products/fast"])
async def test_nothing_behind_a_last_call_is_read(
    lane: Door, origin: Origin, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=60")
    await lane.call("/products/fast")
    reader, writer = await lane.connect()
    await until(lambda: any(each._idle for each in connections(lane)))
    for connection in connections(lane):
        connection._last_call = True
    method, target = line.split()
    behind = head(target, "connection: upgrade", "upgrade: h2c", method=method)
    writer.write(head("/products/fast", "x-other: 1") + behind + head("/products/fast"))
    answer = await read_answer(reader)
    assert (answer.status, answer["connection"]) == (200, "close")
    assert await reader.read() == b""
    writer.close()
    assert "Traceback" not in caplog.text


async def test_a_stopping_worker_finishes_what_is_under_way(lane: Door, origin: Origin) -> None:
    go_on = asyncio.Event()

    async def slowly(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        writer.write(ok(b"slow"))

    origin.paths["/slow"] = slowly
    call = asyncio.create_task(lane.call("/products/slow"))
    await until(lambda: origin.calls_to("/slow") == 1)
    lane.server.should_exit = True
    await until(lambda: lane.gateway.stopping)
    go_on.set()
    answer = await call
    assert (answer.status, answer["connection"]) == (200, "close")


async def test_a_trusted_proxy_is_believed_and_its_host_is_keyed(
    gateways: Any, published: Published, origin: Origin
) -> None:
    async def echo(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        host = next(line for line in head.split(b"\r\n") if line.startswith(b"x-forwarded-host: "))
        writer.write(ok(host, "cache-control: max-age=60"))

    origin.paths["/echo"] = echo
    gateway: Gateway = await gateways(trusted_proxies=("127.0.0.0/8",))
    async with serving(gateway) as door:
        said = {"x_forwarded_for": "9.9.9.9", "x_forwarded_proto": "https"}
        one = await door.call("/products/echo", x_forwarded_host="one.test", **said)
        two = await door.call("/products/echo", x_forwarded_host="two.test", **said)
    assert (one.body, two.body) == (b"x-forwarded-host: one.test", b"x-forwarded-host: two.test")
    assert b"\r\nx-forwarded-for: 9.9.9.9, 127.0.0.1\r\n" in origin.heads[0]
    assert b"\r\nx-forwarded-proto: https\r\n" in origin.heads[0]
    assert b'for=9.9.9.9;host="one.test";proto=https, for=127.0.0.1;host="one.test";proto=https' in origin.heads[0]


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("One.test, two.test", b"one.test"),
        ('a";for=6.6.6.6;host="b', b"api.test"),
        ("a b", b"api.test"),
        ("h" * 256, b"api.test"),
        ("", b"api.test"),
    ],
)
async def test_what_is_no_host_is_not_believed_from_a_proxy_either(
    gateways: Any, published: Published, origin: Origin, told: str, known: bytes
) -> None:
    origin.paths["/items"] = ok(b"items")
    gateway: Gateway = await gateways(trusted_proxies=("127.0.0.0/8",))
    async with serving(gateway) as door:
        assert (await door.call("/products/items", x_forwarded_host=told)).status == 200
    assert b"\r\nx-forwarded-host: %b\r\n" % known in origin.heads[0]
    assert b'\r\nforwarded: for=127.0.0.1;host="%b";proto=http\r\n' % known in origin.heads[0]


async def test_a_way_that_a_stranger_made_long_is_told_without_repeating_the_host_for_each_node(
    gateways: Any, published: Published, origin: Origin
) -> None:
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
    gateway: Gateway = await gateways(trusted_proxies=("127.0.0.0/8",))
    way = "1," * 1700 + "9.9.9.9"
    async with serving(gateway) as door:
        for path in ("/products/items", "/products/items?b"):  # its key is known the second time
            assert (await door.call(path, x_forwarded_for=way, x_forwarded_host="h" * 255)).status == 200
    sent = origin.heads[1]
    assert b"\r\nx-forwarded-for: %b, 127.0.0.1\r\n" % way.encode() in sent
    assert sent.count(b"for=") == headers.MOST_NODES
    assert sent.count(b"for=9.9.9.9;") == 1
    (head_memo,) = [each for each in gateway.pipeline._entries.values() if target_of(each) == b"/products/items?b"]
    assert head_memo.forwarded is None
    assert deep_size(head_memo) <= head_memo.size


async def test_an_exception_of_ours_is_a_500_and_tells_nothing(
    lane: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(lane.gateway.config, "route", fail)
    answer = await lane.call("/products/fast")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "secret detail" in caplog.text
    assert lane.calls()[0].code == "internal_error"


async def test_the_api_without_authentication_takes_anybody(lane: Door, published: Published, origin: Origin) -> None:
    published.change(api("open", upstreams=origin.url, authentication=("none",)))
    await until(lambda: lane.gateway.config.epoch == 2)
    origin.paths["/"] = ok(b"welcome")
    answer = await lane.call("/open/", key=None)
    assert (answer.status, answer.body) == (200, b"welcome")


async def test_an_early_hint_comes_before_the_answer(lane: Door, origin: Origin) -> None:
    """RFC 8297: with it the caller can begin while the origin still works. It is never stored."""
    go_on = asyncio.Event()

    async def hint(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nset-cookie: a=b\r\nx-call-id: mine\r\n\r\n")
        await go_on.wait()
        writer.write(ok(b"page", "cache-control: max-age=60"))

    origin.paths["/page"] = hint
    reader, writer = await lane.connect()
    writer.write(head("/products/page"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
    go_on.set()
    assert (await read_answer(reader)).body == b"page"
    writer.write(head("/products/page"))
    again = await read_answer(reader)
    assert (again.status, again.cache) == (200, "HIT")
    writer.close()


async def test_an_early_hint_is_not_for_http_1_0(lane: Door, origin: Origin) -> None:
    """RFC 9110 §15.2: it has no interim answers, and would take one for the last."""
    origin.paths["/hint"] = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n" + ok(
        b"hint", "cache-control: no-store"
    )
    reader, writer = await lane.connect()
    writer.write(head("/products/hint", version="1.0"))
    received = await reader.read()
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b"\r\n\r\nhint")
    writer.close()

"""Connections to upstreams: bytes as they are, ends where they are, and nowhere they may not go."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from apps.egress.rules import ONE_MACHINE, Guard, rule_of
from apps.gateway.call.request_body import BodyTooLarge
from apps.gateway.upstream import client as client_module
from apps.gateway.upstream.client import HTTP1Client, Origin, UpstreamResponse, origin_of
from apps.gateway.upstream.connection import HIGH_WATER, INTERIM_LIMIT
from apps.gateway.upstream.errors import Broken, DestinationRefused, TimedOut, Unreachable
from apps.gateway.upstream.resolver import MOST_ADDRESSES
from tests.gateway.house import Origin as Served
from tests.gateway.house import ok
from tests.support.certificates import self_signed
from tests.support.ports import free_port
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://a.test", Origin("http", "a.test", 80, b"a.test", b"")),
        ("http://a.test:8080/base/", Origin("http", "a.test", 8080, b"a.test:8080", b"/base", path=b"/base/")),
        ("https://a.test:443/", Origin("https", "a.test", 443, b"a.test", b"")),
        ("http://[::1]:9000/", Origin("http", "::1", 9000, b"[::1]:9000", b"")),
    ],
)
def test_the_origin_of_a_url(url: str, origin: Origin) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["ftp://a.test", "http://", "a.test"])
def test_what_is_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match="no http"):
        origin_of(url)


HERE = Guard([rule_of(text) for text in ONE_MACHINE])


@pytest.fixture
async def client() -> AsyncIterator[HTTP1Client]:
    made = HTTP1Client(asyncio.get_running_loop())
    yield made
    await made.close()


async def get(
    client: HTTP1Client, url: str, path: bytes = b"/", method: str = "GET", **changes: Any
) -> UpstreamResponse:
    options = {"guard": HERE, "fields": [], "body": None, "connect_timeout": 1.0, "read_timeout": 2.0, **changes}
    guard = options.pop("guard")
    return await client.send(origin_of(url, options.pop("ca", "")), guard, "acme", method, path, **options)


async def read_all(response: UpstreamResponse) -> bytes:
    body = b""
    while part := await response.read():
        body += part
    response.close()
    return body


async def test_a_connection_is_used_again(client: HTTP1Client, origin: Served) -> None:
    peers = set()

    async def peer(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        peers.add(writer.get_extra_info("peername"))
        writer.write(ok(b"x"))

    origin.paths["/"] = peer
    for _ in range(3):
        response = await get(client, origin.url)
        assert response.whole == b"x"
        response.close()
    assert len(peers) == 1


async def test_a_connection_that_the_upstream_closed_is_replaced(client: HTTP1Client, origin: Served) -> None:
    async def close_after(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(ok(b"x"))
        await writer.drain()
        raise ConnectionError

    origin.paths["/"] = close_after
    for _ in range(3):
        assert await read_all(await get(client, origin.url)) == b"x"


async def test_an_answer_that_was_not_read_to_its_end_ends_its_connection(client: HTTP1Client, origin: Served) -> None:
    async def endless(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        await reader.read()
        raise ConnectionError

    origin.paths["/"] = endless
    response = await get(client, origin.url)
    assert await response.read() == b"x"
    response.close()
    await until(lambda: origin.closed == 1)


async def test_bytes_behind_an_answer_are_nobody_elses_answer(client: HTTP1Client, origin: Served) -> None:
    """They are thrown away with their connection (RFC 9112 §6.3): the response before them is what its length says."""
    for behind in (b"more than was announced", b"\r\n\r\nx"):
        origin.paths["/"] = ok(b"x") + behind
        response = await get(client, origin.url)
        assert await read_all(response) == b"x"
        assert not response._connection.reusable
        origin.paths["/"] = ok(b"true")
        assert await read_all(await get(client, origin.url)) == b"true"


async def test_a_second_answer_behind_the_first_makes_both_doubtful(client: HTTP1Client, origin: Served) -> None:
    origin.paths["/"] = ok(b"x") + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfalse"
    with pytest.raises(Broken):
        await get(client, origin.url)
    origin.paths["/"] = ok(b"true")
    assert await read_all(await get(client, origin.url)) == b"true"


async def test_interim_answers_are_told_as_they_come(client: HTTP1Client, origin: Served) -> None:
    """RFC 9110 §15.2: a proxy takes them on. 100 answers an expectation that the door has met already."""
    told: list[tuple[int, list[tuple[bytes, bytes]]]] = []
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    origin.paths["/"] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + hints + ok(b"x", "a: 1")
    response = await get(client, origin.url, on_interim=lambda *each: told.append(each))
    assert told == [(102, []), (103, [(b"link", b"</a.css>")])]
    assert response.fields == [(b"a", b"1"), (b"content-length", b"1")]
    response.close()


async def test_interim_answers_without_end_are_not_told_without_end(client: HTTP1Client, origin: Served) -> None:
    told = []
    origin.paths["/"] = b"HTTP/1.1 102 Processing\r\n\r\n" * 50 + ok(b"x")
    response = await get(client, origin.url, on_interim=lambda *each: told.append(each))
    assert response.whole == b"x"
    assert len(told) == INTERIM_LIMIT
    response.close()


async def test_a_slow_reader_slows_the_upstream_down(client: HTTP1Client, origin: Served) -> None:
    written = 0

    async def flood(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
        for _ in range(500):
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000

    origin.paths["/"] = flood
    response = await get(client, origin.url)
    connection = response._connection
    await until(lambda: connection._paused)
    assert connection._buffered < HIGH_WATER + 2**20
    assert written < 50_000_000
    assert len(await read_all(response)) == 50_000_000


async def test_a_body_is_sent_in_chunks_while_the_answer_may_come_early(client: HTTP1Client, origin: Served) -> None:
    async def early(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        await reader.readuntil(b"first\r\n")
        writer.write(ok(b"enough", status="413 Content Too Large"))
        await writer.drain()
        await reader.read()
        raise ConnectionError

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    origin.paths["/"] = early
    response = await get(client, origin.url, method="POST", body=body())
    assert (response.status, await read_all(response)) == (413, b"enough")
    await until(lambda: origin.closed == 1)


async def test_what_reading_the_body_raises_is_raised(client: HTTP1Client, origin: Served) -> None:
    class Left(Exception):
        pass

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise Left

    origin.paths["/"] = ok(b"")
    with pytest.raises(Left):
        await get(client, origin.url, method="POST", body=body())


async def test_a_refused_connection_is_unreachable(client: HTTP1Client) -> None:
    with pytest.raises(Unreachable) as caught:
        await get(client, f"http://127.0.0.1:{free_port()}")
    assert not caught.value.sent


async def test_a_name_without_an_address_is_unreachable(client: HTTP1Client) -> None:
    with pytest.raises((Unreachable, TimedOut)):
        await get(client, "http://nowhere.invalid")


async def test_a_name_that_resolves_to_a_link_local_address_is_not_called(
    client: HTTP1Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*args: object, **options: object) -> list[Any]:
        return [(2, 1, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(DestinationRefused, match="Link-local"):
        await get(client, "http://innocent.test")


@pytest.fixture
def names(client: HTTP1Client, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, and nothing else does but addresses."""
    known: dict[str, list[str]] = {}

    def resolve(host: str, port: int, **options: object) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in known.get(host, [host])]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


async def test_the_address_that_was_judged_is_the_one_connected_to(
    client: HTTP1Client, origin: Served, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.paths["/"] = ok(b"x")
    names["rebinds.test"] = ["127.0.0.1"]
    asked: list[str] = []
    create = client._loop.create_connection

    async def connect(factory: Any, host: str, *args: Any, **options: Any) -> Any:
        asked.append(host)
        names["rebinds.test"] = ["169.254.169.254"]  # what a second look would find
        return await create(factory, host, *args, **options)

    monkeypatch.setattr(client._loop, "create_connection", connect)
    response = await get(client, f"http://rebinds.test:{origin.port}")
    assert response.whole == b"x"
    assert asked == ["127.0.0.1"]
    assert b"host: rebinds.test" in origin.heads[0]


async def test_of_several_addresses_only_those_that_may_be_are_called(
    client: HTTP1Client, origin: Served, names: dict[str, list[str]]
) -> None:
    origin.paths["/"] = ok(b"x")
    names["mixed.test"] = ["169.254.169.254", "127.0.0.1"]
    assert (await get(client, f"http://mixed.test:{origin.port}")).whole == b"x"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "localhost", "LOCALHOST.", "rebinds.test", "[::ffff:7f00:1]"],
)
async def test_without_a_rule_this_machine_is_not_called_in_any_spelling(
    client: HTTP1Client, origin: Served, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def resolved(name: str, *args: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if name in ("rebinds.test", "localhost.") else name, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with pytest.raises(DestinationRefused) as caught:
        await get(client, f"http://{host}:{origin.port}", guard=Guard())
    assert not caught.value.sent
    assert not origin.heads


async def test_no_rule_lets_a_call_reach_the_platform_itself(
    client: HTTP1Client, origin: Served, names: dict[str, list[str]]
) -> None:
    origin.paths["/"] = ok(b"x")
    names["state"] = names["innocent.test"] = ["127.0.0.1"]
    for own in (("localhost", origin.port), ("state", origin.port), ("127.0.0.1", origin.port)):
        guard = Guard(HERE.rules, [own])
        for host in ("127.0.0.1", "innocent.test", "state"):
            with pytest.raises(DestinationRefused, match="platform itself"):
                await get(client, f"http://{host}:{origin.port}", guard=guard)
    assert not origin.heads
    away = Guard(HERE.rules, [("nowhere.invalid", origin.port), ("localhost", origin.port + 1)])
    names["nowhere.invalid"] = ["192.0.2.1"]
    assert (await get(client, origin.url, guard=away)).whole == b"x"


async def test_every_address_of_the_platform_is_its_own_however_many_it_has(
    client: HTTP1Client, origin: Served, names: dict[str, list[str]]
) -> None:
    origin.paths["/"] = ok(b"x")
    names["state"] = [*(f"198.51.100.{number}" for number in range(1, 1 + MOST_ADDRESSES)), "127.0.0.1"]
    guard = Guard(HERE.rules, [("state", origin.port)])
    for _ in range(2):
        with pytest.raises(DestinationRefused, match="platform itself"):
            await get(client, origin.url, guard=guard)
    assert not origin.heads


async def test_a_connection_of_one_tenant_is_not_used_for_another_that_may_not_have_it(
    client: HTTP1Client, origin: Served
) -> None:
    origin.paths["/"] = ok(b"x")
    (await get(client, origin.url)).close()
    with pytest.raises(DestinationRefused):
        await get(client, origin.url, guard=Guard())
    assert len(origin.heads) == 1


async def test_a_connection_is_used_again_under_changed_rules_that_allow_it_and_not_under_others(
    client: HTTP1Client, origin: Served
) -> None:
    peers = set()

    async def peer(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        peers.add(writer.get_extra_info("peername"))
        writer.write(ok(b"x"))

    origin.paths["/"] = peer
    for guard in (HERE, Guard([rule_of("127.0.0.1")]), HERE):
        response = await get(client, origin.url, guard=guard)
        assert response.whole == b"x"
        response.close()
    assert len(peers) == 1
    with pytest.raises(DestinationRefused):
        await get(client, origin.url, guard=Guard([rule_of("10.0.0.0/8")]))
    with pytest.raises(DestinationRefused):
        await get(client, origin.url, guard=Guard(HERE.rules, [("localhost", origin.port)]))


async def test_no_answer_in_time(client: HTTP1Client, origin: Served) -> None:
    async def never(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        await reader.read()
        raise ConnectionError

    origin.paths["/"] = never
    with pytest.raises(TimedOut) as caught:
        await get(client, origin.url, read_timeout=0.05)
    assert caught.value.sent
    await until(lambda: origin.closed == 1)


async def test_an_answer_that_stops_in_the_middle(client: HTTP1Client, origin: Served) -> None:
    async def stop(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await reader.read()
        raise ConnectionError

    origin.paths["/"] = stop
    response = await get(client, origin.url, read_timeout=0.05)
    assert await response.read() == b"half"
    with pytest.raises(TimedOut):
        await response.read()
    response.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 1000 + b"\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_an_answer_that_can_be_read_in_two_ways_is_broken(
    client: HTTP1Client, origin: Served, answer: bytes
) -> None:
    origin.paths["/"] = answer
    with pytest.raises(Broken):
        await get(client, origin.url)


@pytest.mark.parametrize("status", [b"200 OK", b"426 Upgrade Required", b"404 Not Found"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"content-length: 3\r\n", b"abc"),
        (b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
    ],
)
async def test_an_answer_that_offers_an_upgrade_ends_where_it_would_without(
    client: HTTP1Client, origin: Served, status: bytes, framing: bytes, body: bytes
) -> None:
    """RFC 9110 §7.8: only 101 switches. Apache's httpd offers h2c with any response."""
    answer = b"HTTP/1.1 %b\r\nupgrade: h2,h2c\r\nconnection: Upgrade\r\n%b\r\n%b" % (status, framing, body)
    for cut in range(len(answer)):

        async def in_two(origin: Served, head: bytes, reader: Any, writer: Any, cut: int = cut) -> None:
            writer.write(answer[:cut])
            await asyncio.sleep(0)
            writer.write(answer[cut:])

        origin.paths["/"] = in_two
        response = await get(client, origin.url)
        assert await read_all(response) == b"abc"
        response.close()
    assert len(origin.heads) == len(answer)
    assert origin.closed == 0  # one connection, used again


async def test_an_upstream_that_does_not_read_a_body_is_too_slow(client: HTTP1Client, origin: Served) -> None:
    done = asyncio.Event()

    async def unread(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        reader._transport.pause_reading()
        await done.wait()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    origin.paths["/"] = unread
    with pytest.raises(TimedOut):
        await get(client, origin.url, method="POST", body=body(), read_timeout=0.1)
    done.set()


async def test_a_connection_on_which_a_body_broke_off_is_never_used_again(client: HTTP1Client, origin: Served) -> None:
    """The upstream still waits for the rest, and would take the next call's head for it."""
    answered, failed = asyncio.Event(), asyncio.Event()

    async def early(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await failed.wait()
        writer.write(b"cd")
        await reader.readexactly(10)

    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        await answered.wait()
        failed.set()
        raise BodyTooLarge

    origin.paths["/"] = early
    response = await get(client, origin.url, method="POST", body=body(), fields=[(b"content-length", b"10")])
    answered.set()
    assert await read_all(response) == b"abcd"
    origin.paths["/next"] = ok(b"next")
    assert await read_all(await get(client, origin.url, b"/next", read_timeout=2.0)) == b"next"
    assert len(origin.heads) == 2


async def test_a_trailer_without_end_breaks_the_answer_off(client: HTTP1Client, origin: Served) -> None:
    async def trail(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-trailer: ")
        while True:
            writer.write(b"a" * 16384)
            await writer.drain()

    origin.paths["/"] = trail
    with pytest.raises(Broken):
        await read_all(await get(client, origin.url))


async def test_idle_connections_are_closed_after_a_while(
    client: HTTP1Client, origin: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.paths["/"] = ok(b"")
    (await get(client, origin.url)).close()
    client.sweep()
    assert origin.closed == 0
    monkeypatch.setattr(client_module, "IDLE", -1.0)
    client.sweep()
    await until(lambda: origin.closed == 1)


# TLS


@contextlib.asynccontextmanager
async def tls_origin(folder: Path, name: str) -> AsyncIterator[tuple[int, str]]:
    """Its port, and its self-signed certificate."""
    certificate = self_signed(name)
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"over TLS"))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate.served_from(folder))
    try:
        yield server.sockets[0].getsockname()[1], certificate.pem
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_a_tls_upstream_with_a_good_certificate_is_called(client: HTTP1Client, tmp_path: Path) -> None:
    async with tls_origin(tmp_path, "localhost") as (port, trusted):
        assert await read_all(await get(client, f"https://localhost:{port}", ca=trusted)) == b"over TLS"
        await client.close()


@pytest.mark.parametrize("trusted_too", [False, True])
async def test_a_tls_upstream_whose_certificate_is_not_its_own_is_unreachable(
    client: HTTP1Client, tmp_path: Path, trusted_too: bool
) -> None:
    name = "elsewhere.test" if trusted_too else "localhost"
    async with tls_origin(tmp_path, name) as (port, trusted):
        with pytest.raises(Unreachable):
            await get(client, f"https://localhost:{port}", ca=trusted if trusted_too else "")


async def test_no_number_of_own_certificates_has_those_of_the_machine_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading them takes some 50 ms, in which no call of any tenant goes on."""
    read: list[str] = []

    def tls_context(ca: str) -> object:
        read.append(ca)
        return object()

    monkeypatch.setattr(client_module, "tls_context", tls_context)
    made = HTTP1Client(asyncio.get_running_loop())
    for number in range(2 * client_module.CONTEXTS_KEPT):
        made._tls("")
        made._tls(f"{number}")
    assert read.count("") == 1
    assert len(read) == 1 + 2 * client_module.CONTEXTS_KEPT

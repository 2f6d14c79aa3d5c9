"""How a client's bytes are cut into segments changes nothing: any split of any stream of calls, at all three doors, two clients at
once, gives the responses that each call gets alone, and leaves nothing behind that another connection meets.
"""

import asyncio
import contextlib
import itertools
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apps.gateway.gateway import Gateway
from apps.gateway.server.http1 import HTTP1Connection
from tests.gateway.house import KEY, OTHER_KEY, Answered, Door, Origin, ok, read_answer, read_body, serving
from tests.support.examples import SOAK, examples

UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
KEYS = {"ann": KEY, "bob": OTHER_KEY}


def head(who: str, line: bytes, lines: bytes = b"") -> bytes:
    """The head of a call by ``who``, whom the origin knows by a field and by credentials of its own."""
    fields = f"host: api.test\r\nx-api-key: {KEYS[who]}\r\nx-who: {who}\r\nauthorization: Basic {who}\r\n"
    return line + b" HTTP/1.1\r\n" + fields.encode() + lines + b"\r\n"


def messages(who: str) -> dict[str, bytes]:
    """One call of each kind of framing. Two of the bodies are what another call looks like."""
    mine, echo = head(who, b"GET /products/mine"), head(who, b"GET /products/echo")
    chunks = b"5;a=b\r\nhello\r\n%x\r\n%b\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(echo), echo)
    length = b"content-length: %d\r\n" % len(mine)
    chunked = b"transfer-encoding: chunked\r\n"
    return {
        "hit": head(who, b"GET /products/shared"),
        "hit of one's own": mine,
        "head": head(who, b"HEAD /products/shared"),
        "miss": echo,
        "length": head(who, b"POST /products/echo", length) + mine,
        "large": head(who, b"POST /products/echo", b"content-length: 40000\r\n") + b"large...\r\n" * 4000,
        "chunks": head(who, b"POST /products/echo", chunked) + chunks,
        "no body": head(who, b"POST /products/echo", b"content-length: 0\r\n"),
        "stranger": b"GET /products/echo HTTP/1.1\r\nhost: api.test\r\n\r\n",
        "nowhere": head(who, b"GET /nowhere"),
        "own": b"GET /_gateway/livez HTTP/1.1\r\nhost: api.test\r\n\r\n",
        "last": head(who, b"GET /products/echo", b"connection: close\r\n"),
        "last of its own": head(who, b"GET /products/mine", b"connection: close\r\n"),
        "last, length": head(who, b"POST /products/echo", b"connection: close\r\n" + length) + mine,
        "old": mine.replace(b"HTTP/1.1", b"HTTP/1.0"),
        # Other servers end the connection with these.
        "upgrade": head(who, b"GET /products/echo", UPGRADE),
        "upgrade of a hit": head(who, b"GET /products/shared", UPGRADE),
        "upgrade, length": head(who, b"POST /products/echo", UPGRADE + length) + mine,
        "upgrade, chunks": head(who, b"POST /products/echo", chunked + UPGRADE) + chunks,
        "empty line": b"\r\n" + mine,
        "two empty lines": b"\r\n\r\n" + echo,
    }


NAMES = tuple(messages("ann"))
ENDING = ("last", "last of its own", "last, length", "old")
"""The connection ends with the response; what is behind them is no call."""
LANE_ONLY = NAMES[NAMES.index("upgrade") :]


async def echo(origin: Origin, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what it was told, but for what is each call's own."""
    body = await read_body(head, reader)
    told = b"".join(re.findall(rb"^(?:[A-Z]+ /|x-who|authorization|upgrade|http2-settings|connection).*\n", head, re.M))
    writer.write(ok(told + body, "cache-control: no-store"))
    await writer.drain()


async def mine(origin: Origin, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    (who,) = re.findall(rb"^x-who: (.*)\r$", head, re.M)
    writer.write(ok(b"of " + who, "cache-control: max-age=3600", "vary: x-who"))
    await writer.drain()


def told(answer: Answered) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what differs from call to call."""
    changing = {"date", "age", "x-call-id", "x-request-id", "cache-status"}
    fields = [(name, value) for name, value in answer.headers if name.lower() not in changing]
    return answer.status, fields, re.sub(rb'"(request|call)_id":"[^"]*"', b"", answer.body)


class Wire:
    """Connections to a door on which one segment arrives at a time."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.patience = 15.0
        self.expected: dict[tuple[str, str], tuple[int, list[tuple[str, str]], bytes]] = {}
        self._arrived: Counter[int] = Counter()
        self._changed = asyncio.Event()

    def arrived(self, port: int, size: int) -> None:
        """The door got ``size`` bytes of the client at ``port``."""
        self._arrived[port] += size
        self._changed.set()

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES if self.door.kind == "lane" else tuple(name for name in NAMES if name not in LANE_ONLY)

    async def learn(self) -> None:
        """What each message is answered with, alone on a connection of its own and whole."""
        for who in KEYS:
            for name in self.names:
                for _ in range(2):  # the second answer of what is stored is a hit
                    async with Client.connected(self, who, [name]) as client:
                        await client.send(client.stream)
                        (self.expected[who, name],) = await client.answers()

    async def taken(self, port: int, size: int) -> None:
        """Wait until the door got ``size`` bytes of the client at ``port``."""
        async with asyncio.timeout(self.patience):
            while self._arrived[port] < size:
                self._changed.clear()
                await self._changed.wait()


class Client:
    """A client with a stream of messages on one connection."""

    def __init__(self, wire: Wire, who: str, names: list[str], reader: Any, writer: Any) -> None:
        self.wire, self.who, self.names = wire, who, names
        self.stream = b"".join(messages(who)[name] for name in names)
        counted = next((index + 1 for index, name in enumerate(names) if name in ENDING), len(names))
        self.counted = names[:counted]
        self._needed = sum(len(messages(who)[name]) for name in self.counted)
        self._reader, self._writer = reader, writer
        self._port: int = writer.get_extra_info("sockname")[1]
        self._sent = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, wire: Wire, who: str, names: list[str]) -> "AsyncIterator[Client]":
        reader, writer = await wire.door.connect()
        try:
            yield cls(wire, who, names, reader, writer)
        finally:
            writer.transport.abort()

    async def send(self, segment: bytes) -> None:
        """Send a segment; the door has got it when this returns. Nothing goes to a connection that may have ended."""
        if segment and self._sent < self._needed:
            self._writer.write(segment)
            self._sent += len(segment)
            await self.wire.taken(self._port, self._sent)

    async def answers(self) -> list[tuple[int, list[tuple[str, str]], bytes]]:
        """All answers, and that nothing else came."""
        methods = ["HEAD" if name == "head" else "GET" for name in self.counted]
        async with asyncio.timeout(self.wire.patience):
            found = [told(await read_answer(self._reader, method)) for method in methods]
            if not self.counted or self.counted[-1] not in ENDING:
                self._writer.write_eof()
            assert await self._reader.read() == b""
        return found


@pytest.fixture(params=("lane", "asgi", "stock", "view"))
async def wire(
    request: pytest.FixtureRequest, gateway: Gateway, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Wire]:
    async with serving(gateway, request.param) as door:
        yield await wired(door, origin, monkeypatch)


@pytest.fixture
async def lane_wire(lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Wire:
    return await wired(lane, origin, monkeypatch)


async def wired(door: Door, origin: Origin, patch: pytest.MonkeyPatch) -> Wire:
    """A wire to a door whose cache holds what it may."""
    origin.paths.update({"/echo": echo, "/mine": mine, "/shared": ok(b"for all", "cache-control: max-age=3600")})
    wire = Wire(door)
    for protocol in (HTTP1Connection, H11Protocol, HttpToolsProtocol):
        patch.setattr(protocol, "data_received", counting(wire, protocol.data_received))
    await wire.learn()
    return wire


def counting(wire: Wire, receive: Any) -> Any:
    def data_received(self: Any, data: bytes) -> None:
        receive(self, data)
        wire.arrived(self.client[1], len(data))

    return data_received


class Case(NamedTuple):
    """What two clients send, where it is cut, and whose segment is next."""

    names: tuple[list[str], list[str]]
    cuts: tuple[set[int], set[int]]
    turns: list[bool]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Indices into a door's names, and cuts: anywhere, near the start, or where a head or message ends."""
    streams = draw(st.tuples(*[st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)] * 2))
    if draw(st.booleans()):
        streams = (streams[0], streams[0])
    cuts = tuple(
        draw(st.sets(st.one_of(st.integers(1, 12), st.integers(1, 1200), near(ends(who, names))), max_size=8))
        for who, names in zip(KEYS, streams, strict=True)
    )
    if draw(st.booleans()):
        cuts = (cuts[0], cuts[0])
    return Case(streams, cuts, draw(st.lists(st.booleans(), max_size=12)))


def ends(who: str, names: list[str]) -> list[int]:
    """Where a head, a message or an empty line ends in a stream."""
    parts = [messages(who)[name] for name in names]
    stream = b"".join(parts)
    return [*itertools.accumulate(map(len, parts)), *(match.end() for match in re.finditer(rb"\r\n\r\n", stream))]


def near(places: list[int]) -> st.SearchStrategy[int]:
    """One of these places, or a little behind it."""
    behind = st.one_of(st.just(0), st.integers(1, 40))
    return st.tuples(st.sampled_from(places), behind).map(sum)


def segments(stream: bytes, cuts: set[int]) -> list[bytes]:
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(places)]


def some_cases(count: int) -> list[Case]:
    """The same cases each time."""
    found: list[Case] = []

    @settings(BOUNDED, max_examples=count, phases=[Phase.generate])
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


async def check(wire: Wire, case: Case) -> None:
    """Send what a case says; compare each answer with what its message gets alone."""
    names = [[name for name in names if name in wire.names] for names in case.names]
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(Client.connected(wire, who, each))
            for who, each in zip(KEYS, names, strict=True)
        ]
        await exchange(wire, clients, case)
    assert_only_whole_heads(wire)


async def exchange(wire: Wire, clients: "list[Client]", case: Case) -> None:
    left = [segments(client.stream, cuts) for client, cuts in zip(clients, case.cuts, strict=True)]
    turns = iter(case.turns)
    while left[0] or left[1]:
        turn = next(turns, not left[0]) or not left[0]
        which = int(turn and bool(left[1]))
        await clients[which].send(left[which].pop(0))
    for client in clients:
        assert await client.answers() == [wire.expected[client.who, name] for name in client.counted]


def assert_only_whole_heads(wire: Wire) -> None:
    """Nothing is remembered by bytes but whole heads without a body."""
    known = {data for who in KEYS for data in messages(who).values()}
    heads = wire.door.gateway.pipeline.heads
    for remembered in (*heads._young, *heads._old):
        assert remembered in known
        assert remembered.endswith(b"\r\n\r\n")
        assert not remembered.startswith(b"\r")


BOUNDED = settings(
    max_examples=examples(100),
    derandomize=SOAK == 1,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@BOUNDED
@given(cases())
async def test_any_split_of_any_stream_gives_the_same_responses(wire: Wire, case: Case) -> None:
    await check(wire, case)


async def test_a_message_that_proposes_an_upgrade_is_the_same_message_without(lane_wire: Wire) -> None:
    """RFC 9110 §7.8: a server may ignore it. Java's client and ``curl --http2`` send one with their first call."""
    expected = lane_wire.expected
    for who in KEYS:
        for name, plain in (("", "miss"), (" of a hit", "hit"), (", length", "length"), (", chunks", "chunks")):
            assert expected[who, "upgrade" + name] == expected[who, plain]
            assert expected[who, plain][0] == 200


@pytest.mark.parametrize("name", ["upgrade", "upgrade, length", "upgrade, chunks"])
async def test_a_message_that_proposes_an_upgrade_may_be_cut_anywhere(lane_wire: Wire, name: str) -> None:
    """In two, at each place, with a call behind it in the same segment or the next."""
    size = len(messages("ann")[name])
    for cut in range(1, size + 2):
        names, cuts = ([name, "hit"], {cut}) if cut % 2 else ([name, "miss"], {cut, size})
        await check(lane_wire, Case((names, []), (cuts, set()), []))

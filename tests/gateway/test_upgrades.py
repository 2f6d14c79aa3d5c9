"""A call that proposes an upgrade (RFC 9110 §7.8) is that call: its body is its body, and the proposal goes no further.

Java's client and ``curl --http2`` send one with their first call to an address.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apps.gateway.gateway import Gateway
from apps.gateway.server.asgi import ASGIApplication
from tests.gateway.house import KEY, Door, Origin, ok, read_answer, serving
from tests.support.waiting import until

HIDDEN = f"GET /products/hidden HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode()
PROPOSAL = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
FRAMINGS = {
    "length": (b"content-length: %d\r\n" % len(HIDDEN), HIDDEN),
    "chunks": (b"transfer-encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
}


@pytest.fixture(params=("lane", "asgi", "stock", "view"))
async def anywhere(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[Door]:
    """The gateway's doors, and the ASGI one under a server that takes an upgraded message for ended with its head."""
    async with serving(gateway, request.param) as running:
        yield running


def post(framing: bytes, key: str = KEY, proposal: bytes = PROPOSAL) -> bytes:
    head = f"POST /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n"
    return head.encode() + proposal + framing + b"\r\n"


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("apart", [False, True])
async def test_the_body_behind_a_proposal_is_a_body_and_never_a_call(
    anywhere: Door, origin: Origin, framing: str, apart: bool
) -> None:
    for path in ("/items", "/hidden"):
        origin.paths[path] = ok(path.encode(), "cache-control: no-store")
    field, body = FRAMINGS[framing]
    reader, writer = await anywhere.connect()
    writer.write(post(field) if apart else post(field) + body)
    if apart:
        await until(lambda: anywhere.gateway.metrics.in_flight or origin.heads or anywhere.calls())
        writer.write(body)
    answer = await read_answer(reader)
    if anywhere.kind in ("lane", "asgi"):
        assert (answer.status, answer.body) == (200, b"/items")
        assert origin.bodies == [HIDDEN]
        assert not {b"upgrade", b"http2-settings", b"connection"} & set(names(origin.heads[0]))
    else:  # the server kept the body from us; where chunks come behind the head, its own refusal of them may be first
        assert answer.status == 400
        assert apart or json.loads(answer.body)["code"] == "invalid_request"
    if anywhere.kind == "lane":
        writer.write(HIDDEN)
        assert (await read_answer(reader)).body == b"/hidden"
    else:
        assert answer["connection"] == "close"
        assert await rest(reader) == b""
        assert origin.calls_to("/hidden") == 0
    writer.close()


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_refused_proposal_hides_no_call(anywhere: Door, origin: Origin, framing: str) -> None:
    field, body = FRAMINGS[framing]
    reader, writer = await anywhere.connect()
    writer.write(post(field, key="unknown-key-0123456789") + body + HIDDEN)
    answer = await read_answer(reader)
    assert (answer.status, answer["connection"]) == (401, "close")
    assert await rest(reader) == b""
    assert not origin.heads
    writer.close()


async def test_a_proposal_keeps_no_response_from_the_cache(anywhere: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
    head = f"GET /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n".encode()
    assert (await anywhere.raw(head + PROPOSAL + b"\r\n")).cache == "MISS"
    assert (await anywhere.raw(head + PROPOSAL + b"\r\n")).cache == "HIT"
    assert (await anywhere.raw(head + b"\r\n")).cache == "HIT"


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("parts", [[b"abcd", b"GET /hidden"], [b"abcdGET /hidden"], [b"ab", b""], [b""]])
async def test_a_body_of_another_length_than_declared_is_refused(
    gateway: Gateway, origin: Origin, version: str, parts: list[bytes]
) -> None:
    """By a server that doesn't count: the upstream, which does, never gets a byte more than was declared."""
    received = bytearray()

    async def read_on(origin: Origin, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            received.extend(data)
        raise ConnectionError

    origin.paths["/items"] = read_on
    messages = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"a"), (b"x-api-key", KEY.encode()), (b"content-length", b"4")]
    scope = {"type": "http", "method": "POST", "path": "/products/items", "http_version": version, "headers": headers}
    await ASGIApplication(gateway)(scope, receive, send)
    assert sent[0]["status"] == 400
    assert bytes(received) in (b"", b"ab", b"abcd")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_with_its_proposal_of_http_2(anywhere: Door, origin: Origin) -> None:
    """Two calls on one connection, where the server keeps it; with a body that comes in the head's segment or behind it.

    A stock server parses such a body as another request: its own refusal of that may be written before ours.
    """
    origin.paths["/items"] = ok(b"made", "cache-control: no-store")
    url = f"http://127.0.0.1:{anywhere.port}/products/items"
    process = await asyncio.create_subprocess_exec(
        *(
            "curl",
            "-sS",
            "-w",
            " %{http_code} ",
            "--http2",
            "--noproxy",
            "*",
            "-H",
            f"x-api-key: {KEY}",
            "-d",
            "small",
            url,
        ),
        *("--next", "-sS", "-w", " %{http_code} ", "--http2", "--noproxy", "*", "-H", f"x-api-key: {KEY}"),
        *("-d", "b" * 100_000, url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if anywhere.kind in ("lane", "asgi"):
        assert (out, err) == (b"made 200 made 200 ", b"")
        assert origin.bodies == [b"small", b"b" * 100_000]
    else:
        assert out.count(b" 400 ") == 2
        assert not origin.bodies
        assert b"Upgrade" not in b"".join(origin.heads)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes; a reset ends it too, where the server left something unread."""
    try:
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b""


def names(head: bytes) -> list[bytes]:
    return [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]

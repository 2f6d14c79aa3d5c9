"""The door's limits: what is ambiguous is refused, at each door that sees it."""

import asyncio
import json

import pytest

from apps.gateway.call.head_limits import FIELDS, HEAD_BYTES, TARGET_BYTES, refusal
from apps.gateway.call.problems import Problem
from tests.gateway.house import KEY, Door, Origin, ok

HOST = (b"host", b"api.test")

BAD_HEADS = [
    ("no Host", b"/", "1.1", (), Problem.INVALID_REQUEST),
    ("two Hosts", b"/", "1.1", (HOST, HOST), Problem.INVALID_REQUEST),
    ("a Host that is none", b"/", "1.1", ((b"host", b"a/b"),), Problem.INVALID_REQUEST),
    ("an empty Host", b"/", "1.1", ((b"host", b""),), Problem.INVALID_REQUEST),
    ("a Host with a user", b"/", "1.1", ((b"host", b"a@b"),), Problem.INVALID_REQUEST),
    ("an absolute target", b"http://api.test/", "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("an asterisk", b"*", "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("an authority", b"api.test:443", "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("a backslash", b"/a\\b", "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("a quote", b'/a"b', "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("an angle bracket", b"/a<b>", "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("a fragment", b"/a#b", "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("a control", b"/a\x01b", "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("a byte outside ASCII", b"/\xc3\xa9", "1.1", (HOST,), Problem.INVALID_REQUEST),
    ("a long target", b"/" + b"a" * TARGET_BYTES, "1.1", (HOST,), Problem.TARGET_TOO_LONG),
    ("many fields", b"/", "1.1", (HOST, *((b"x", b"1"),) * FIELDS), Problem.HEADER_TOO_LARGE),
    ("a large field", b"/", "1.1", (HOST, (b"x", b"a" * HEAD_BYTES)), Problem.HEADER_TOO_LARGE),
    ("a bare CR", b"/", "1.1", (HOST, (b"x", b"a\rb")), Problem.INVALID_REQUEST),
    ("a NUL", b"/", "1.1", (HOST, (b"x", b"a\x00b")), Problem.INVALID_REQUEST),
    ("a field name with a space", b"/", "1.1", (HOST, (b"x y", b"1")), Problem.INVALID_REQUEST),
    ("two lengths", b"/", "1.1", (HOST, (b"content-length", b"1"), (b"content-length", b"1")), Problem.INVALID_REQUEST),
    ("a list of lengths", b"/", "1.1", (HOST, (b"content-length", b"1, 1")), Problem.INVALID_REQUEST),
    ("a signed length", b"/", "1.1", (HOST, (b"content-length", b"+1")), Problem.INVALID_REQUEST),
    (
        "length and chunks",
        b"/",
        "1.1",
        (HOST, (b"content-length", b"1"), (b"transfer-encoding", b"chunked")),
        Problem.INVALID_REQUEST,
    ),
    ("gzip and chunks", b"/", "1.1", (HOST, (b"transfer-encoding", b"gzip, chunked")), Problem.INVALID_REQUEST),
    ("chunks twice", b"/", "1.1", (HOST, *((b"transfer-encoding", b"chunked"),) * 2), Problem.INVALID_REQUEST),
    ("something like chunks", b"/", "1.1", (HOST, (b"transfer-encoding", b"xchunked")), Problem.INVALID_REQUEST),
    ("chunks in HTTP/1.0", b"/", "1.0", (HOST, (b"transfer-encoding", b"chunked")), Problem.INVALID_REQUEST),
    ("another version", b"/", "3.7", (HOST,), Problem.INVALID_REQUEST),
]


@pytest.mark.parametrize(
    ("target", "version", "headers", "problem"), [row[1:] for row in BAD_HEADS], ids=[row[0] for row in BAD_HEADS]
)
def test_a_bad_head_is_refused(
    target: bytes, version: str, headers: tuple[tuple[bytes, bytes], ...], problem: Problem
) -> None:
    refused = refusal("GET", target, version, headers)
    assert refused is not None
    assert refused[0] is problem


@pytest.mark.parametrize(
    ("target", "version", "headers"),
    [
        (b"/", "1.1", (HOST,)),
        (b"/a%20b;c=1?d={e}|f^g`h", "1.1", (HOST,)),
        (b"/", "1.0", ()),
        (b"/", "1.1", ((b"host", b"[::1]:8080"),)),
        (b"/", "1.1", (HOST, (b"content-length", b"0"))),
        (b"/", "1.1", (HOST, (b"transfer-encoding", b"Chunked"))),
        (b"/", "1.1", (HOST, (b"x", b"caf\xe9\tau lait"))),
    ],
)
def test_a_good_head_is_taken(target: bytes, version: str, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    assert refusal("GET", target, version, headers) is None


KEYED = b"x-api-key: " + KEY.encode() + b"\r\n"

AMBIGUOUS = [
    b"GET /products/items HTTP/1.1\r\n" + KEYED + b"\r\n",
    b"GET /products/items HTTP/1.1\r\nhost: a\r\nhost: b\r\n" + KEYED + b"\r\n",
    b"GET http://a/products/items HTTP/1.1\r\nhost: a\r\n" + KEYED + b"\r\n",
    b"GET /products/items HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n" + KEYED + b"\r\n",
    b"GET /products/items HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n" + KEYED + b"\r\n",
    b"GET /products/items HTTP/1.1\r\nhost: a\r\nx : 1\r\n" + KEYED + b"\r\n",
    b"GET /products/items HTTP/1.1\r\nhost: a\r\n" + KEYED + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /products/items HTTP/1.1\r\nhost: a\r\n" + KEYED + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    b"POST /products/items HTTP/1.1\r\nhost: a\r\n" + KEYED + b"content-length: -1\r\n\r\n",
    b"POST /products/items HTTP/1.1\r\nhost: a\r\n" + KEYED + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"GET /products/items\\x HTTP/1.1\r\nhost: a\r\n" + KEYED + b"\r\n",
    b'GET /products/items"x HTTP/1.1\r\nhost: a\r\n' + KEYED + b"\r\n",
]


@pytest.mark.parametrize("data", AMBIGUOUS)
async def test_an_ambiguous_request_reaches_no_upstream(seeing: Door, origin: Origin, data: bytes) -> None:
    origin.paths["/items"] = ok(b"reached")
    answer = await seeing.raw(data)
    assert answer.status in (400, 501)
    assert not origin.heads


@pytest.mark.parametrize("data", AMBIGUOUS)
async def test_the_lane_says_why_and_records_it(lane: Door, data: bytes) -> None:
    answer = await lane.raw(data)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")
    (record,) = lane.calls()
    assert (record.status, record.code) == (400, "invalid_request")


SMUGGLED = [
    b"POST /products/items HTTP/1.1\r\nhost: a\r\n"
    + KEYED
    + b"content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /products/secret HTTP/1.1\r\nhost: a\r\n"
    + KEYED
    + b"\r\n",
    b"POST /products/items HTTP/1.1\r\nhost: a\r\n"
    + KEYED
    + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\nGET /products/secret HTTP/1.1\r\nhost: a\r\n\r\n",
]


@pytest.mark.parametrize("data", SMUGGLED)
async def test_nothing_is_smuggled_behind_an_ambiguous_body(door: Door, origin: Origin, data: bytes) -> None:
    reader, writer = await door.connect()
    writer.write(data)
    rest = await reader.read()
    assert rest.count(b"HTTP/1.1 ") == 1
    assert not origin.heads
    writer.close()


async def test_trailers_of_a_request_change_nothing(seeing: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"done")
    data = b"POST /products/items HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + KEYED + b"\r\n"
    answer = await seeing.raw(data)
    assert answer.status == 401
    assert not origin.heads


async def test_a_head_that_never_ends_is_cut_off(lane: Door) -> None:
    reader, writer = await lane.connect()
    writer.write(b"GET /products/items HTTP/1.1\r\nhost: a\r\nx: ")
    try:
        while True:
            writer.write(b"a" * 4096)
            await writer.drain()
            if b"431" in await _some(reader):
                break
    finally:
        writer.close()
    assert lane.calls()[0].status == 431


async def test_a_target_that_never_ends_is_cut_off(lane: Door) -> None:
    reader, writer = await lane.connect()
    writer.write(b"GET /")
    try:
        while True:
            writer.write(b"a" * 1024)
            await writer.drain()
            if b"414" in await _some(reader):
                break
    finally:
        writer.close()
    assert lane.calls()[0].status == 414


async def _some(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(0.01):
            return await reader.read(4096)
    except TimeoutError:
        return b""


async def test_a_refusal_of_a_body_that_is_still_coming_can_be_read(lane: Door) -> None:
    reader, writer = await lane.connect()
    writer.write(b"POST /products/items HTTP/1.1\r\nhost: a\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300000)
    await writer.drain()
    data = await reader.readuntil(b"\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in data.lower()
    writer.close()

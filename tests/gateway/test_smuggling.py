"""Requests that two readers would take apart differently, at all three doors: what is hidden in one never becomes a call (RFC 9112
§2.2, §3.2, §5, §6.3, §7.1).

Whoever reads the request otherwise than the gateway would see a second call behind the first, to ``/products/hidden``. None of
them may reach the upstream, nor may an answer to one be stored under another call's address.
"""

import asyncio

import pytest

from tests.gateway.house import KEY, Door, Origin, ok, read_answer

HIDDEN = f"GET /products/hidden HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode()
CHUNKED = b"0\r\n\r\n" + HIDDEN


def post(
    *lines: bytes, body: bytes = CHUNKED, line: bytes = b"POST /products/items HTTP/1.1", host: bytes = b"host: a"
) -> bytes:
    key = f"x-api-key: {KEY}".encode()
    return b"\r\n".join([part for part in (line, host, key, *lines) if part]) + b"\r\n\r\n" + body


LENGTH = b"content-length: %d" % len(CHUNKED)
CODED = b"transfer-encoding: chunked"

REFUSED = {
    # CL.TE and TE.CL
    "a length and chunks": post(LENGTH, CODED),
    "chunks and a length": post(CODED, LENGTH),
    "chunks and a length of nothing": post(CODED, b"content-length: 0"),
    "chunks in other letters and a length": post(b"Transfer-Encoding: CHUNKED", LENGTH),
    # TE.TE
    "a coding that nobody knows": post(b"transfer-encoding: xchunked"),
    "chunks, and something else": post(CODED, b"transfer-encoding: x"),
    "something else, and chunks": post(b"transfer-encoding: x", CODED),
    "a list that ends otherwise": post(b"transfer-encoding: chunked, identity"),
    "a list that ends in chunks": post(b"transfer-encoding: identity, chunked"),
    "chunks twice in a line": post(b"transfer-encoding: chunked, chunked"),
    "quoted chunks": post(b'transfer-encoding: "chunked"'),
    "chunks behind a vertical tab": post(b"transfer-encoding: \x0bchunked"),
    "chunks with a parameter": post(b"transfer-encoding: chunked;q=1"),
    "chunks with a space before the colon": post(b"transfer-encoding : chunked", LENGTH),
    "chunks on a folded line": post(b"transfer-encoding:\r\n chunked"),
    "chunks behind a folded line": post(b"x: y\r\n transfer-encoding: chunked", LENGTH),
    "chunks behind a bare line feed": post(b"x: y\ntransfer-encoding: chunked", LENGTH),
    "chunks behind a bare carriage return": post(b"x: y\rtransfer-encoding: chunked", LENGTH),
    "chunks in HTTP/1.0": post(CODED, line=b"POST /products/items HTTP/1.0"),
    # lengths
    "two lengths": post(b"content-length: 0", LENGTH),
    "the same length twice": post(LENGTH, LENGTH),
    "a list of lengths": post(b"content-length: 5, 5"),
    "a signed length": post(b"content-length: +5"),
    "a length below nothing": post(b"content-length: -5"),
    "a length in hexadecimal": post(b"content-length: 0x5"),
    "a length with something behind it": post(b"content-length: 5 5"),
    "a length with a space before the colon": post(b"content-length : 5"),
    "a length on a folded line": post(b"content-length:\r\n 5"),
    "a length larger than any number": post(b"content-length: 99999999999999999999999"),
    "an empty length": post(b"content-length: "),
    # Host
    "no Host": post(LENGTH, host=b""),
    "two Hosts": post(LENGTH, host=b"host: a\r\nhost: b"),
    "the same Host twice": post(LENGTH, host=b"host: a\r\nhost: a"),
    "a list of Hosts": post(LENGTH, host=b"host: a, b"),
    "a Host on a folded line": post(LENGTH, host=b"host: a\r\n .b"),
    "a Host with a space before the colon": post(LENGTH, host=b"host : a"),
    "an absolute target": post(LENGTH, line=b"POST http://a/products/items HTTP/1.1"),
    "an absolute target of another host": post(LENGTH, line=b"POST http://b/products/items HTTP/1.1"),
    "a target of another scheme": post(LENGTH, line=b"POST file:///products/items HTTP/1.1"),
    "an authority as target": post(LENGTH, line=b"POST a:80 HTTP/1.1"),
    # lines
    "a line before the first field that begins with a space": post(
        LENGTH, line=b"POST /products/items HTTP/1.1\r\n x: y"
    ),
    "a carriage return too many": post(LENGTH, line=b"POST /products/items HTTP/1.1\r"),
    "a NUL in a value": post(b"x: \x00", LENGTH),
    "a NUL in a name": post(b"x\x00y: 1", LENGTH),
    "a name that is none": post(b"x(y): 1", LENGTH),
    "a field without a name": post(b": 1", LENGTH),
    "a line without a colon": post(b"x", LENGTH),
    "something behind the version": post(LENGTH, line=b"POST /products/items HTTP/1.1 x"),
    "no version": post(LENGTH, line=b"POST /products/items"),
    "another protocol": post(LENGTH, line=b"POST /products/items FTP/1.1"),
}

BROKEN_CHUNKS = {
    "a size that is none": b"g\r\n\r\n",
    "a size in C's notation": b"0x5\r\nabcde\r\n0\r\n\r\n",
    "a signed size": b"+5\r\nabcde\r\n0\r\n\r\n",
    "a size larger than any number": b"fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
    "a size that ends with a line feed": b"5\nabcde\r\n0\r\n\r\n",
    "an extension that ends with a line feed": b"5;a\nabcde\r\n0\r\n\r\n",
    "an extension with a bare carriage return": b"5;a\rb\r\nabcde\r\n0\r\n\r\n",
    "no end of line behind the data": b"5\r\nabcdeX\r\n0\r\n\r\n",
    "more data than announced": b"2\r\nabcde\r\n0\r\n\r\n",
}


async def sent(door: Door, data: bytes) -> bytes:
    """All that comes back for these bytes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.fixture
def reached(origin: Origin) -> Origin:
    """An origin that would answer both calls, and let both answers be stored."""
    for path in ("/items", "/hidden"):
        origin.paths[path] = ok(path.encode(), "cache-control: max-age=60")
    return origin


async def test_a_request_that_can_be_read_in_two_ways_hides_no_call(door: Door, reached: Origin) -> None:
    """The lane refuses each. Another server may read one in the one way that the RFC allows it, and then it is one call."""
    for name, data in REFUSED.items():
        answer = await sent(door, data)
        assert answer.count(b"HTTP/1.1 ") <= 1 + (door.kind == "asgi"), name
        assert reached.calls_to("/hidden") == 0, name
        if door.kind == "lane":
            assert answer.startswith(b"HTTP/1.1 400 "), name
            assert b"connection: close" in answer.lower(), name
    assert not reached.heads or door.kind == "asgi"


async def test_nothing_behind_broken_chunks_is_a_call(door: Door, reached: Origin) -> None:
    for name, chunks in BROKEN_CHUNKS.items():
        answer = await sent(door, post(CODED, body=chunks + HIDDEN))
        assert answer.count(b"HTTP/1.1 ") <= 1, name
        assert reached.calls_to("/hidden") == 0, name


async def test_chunks_are_read_to_their_end_and_the_next_call_begins_behind_it(door: Door, reached: Origin) -> None:
    """Extensions mean nothing to anybody (RFC 9112 §7.1.1), trailers are dropped, and two calls are two calls."""
    chunks = b'5;name="value"\r\nabcde\r\n0005\r\nfghij\r\n0\r\nx-trailer: 1\r\n\r\n'
    reader, writer = await door.connect()
    writer.write(post(CODED, body=chunks + HIDDEN))
    assert [(await read_answer(reader)).body for _ in range(2)] == [b"/items", b"/hidden"]
    writer.close()
    assert reached.bodies[0] == b"abcdefghij"
    # Under Django's usual server a trailer looks like a field of the head to everybody; elsewhere it is nobody's.
    assert door.kind == "view" or b"trailer" not in reached.heads[0].lower()
    assert [head.split(b" ")[:2] for head in reached.heads] == [[b"POST", b"/items"], [b"GET", b"/hidden"]]

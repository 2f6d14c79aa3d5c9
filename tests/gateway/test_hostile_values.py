"""Whole calls with the worst values that fit into a head, in every field of the request and of the response: each is
answered, and none holds the worker for longer than ordinary calls of that size.

``tests/test_linear_work.py`` measures each parser by itself; here stands what takes a whole call.
"""

from collections.abc import AsyncIterator, Iterator
from time import thread_time

import pytest

from apps.gateway.call.head_limits import HEAD_BYTES, TARGET_BYTES
from apps.gateway.gateway import Gateway
from apps.gateway.upstream.connection import HEAD_LIMIT
from apps.httpcache import Policy
from apps.wire.snapshot import Operation
from tests.gateway.house import Door, Origin, Published, api, serving
from tests.support.cost import forget
from tests.support.waiting import until

WORST = 0.5
"""Seconds of the processor for one call; the quadratic parsers that were here took 10 and more."""

VALUES: dict[str, tuple[bytes, bytes]] = {
    "escapes behind an open quote": (b'a,"', b'\\"'),
    "open quotes": (b"a,", b'"a'),
    "quoted commas": (b"", b'",'),
    "backslashes": (b'"', b"\\"),
    "commas": (b"", b","),
    "semicolons": (b"a", b";a"),
    "members": (b"", b"a,"),
    "tags": (b"", b'W/"a",'),
    "spaces inside": (b"a", b"  a"),
    "weights": (b"", b"a;q=0.1,"),
    "parameters": (b"a/a", b';a="'),
    "digits": (b"max-age=", b"9"),
    "directives": (b"", b"no-cache=a,"),
    "surrogates": (b"", b"max-age=1+1;a,"),
    "dates": (b"Mon, 01 Jan ", b"0"),
    "ranges": (b"bytes=0-1", b",0-1"),
    "slashes": (b"/", b"/."),
    "dictionary": (b"a=(", b"a=(b),"),
    "nodes": (b"", b'for="'),
    "codings": (b"", b"gzip,"),
    "colons": (b"", b":"),
}

REQUEST_FIELDS = (
    "accept accept-encoding accept-language authorization cache-control connection content-encoding content-type cookie "
    "expect forwarded if-match if-modified-since if-none-match if-range if-unmodified-since pragma range te trailer upgrade "
    "via x-api-key x-apimgr-warm-up x-forwarded-for x-forwarded-host x-forwarded-proto x-request-id"
).split()

RESPONSE_FIELDS = (
    "age apimgr-cache-control cache-control cache-tag cdn-cache-control connection content-disposition content-encoding "
    "content-language content-location content-range content-type date etag expires keep-alive last-modified link location "
    "pragma retry-after set-cookie surrogate-control surrogate-key trailer upgrade vary warning www-authenticate"
).split()

TEMPLATES = ("/{a}{b}{c}{d}/y", "/{a}-{b}-{c}-{d}/y", "/{a}a{b}a{c}a{d}/y", "/{a}/{b}.{c}")

PATHS = (
    "a" * 400,
    "-" * 2000,
    "a" * 7000,
    "a-" * 3000,
    "a/" * 3000,
    "%2F" * 2000,
    "./" * 3000,
    ";" * 6000,
    "%2F.;" * 1000,
)


def value(kind: str, size: int) -> bytes:
    front, unit = VALUES[kind]
    return front + unit * ((size - len(front)) // len(unit))


def distinct(size: int) -> bytes:
    return b",".join(b"x%d" % number for number in range(size // 7))


@pytest.fixture(params=("lane", "asgi", "view"))
async def door(
    request: pytest.FixtureRequest, gateway: Gateway, published: Published, origin: Origin
) -> AsyncIterator[Door]:
    """The three servers, with an API whose policy reads all that can be read and whose templates are the worst."""
    operations = tuple(
        Operation(method, f"{path}{end}") for method in ("GET", "POST") for path in TEMPLATES for end in ("", "/z")
    )
    policy = Policy(
        api="products",
        headers=("accept", "accept-language"),
        methods=("GET", "HEAD", "POST", "QUERY"),
        query_sorted=True,
        query_mode="exclude",
        query_names=("utm",),
        entity_tags=(("items[*].id", "item:"),),
    )
    published.change(
        api("products", upstreams=origin.url, operations=operations, policy=policy, authentication=("none",))
    )
    await until(lambda: _operations(gateway) == operations)
    async with serving(gateway, request.param) as running:
        yield running


def _operations(gateway: Gateway) -> tuple[Operation, ...]:
    found = gateway.config.route(b"api.test", b"/products/")
    return () if found is None else tuple(found.operations)


def cost_of(began: float) -> float:
    """Processor seconds of the loop's thread, in which gateway, origin and client all run."""
    return thread_time() - began


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_value_of_a_request_field_holds_a_worker(door: Door, origin: Origin, method: str) -> None:
    origin.paths["/a"] = b'HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\netag: "a"\r\ncontent-length: 2\r\n\r\nok'
    slow = {}
    for name in REQUEST_FIELDS:
        for kind in VALUES:
            forget()
            head = b"%b /products/a HTTP/1.1\r\nhost: api.test\r\ncontent-length: 0\r\n" % method.encode()
            head += b"%b: %b\r\n\r\n" % (name.encode(), value(kind, HEAD_BYTES - 1024))
            began = thread_time()
            answer = await door.raw(head)
            if (took := cost_of(began)) > WORST:
                slow[name, kind] = took
            assert 200 <= answer.status < 505, (name, kind, answer)
    assert slow == {}


async def test_no_value_of_a_response_field_holds_a_worker(door: Door, origin: Origin) -> None:
    slow = {}
    for name in RESPONSE_FIELDS:
        for kind in VALUES:
            forget()
            origin.paths["/a"] = b"HTTP/1.1 200 OK\r\n%b: %b\r\ncontent-length: 2\r\n\r\nok" % (
                name.encode(),
                value(kind, HEAD_LIMIT - 1024),
            )
            for method in ("GET", "DELETE"):
                began = thread_time()
                answer = await door.call(f"/products/a?{name}={len(kind)}", method=method)
                if (took := cost_of(began)) > WORST:
                    slow[name, kind, method] = took
                assert answer.status in (200, 502), (name, kind, answer)
    assert slow == {}


async def test_many_names_in_vary_and_connection_hold_no_worker(door: Door, origin: Origin) -> None:
    names = distinct(HEAD_LIMIT - 1024)
    fields = b"".join(b"x%d: a\r\n" % number for number in range(120))
    slow = {}
    for name in (b"vary", b"connection", b"cache-tag", b"surrogate-key"):
        path = f"/{name.decode()}"
        origin.paths[path] = (
            b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n%b: %b\r\ncontent-length: 2\r\n\r\nok" % (name, names)
        )
        for _ in range(3):  # the first stores it, the others select it by what it varies by
            began = thread_time()
            answer = await door.raw(b"GET /products%b HTTP/1.1\r\nhost: api.test\r\n%b\r\n" % (path.encode(), fields))
            assert answer.status == 200
            if (took := cost_of(began)) > WORST:
                slow[name] = took
    began = thread_time()
    listed = b"GET /products/a HTTP/1.1\r\nhost: api.test\r\nconnection: %b\r\n%b\r\n" % (distinct(20_000), fields)
    assert (await door.raw(listed)).status in (200, 404)
    assert cost_of(began) < WORST
    assert slow == {}


@pytest.mark.parametrize("path", PATHS, ids=[path[:8] for path in PATHS])
async def test_no_path_holds_a_worker_whatever_the_templates(door: Door, origin: Origin, path: str) -> None:
    for method in ("GET", "POST"):
        for target in (f"/products/{path}", f"/products/y?{path}", f"/products/y?{'a=b&' * 1900}"):
            began = thread_time()
            answer = await door.call(target[:TARGET_BYTES], method=method)
            assert answer.status in (400, 404)
            assert cost_of(began) < WORST


def bodies() -> Iterator[tuple[str, bytes, bytes]]:
    json = b"application/json"
    yield "nested arrays", json, b"[" * 30_000
    yield "nested objects", json, b'{"a":' * 6_000
    yield "many names", json, b"{%b}" % b",".join(b'"a%d":1' % number for number in range(3_000))
    yield "long number", json, b"9" * 30_000
    yield "long fraction", json, b"0." + b"9" * 30_000
    yield "escapes", json, b'"' + b'\\"' * 15_000
    yield "open string", json, b'"' + b"\\u0041" * 5_000
    yield "many types", b"a/a" + b';a="' * 5_000, b"{}"
    yield "large", json, b"[" + b"1," * 400_000 + b"1]"


@pytest.mark.parametrize(("kind", "content"), [each[1:] for each in bodies()], ids=[each[0] for each in bodies()])
async def test_no_body_holds_a_worker(door: Door, origin: Origin, kind: bytes, content: bytes) -> None:
    origin.paths["/a"] = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 2\r\n\r\nok"
    head = b"POST /products/a HTTP/1.1\r\nhost: api.test\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
    began = thread_time()
    answer = await door.raw(head % (kind, len(content)) + content)
    assert answer.status == 200
    assert cost_of(began) < WORST

"""Answers to calls with bodies from the cache: declared read-only POST (RFC 9110 §9.3.3), QUERY (RFC 10008), GraphQL."""

import asyncio
import json
from typing import Any

import pytest

from apps.gateway.call import keyed_body
from apps.gateway.gateway import Gateway
from apps.gateway.limits import client_limits
from apps.gateway.server import asgi
from apps.httpcache.policy import Policy
from tests.gateway.house import KEY, OTHER_KEY, Door, Origin, Published, api, ok, read_answer, read_body
from tests.support.waiting import until

METHODS = ("GET", "HEAD", "POST", "QUERY")
JSON = "application/json"


async def publish(gateway: Gateway, published: Published, origin: Origin, **changes: Any) -> None:
    """``products`` under another policy, once the gateway knows it. ``body_limit`` is the API's."""
    limit = changes.pop("body_limit", 1024 * 1024)
    policy = Policy(**{"api": "products", "methods": METHODS, **changes})
    published.change(api("products", upstreams=origin.url, body_limit=limit, policy=policy))

    def known() -> bool:
        served = gateway.config.route(b"", b"/products/")
        return served is not None and (served.policy, served.body_limit) == (policy, limit)

    await until(known)


@pytest.fixture
async def opened(gateway: Gateway, published: Published, origin: Origin) -> None:
    """``products`` declares its POSTs read-only, and allows QUERY."""
    await publish(gateway, published, origin)


def echo(*lines: str) -> Any:
    """An origin's path that answers with the body it got, and how often it was asked."""
    count = 0

    async def handler(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        nonlocal count
        count += 1
        origin.bodies.append(body := await read_body(head, reader))
        writer.write(ok(b"%d:%b" % (count, body), *lines))
        await writer.drain()

    return handler


FRESH = "cache-control: max-age=60"


@pytest.mark.usefixtures("opened")
async def test_the_same_body_is_answered_from_the_cache_and_another_is_not(door: Door, origin: Origin) -> None:
    for method in ("POST", "QUERY"):
        origin.paths[f"/{method}"] = echo(FRESH)
        said = [
            await door.call(f"/products/{method}", method=method, body=body, content_type=JSON)
            for body in (b'{"a":1,"b":2}', b'{ "b": 2, "a": 1.0 }', b'{"a":2}', b'{"a":1,"b":2}')
        ]
        assert [(each.status, each.cache) for each in said] == [
            (200, "MISS"),
            (200, "HIT"),
            (200, "MISS"),
            (200, "HIT"),
        ]
        assert [each.body for each in said] == [
            b'1:{"a":1,"b":2}',
            b'1:{"a":1,"b":2}',
            b'2:{"a":2}',
            b'1:{"a":1,"b":2}',
        ]
        assert origin.bodies[-2:] == [b'{"a":1,"b":2}', b'{"a":2}'], "each went on as its caller wrote it"
        assert [each.request_bytes for each in door.calls()[-4:]] == [13, 20, 7, 13]
    assert len(origin.bodies) == 4


@pytest.mark.usefixtures("opened")
async def test_a_get_a_post_and_a_query_never_share_an_answer(lane: Door, origin: Origin) -> None:
    origin.paths["/search"] = echo(FRESH)
    said = [await lane.call("/products/search", method=method) for method in ("GET", "POST", "QUERY")]
    assert [each.cache for each in said] == ["MISS", "MISS", "MISS"]
    head = await lane.call("/products/search", method="HEAD")
    assert (head.cache, head.body) == ("HIT", b"")
    again = [await lane.call("/products/search", method=method) for method in ("POST", "QUERY", "GET")]
    assert [(each.cache, each.body) for each in again] == [("HIT", b"2:"), ("HIT", b"3:"), ("HIT", b"1:")]


@pytest.mark.usefixtures("opened")
async def test_head_is_never_answered_from_a_post(lane: Door, origin: Origin) -> None:
    origin.paths["/search"] = echo(FRESH)
    assert (await lane.call("/products/search", method="POST")).cache == "MISS"
    assert (await lane.call("/products/search", method="HEAD")).cache == "MISS"


@pytest.mark.usefixtures("opened")
async def test_a_chunked_body_is_read_and_sent_on_with_its_length(door: Door, origin: Origin) -> None:
    origin.paths["/search"] = echo(FRESH)
    call = (
        f"POST /products/search HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-type: {JSON}\r\n"
        "transfer-encoding: chunked\r\n\r\n2\r\n{\"\r\n5\r\na\":1}\r\n0\r\n\r\n"
    ).encode()  # fmt: skip
    assert [(await door.raw(call)).cache for _ in range(2)] == ["MISS", "HIT"]
    assert origin.bodies == [b'{"a":1}']
    assert b"content-length: 7\r\n" in origin.heads[0]
    assert b"transfer-encoding" not in origin.heads[0]


@pytest.mark.usefixtures("opened")
async def test_a_post_needs_a_lifetime_that_somebody_gave_it(lane: Door, origin: Origin) -> None:
    modified = "last-modified: Mon, 01 Jan 2024 00:00:00 GMT"
    origin.paths["/search"] = echo(modified, 'etag: "1"')
    assert [(await lane.call("/products/search", method="POST", body=b"a")).cache for _ in range(2)] == ["MISS"] * 2
    assert not any(b"if-none-match" in head or b"if-modified-since" in head for head in origin.heads)


async def test_the_policys_ttl_is_a_lifetime(lane: Door, origin: Origin, published: Published) -> None:
    await publish(lane.gateway, published, origin, mode="ttl", ttl=60.0)
    origin.paths["/search"] = echo()
    assert [(await lane.call("/products/search", method="POST", body=b"a")).cache for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.usefixtures("opened")
async def test_a_query_is_validated_like_a_get_and_a_post_is_not(lane: Door, origin: Origin) -> None:
    origin.paths["/search"] = echo(FRESH, 'etag: "1"')
    for method, status, asked in (("QUERY", 304, "HIT"), ("POST", 200, "BYPASS")):
        await lane.call("/products/search", method=method, body=b"a")
        answer = await lane.call("/products/search", method=method, body=b"a", if_none_match='"1"')
        assert (answer.status, answer.cache) == (status, asked)


@pytest.mark.usefixtures("opened")
async def test_a_stale_query_is_confirmed_by_the_upstream_with_its_body(lane: Door, origin: Origin) -> None:
    async def handler(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        origin.bodies.append(await read_body(head, reader))
        known = b'if-none-match: "1"' in head
        status = "304 Not Modified" if known else "200 OK"
        writer.write(ok(b"" if known else b"found", 'etag: "1"', "cache-control: no-cache", status=status))

    origin.paths["/search"] = handler
    answers = [await lane.call("/products/search", method="QUERY", body=b"a", content_type=JSON) for _ in range(2)]
    assert [(each.cache, each.body) for each in answers] == [("MISS", b"found"), ("REVALIDATED", b"found")]
    assert origin.bodies == [b"a", b"a"]


@pytest.mark.usefixtures("opened")
async def test_a_declared_post_ends_nothing(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", FRESH)
    await lane.call("/products/items")
    for body, more in ((b"a", {}), (b"b", {"if_match": "*"}), (b"c", {"cache_control": "no-store"})):
        await lane.call("/products/items", method="POST", body=body, **more)
    assert (await lane.call("/products/items")).cache == "HIT"


async def test_a_post_that_nobody_declared_is_forwarded_and_ends_what_it_may_have_changed(
    lane: Door, origin: Origin
) -> None:
    origin.paths["/items"] = ok(b"[]", FRESH)
    await lane.call("/products/items")
    assert [(await lane.call("/products/items", method="POST", body=b"a")).cache for _ in range(2)] == ["BYPASS"] * 2
    assert (await lane.call("/products/items")).cache == "MISS"
    assert (await lane.call("/products/items", method="QUERY", body=b"a")).cache == "BYPASS"
    assert (await lane.call("/products/items")).cache == "HIT", "a QUERY is safe, declared or not"


@pytest.mark.usefixtures("opened")
async def test_a_body_too_large_for_a_key_goes_past_the_cache_whole(
    door: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyed_body, "KEYED_BYTES", 100_000)
    origin.paths["/search"] = echo(FRESH)
    body = b"x" * 300_000
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head = f"POST /products/search HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    for answer in (
        await door.call("/products/search", method="POST", body=body),
        await door.raw(head.encode() + chunked),
    ):
        assert (answer.status, answer.cache) == (200, "BYPASS")
        assert "detail=body_too_large_to_key" in answer["cache-status"]
    assert origin.bodies == [body, body]


async def test_a_body_above_the_apis_limit_is_refused_before_anybody_is_asked(
    door: Door, origin: Origin, published: Published
) -> None:
    await publish(door.gateway, published, origin, body_limit=1000)
    head = f"POST /products/search HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (2000, b"x" * 2000)
    assert (await door.raw(head.encode() + body)).status == 413
    assert (await door.call("/products/search", method="POST", body=b"x" * 2000)).status == 413
    assert origin.heads == []


@pytest.mark.usefixtures("opened")
async def test_callers_with_one_body_share_one_upstream_call(door: Door, origin: Origin) -> None:
    go_on = asyncio.Event()

    async def slow(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        origin.bodies.append(await read_body(head, reader))
        await go_on.wait()
        writer.write(ok(b"found", FRESH))

    origin.paths["/search"] = slow
    calls = [
        asyncio.create_task(door.call("/products/search", method="POST", body=body, content_type=JSON, key=key))
        for key in (KEY, OTHER_KEY)
        for body in (b'{"a":1}', b'{"a": 1}', b' {"a":1}')
    ]
    await until(lambda: door.gateway.metrics.in_flight == len(calls))
    await until(lambda: len(origin.bodies) > 0)
    go_on.set()
    answers = await asyncio.gather(*calls)
    assert {each.body for each in answers} == {b"found"}
    assert len(origin.bodies) == 1


@pytest.mark.usefixtures("opened")
async def test_a_stranger_is_refused_before_his_body_is_read(door: Door, origin: Origin) -> None:
    reader, writer = await door.connect()
    writer.write(
        b"POST /products/search HTTP/1.1\r\nhost: a\r\nx-api-key: nobody-has-this-key\r\ncontent-length: 1000\r\n\r\n"
    )
    if door.kind == "view":
        writer.write(b"x" * 1000)  # Django reads a body before it calls a view
    async with asyncio.timeout(30):
        assert (await read_answer(reader)).status == 401
    writer.close()


@pytest.mark.usefixtures("opened")
async def test_a_query_is_sent_again_when_its_connection_breaks_and_a_post_is_not(lane: Door, origin: Origin) -> None:
    asked: list[bytes] = []

    async def breaks(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        asked.append(await read_body(head, reader))
        if len(asked) % 2:
            raise ConnectionError
        writer.write(ok(b"found", FRESH))

    origin.paths["/search"] = breaks
    assert (await lane.call("/products/search", method="QUERY", body=b"q")).body == b"found"
    assert asked == [b"q", b"q"]
    assert (await lane.call("/products/search", method="POST", body=b"p")).status == 502
    assert asked == [b"q", b"q", b"p"]


@pytest.mark.usefixtures("opened")
async def test_a_caller_who_leaves_before_his_body_is_whole_asks_nobody(lane: Door, origin: Origin) -> None:
    _, writer = await lane.connect()
    writer.write(
        f"POST /products/search HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-length: 9\r\n\r\n1".encode()
    )
    await until(lambda: lane.gateway.metrics.in_flight == 1)
    writer.close()
    await until(lambda: len(lane.calls()) == 1)
    (record,) = lane.calls()
    assert "client_left" in record.flags
    assert origin.heads == []


@pytest.mark.usefixtures("opened")
async def test_a_body_that_comes_too_slowly_is_refused(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_limits, "GRACE", 0.02)
    monkeypatch.setattr(asgi, "LINGER", 0.02)
    head = f"POST /products/search HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-length: 9\r\n\r\n1"
    assert (await lane.raw(head.encode())).status == 408
    assert origin.heads == []


@pytest.mark.usefixtures("opened")
async def test_a_caller_who_waits_for_leave_to_send_his_body_gets_it(lane: Door, origin: Origin) -> None:
    origin.paths["/search"] = echo(FRESH)
    reader, writer = await lane.connect()
    head = f"POST /products/search HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\nexpect: 100-continue\r\n"
    writer.write(head.encode() + b"content-length: 1\r\n\r\n")
    async with asyncio.timeout(30):
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"a")
        assert (await read_answer(reader)).body == b"1:a"
    writer.close()


def graphql(text: str, **members: Any) -> bytes:
    return json.dumps({"query": text, **members}).encode()


async def test_graphql_queries_that_ask_the_same_share_an_answer(
    door: Door, origin: Origin, published: Published
) -> None:
    await publish(door.gateway, published, origin, body="graphql")
    origin.paths["/graphql"] = echo(FRESH)
    said = [
        await door.call("/products/graphql", method="POST", body=body, content_type=JSON)
        for body in (
            graphql("query A($n: Int) { a(n: $n) }", variables={"n": 1}),
            graphql("query A($n:Int){a(n:$n)}", variables={"n": 1.0}, operationName=None),
            graphql("query A($n:Int){a(n:$n)}", variables={"n": 2}),
        )
    ]
    assert [each.cache for each in said] == ["MISS", "HIT", "MISS"]


OTHERS = [
    (graphql("mutation { a }"), "graphql_mutation", True),
    (graphql("subscription { a }"), "graphql_subscription", False),
    (graphql("{ a"), "graphql_unreadable", True),
    (b"[" + graphql("{ a }") + b"]", "graphql_batch", True),
    (b'{"extensions":{"persistedQuery":{}}}', "graphql_persisted", True),
]


async def test_other_graphql_goes_past_the_cache_and_what_may_write_ends_what_is_stored(
    lane: Door, origin: Origin, published: Published
) -> None:
    await publish(lane.gateway, published, origin, body="graphql")
    query = graphql("{ a }")
    for body, code, ends in OTHERS:
        path = f"/products/{code}"
        origin.paths[f"/{code}"] = echo(FRESH)
        await lane.call(path, method="POST", body=query, content_type=JSON)
        for _ in range(2):
            answer = await lane.call(path, method="POST", body=body, content_type=JSON)
            assert answer.cache == "BYPASS", code
            assert f"detail={code}" in answer["cache-status"]
        again = await lane.call(path, method="POST", body=query, content_type=JSON)
        assert again.cache == ("MISS" if ends else "HIT"), code


async def test_graphql_that_reports_errors_is_kept_for_nobody(lane: Door, origin: Origin, published: Published) -> None:
    await publish(lane.gateway, published, origin, body="graphql", mode="ttl", ttl=60.0)
    origin.paths["/graphql"] = ok(b'{"errors":[{"message":"timeout"}],"data":null}', "content-type: application/json")
    for _ in range(2):
        answer = await lane.call("/products/graphql", method="POST", body=graphql("{ a }"), content_type=JSON)
        assert (answer.cache, b"timeout" in answer.body) == ("MISS", True)
    origin.paths["/graphql"] = ok(b'{"data":{"a":1}}', "content-type: application/json")
    said = [await lane.call("/products/graphql", method="POST", body=graphql("{ a }"), content_type=JSON) for _ in "12"]
    assert [each.cache for each in said] == ["MISS", "HIT"]


async def test_graphql_in_a_url_is_keyed_and_forwarded_in_one_form(
    lane: Door, origin: Origin, published: Published
) -> None:
    await publish(lane.gateway, published, origin, body="graphql")
    origin.paths["/graphql"] = ok(b"found", FRESH)
    said = [await lane.call(f"/products/graphql?query={text}") for text in ("%7Ba+b%7D", "query%7Ba,b%7D")]
    assert [each.cache for each in said] == ["MISS", "HIT"]
    assert origin.heads[0].startswith(b"GET /graphql?query=%7B%0A%20%20a%0A%20%20b%0A%7D HTTP/1.1")
    assert (await lane.call("/products/graphql?query=mutation%7Ba%7D")).cache == "BYPASS"


async def test_two_applications_never_share_what_the_origin_answers_to_each(
    lane: Door, origin: Origin, published: Published
) -> None:
    await publish(lane.gateway, published, origin, scope="application")
    origin.paths["/search"] = echo(FRESH)
    said = [
        await lane.call("/products/search", method="POST", body=b"a", key=key)
        for key in (KEY, OTHER_KEY, KEY, OTHER_KEY)
    ]
    assert [(each.cache, each.body) for each in said] == [
        ("MISS", b"1:a"),
        ("MISS", b"2:a"),
        ("HIT", b"1:a"),
        ("HIT", b"2:a"),
    ]

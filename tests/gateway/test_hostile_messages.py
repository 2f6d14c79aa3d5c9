"""Messages that two readers would take for different things, from callers and from upstreams: none gets through."""

import asyncio
import json
from typing import Any

import pytest

from apps.wire.snapshot import HeaderRules
from tests.gateway.house import KEY, CutShort, Door, Origin, Published, api, ok, read_answer
from tests.support.waiting import until

HEAD = f"host: api.test\r\nx-api-key: {KEY}\r\n".encode()
STORABLE = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        STORABLE + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok",
        STORABLE + b"content-length: 2\r\ncontent-length: 1\r\n\r\nok",
        STORABLE + b"content-length: 2, 2\r\n\r\nok",
        STORABLE + b"content-length: -2\r\n\r\nok",
        STORABLE + b"content-length: +2\r\n\r\nok",
        STORABLE + b"content-length: 18446744073709551618\r\n\r\nok",
        STORABLE + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        STORABLE + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        STORABLE + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        STORABLE + b"transfer-encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        STORABLE + b"transfer-encoding: gzip\r\n\r\nok",
        STORABLE + b"transfer-encoding: identity\r\n\r\nok",
        STORABLE + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        STORABLE.replace(b"1.1", b"1.0") + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        STORABLE + b"content-length : 2\r\n\r\nok",
        STORABLE + b"x-a: b\nset-cookie: evil=1\r\ncontent-length: 2\r\n\r\nok",
        STORABLE + b"x-a: b\rset-cookie: evil=1\r\ncontent-length: 2\r\n\r\nok",
        STORABLE + b"x-a: b\r\n set-cookie: evil=1\r\ncontent-length: 2\r\n\r\nok",
        STORABLE + b"x-a: b\x00\r\ncontent-length: 2\r\n\r\nok",
        STORABLE + b"x" * 70_000 + b": y\r\ncontent-length: 2\r\n\r\nok",
        STORABLE + b"content-length: 2\r\n\r\nokHTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nevil",
        STORABLE + b"content-length: 2\r\n\r\nok\r\n and http/1.1 200 OK",
        STORABLE + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nand more",
        b"HTTP/1.1 103 Early Hints\r\nx-a: b\r\n\r\nnonsense",
        b"HTTP/1.1 103 Early Hints\r\nx-a: b\r\n\r\n" + STORABLE + b"content-length: 2, 2\r\n\r\nok",
        STORABLE.replace(b"200", b"205") + b"content-length: 4\r\n\r\nevil",
        STORABLE.replace(b"200", b"205") + b"transfer-encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nevil",
        STORABLE.replace(b"1.1", b"2.0") + b"content-length: 2\r\n\r\nok",
        STORABLE.replace(b"200", b"000") + b"content-length: 2\r\n\r\nok",
        STORABLE.replace(b"200", b"099") + b"content-length: 2\r\n\r\nok",
        STORABLE.replace(b"200", b"600") + b"content-length: 2\r\n\r\nok",
        STORABLE.replace(b"200", b"999") + b"content-length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
async def test_an_answer_whose_end_or_meaning_is_doubtful_is_a_502_and_not_stored(
    lane: Door, origin: Origin, answer: bytes
) -> None:
    origin.paths["/doubtful"] = answer
    for _ in range(2):
        got = await lane.call("/products/doubtful")
        assert (got.status, json.loads(got.body)["code"], got.cache) == (502, "upstream_invalid", "BYPASS")
        assert not ({"set-cookie", "x-a"} & {name.lower() for name, _ in got.headers})
    origin.paths["/doubtful"] = ok(b"sound", "cache-control: max-age=60")
    assert (await lane.call("/products/doubtful")).body == b"sound"


@pytest.mark.parametrize(
    "framing",
    [b"content-length: 0\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"connection: close\r\n\r\n"],
)
@pytest.mark.parametrize("stored", [b"", b"cache-control: max-age=60\r\n"])
async def test_an_answer_that_resets_says_that_it_is_empty(
    door: Door, origin: Origin, framing: bytes, stored: bytes
) -> None:
    """RFC 9110 §15.3.6: a 205 has no content, but to a client it ends where its framing says, so what comes next is read as its
    body where there is none.
    """

    async def reset(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 205 Reset Content\r\n" + stored + framing)
        if b"close" in framing:
            raise ConnectionError

    origin.paths["/reset"], origin.paths["/next"] = reset, ok(b"next")
    reader, writer = await door.connect()
    async with asyncio.timeout(30):
        for _ in range(2):
            for path, expected in ((b"reset", (205, b"")), (b"next", (200, b"next"))):
                writer.write(b"GET /products/%b HTTP/1.1\r\n%b\r\n" % (path, HEAD))
                answer = await read_answer(reader)
                assert (answer.status, answer.body) == expected
    writer.close()


async def test_a_body_behind_the_answer_to_a_head_is_not_taken_for_the_next_answer(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = STORABLE + b"content-length: 4\r\n\r\nevil"
    assert (await lane.call("/products/items", method="HEAD")).status == 200
    origin.paths["/other"] = ok(b"other")
    assert (await lane.call("/products/other")).body == b"other"


@pytest.mark.parametrize(
    "path",
    [
        "/products/..%2fadmin",
        "/products/a%2F..%2f..%2Fadmin",
        "/products/%2e%2e%5cadmin",
        "/products/..;/admin",
        "/products/..;x=y/admin",
        "/products/a%2f..",
        "/products/a%00.css",
    ],
)
async def test_a_path_that_climbs_once_it_is_decoded_again_is_refused(door: Door, origin: Origin, path: str) -> None:
    answer = await door.call(path)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")
    assert not origin.heads


async def test_dots_that_are_no_segment_are_passed_on(door: Door, origin: Origin) -> None:
    origin.paths["/a..%2Fb/c..;d/.well-known/...%2F"] = ok(b"here")
    assert (await door.call("/products/a..%2Fb/c..;d/.well-known/...%2F")).body == b"here"


async def test_a_trace_does_not_repeat_what_the_gateway_tells_the_upstream(
    door: Door, published: Published, origin: Origin
) -> None:
    published.change(
        api("products", upstreams=origin.url, request_headers=HeaderRules(set=(("x-upstream-key", "s3cret"),)))
    )
    await until(lambda: door.gateway.config.epoch == 2)
    answer = await door.call("/products/items", method="TRACE")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")
    assert not origin.heads


async def test_addresses_that_a_stranger_claims_are_not_passed_on(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"")
    claims: dict[str, Any] = dict.fromkeys(
        ("true_client_ip", "cf_connecting_ip", "x_client_ip", "client_ip", "x_cluster_client_ip", "fastly_client_ip"),
        "6.6.6.6",
    )
    await door.call("/products/items", **claims)
    assert b"6.6.6.6" not in origin.heads[0]


async def test_another_version_of_http_in_one_line_is_refused(lane: Door, origin: Origin) -> None:
    answer = await lane.raw(b"GET /products/items HTTP/2.0\r\n" + HEAD + b"\r\n")
    assert (answer.status, answer["connection"]) == (400, "close")
    assert not origin.heads


@pytest.mark.parametrize(
    "body",
    [b"0x5\r\nabcde\r\n0\r\n\r\n", b"5\nabcde\r\n0\r\n\r\n", b"-1\r\n\r\n", b"5\r\nabcdeX", b"5;a\nabcde\r\n0\r\n\r\n"],
)
async def test_a_body_in_broken_chunks_ends_its_call_at_once(lane: Door, origin: Origin, body: bytes) -> None:
    async def read_on(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await reader.read()
        raise ConnectionError

    origin.paths["/items"] = read_on
    head = b"POST /products/items HTTP/1.1\r\n" + HEAD + b"transfer-encoding: chunked\r\n\r\n"
    with pytest.raises(CutShort):
        await lane.raw(head + body + b"GET /products/smuggled HTTP/1.1\r\n" + HEAD + b"\r\n")
    await until(lambda: any("client_left" in each.flags for each in lane.calls()))
    assert origin.calls_to("/smuggled") == 0


@pytest.mark.parametrize("name", ["cookie", "x_session_id", "x_user_id", "dpop", "x_goog_iap_jwt_assertion"])
async def test_an_answer_made_for_whoever_a_field_names_is_not_for_others(
    lane: Door, origin: Origin, name: str
) -> None:
    origin.paths["/me"] = ok(b"of ann", "cache-control: max-age=60")
    told: dict[str, Any] = {name: "ann"}
    assert (await lane.call("/products/me", **told)).body == b"of ann"
    origin.paths["/me"] = ok(b"of nobody", "cache-control: max-age=60")
    assert (await lane.call("/products/me")).body == b"of nobody"
    assert (await lane.call("/products/me", **told)).body == b"of ann"

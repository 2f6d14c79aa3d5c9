"""What callers see, the same at each door."""

import asyncio
import json
import re
from typing import Any

import pytest

from apps.wire.snapshot import Grant, HeaderRules
from tests.gateway.house import (
    KEY,
    STRANGER_KEY,
    CutShort,
    Door,
    Origin,
    Published,
    api,
    credential,
    ok,
    read_answer,
    read_body,
)
from tests.support.ports import free_port
from tests.support.waiting import until


async def test_a_call_with_a_key_is_forwarded_and_recorded(door: Door, origin: Origin) -> None:
    origin.paths["/items/7"] = ok(b'{"id":7}', "content-type: application/json", "cache-control: no-store")
    answer = await door.call("/products/items/7?a=1&b=2")
    assert (answer.status, answer.body, answer["content-type"]) == (200, b'{"id":7}', "application/json")
    assert origin.heads[0].startswith(b"GET /items/7?a=1&b=2 HTTP/1.1\r\n")
    (record,) = door.calls()
    assert (record.api, record.tenant, record.application, record.status, record.cache) == (
        "products",
        "acme",
        "acme/bot",
        200,
        "MISS",
    )
    assert record.path == "/products/items/7"
    assert record.call_id == answer["x-call-id"]


async def test_the_second_call_is_a_hit_with_an_age(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", "cache-control: max-age=60")
    first, second = await door.call("/products/items"), await door.call("/products/items")
    assert (first.cache, second.cache) == ("MISS", "HIT")
    assert "age" in second
    assert second.body == b"[]"
    assert origin.calls_to("/items") == 1
    assert second["cache-status"].startswith("apimgr;hit;ttl=")
    assert [each.cache for each in door.calls()] == ["MISS", "HIT"]


async def test_a_call_without_a_key_is_refused_with_a_challenge(door: Door, origin: Origin) -> None:
    answer = await door.call("/products/items", key=None)
    problem = json.loads(answer.body)
    assert (answer.status, problem["code"], problem["status"]) == (401, "missing_credential", 401)
    assert answer["content-type"] == "application/problem+json"
    assert "ApiKey" in answer["www-authenticate"]
    assert problem["call_id"] == answer["x-call-id"] == door.calls()[0].call_id
    assert door.calls()[0].code == "missing_credential"
    assert not origin.heads


async def test_the_key_is_not_told_to_the_upstream(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]")
    await door.call("/products/items")
    assert KEY.encode() not in origin.heads[0]


async def test_a_key_that_nobody_has_is_refused(door: Door) -> None:
    answer = await door.call("/products/items", key="nobody-has-this-key")
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "invalid_credential")
    assert "www-authenticate" in answer


async def test_two_keys_in_one_call_are_refused(door: Door) -> None:
    answer = await door.raw(
        f"GET /products/ HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\nx-api-key: {KEY}\r\n\r\n".encode()
    )
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "invalid_credential")


async def test_a_key_without_a_subscription_is_refused(door: Door, origin: Origin) -> None:
    answer = await door.call("/products/items", key=STRANGER_KEY)
    assert (answer.status, json.loads(answer.body)["code"]) == (403, "not_subscribed")
    (record,) = door.calls()
    assert (record.status, record.code, record.tenant) == (403, "not_subscribed", "zenith")
    assert not origin.heads


async def test_an_unknown_path_is_not_found(door: Door) -> None:
    answer = await door.call("/nothing/here")
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "unknown_api")
    assert answer.cache == "BYPASS"
    (record,) = door.calls()
    assert (record.api, record.path, record.code) == ("", "/nothing/here", "unknown_api")


async def test_the_listen_path_without_its_slash_is_sent_there(door: Door) -> None:
    answer = await door.call("/products?a=1")
    assert (answer.status, answer["location"]) == (308, "/products/?a=1")
    assert len(door.calls()) == 1


async def test_every_answer_names_its_call_and_its_cache(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", "cache-control: max-age=60")
    answers = [
        await door.call("/products/items"),
        await door.call("/products/items"),
        await door.call("/products/items", key=None),
        await door.call("/nothing"),
        await door.call("/products"),
    ]
    for answer in answers:
        for name in ("x-request-id", "x-call-id", "cache-status", "x-cache", "date"):
            assert len(answer.all(name)) == 1, (name, answer)
    assert len({answer["x-call-id"] for answer in answers}) == len(answers)


async def test_a_well_formed_request_id_is_kept_and_passed_on(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]")
    answer = await door.call("/products/items", x_request_id="trace-42")
    assert answer["x-request-id"] == "trace-42"
    assert b"\r\nx-request-id: trace-42\r\n" in origin.heads[0]
    assert door.calls()[0].request_id == "trace-42"


async def test_a_request_id_that_is_not_well_formed_is_replaced(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]")
    answer = await door.call("/products/items", x_request_id='"; drop')
    assert answer["x-request-id"] == answer["x-call-id"]


async def test_a_cached_404_stays_a_404(door: Door, origin: Origin) -> None:
    origin.paths["/gone"] = ok(b"no", "cache-control: max-age=60", status="404 Not Found")
    answers = [await door.call("/products/gone"), await door.call("/products/gone")]
    assert [(each.status, each.cache, each.body) for each in answers] == [(404, "MISS", b"no"), (404, "HIT", b"no")]


async def test_repeated_fields_survive(door: Door, origin: Origin) -> None:
    origin.paths["/cookies"] = ok(b"", "set-cookie: a=1", "set-cookie: b=2", "x-word: caf\xe9")
    answer = await door.call("/products/cookies")
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert answer["x-word"] == "caf\xe9"


async def test_repeated_fields_survive_the_cache(door: Door, origin: Origin) -> None:
    origin.paths["/links"] = ok(b"x", "link: <a>", "link: <b>", "cache-control: max-age=9", "x-word: caf\xe9")
    await door.call("/products/links")
    answer = await door.call("/products/links")
    assert answer.cache == "HIT"
    assert answer.all("link") == ["<a>", "<b>"]
    assert answer["x-word"] == "caf\xe9"


async def test_head_is_answered_without_a_body_and_with_the_length_of_get(door: Door, origin: Origin) -> None:
    async def head(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncache-control: max-age=60\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b"four")

    origin.paths["/four"] = head
    fetched = await door.call("/products/four", method="HEAD")
    assert (fetched.status, fetched["content-length"]) == (200, "4")
    await door.call("/products/four")
    stored = await door.call("/products/four", method="HEAD")
    assert (stored.status, stored["content-length"], stored.cache) == (200, "4", "HIT")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_answers_without_a_body_end_with_their_head(door: Door, origin: Origin, status: str) -> None:
    origin.paths["/none"] = f"HTTP/1.1 {status}\r\n\r\n".encode()
    reader, writer = await door.connect()
    writer.write(f"GET /products/none HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode())
    answer = await read_answer(reader)
    assert answer.status == int(status[:3])
    assert "content-length" not in answer
    assert "transfer-encoding" not in answer
    # The connection goes on: nothing of a body was sent.
    writer.write(f"GET /products/none HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode())
    assert (await read_answer(reader)).status == answer.status
    writer.close()


async def test_early_hints_of_the_upstream_are_not_taken_for_its_answer(door: Door, origin: Origin) -> None:
    origin.paths["/early"] = b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n" + ok(b"final")
    answer = await door.call("/products/early")
    assert (answer.status, answer.body) == (200, b"final")
    assert "link" not in answer


async def test_a_body_is_forwarded_with_its_length(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"made", status="201 Created")
    answer = await door.call("/products/items", method="POST", body=b'{"a":1}', content_type="application/json")
    assert (answer.status, answer.body, answer.cache) == (201, b"made", "BYPASS")
    assert origin.bodies == [b'{"a":1}']
    assert b"\r\ncontent-length: 7\r\n" in origin.heads[0]
    assert b"\r\ncontent-type: application/json\r\n" in origin.heads[0]
    assert door.calls()[0].request_bytes == 7


async def test_a_body_in_chunks_is_forwarded(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"made")
    head = f"POST /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = await door.raw(head.encode() + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
    assert answer.status == 200
    assert origin.bodies == [b"abcdefg"]


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(door: Door, origin: Origin) -> None:
    head = f"POST /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-length: 9999999\r\n\r\n"
    answer = await door.raw(head.encode() + (b"x" * 9999999 if door.kind == "view" else b""))
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "body_too_large")
    assert not origin.heads


async def test_a_body_in_chunks_that_grows_too_large_is_refused(door: Door, origin: Origin) -> None:
    async def read(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await read_body(head, reader)

    origin.paths["/items"] = read
    head = f"POST /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (65536, b"x" * 65536)
    answer = await door.raw(head.encode() + chunk * 20 + b"0\r\n\r\n")
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "body_too_large")


async def test_hop_by_hop_fields_go_no_further(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(
        b"", "connection: x-private", "x-private: 1", "keep-alive: timeout=5", "proxy-authenticate: x"
    )
    answer = await door.call(
        "/products/items", connection="x-hop", x_hop="1", te="trailers", proxy_authorization="secret"
    )
    sent = origin.heads[0].lower()
    for name in (b"x-hop", b"connection", b"te", b"proxy-authorization"):
        assert b"\r\n" + name + b":" not in sent
    for field in ("x-private", "keep-alive", "proxy-authenticate"):
        assert field not in answer


async def test_what_a_stranger_says_of_the_way_is_replaced(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"")
    await door.call(
        "/products/items",
        x_forwarded_for="6.6.6.6",
        x_forwarded_host="evil.test",
        x_forwarded_proto="https",
        forwarded="for=6.6.6.6",
        x_real_ip="6.6.6.6",
    )
    sent = origin.heads[0]
    assert b"6.6.6.6" not in sent
    assert b"evil.test" not in sent
    assert b"\r\nx-forwarded-for: 127.0.0.1\r\n" in sent
    assert b"\r\nx-forwarded-proto: http\r\n" in sent
    assert b"\r\nx-forwarded-host: api.test\r\n" in sent
    assert b'\r\nforwarded: for=127.0.0.1;host="api.test";proto=http\r\n' in sent
    assert b"\r\nvia: 1.1 apimgr\r\n" in sent


async def test_nothing_is_added_that_the_caller_did_not_send(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"")
    await door.call("/products/items")
    names = {line.partition(b":")[0].lower() for line in origin.heads[0].split(b"\r\n")[1:] if line}
    ours = {
        b"host",
        b"cdn-loop",
        b"via",
        b"forwarded",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    }
    assert names == ours


async def test_an_encoded_slash_and_the_order_of_the_query_reach_the_upstream(door: Door, origin: Origin) -> None:
    origin.paths["/a%2Fb"] = ok(b"")
    answer = await door.call("/products/a%2Fb?z=1&a=%2e&z=2")
    assert answer.status == 200
    assert origin.heads[0].startswith(b"GET /a%2Fb?z=1&a=.&z=2 HTTP/1.1\r\n")


async def test_dot_segments_do_not_leave_the_api(door: Door, origin: Origin) -> None:
    answer = await door.call("/products/../admin")
    assert answer.status == 404
    assert not origin.heads


async def test_redirects_are_passed_on_and_not_followed(door: Door, origin: Origin) -> None:
    origin.paths["/old"] = ok(b"", "location: http://elsewhere.test/new", status="302 Found")
    answer = await door.call("/products/old")
    assert (answer.status, answer["location"]) == (302, "http://elsewhere.test/new")


async def test_compressed_bytes_are_passed_on_as_they_are(door: Door, origin: Origin) -> None:
    origin.paths["/zip"] = ok(b"\x1f\x8b-not-really", "content-encoding: gzip")
    answer = await door.call("/products/zip")
    assert (answer.body, answer["content-encoding"]) == (b"\x1f\x8b-not-really", "gzip")


async def test_a_chunked_answer_keeps_its_bytes(door: Door, origin: Origin) -> None:
    origin.paths["/chunks"] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    answer = await door.call("/products/chunks")
    assert answer.body == b"abcde"


async def test_an_answer_that_comes_in_parts_is_passed_on_in_parts(door: Door, origin: Origin) -> None:
    go_on = asyncio.Event()

    async def slowly(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: no-store\r\n\r\n5\r\nfirst\r\n")
        await go_on.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

    origin.paths["/slowly"] = slowly
    reader, writer = await door.connect()
    writer.write(f"GET /products/slowly HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode())
    async with asyncio.timeout(30):
        assert b"first" in await reader.readuntil(b"first")
        assert [each.kind for each in door.records()] == ["begun"]
        go_on.set()
        assert b"second" in await reader.readuntil(b"0\r\n\r\n")
    (record,) = door.calls()
    assert (record.kind, record.response_bytes, record.status) == ("ended", 11, 200)
    writer.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncache-control: max-age=60\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: max-age=60\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncache-control: no-store\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: no-store\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_an_answer_that_breaks_off_does_not_look_complete_and_is_not_stored(
    door: Door, origin: Origin, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_off(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()
        raise ConnectionError

    origin.paths["/broken"] = break_off
    with pytest.raises(CutShort):
        await door.call("/products/broken")
    (record,) = door.calls()
    assert (record.kind, record.flags) == ("ended", ("cut_short",))
    origin.paths["/broken"] = ok(b"whole now", "cache-control: max-age=60")
    again = await door.call("/products/broken")
    assert (again.body, again.cache) == (b"whole now", "MISS")


async def test_an_answer_without_a_length_ends_with_its_connection(door: Door, origin: Origin) -> None:
    async def until_the_end(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nall of it")
        await writer.drain()
        writer.close()
        raise ConnectionError

    origin.paths["/endless"] = until_the_end
    answer = await door.call("/products/endless")
    assert answer.body == b"all of it"
    assert (await door.call("/products/endless")).cache == "HIT"


async def test_an_upstream_that_is_not_there_is_a_502(door: Door, published: Published, origin: Origin) -> None:
    published.change(api("products", upstreams=f"http://127.0.0.1:{free_port()}"))
    await until(lambda: door.gateway.config.epoch == 2)
    answer = await door.call("/products/items")
    assert (answer.status, json.loads(answer.body)["code"]) == (502, "upstream_unreachable")
    assert "127.0.0.1" not in answer.body.decode()
    (record,) = door.calls()
    assert (record.code, record.attempts) == ("upstream_unreachable", 2)


async def test_an_upstream_that_is_too_slow_is_a_504(door: Door, published: Published, origin: Origin) -> None:
    async def never(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await reader.read()
        raise ConnectionError

    origin.paths["/slow"] = never
    published.change(api("products", upstreams=origin.url, read_timeout=0.1))
    await until(lambda: door.gateway.config.epoch == 2)
    answer = await door.call("/products/slow")
    assert (answer.status, json.loads(answer.body)["code"]) == (504, "upstream_timeout")
    assert origin.calls_to("/slow") == 1
    assert door.calls()[0].upstream_duration >= 100


async def test_an_upstream_that_talks_nonsense_is_a_502(door: Door, origin: Origin) -> None:
    origin.paths["/nonsense"] = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
    answer = await door.call("/products/nonsense")
    assert (answer.status, json.loads(answer.body)["code"]) == (502, "upstream_invalid")


async def test_a_call_that_broke_before_any_answer_is_repeated(door: Door, origin: Origin) -> None:
    async def once(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        origin.paths["/flaky"] = ok(b"now")
        raise ConnectionError

    origin.paths["/flaky"] = once
    answer = await door.call("/products/flaky")
    assert (answer.status, answer.body) == (200, b"now")
    assert door.calls()[0].attempts == 2


async def test_a_post_is_never_repeated(door: Door, origin: Origin) -> None:
    async def drop(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await read_body(head, reader)
        raise ConnectionError

    origin.paths["/pay"] = drop
    answer = await door.call("/products/pay", method="POST", body=b"1")
    assert answer.status == 502
    assert origin.calls_to("/pay") == 1


async def test_a_write_ends_what_was_stored_before_its_answer_leaves(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"old", "cache-control: max-age=60")
    await door.call("/products/items")
    assert (await door.call("/products/items")).cache == "HIT"
    await door.call("/products/items", method="POST", body=b"new")
    assert (await door.call("/products/items")).cache == "MISS"


async def test_private_answers_of_two_callers_are_never_mixed(door: Door, origin: Origin) -> None:
    async def whose(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        cookie = re.search(rb"cookie: (\w+)", head)
        writer.write(ok(cookie[1] if cookie else b"nobody", "cache-control: max-age=60"))

    origin.paths["/me"] = whose
    for _ in range(2):
        for who in ("ann", "bob"):
            answers = await asyncio.gather(*(door.call("/products/me", cookie=who) for _ in range(5)))
            assert {answer.body for answer in answers} == {who.encode()}
    assert (await door.call("/products/me")).body == b"nobody"


async def test_concurrent_misses_make_one_upstream_call(door: Door, origin: Origin) -> None:
    go_on = asyncio.Event()

    async def wait(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        writer.write(ok(b"one for all", "cache-control: max-age=60"))

    origin.paths["/popular"] = wait
    calls = [asyncio.create_task(door.call("/products/popular")) for _ in range(20)]
    await until(lambda: door.gateway.metrics.in_flight == 20)
    go_on.set()
    answers = await asyncio.gather(*calls)
    assert {answer.body for answer in answers} == {b"one for all"}
    assert origin.calls_to("/popular") == 1
    assert sum("collapsed" in answer["cache-status"] for answer in answers) == 19
    assert {answer.cache for answer in answers} == {"MISS"}


@pytest.mark.parametrize("later", [b"", b"the rest"], ids=["whole", "streamed"])
async def test_a_response_that_several_calls_share_says_to_each_what_is_said_to_all(
    door: Door, origin: Origin, later: bytes
) -> None:
    go_on = asyncio.Event()

    async def wait(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        told = ok(b"x" + later, 'cache-control: max-age=60, private="x-account", no-cache="x-offer"', "age: 7")
        told = told.replace(b"\r\n\r\n", b"\r\nx-account: ann\r\nx-offer: 5\r\nrequest-id: 1\r\nx-other: 6\r\n\r\n", 1)
        writer.write(told.removesuffix(later))
        await writer.drain()
        writer.write(later)

    origin.paths["/popular"] = wait
    calls = [asyncio.create_task(door.call("/products/popular")) for _ in range(5)]
    await until(lambda: door.gateway.metrics.in_flight == 5)
    go_on.set()
    answers = await asyncio.gather(*calls)
    assert origin.calls_to("/popular") == 1
    assert {(answer.body, answer["x-other"], answer["age"]) for answer in answers} == {(b"x" + later, "6", "7")}
    for name in ("x-account", "x-offer", "request-id"):
        told_to = [answer for answer in answers if name in answer]
        assert len(told_to) == 1, name
        assert "collapsed" not in told_to[0]["cache-status"]


async def test_callers_of_an_uncacheable_answer_do_not_wait_in_line(door: Door, origin: Origin) -> None:
    under_way = 0
    all_there = asyncio.Event()

    async def together(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        nonlocal under_way
        under_way += 1
        if under_way == 6:
            all_there.set()
        await all_there.wait()
        writer.write(ok(b"mine", "cache-control: no-store"))

    origin.paths["/own"] = ok(b"first", "cache-control: no-store")
    await door.call("/products/own")
    origin.paths["/own"] = together
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(door.call("/products/own") for _ in range(6)))
    assert {answer.body for answer in answers} == {b"mine"}


async def test_a_caller_that_leaves_cancels_its_upstream_call(door: Door, origin: Origin) -> None:
    gone = asyncio.Event()

    async def hang(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await reader.read()
        gone.set()
        raise ConnectionError

    origin.paths["/hang"] = hang
    _, writer = await door.connect()
    writer.write(f"GET /products/hang HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode())
    await until(lambda: origin.calls_to("/hang") == 1)
    writer.close()
    async with asyncio.timeout(30):
        await gone.wait()
    await until(lambda: len(door.calls()) == 1)
    assert "client_left" in door.calls()[0].flags


async def test_a_caller_that_leaves_does_not_take_the_answer_from_the_others(door: Door, origin: Origin) -> None:
    go_on = asyncio.Event()

    async def wait(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        writer.write(ok(b"still here", "cache-control: max-age=60"))

    origin.paths["/shared"] = wait
    _, first = await door.connect()
    first.write(f"GET /products/shared HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode())
    await until(lambda: origin.calls_to("/shared") == 1)
    second = asyncio.create_task(door.call("/products/shared"))
    await until(lambda: door.gateway.metrics.in_flight == 2)
    first.close()
    await until(lambda: len(door.calls()) == 1)
    go_on.set()
    assert (await second).body == b"still here"
    assert origin.calls_to("/shared") == 1


async def test_a_stale_answer_stands_in_for_an_upstream_that_fails(door: Door, origin: Origin) -> None:
    origin.paths["/old"] = ok(b"old but good", "cache-control: max-age=0, stale-if-error=60", 'etag: "1"')
    assert (await door.call("/products/old")).cache == "MISS"
    origin.paths["/old"] = ok(b"broken", status="503 Service Unavailable")
    answer = await door.call("/products/old")
    assert (answer.status, answer.body, answer.cache) == (200, b"old but good", "STALE")
    assert "fwd=stale" in answer["cache-status"]


async def test_a_confirmed_answer_is_served_as_revalidated(door: Door, origin: Origin) -> None:
    origin.paths["/tagged"] = ok(b"the body", "cache-control: max-age=0", 'etag: "1"')
    await door.call("/products/tagged")
    origin.paths["/tagged"] = b'HTTP/1.1 304 Not Modified\r\netag: "1"\r\ncache-control: max-age=60\r\n\r\n'
    answer = await door.call("/products/tagged")
    assert (answer.status, answer.body, answer.cache) == (200, b"the body", "REVALIDATED")
    assert b'\r\nif-none-match: "1"\r\n' in origin.heads[1]
    assert (await door.call("/products/tagged")).cache == "HIT"


async def test_a_stale_answer_is_served_while_one_call_refreshes_it(door: Door, origin: Origin) -> None:
    origin.paths["/swr"] = ok(b"old", "cache-control: max-age=0, stale-while-revalidate=60", 'etag: "1"')
    await door.call("/products/swr")
    origin.paths["/swr"] = ok(b"new", "cache-control: max-age=60", 'etag: "2"')
    answer = await door.call("/products/swr")
    assert (answer.body, answer.cache) == (b"old", "STALE")
    await until(lambda: origin.calls_to("/swr") == 2)

    async with asyncio.timeout(30):
        while (await door.call("/products/swr")).body != b"new":
            pass
    assert origin.calls_to("/swr") == 2


async def test_a_condition_of_the_caller_is_judged_against_what_is_stored(door: Door, origin: Origin) -> None:
    origin.paths["/tagged"] = ok(b"the body", "cache-control: max-age=60", 'etag: "1"')
    first = await door.call("/products/tagged", if_none_match='"1"')
    assert (first.status, first.body) == (304, b"")
    assert b"if-none-match" not in origin.heads[0]
    assert (await door.call("/products/tagged", if_none_match='"1"')).status == 304
    assert (await door.call("/products/tagged", if_none_match='"2"')).body == b"the body"


async def test_the_header_rules_of_an_api_come_last(door: Door, published: Published, origin: Origin) -> None:
    rules = HeaderRules(set=(("X-Backend-Key", "secret"), ("User-Agent", "apimgr")), remove=("X-Tracking",))
    answers = HeaderRules(set=(("X-Served-By", "us"),), remove=("Server",))
    published.change(api("products", upstreams=origin.url, request_headers=rules, response_headers=answers))
    await until(lambda: door.gateway.config.epoch == 2)
    origin.paths["/items"] = ok(b"", "server: leaky/1.0", "cache-control: max-age=60")
    for cache in ("MISS", "HIT"):
        answer = await door.call("/products/items", user_agent="curl", x_tracking="1")
        assert (answer.cache, answer["x-served-by"]) == (cache, "us")
        assert "server" not in answer
    assert b"\r\nx-backend-key: secret\r\n" in origin.heads[0]
    assert b"\r\nuser-agent: apimgr\r\n" in origin.heads[0]
    assert b"x-tracking" not in origin.heads[0].lower()


async def test_a_revoked_key_is_refused_as_soon_as_the_change_is_there(
    door: Door, published: Published, origin: Origin
) -> None:
    origin.paths["/items"] = ok(b"", "cache-control: max-age=60")
    assert (await door.call("/products/items")).status == 200
    assert (await door.call("/products/items")).cache == "HIT"
    published.change(credential(KEY, {"products": Grant(1, "unlimited", "active")}, state="revoked"))
    await until(lambda: door.gateway.config.epoch == 2)
    answer = await door.call("/products/items")
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "invalid_credential")


@pytest.mark.parametrize(
    ("grants", "changes", "status"),
    [
        ({"products": Grant(1, "unlimited", "suspended")}, {}, 403),
        ({"products": Grant(1, "unlimited", "active", 1.0)}, {}, 403),
        ({"products": Grant(1, "unlimited", "active")}, {"expires_at": 1.0}, 401),
        ({"products": Grant(1, "unlimited", "active")}, {"state": "tenant_suspended"}, 403),
        ({"products": Grant(1, "unlimited", "active")}, {"only_api": "other"}, 403),
        ({"products": Grant(1, "unlimited", "active")}, {"only_api": "products"}, 200),
        ({"products": Grant(1, "gone", "active")}, {}, 503),
    ],
)
async def test_what_a_key_may_call_is_checked(
    door: Door, published: Published, origin: Origin, grants: dict[str, Grant], changes: dict[str, Any], status: int
) -> None:
    origin.paths["/items"] = ok(b"")
    published.change(credential(KEY, grants, **changes))
    await until(lambda: door.gateway.config.epoch == 2)
    assert (await door.call("/products/items")).status == status


async def test_the_own_addresses_tell_of_the_worker(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"", "cache-control: max-age=60")
    await door.call("/products/items")
    assert (await door.call("/_gateway/livez", key=None)).status == 200
    assert (await door.call("/_gateway/readyz", key=None)).status == 200
    text = (await door.call("/_gateway/metrics", key=None)).body.decode()
    assert 'apimgr_calls_total{api="products",status="200",cache="MISS",worker="0"} 1' in text
    assert len(door.calls()) == 1


async def test_the_detail_is_for_those_who_may_see_it(door: Door, published: Published, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"", "cache-control: max-age=60")
    assert "detail=not_found" not in (await door.call("/products/items"))["x-cache"]
    assert "detail=fresh" in (await door.call("/products/items"))["cache-status"]
    published.change(api("products", upstreams=origin.url, debug_headers="none"))
    await until(lambda: door.gateway.config.epoch == 2)
    shown = (await door.call("/products/items"))["cache-status"]
    assert "detail" not in shown
    assert "key=" not in shown


async def test_a_record_names_the_key_that_the_answer_is_stored_under(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", "cache-control: max-age=60")
    answers = [await lane.call("/products/items") for _ in range(2)]
    await lane.call("/products/items", method="PUT")
    await lane.call("/nothing")
    stored, hit, put, unknown = (record.cache_key for record in lane.calls())
    assert stored == hit
    assert len(stored) == 16
    assert stored in answers[0]["cache-status"]
    assert put == unknown == ""


async def test_what_an_api_sets_for_all_responses_is_on_refusals_errors_and_redirects_too(
    door: Door, origin: Origin, published: Published
) -> None:
    sets = (("Access-Control-Allow-Origin", "https://app.test"), ("Cache-Control", "public, max-age=600"))
    sets += (("Content-Type", "text/html"), ("Strict-Transport-Security", "max-age=60"))
    keeps = ("CDN-Cache-Control", "Surrogate-Control", "Cloudflare-CDN-Cache-Control", "Expires", "X-Accel-Expires")
    sets += (*((name, "max-age=600") for name in keeps), ("Content-Encoding", "gzip"))
    rules = HeaderRules(set=sets, remove=("Date", "WWW-Authenticate"))
    published.change(api("products", upstreams=f"http://127.0.0.1:{free_port()}", response_headers=rules, retries=0))
    await until(lambda: door.gateway.config.epoch == 2)
    for path, options, status in (
        ("/products/items", {"key": None}, 401),
        ("/products/items", {"key": STRANGER_KEY}, 403),
        ("/products/items", {}, 502),
        ("/products/items", {"cache_control": "only-if-cached"}, 504),
        ("/products", {}, 308),
        ("/products/items", {"method": "POST", "body": b"x" * 2**21}, 413),
    ):
        answer = await door.call(path, **options)
        assert answer.status == status, answer
        assert answer["access-control-allow-origin"] == "https://app.test"
        assert answer["strict-transport-security"] == "max-age=60"
        # What says what the gateway's own response is stays.
        assert "date" in answer
        assert not [name for name in (*keeps, "Content-Encoding") if name.lower() in answer]
        assert ("www-authenticate" in answer) is (status == 401)
        if status != 308:
            assert (answer["content-type"], answer["cache-control"]) == ("application/problem+json", "no-store")
    assert "access-control-allow-origin" not in await door.call("/nowhere/")

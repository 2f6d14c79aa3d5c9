"""Upstream calls that several callers share."""

import asyncio
import contextlib
import re
from typing import Any

import pytest

from apps.cachestore.store import ResponseStore
from apps.gateway.fetch import body_fanout, fetch
from apps.gateway.fetch.body_fanout import BACKLOG, BodyFanout
from apps.gateway.upstream.errors import Broken
from apps.httpcache.policy import Policy
from tests.gateway.house import KEY, OTHER_KEY, Door, Origin, Published, api, ok
from tests.support.waiting import until


async def test_an_answer_that_is_being_stored_is_stored_although_its_caller_left(lane: Door, origin: Origin) -> None:
    go_on = asyncio.Event()

    async def halves(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\ncache-control: max-age=60\r\n\r\nhalf")
        await go_on.wait()
        writer.write(b"half")

    origin.paths["/halves"] = halves
    reader, writer = await lane.connect()
    writer.write(f"GET /products/halves HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await until(lambda: lane.gateway.metrics.in_flight == 0)
    go_on.set()

    async with asyncio.timeout(30):
        while (answer := await lane.call("/products/halves")).cache != "HIT":
            pass
    assert answer.body == b"halfhalf"
    assert origin.calls_to("/halves") <= 2


async def dripping(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
    """An answer without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: max-age=60\r\n\r\n1\r\nx\r\n")
    await reader.read()
    raise ConnectionError


def calls_under_way(door: Door) -> int:
    return sum(running for _, running, _ in door.gateway.concurrency.counts())


async def test_an_answer_without_end_does_not_hold_its_place_when_its_callers_have_left(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "UNAWAITED", 0.05)
    origin.paths["/drip"] = dripping
    callers = [await lane.connect() for _ in range(2)]
    for reader, writer in callers:
        writer.write(f"GET /products/drip HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
    callers[0][1].close()
    await until(lambda: lane.gateway.metrics.in_flight == 1)
    assert calls_under_way(lane) == 1
    callers[1][1].close()
    await until(lambda: calls_under_way(lane) == 0)
    assert not lane.gateway.coalescer._by_key


async def test_a_refresh_without_end_does_not_hold_its_place(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "UNAWAITED", 0.05)
    origin.paths["/drip"] = ok(b"first", "cache-control: max-age=0, stale-while-revalidate=60")
    assert (await lane.call("/products/drip")).body == b"first"
    origin.paths["/drip"] = dripping
    assert (await lane.call("/products/drip")).body == b"first"
    await until(lambda: origin.calls_to("/drip") == 2)
    await until(lambda: calls_under_way(lane) == 0)


async def test_an_answer_too_large_to_store_reaches_everybody_who_waits(
    lane: Door, published: Published, origin: Origin
) -> None:
    published.change(api("products", upstreams=origin.url, policy=Policy(api="products", max_body=100_000)))
    await until(lambda: lane.gateway.config.epoch == 2)
    go_on = asyncio.Event()
    body = bytes(range(256)) * 12_000

    async def large(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: max-age=60\r\n\r\n")
        for at in range(0, len(body), 65_536):
            part = body[at : at + 65_536]
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    origin.paths["/large"] = large
    calls = [asyncio.create_task(lane.call("/products/large")) for _ in range(5)]
    await until(lambda: lane.gateway.metrics.in_flight == 5)
    go_on.set()
    answers = await asyncio.gather(*calls)
    assert all(answer.body == body for answer in answers)
    assert (await lane.call("/products/large")).cache == "MISS"


async def test_callers_who_negotiate_differently_get_their_own_variant(lane: Door, origin: Origin) -> None:
    async def variant(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        language = re.search(rb"accept-language: (\w+)", head)
        writer.write(ok(language[1] if language else b"none", "cache-control: max-age=60", "vary: accept-language"))

    origin.paths["/words"] = variant
    for expected in (("MISS",), ("HIT",)):
        answers = await asyncio.gather(
            *(
                lane.call("/products/words", accept_language=language)
                for language in ("de", "fr", "it")
                for _ in range(4)
            )
        )
        assert [answer.body for answer in answers] == [b"de"] * 4 + [b"fr"] * 4 + [b"it"] * 4
        if expected == ("HIT",):
            assert {answer.cache for answer in answers} == {"HIT"}
    assert origin.calls_to("/words") <= 12


async def test_two_tenants_share_what_the_upstream_cannot_tell_apart(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"public", "cache-control: max-age=60")
    assert (await lane.call("/products/items", key=KEY)).cache == "MISS"
    assert (await lane.call("/products/items", key=OTHER_KEY)).cache == "HIT"


async def test_two_keys_of_the_origin_do_not_share_where_they_go_on(
    lane: Door, published: Published, origin: Origin
) -> None:
    async def whose(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        found = re.search(rb"x-api-key: (\S+)", head)
        writer.write(ok(found[1] if found else b"nobody", "cache-control: max-age=60"))

    origin.paths["/me"] = whose
    published.change(api("products", upstreams=origin.url, api_key_header="X-Gateway-Key", forward_credential=True))
    await until(lambda: lane.gateway.config.epoch == 2)
    for _ in range(2):
        for own in ("the-origins-key-of-ann", "the-origins-key-of-bob"):
            answer = await lane.call("/products/me", key=None, x_gateway_key=KEY, x_api_key=own)
            assert answer.body == own.encode()


async def test_a_gateway_finds_what_another_stored(gateways: Any, origin: Origin) -> None:
    from tests.gateway.house import serving

    origin.paths["/items"] = ok(b"once", "cache-control: max-age=60")
    async with serving(await gateways()) as one, serving(await gateways()) as two:
        assert (await one.call("/products/items")).cache == "MISS"
        assert (await two.call("/products/items")).cache == "HIT"
    assert origin.calls_to("/items") == 1


async def test_a_write_at_one_gateway_ends_what_another_holds(gateways: Any, origin: Origin) -> None:
    from tests.gateway.house import serving

    origin.paths["/items"] = ok(b"old", "cache-control: max-age=60")
    first, second = await gateways(), await gateways()
    async with serving(first) as one, serving(second) as two:
        await one.call("/products/items")
        assert (await two.call("/products/items")).cache == "HIT"
        await one.call("/products/items", method="PUT", body=b"new")
        await until(lambda: second.store.purges.clock == first.store.purges.clock)
        assert (await two.call("/products/items")).cache == "MISS"


async def test_a_reader_that_comes_late_gets_all_while_the_parts_are_kept() -> None:
    body = BodyFanout()
    body.put(b"a")
    first = body.reader()
    assert await first.read() == b"a"
    late = body.reader()
    body.put(b"b")
    body.end()
    assert [await late.read(), await late.read(), await late.read()] == [b"a", b"b", b""]


async def test_the_writer_waits_for_the_slowest_reader_and_not_for_one_who_left() -> None:
    body = BodyFanout()
    fast, slow = body.reader(), body.reader()
    body.stop_keeping()
    body.put(b"x" * (BACKLOG + 1))
    await fast.read()
    waiting = asyncio.create_task(body.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    slow.leave()
    await waiting


async def test_a_reader_who_keeps_others_waiting_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_fanout, "PATIENCE", 0.02)
    body = BodyFanout()
    fast, slow = body.reader(), body.reader()
    body.stop_keeping()
    for _ in range(3):
        body.put(b"x" * BACKLOG)
    await fast.read()
    async with asyncio.timeout(30):
        await asyncio.gather(body.room(), *(fast.read() for _ in range(2)))
    with pytest.raises(Broken):
        await slow.read()
    body.end()
    assert await fast.read() == b""


async def test_the_only_reader_may_be_as_slow_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_fanout, "PATIENCE", 0.0)
    body = BodyFanout()
    reader = body.reader()
    body.stop_keeping()
    body.put(b"x" * (BACKLOG + 1))
    waiting = asyncio.create_task(body.room())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert len(await reader.read()) == BACKLOG + 1
    await waiting


async def test_whoever_reads_behind_the_others_gets_all_of_what_is_kept() -> None:
    body = BodyFanout()
    slow, fast = body.reader(), body.reader()
    for number in range(5):
        body.put(b"%d" % number)
        await body.room()
        assert await fast.read() == b"%d" % number
    body.end()
    assert [await slow.read() for _ in range(6)] == [b"0", b"1", b"2", b"3", b"4", b""]


async def test_a_waiter_who_joins_midway_gets_what_came_before_and_what_comes(lane: Door, origin: Origin) -> None:
    go_on = asyncio.Event()

    async def halves(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\ncache-control: max-age=60\r\n\r\nonetwo")
        await go_on.wait()
        writer.write(b"three!")

    origin.paths["/halves"] = halves
    call = f"GET /products/halves HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode()
    async with contextlib.AsyncExitStack() as stack:
        readers = []
        for _ in range(2):
            reader, writer = await lane.connect()
            stack.callback(writer.close)
            writer.write(call)
            await reader.readuntil(b"\r\n\r\n")
            # What is large reaches everybody as it arrives.
            assert await reader.readexactly(6) == b"onetwo"
            readers.append(reader)
        go_on.set()
        for reader in readers:
            assert await reader.readexactly(6) == b"three!"
    assert origin.calls_to("/halves") == 1


async def test_nothing_goes_before_those_who_wait_for_the_head_have_decided() -> None:
    body = BodyFanout()
    body.expect(2)
    body.stop_keeping()
    body.put(b"a")
    assert body.has_all
    first = body.reader()
    body.decided()
    assert await first.read() == b"a"
    second = body.reader()
    body.decided()
    assert await second.read() == b"a"
    assert not body.has_all


async def test_an_answer_too_large_reaches_its_caller_although_all_of_it_came_at_once(
    lane: Door, published: Published, origin: Origin
) -> None:
    published.change(api("products", upstreams=origin.url, policy=Policy(api="products", max_body=10)))
    await until(lambda: lane.gateway.config.epoch == 2)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b"12345678", b"9abcdefg", b"hijk"))
    origin.paths["/large"] = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: max-age=60\r\n\r\n" + chunks + b"0\r\n\r\n"
    )
    answers = await asyncio.gather(*(lane.call("/products/large") for _ in range(5)))
    assert {answer.body for answer in answers} == {b"123456789abcdefghijk"}


async def test_readers_hear_that_it_broke_off() -> None:
    body = BodyFanout()
    reader = body.reader()
    waiting = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    body.end(ConnectionError("gone"))
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], ConnectionError)


async def test_a_304_that_the_gateway_asked_for_is_never_a_callers(lane: Door, origin: Origin) -> None:
    """Two calls with one head ask about a variant that a write has ended meanwhile: neither asked for a 304."""
    asked, both, again = [], asyncio.Event(), asyncio.Event()

    async def variants(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        if b"if-none-match" not in head.lower():
            if asked:
                again.set()
            writer.write(ok(b"whole", "cache-control: max-age=60", "vary: origin", 'etag: "e"'))
            return
        asked.append(head)
        if len(asked) == 2:
            both.set()
            await again.wait()  # the first call has its 304, and asks anew
        await both.wait()
        writer.write(b'HTTP/1.1 304 Not Modified\r\netag: "e"\r\nvary: origin\r\n\r\n')

    origin.paths["/items"] = variants
    await lane.call("/products/items", origin="https://a.example")
    await lane.call("/products/items", method="DELETE")
    calls = [lane.call("/products/items", origin="https://b.example", cache_control="no-store") for _ in range(2)]
    async with asyncio.timeout(30):
        told = await asyncio.gather(*calls)
    assert len(asked) == 2
    assert [(each.status, each.body) for each in told] == [(200, b"whole"), (200, b"whole")]


@pytest.mark.parametrize("breaks_for", [b"x-poison", b"\r\n"])
async def test_a_failure_that_one_call_provoked_is_not_that_of_those_who_wait_for_it(
    lane: Door, origin: Origin, breaks_for: bytes
) -> None:
    """Those who wait ask once more, together; where that fails too, a bounded number of times."""
    go_on = asyncio.Event()

    async def breaking(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        if breaks_for in head:
            raise ConnectionError
        writer.write(ok(b"sound", "cache-control: max-age=60"))

    origin.paths["/hot"] = breaking
    attacker = asyncio.create_task(lane.call("/products/hot", x_poison="1"))
    await until(lambda: origin.calls_to("/hot") == 1)
    victims = [asyncio.create_task(lane.call("/products/hot", key=OTHER_KEY)) for _ in range(5)]
    await until(lambda: lane.gateway.metrics.in_flight == 6)
    go_on.set()
    assert (await attacker).status == 502
    answers = await asyncio.gather(*victims)
    # Each call to the upstream is tried twice. Where it fails for all, who is a moment late doesn't join the others.
    expected, most = (200, 3) if breaks_for == b"x-poison" else (502, 2 * (1 + 5))
    assert {answer.status for answer in answers} == {expected}
    assert origin.calls_to("/hot") <= most


async def test_a_call_whose_lookup_takes_longer_than_the_fetch_of_another_is_a_hit(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, go_on, stored = 0, asyncio.Event(), asyncio.Event()
    look = ResponseStore.look

    async def slow_for_the_second(*args: Any) -> Any:
        nonlocal looked
        found = await look(*args)
        looked += 1
        if looked == 2:
            await stored.wait()
        return found

    async def breaks_off_once(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await go_on.wait()
        if b"x-poison" in head:
            raise ConnectionError
        writer.write(ok(b"sound", "cache-control: max-age=60"))

    origin.paths["/hot"] = breaks_off_once
    provokes = asyncio.create_task(lane.call("/products/hot", x_poison="1"))
    await until(lambda: origin.calls_to("/hot") == 1)
    waiting = [asyncio.create_task(lane.call("/products/hot", key=OTHER_KEY)) for _ in range(2)]
    await until(lambda: [each.subscribers for each in lane.gateway.coalescer._by_key.values()] == [3])
    monkeypatch.setattr(ResponseStore, "look", slow_for_the_second)
    go_on.set()
    assert (await provokes).status == 502
    first = await next(asyncio.as_completed(waiting))
    stored.set()
    both = await asyncio.gather(*waiting)
    assert (first.cache, sorted(each.cache for each in both)) == ("MISS", ["HIT", "MISS"])
    assert origin.calls_to("/hot") == 2 + 1, "the one that breaks off is tried twice"


async def test_nobody_joins_a_fetch_whose_last_caller_has_left(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who came in the moment in which it ends would fail with it, by the doing of who left."""
    joinable = []
    end = fetch.UpstreamFetch._end

    def ended(self: fetch.UpstreamFetch) -> None:
        end(self)
        joinable.append(lane.gateway.coalescer.is_under_way(self.plan.fetch_key or b""))

    async def hanging(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await reader.read()
        raise ConnectionError

    monkeypatch.setattr(fetch.UpstreamFetch, "_end", ended)
    origin.paths["/items"] = hanging
    _, writer = await lane.connect()
    writer.write(f"GET /products/items HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode())
    await until(lambda: origin.calls_to("/items") == 1)
    writer.transport.abort()
    await until(lambda: bool(joinable))
    assert joinable == [False]

"""The gateway's own questions to other servers end in time, are small, and go where egress rules let them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from apps.cachestore.purges import PurgedTags
from apps.egress.rules import ONE_MACHINE
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.upstream.client import HTTP1Client
from apps.gateway.upstream.exchange import LARGEST, Exchange, ExchangeFailed
from apps.wire.snapshot import Egress
from tests.gateway.house import Origin, ok
from tests.support.ports import free_port


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    config = WorkerConfig(PurgedTags(), 900.0)
    config.put(Egress("", ONE_MACHINE))
    client = HTTP1Client(asyncio.get_running_loop())
    yield Exchange(client, config)
    await client.close()


async def test_a_question_is_answered(exchange: Exchange, origin: Origin):
    origin.paths["/keys"] = ok(b"{}", "Content-Type: application/json")
    response = await exchange("", "GET", f"{origin.url}/keys?a=1")
    assert (response.status, response.body, response.field(b"content-type")) == (200, b"{}", b"application/json")
    assert response.field(b"etag") == b""
    assert origin.heads[0].startswith(b"GET /keys?a=1 HTTP/1.1\r\n")


async def test_a_form_is_sent_with_its_length(exchange: Exchange, origin: Origin):
    origin.paths["/"] = ok(b"{}")
    await exchange("", "POST", origin.url, [(b"authorization", b"Basic x")], b"token=a")
    assert b"content-length: 7\r\n" in origin.heads[0]
    assert b"authorization: Basic x\r\n" in origin.heads[0]
    assert origin.bodies == [b"token=a"]


async def test_a_redirect_is_not_followed(exchange: Exchange, origin: Origin):
    origin.paths["/keys"] = ok(b"", "Location: /other", status="302 Found")
    assert (await exchange("", "GET", f"{origin.url}/keys")).status == 302
    assert len(origin.heads) == 1


@pytest.mark.parametrize("size", [LARGEST, LARGEST + 1])
async def test_a_response_may_be_a_mebibyte(exchange: Exchange, origin: Origin, size: int):
    origin.paths["/keys"] = ok(b"x" * size)
    if size == LARGEST:
        assert len((await exchange("", "GET", f"{origin.url}/keys")).body) == size
    else:
        with pytest.raises(ExchangeFailed, match="bytes"):
            await exchange("", "GET", f"{origin.url}/keys")


async def test_who_never_ends_a_response_is_not_waited_for(exchange: Exchange, origin: Origin):
    async def drip(origin: Origin, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    origin.paths["/keys"] = drip
    with pytest.raises(ExchangeFailed):
        await exchange("", "GET", f"{origin.url}/keys", deadline=0.2)


async def test_who_is_away_is_a_failure_without_a_place_in_its_words(exchange: Exchange):
    port = free_port()
    with pytest.raises(ExchangeFailed) as caught:
        await exchange("", "GET", f"http://127.0.0.1:{port}/keys")
    assert str(port) not in str(caught.value)


async def test_where_the_rules_forbid_it_nothing_is_asked(origin: Origin):
    client = HTTP1Client(asyncio.get_running_loop())
    asks = Exchange(client, WorkerConfig(PurgedTags(), 900.0))
    with pytest.raises(ExchangeFailed):
        await asks("acme", "GET", f"{origin.url}/keys")
    assert not origin.heads
    await client.close()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.test/",
        "http://",
        "http:///keys",
        "http://a.test/ HTTP/1.1\r\nx: y",
        "http://a.test/a b",
        "http://a.test/\n",
        "http://a.test:99999/",
        "http://[::1/",
        "http://a.test/" + "a" * 3000,
        "http://bücher.test/",
        "",
    ],
)
async def test_what_is_no_url_is_not_asked(exchange: Exchange, url: str):
    with pytest.raises(ExchangeFailed, match=r"no http\(s\) URL"):
        await exchange("", "GET", url)

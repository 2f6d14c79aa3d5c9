"""A call that comes back ends at once, whatever stands on the way."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from apps.gateway.upstream.loop_detection import MOST_HOPS, LoopDetection
from apps.httpcache.policy import Policy
from apps.wire.snapshot import HeaderRules
from tests.gateway.house import Door, Origin, Published, api, ok
from tests.support.waiting import until

OFF = Policy(api="round", mode="off")
OPEN: dict[str, Any] = {"authentication": ("none",), "retries": 0}

Change = Callable[[bytes], bytes]


def relay(port: int, change: Change = lambda head: head) -> Callable[..., Awaitable[None]]:
    """An origin that hands each call on to the gateway, with its head changed."""

    async def handle(origin: Origin, head: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            their_writer.write(change(head).replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
            writer.write(await their_reader.read())
        finally:
            their_writer.close()

    return handle


async def led_round(door: Door, origin: Origin, published: Published, change: Change, **changes: Any) -> None:
    published.change(api("round", upstreams=origin.url + "/round", **OPEN | {"policy": OFF} | changes))
    await until(lambda: door.gateway.config.part("api:round") is not None)
    origin.paths["/round/x"] = relay(door.port, change)


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (lambda head: head, HeaderRules()),
        (lambda head: head, HeaderRules(remove=("CDN-Loop", "Via"))),
        (lambda head: head, HeaderRules(set=(("cdn-loop", "nothing"), ("via", "1.1 other")))),
        (lambda head: head, HeaderRules(set=(("Connection", "cdn-loop"),))),
        (lambda head: head.replace(b"cdn-loop:", b"CDN-LOOP :".replace(b" ", b"")), HeaderRules()),
        (lambda head: head.replace(b"\r\n\r\n", b"\r\ncdn-loop: other.example; a=1\r\n\r\n"), HeaderRules()),
        (lambda head: head.replace(b"cdn-loop: ", b'cdn-loop: "a, b" , other.example;x=1,'), HeaderRules()),
    ],
    ids=[
        "as it is",
        "removed by rules",
        "set by rules",
        "listed in Connection",
        "in upper case",
        "in two lines",
        "behind others",
    ],
)
async def test_a_call_that_comes_back_is_refused_where_it_began(
    door: Door, origin: Origin, published: Published, change: Change, rules: HeaderRules
) -> None:
    await led_round(door, origin, published, change, request_headers=rules)
    answer = await door.call("/round/x")
    assert (answer.status, json.loads(answer.body)["code"]) == (508, "loop_detected")
    assert answer["content-type"] == "application/problem+json"
    assert len(origin.heads) == 1
    await until(lambda: len(door.calls()) == 2)
    assert {record.code for record in door.calls()} == {"loop_detected", ""}


async def test_an_api_that_leads_to_the_gateway_itself_makes_one_call_and_no_more(
    door: Door, published: Published
) -> None:
    published.change(api("round", upstreams=f"http://127.0.0.1:{door.port}/round", policy=OFF, **OPEN))
    await until(lambda: door.gateway.config.part("api:round") is not None)
    answer = await door.call("/round/x")
    # 502 where the gateway doesn't call its own ports at all.
    assert answer.status in (508, 502)
    assert len(door.calls()) <= 2


async def test_apis_that_lead_to_each_other_end_too(door: Door, origin: Origin, published: Published) -> None:
    """And a chain of different APIs works, up to a bound."""
    names = [f"chain{number}" for number in range(MOST_HOPS + 2)]
    for here, there in zip(names, [*names[1:], "end"], strict=True):
        origin.paths[f"/{there}/x"] = relay(door.port)
        published.change(api(here, upstreams=f"{origin.url}/{there}", policy=OFF, **OPEN))
    origin.paths["/end/x"] = ok(b"the end")
    await until(lambda: door.gateway.config.part(f"api:{names[-1]}") is not None)
    assert (await door.call(f"/{names[-MOST_HOPS]}/x")).body == b"the end"
    assert len(origin.heads) == MOST_HOPS
    assert (await door.call(f"/{names[0]}/x")).status == 508
    assert len(origin.heads) == 2 * MOST_HOPS


async def test_callers_members_go_on_and_ours_comes_behind(door: Door, origin: Origin) -> None:
    origin.paths["/x"] = ok(b"x", "cache-control: no-store")
    await door.raw(
        b"GET /products/x HTTP/1.1\r\nhost: api.test\r\nx-api-key: a-key-of-acme-bot-0001\r\n"
        b"cdn-loop: one.example; trace=1\r\ncdn-loop: two\r\nconnection: cdn-loop\r\n\r\n"
    )
    (line,) = [line for line in origin.heads[0].split(b"\r\n") if line.startswith(b"cdn-loop:")]
    assert line.startswith(b"cdn-loop: one.example; trace=1, two, apimgr-")
    assert line.count(b"apimgr-") == 1


async def test_a_refused_call_leaves_nothing_for_others(door: Door, origin: Origin, published: Published) -> None:
    """Whoever sends our own members gets 508, and others the response, before and afterwards."""
    origin.paths["/x"] = ok(b"x", "cache-control: max-age=60")
    assert (await door.call("/products/y")).status == 404
    member = next(line for line in origin.heads[0].split(b"\r\n") if line.startswith(b"cdn-loop:")).partition(b": ")[2]
    for _ in range(2):
        refused = await door.call("/products/x", cdn_loop=member.decode())
        assert (refused.status, refused["cache-control"], refused.cache) == (508, "no-store", "BYPASS")
        assert (await door.call("/products/x")).body == b"x"
    assert (await door.call("/products/x")).cache == "HIT"
    assert origin.calls_to("/x") == 1


async def test_a_loop_through_a_cached_api_is_stored_nowhere(door: Door, origin: Origin, published: Published) -> None:
    changes = {"policy": Policy(api="round", mode="override", ttl=60.0)}
    await led_round(door, origin, published, lambda head: head, **changes)
    for count in (1, 2):
        assert (await door.call("/round/x")).status == 508
        assert len(origin.heads) == count


async def test_workers_of_one_installation_know_each_other_and_no_other(gateways: Any, origin: Origin) -> None:
    one, two, other = (await gateways()).loop_detection, (await gateways()).loop_detection, LoopDetection(b"o" * 32)
    mine = one._member("products")
    assert mine == two._member("products")
    assert mine.startswith(one._installation)
    assert not other._member("products").startswith(one._installation)
    assert b"products" not in mine


async def test_another_installation_in_the_chain_is_no_loop(door: Door, origin: Origin) -> None:
    origin.paths["/x"] = ok(b"x", "cache-control: no-store")
    other = LoopDetection(b"o" * 32)
    members = b", ".join([other._member("products")] * (MOST_HOPS + 1))
    assert (await door.call("/products/x", cdn_loop=members.decode())).body == b"x"

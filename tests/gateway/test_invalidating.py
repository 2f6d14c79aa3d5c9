"""What ends stored answers, through real gateways: writes, tags of entities, and who must know before the writer goes on."""

import json
from typing import Any

import pytest

from apps.cachestore.purges import purge
from apps.gateway.fetch import invalidation
from apps.gateway.gateway import Gateway
from apps.httpcache.policy import Policy
from apps.wire.snapshot import Operation
from apps.wire.worker_reports import Report
from tests.gateway.house import Door, Origin, Published, api, ok, serving
from tests.support.waiting import until

FRESH = "cache-control: max-age=60"
OPERATIONS = (Operation("GET", "/items"), Operation("GET", "/items/{id}"), Operation("DELETE", "/items/{id}"))


async def served(published: Published, gateway: Gateway, origin: Origin, policy: Policy, **changes: Any) -> None:
    published.change(api("products", upstreams=origin.url, policy=policy, operations=OPERATIONS, **changes))
    await until(lambda: gateway.config.epoch == 2)


async def stored(door: Door, *paths: str) -> None:
    for path in paths:
        await door.call(f"/products{path}")
        assert (await door.call(f"/products{path}")).cache == "HIT"


async def held(door: Door, *paths: str) -> list[str]:
    return [(await door.call(f"/products{path}")).cache for path in paths]


def shelf(*ids: int) -> bytes:
    body = json.dumps({"items": [{"id": each} for each in ids]}).encode()
    return ok(body, FRESH, "content-type: application/json")


async def test_a_write_to_an_item_ends_the_collection_with_every_query(
    lane: Door, published: Published, origin: Origin
):
    await served(published, lane.gateway, origin, Policy(api="products"))
    for path in ("/items", "/items/7", "/items/8", "/other"):
        origin.paths[path] = ok(b"x", FRESH)
    paths = ("/items", "/items?page=2", "/items/7", "/items/8", "/other")
    await stored(lane, *paths)
    origin.paths["/items/7"] = ok(b"", status="204 No Content")
    await lane.call("/products/items/7", method="DELETE")
    origin.paths["/items/7"] = ok(b"x", FRESH)
    assert await held(lane, *paths) == ["MISS", "MISS", "MISS", "HIT", "HIT"]


async def test_entities_in_a_body_are_tags_and_so_is_the_operation(lane: Door, published: Published, origin: Origin):
    policy = Policy(api="products", entity_tags=(("items[*].id", "item:"),))
    await served(published, lane.gateway, origin, policy)
    origin.paths["/items"], origin.paths["/items/7"] = shelf(7, 8), shelf(7)
    origin.paths["/items/9"], origin.paths["/top"] = shelf(9), shelf(8)
    paths = ("/items", "/items/7", "/items/9", "/top")
    await stored(lane, *paths)
    for tags, left in (
        (["k:products:item:8"], ["MISS", "HIT", "HIT", "MISS"]),
        (["k:products:GET /items/{id}"], ["HIT", "MISS", "MISS", "HIT"]),
    ):
        clock = purge(published.client, tags)
        await until(lambda clock=clock: lane.gateway.store.purges.clock >= clock)
        assert await held(lane, *paths) == left


async def test_a_confirmed_answer_keeps_its_entities(lane: Door, published: Published, origin: Origin):
    policy = Policy(api="products", entity_tags=(("items[*].id", "item:"),))
    await served(published, lane.gateway, origin, policy)
    body = json.dumps({"items": [{"id": 7}]}).encode()
    origin.paths["/items"] = ok(body, "cache-control: max-age=0", 'etag: "a"', "content-type: application/json")
    await lane.call("/products/items")
    origin.paths["/items"] = f'HTTP/1.1 304 Not Modified\r\n{FRESH}\r\netag: "a"\r\n\r\n'.encode()
    assert (await lane.call("/products/items")).cache == "REVALIDATED"
    assert (await lane.call("/products/items")).cache == "HIT"
    clock = purge(published.client, ["k:products:item:7"])
    await until(lambda: lane.gateway.store.purges.clock >= clock)
    origin.paths["/items"] = ok(body, FRESH)
    assert (await lane.call("/products/items")).cache == "MISS"


async def test_graphql_objects_are_tags_of_what_asked_for_them(lane: Door, published: Published, origin: Origin):
    policy = Policy(api="products", methods=("GET", "HEAD", "POST"), body="graphql")
    await served(published, lane.gateway, origin, policy)
    answer = {"data": {"item": {"__typename": "Item", "id": "7"}}}
    origin.paths["/graphql"] = ok(json.dumps(answer).encode(), FRESH, "content-type: application/json")
    question = json.dumps({"query": "{ item(id: 7) { __typename id } }"}).encode()

    async def ask() -> str:
        call = await lane.call("/products/graphql", method="POST", body=question, content_type="application/json")
        return call.cache

    assert [await ask(), await ask()] == ["MISS", "HIT"]
    clock = purge(published.client, ["k:products:Item:7"])
    await until(lambda: lane.gateway.store.purges.clock >= clock)
    assert await ask() == "MISS"


async def test_who_wrote_finds_no_old_answer_on_another_worker(
    gateways: Any, published: Published, origin: Origin, monkeypatch: pytest.MonkeyPatch
):
    """Nor in the other's memory: the write's answer leaves when it says that it knows."""
    for wait in ("INVALIDATION_WAIT", "CONFIRMATION_WAIT"):
        monkeypatch.setattr(invalidation, wait, 5.0)  # what a busy machine takes isn't the question here
    one, other = await gateways(), await gateways()
    await until(lambda: one.config.workers == other.config.workers == 2)
    for path in [f"/items/{number}" for number in range(5)]:
        origin.paths[path] = ok(b"x", FRESH)
    async with serving(one) as here, serving(other) as there:
        for path in origin.paths:
            await stored(here, path)
            await stored(there, path)
            await here.call(f"/products{path}", method="PUT", body=b"new")
            assert other.store.purges.clock == one.store.purges.clock
            assert await held(there, path) == ["MISS"]


async def test_a_worker_that_hangs_holds_up_a_write_for_a_moment_only(
    gateway: Gateway, published: Published, origin: Origin, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    async def never(client: Any, clock: int, *, but: str) -> bool:
        asked.append(but)
        return False

    monkeypatch.setattr(invalidation, "all_know", never)
    workers = 2
    # A heartbeat may count anew at any moment.
    counted = property(lambda config: workers, lambda config, found: None)
    monkeypatch.setattr(type(gateway.config), "workers", counted, raising=False)
    origin.paths["/a"] = ok(b"x", FRESH)
    async with serving(gateway) as door:
        assert (await door.call("/products/a", method="PUT", body=b"x")).status == 200
    assert 0 < len(asked) < 20
    assert set(asked) == {gateway.subscriber.worker}
    workers = 100
    asked.clear()
    async with serving(gateway) as door:
        assert (await door.call("/products/a", method="PUT", body=b"x")).status == 200
    assert not asked, "in a large installation nobody is waited for"


def test_the_name_of_a_worker_is_the_one_under_which_it_is_heard(gateway: Gateway):
    assert isinstance(gateway.subscriber._report(), Report)
    assert gateway.subscriber.worker == gateway.subscriber._report().worker


async def test_a_write_that_may_have_been_sent_ends_what_it_wrote_though_it_could_not_be_sent_again(
    lane: Door, published: Published, origin: Origin
):
    await served(published, lane.gateway, origin, Policy(api="products"), retries=1)
    origin.paths["/items/7"] = ok(b"x", FRESH)
    await stored(lane, "/items/7")

    async def goes_away(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        assert origin._server is not None
        origin._server.close()
        raise ConnectionError

    origin.paths["/items/7"] = goes_away
    calls = len(origin.heads)
    assert (await lane.call("/products/items/7", method="DELETE")).status == 502
    assert len(origin.heads) > calls
    assert (await lane.call("/products/items/7")).status == 502

"""A tenant's host is its own: no other tenant's API answers there, and nothing of the gateway sets a cookie."""

import pytest

from apps.wire.snapshot import PROOF_PATH, HostOwner
from tests.gateway.house import Door, Origin, Published, api, ok
from tests.support.waiting import until

EVIL = ok(b"give me your password", "set-cookie: session=evil; Path=/")


async def on(door: Door, host: str, path: str) -> tuple[int, bytes]:
    answer = await door.raw(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    return answer.status, answer.body


def open_api(slug: str, origin: Origin, tenant: str, **changes: object):
    return api(slug, upstreams=origin.url, tenant=tenant, authentication=("none",), **changes)


async def test_another_tenants_api_gets_no_cookies_of_a_proved_host(door: Door, origin: Origin, published: Published):
    origin.paths["/"] = EVIL
    origin.paths["/cart"] = ok(b"your cart")
    published.change(open_api("login", origin, "globex"), open_api("shop", origin, "acme"))
    await until(lambda: door.gateway.config.epoch == 2)
    assert (await on(door, "shop.acme.test", "/login/"))[0] == 200
    published.change(HostOwner("shop.acme.test", "acme"))
    await until(lambda: door.gateway.config.epoch == 3)
    seen = len(origin.heads)
    for host in ("shop.acme.test", "SHOP.acme.test:8080", "shop.acme.test."):
        assert (await on(door, host, "/login/"))[0] == 404
    assert len(origin.heads) == seen
    assert (await on(door, "shop.acme.test", "/shop/cart")) == (200, b"your cart")
    assert (await on(door, "elsewhere.test", "/login/"))[0] == 200


async def test_a_host_that_a_worker_learns_of_ends_what_it_remembered(lane: Door, origin: Origin, published: Published):
    origin.paths["/x"] = ok(b"x", "cache-control: max-age=60")
    published.change(open_api("login", origin, "globex"))
    await until(lambda: lane.gateway.config.epoch == 2)
    for _ in range(2):
        assert (await on(lane, "a.test", "/login/x"))[0] == 200
    published.change(HostOwner("a.test", "acme"))
    await until(lambda: lane.gateway.config.epoch == 3)
    assert (await on(lane, "a.test", "/login/x"))[0] == 404


async def test_nobody_proves_a_free_host_through_an_api(door: Door, origin: Origin, published: Published):
    origin.paths[PROOF_PATH] = ok(b"apimgr-host=stolen")
    published.change(open_api("root", origin, "globex", listen_path="/"))
    await until(lambda: door.gateway.config.epoch == 2)
    for path in (PROOF_PATH, PROOF_PATH.replace("w", "%77"), PROOF_PATH + "?a=1"):
        assert (await on(door, "free.test", path))[0] == 404
    assert not origin.heads


async def test_two_hosts_below_one_wildcard_share_no_stored_response(door: Door, origin: Origin, published: Published):
    origin.paths["/x"] = ok(b"first", "cache-control: max-age=60")
    published.change(open_api("wild", origin, "acme", hosts=("*.acme.test",)), HostOwner("*.acme.test", "acme"))
    await until(lambda: door.gateway.config.epoch == 2)
    assert await on(door, "a.acme.test", "/wild/x") == (200, b"first")
    origin.paths["/x"] = ok(b"second", "cache-control: max-age=60")
    assert await on(door, "b.acme.test", "/wild/x") == (200, b"second")
    assert await on(door, "A.acme.test", "/wild/x") == (200, b"first")
    for host in ("acme.test", "x.a.acme.test"):
        assert (await on(door, host, "/wild/x"))[0] == 404
    assert len(origin.heads) == 2


async def test_a_name_that_another_tenant_proves_is_taken_from_the_wildcard_and_from_what_was_remembered(
    lane: Door, origin: Origin, published: Published
):
    origin.paths["/x"] = ok(b"x", "cache-control: max-age=60")
    published.change(open_api("wild", origin, "acme", hosts=("*.acme.test",)), HostOwner("*.acme.test", "acme"))
    await until(lambda: lane.gateway.config.epoch == 2)
    for _ in range(2):
        assert (await on(lane, "shop.acme.test", "/wild/x"))[0] == 200
    published.change(HostOwner("shop.acme.test", "globex"))
    await until(lambda: lane.gateway.config.epoch == 3)
    assert (await on(lane, "shop.acme.test", "/wild/x"))[0] == 404
    assert (await on(lane, "www.acme.test", "/wild/x"))[0] == 200


@pytest.mark.parametrize("target", ["/nothing", "/products/items", "/products", "/_gateway/livez", "/_gateway/metrics"])
async def test_the_gateways_own_responses_set_no_cookies(door: Door, target: str):
    assert "set-cookie" not in await door.call(target, key=None)

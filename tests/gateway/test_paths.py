"""What an upstream gets of a call's address: every row of the table in docs/gateway.md, and what depends on paths beside it."""

from pathlib import Path
from typing import Any

import pytest

from apps.catalog.rewrites import compile_rewrite
from apps.gateway.config.worker_config import Routes
from apps.httpcache import tag_of_path
from apps.httpcache.policy import Policy
from apps.wire.listen_paths import is_at, path_at, path_below
from apps.wire.snapshot import Upstream
from tests.gateway.house import Answered, Door, Origin, Published, api, ok
from tests.support.waiting import until


async def publish(door: Door, published: Published, *apis: Any) -> None:
    before = door.gateway.config.epoch
    published.change(*apis)
    await until(lambda: door.gateway.config.epoch > before)


class Echo(dict[str, Any]):
    """Answers every path."""

    def get(self, path: str, default: object = None) -> Any:
        return ok(path.encode(), "cache-control: max-age=60")


def seen(origin: Origin) -> str:
    return origin.heads[-1].split(b" ")[1].decode()


OLD = compile_rewrite([{"from": "/old/{id}", "to": "/items/{id}/new"}])
BEGINNING = compile_rewrite([{"from": "/a/**", "to": "/b/**"}])
SWAPPED = compile_rewrite([{"from": "/{one}/{two}", "to": "/{two}/{one}"}, {"from": "/x/{two}", "to": "/never"}])

ROWS = [
    ("/products/", {}, "/v1/products", "/products/items?page=2", "/v1/products/items?page=2"),
    ("/products/", {}, "/v1/products", "/products/", "/v1/products/"),
    ("/products/", {}, "/v1/products", "/products", "308 /products/"),
    ("/products/", {}, "/v1/products", "/products?page=2", "308 /products/?page=2"),
    ("/products/", {"strip_listen_path": False}, "/v1/products", "/products/items", "/v1/products/products/items"),
    ("/products", {}, "/v1/products", "/products", "/v1/products"),
    ("/products", {}, "/v1/products", "/products?page=2", "/v1/products?page=2"),
    ("/products", {}, "/v1/products", "/products/items", "/v1/products/items"),
    ("/products", {}, "/v1/products", "/products/", "308 /products"),
    ("/products", {}, "/v1/products", "/products/?page=2", "308 /products?page=2"),
    ("/products", {}, "/graphql/", "/products", "/graphql/"),
    ("/products", {}, "/graphql/", "/products/x", "/graphql/x"),
    ("/products", {}, "", "/products", "/"),
    ("/products", {}, "", "/products/x", "/x"),
    ("/products", {"strip_listen_path": False}, "/v1", "/products", "/v1/products"),
    ("/products", {"strip_listen_path": False}, "/v1", "/products/x", "/v1/products/x"),
    ("/a/b/products", {}, "/v1", "/a/b/products", "/v1"),
    ("/products/", {"rewrite": OLD}, "/v1/products", "/products/old/7", "/v1/products/items/7/new"),
    ("/products/", {"rewrite": OLD}, "/v1/products", "/products/old/7/x", "/v1/products/old/7/x"),
    ("/products/", {"rewrite": OLD}, "/v1", "/products/old/", "/v1/old/"),
    ("/products/", {"rewrite": BEGINNING}, "/v1/products", "/products/a/x/y?page=2", "/v1/products/b/x/y?page=2"),
    ("/products/", {"rewrite": BEGINNING}, "/v1/products", "/products/ab", "/v1/products/ab"),
    ("/products/", {"rewrite": BEGINNING}, "/v1", "/products/a", "/v1/b"),
    ("/products/", {"rewrite": BEGINNING}, "/v1", "/products/a/", "/v1/b/"),
    ("/products/", {"rewrite": BEGINNING, "strip_listen_path": False}, "/v1", "/products/a/x", "/v1/products/b/x"),
    ("/products", {"rewrite": compile_rewrite([{"from": "/", "to": "/query"}])}, "/v1", "/products", "/v1/query"),
    ("/products/", {"rewrite": compile_rewrite([{"from": "/**", "to": "/all"}])}, "/v1", "/products/x/y", "/v1/all"),
    (
        "/products/",
        {"rewrite": compile_rewrite([{"from": "/**", "to": "/in/**"}])},
        "/v1",
        "/products/x/y",
        "/v1/in/x/y",
    ),
    ("/products/", {"rewrite": SWAPPED}, "/v1", "/products/x/y", "/v1/y/x"),
    ("/products/", {"rewrite": SWAPPED}, "/v1", "/products/%41%20b/c%2Fd", "/v1/c%2Fd/A%20b"),
    ("/", {}, "/v1", "/", "/v1/"),
    ("/", {}, "/v1", "/x", "/v1/x"),
]


@pytest.mark.parametrize(("listen_path", "changes", "upstream", "call", "gets"), ROWS)
async def test_what_the_upstream_gets(
    lane: Door,
    published: Published,
    origin: Origin,
    listen_path: str,
    changes: dict[str, Any],
    upstream: str,
    call: str,
    gets: str,
) -> None:
    origin.paths = Echo()
    leads = (Upstream(origin.url + upstream),)
    await publish(lane, published, api("products", listen_path=listen_path, upstreams=leads, **changes))
    answer = await lane.call(call)
    if gets.startswith("308"):
        assert (answer.status, answer["location"]) == (308, gets.removeprefix("308 "))
        assert not origin.heads
    else:
        assert (answer.status, seen(origin)) == (200, gets)
        assert (await lane.call(call)).cache == "HIT"


def test_the_table_in_the_documentation_is_tested() -> None:
    text = Path("docs/gateway.md").read_text()
    table = text[text.index("## Paths") : text.index("So an endpoint")]
    for listen_path, changes, upstream, call, gets in ROWS:
        if upstream == "/v1/products" and "?page" not in call:
            told = f"`{gets}`" if gets.startswith("/") else f"308 to `{gets.removeprefix('308 ')}`"
            assert any(f"`{call}`" in line and told in line for line in table.splitlines()), (
                listen_path,
                changes,
                call,
            )


@pytest.mark.parametrize(
    ("setting", "told"),
    [("", None), ("preserve", b"api.test"), ("shop.test", b"shop.test"), ("shop.test:8443", b"shop.test:8443")],
)
async def test_which_host_the_upstream_gets(
    lane: Door, published: Published, origin: Origin, setting: str, told: bytes | None
) -> None:
    origin.paths = Echo()
    await publish(lane, published, api("products", upstreams=origin.url, host_header=setting))
    assert (await lane.call("/products/x")).status == 200
    hosts = [line.partition(b": ")[2] for line in origin.heads[-1].split(b"\r\n") if line.lower().startswith(b"host:")]
    assert hosts == [told or f"127.0.0.1:{origin.port}".encode()]


async def test_a_preserved_host_is_in_the_cache_key(lane: Door, published: Published, origin: Origin) -> None:
    origin.paths = Echo()
    await publish(lane, published, api("products", upstreams=origin.url, host_header="preserve"))

    async def call(host: str) -> Answered:
        return await lane.raw(
            f"GET /products/x HTTP/1.1\r\nhost: {host}\r\nx-api-key: a-key-of-acme-bot-0001\r\n\r\n".encode()
        )

    assert [(await call(host)).cache for host in ("a.test", "b.test", "a.test")] == ["MISS", "MISS", "HIT"]


async def test_a_purge_of_an_endpoint_ends_it_and_its_writes_do_too(
    lane: Door, published: Published, origin: Origin
) -> None:
    origin.paths = Echo()
    policy = Policy(api="products")
    await publish(lane, published, api("products", listen_path="/products", upstreams=origin.url, policy=policy))
    assert [(await lane.call("/products")).cache for _ in range(2)] == ["MISS", "HIT"]
    assert await lane.gateway.invalidation.purge((tag_of_path("products", b"/"),))
    assert (await lane.call("/products")).cache == "MISS"
    assert (await lane.call("/products", method="DELETE")).status == 200
    assert (await lane.call("/products")).cache == "MISS"


@pytest.mark.parametrize("listen_path", ["/", "/a/", "/a", "/a/b/", "/a/b"])
@pytest.mark.parametrize("path", ["/", "/x", "/x/", "/x/y"])
def test_a_path_goes_to_the_gateway_and_back(listen_path: str, path: str) -> None:
    at = path_at(listen_path, path)
    assert is_at(listen_path, at.encode())
    assert path_below(listen_path, at.encode()) == path.encode()
    routes = Routes()
    routes.put(api("one", listen_path=listen_path))
    assert routes.find(b"", at.encode()) is not None


def test_a_longer_listen_path_wins_whichever_has_a_slash() -> None:
    routes = Routes()
    for slug, listen_path in (("all", "/"), ("shop", "/shop/"), ("hook", "/shop/hook"), ("deep", "/shop/hook/deep/")):
        routes.put(api(slug, listen_path=listen_path))
    found = {
        path: routes.find(b"", path)
        for path in (b"/x", b"/shop/x", b"/shop/hook", b"/shop/hook/x", b"/shop/hook/deep/x")
    }
    assert [each and each.slug for each in found.values()] == ["all", "shop", "hook", "hook", "deep"]
    hooks = routes.find(b"", b"/shop/hooks")
    assert hooks is not None
    assert hooks.slug == "shop"

"""Policies on the wire: those of single operations, personal answers, and the switch for answers to calls with
credentials (RFC 9111 §3.5).
"""

from typing import Any

import pytest
import redis
from django.core.cache import caches

from apps.catalog import models as catalog
from apps.declarative.applying import apply
from apps.declarative.reader import read_text
from apps.fleet.compile import compile_api
from apps.gateway.gateway import Gateway
from apps.httpcache import CacheEntry, SharingScope
from apps.httpcache.patterns import parse_pattern
from apps.httpcache.policy import Policy
from apps.wire.snapshot import API, OperationPolicy
from tests.gateway.house import OTHER_KEY, Door, Origin, Published, api, ok
from tests.support.waiting import until

FRESH = "cache-control: max-age=60"


@pytest.fixture
def under(gateway: Gateway, published: Published, origin: Origin) -> Any:
    """``await under(policy, (methods, pattern, policy), …)``: ``products`` under these policies, known to the gateway."""

    async def publish(policy: Policy, *operations: tuple[tuple[str, ...], str, Policy]) -> None:
        listed = tuple(OperationPolicy(methods, parse_pattern(text), own) for methods, text, own in operations)
        published.change(api("products", upstreams=origin.url, policy=policy, operation_policies=listed))

        def known() -> bool:
            served = gateway.config.route(b"", b"/products/")
            return served is not None and (served.policy, served.operation_policies) == (policy, listed)

        await until(known)

    return publish


def policy(**fields: Any) -> Policy:
    return Policy(api="products", tenant="platform", **fields)


async def test_an_operation_is_cached_by_its_own_policy(lane: Door, origin: Origin, under: Any) -> None:
    await under(policy(mode="off"), (("GET", "HEAD"), "/items/{id}", policy(mode="ttl", group="items")))
    origin.paths |= {"/items/7": ok(b"seven"), "/items": ok(b"all")}
    assert [(await lane.call("/products/items/7")).cache for _ in range(2)] == ["MISS", "HIT"]
    assert (await lane.call("/products/items/7", method="HEAD")).cache == "HIT"
    assert [(await lane.call("/products/items")).cache for _ in range(2)] == ["BYPASS", "BYPASS"]


async def test_the_first_operation_that_fits_counts(lane: Door, origin: Origin, under: Any) -> None:
    await under(policy(mode="ttl"), ((), "/items/secret", policy(mode="off")), ((), "/items/*", policy(mode="ttl")))
    origin.paths |= {"/items/secret": ok(b"1"), "/items/open": ok(b"2"), "/items/secret;x.css": ok(b"3")}
    for path in ("secret", "secret;x.css"):
        assert [(await lane.call(f"/products/items/{path}")).cache for _ in range(2)] == ["BYPASS", "BYPASS"]
    assert [(await lane.call("/products/items/open")).cache for _ in range(2)] == ["MISS", "HIT"]


async def test_an_unsafe_call_ends_what_an_operation_of_an_uncached_api_stored(
    lane: Door, origin: Origin, under: Any
) -> None:
    await under(policy(mode="off"), (("GET", "HEAD"), "/items/{id}", policy(mode="ttl", group="items")))
    origin.paths["/items/7"] = ok(b"seven")
    assert [(await lane.call("/products/items/7")).cache for _ in range(2)] == ["MISS", "HIT"]
    assert (await lane.call("/products/items/7", method="DELETE")).status == 200
    assert (await lane.call("/products/items/7")).cache == "MISS"


async def test_a_post_is_read_only_where_its_operation_says_so(lane: Door, origin: Origin, under: Any) -> None:
    await under(policy(mode="ttl"), (("POST",), "/search", policy(mode="ttl", methods=("POST",), group="search")))
    origin.paths |= {"/search": ok(b"found"), "/orders": ok(b"made")}
    body = {"method": "POST", "body": b"{}", "content_type": "application/json"}
    assert [(await lane.call("/products/search", **body)).cache for _ in range(2)] == ["MISS", "HIT"]
    assert [(await lane.call("/products/orders", **body)).cache for _ in range(2)] == ["BYPASS", "BYPASS"]


async def test_an_error_is_kept_for_the_lifetime_of_errors(lane: Door, origin: Origin, under: Any) -> None:
    await under(policy(mode="ttl", ttl=600.0, negative_ttl=7.0))
    origin.paths["/broken"] = ok(b"sorry", status="503 Service Unavailable")
    origin.paths["/forbidden"] = ok(b"no", status="403 Forbidden")
    for path, status in (("missing", 404), ("broken", 503)):
        first, again = [await lane.call(f"/products/{path}") for _ in range(2)]
        assert (first.cache, again.cache, again.status) == ("MISS", "HIT", status)
        assert "ttl=7" in again["cache-status"] or "ttl=6" in again["cache-status"]
    assert [(await lane.call("/products/forbidden")).cache for _ in range(2)] == ["MISS", "MISS"]


def entries_in(server: redis.Redis) -> list[CacheEntry]:
    """All stored answers of the shared tier."""
    values = [server.get(key) for key in server.scan_iter() if server.type(key) == b"string"]
    found = [caches["responses"].client.decode(value) for value in values if value is not None]
    return [value for value in found if isinstance(value, CacheEntry)]


def everything_in(server: redis.Redis) -> bytes:
    """All keys and values of the shared tier."""
    found = b""
    for key in server.scan_iter():
        kind = server.type(key)
        read = {b"string": server.get, b"hash": server.hgetall, b"set": server.smembers}.get(kind)
        value = read(key) if read else server.zrange(key, 0, -1) if kind == b"zset" else server.lrange(key, 0, -1)
        found += key + repr(value).encode() + (value if isinstance(value, bytes) else b"")
    return found


FILE = """
version: 1
tenants: [{slug: platform}]
apis:
  - slug: products
    tenant: platform
    listen_path: /products/
    upstreams: [{url: "%s"}]
    sensitivity: personal
    cache:
      mode: override
      ttl: 1h
      scope: shared
      share_with_credentials: true
      operations: [{path: /diary/**, scope: shared, share_with_credentials: true, ttl: 2h}, {path: /log, mode: "off"}]
"""


@pytest.fixture
def from_file(db: None, published: Published, origin: Origin) -> API:
    """``FILE``, applied, compiled and published."""
    apply(read_text((FILE % origin.url).encode()))
    compiled = compile_api(catalog.API.objects.get())
    published.change(compiled)
    return compiled


@pytest.mark.parametrize("path", ["/notes", "/diary/today"])
async def test_a_personal_answer_is_its_caller_s_own_whatever_else_the_file_says(
    lane: Door, gateway: Gateway, origin: Origin, from_file: API, cache_redis: redis.Redis, path: str
) -> None:
    await until(lambda: gateway.config.route(b"", b"/products/") == from_file)
    origin.paths[path] = ok(b"Ann's body", "cache-control: public, max-age=3600", "x-of: Ann's header")
    target = f"/products{path}?of=Ann-query"
    first, again = [await lane.call(target, x_asks="Ann-asks") for _ in range(2)]
    assert (first.cache, again.cache, again.body) == ("MISS", "HIT", b"Ann's body")
    assert int(again["cache-status"].partition("ttl=")[2].partition(";")[0]) <= 300
    origin.paths[path] = ok(b"Zed's body", "cache-control: public, max-age=3600")
    other = await lane.call(target, key=OTHER_KEY)
    assert (other.cache, other.body) == ("MISS", b"Zed's body")

    kept = everything_in(cache_redis)
    for word in (b"body", b"Ann", b"Zed", b"notes", b"diary", b"today", b"header", b"x-of", b"max-age"):
        assert word not in kept
    assert [(entry.scope, entry.rule) for entry in entries_in(cache_redis)] == [
        (SharingScope.SUBJECT, "sensitivity personal")
    ] * 2
    texts = [key for key in cache_redis.scan_iter() if cache_redis.type(key) == b"string"]
    assert all(0 < cache_redis.pttl(key) <= 301_000 for key in texts)


async def test_an_operation_of_the_file_is_off_where_the_api_is_not(
    lane: Door, gateway: Gateway, origin: Origin, from_file: API
) -> None:
    await until(lambda: gateway.config.route(b"", b"/products/") == from_file)
    origin.paths["/log"] = ok(b"line")
    assert [(await lane.call("/products/log")).cache for _ in range(2)] == ["BYPASS", "BYPASS"]


async def test_answers_to_calls_with_credentials_are_shared_only_by_the_switch_and_say_so(
    lane: Door, origin: Origin, under: Any, cache_redis: redis.Redis
) -> None:
    origin.paths["/prices"] = ok(b"1", FRESH)
    await under(policy())
    for who in ("Basic ann", "Basic bob"):
        assert (await lane.call("/products/prices", authorization=who)).cache == "MISS"

    await under(policy(share_with_credentials=True, group="switched"))
    first = await lane.call("/products/prices", authorization="Basic ann")
    second = await lane.call("/products/prices", authorization="Basic bob")
    assert (first.cache, second.cache) == ("MISS", "HIT")
    shared = [entry for entry in entries_in(cache_redis) if entry.scope == SharingScope.SHARED]
    assert [entry.rule for entry in shared] == ["credentials, shared by the policy's switch"]
    assert (await lane.call("/products/prices")).cache == "HIT"

    await under(policy())
    assert (await lane.call("/products/prices", authorization="Basic bob")).body == b"1"
    assert origin.calls_to("/prices") == 3, "what was each caller's own is still theirs, and nothing else is reached"

"""Calls that the control plane makes to warm the cache up: who is let in by their token, and what becomes of the answer."""

import time
from typing import Any

import pytest
from django.conf import settings

from apps.gateway.config.trust_lease import TrustLease
from apps.httpcache.policy import Policy
from apps.wire.call_records import WARM_UP
from apps.wire.warm_up_token import LIFE, make, scheme_of
from tests.gateway.house import KEY, Door, Origin, Published, api, ok
from tests.support.waiting import until

FRESH = "cache-control: max-age=60"


def token(target: str, /, **changes: Any) -> str:
    """A token for a call of ``products``."""
    said: dict[str, Any] = {"api": "products", "scheme": "http", "target": target.encode(), "now": time.time()}
    return make(settings.SNAPSHOT_MAC_KEY, **said | changes)


async def warm(door: Door, target: str, value: str | None = None, **options: Any) -> Any:
    return await door.call(target, key=None, x_apimgr_warm_up=value or token(target), **options)


async def test_what_a_warm_up_fetched_is_a_hit_for_the_callers_after_it(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", FRESH)
    warmed = await warm(door, "/products/items?page=1")
    assert (warmed.status, warmed.cache) == (200, "MISS")
    assert "stored" in warmed["cache-status"]
    assert (await door.call("/products/items?page=1")).cache == "HIT"
    assert origin.calls_to("/items") == 1


async def test_the_origin_never_sees_the_token(door: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", FRESH)
    await warm(door, "/products/items")
    await door.call("/products/items?of=a-caller", x_apimgr_warm_up="made-up")
    assert len(origin.heads) == 2
    assert not any(b"warm-up" in head.lower() for head in origin.heads)


async def test_a_warm_up_is_in_the_log_with_its_flag_and_nobodys_name(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", FRESH)
    await warm(lane, "/products/items")
    (record,) = lane.calls()
    assert WARM_UP in record.flags
    assert (record.tenant, record.application, record.key_id, record.plan) == ("", "", 0, "")
    assert ("authenticate", "warm-up") in [(stage, said) for stage, said, _ in record.trace]


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": b"/products/other"},
        {"api": "orders"},
        {"now": 0.0},
        {"later": 10 * LIFE},
        {"scheme": "gopher"},
    ],
)
async def test_a_token_for_something_else_lets_nobody_in(lane: Door, origin: Origin, wrong: dict[str, Any]) -> None:
    if "later" in wrong:
        wrong = {"now": time.time() + wrong["later"]}
    refused = await warm(lane, "/products/items", token("/products/items", **wrong))
    assert (refused.status, origin.heads) == (401, [])


@pytest.mark.parametrize("value", ["", "x", "1.http", "9999999999.http.00", "٣.http.00".encode().decode("latin-1")])
async def test_what_is_no_token_lets_nobody_in(lane: Door, origin: Origin, value: str) -> None:
    refused = await lane.call("/products/items", key=None, x_apimgr_warm_up=value)
    assert (refused.status, origin.heads) == (401, [])


async def test_a_token_made_with_another_key_lets_nobody_in(lane: Door, origin: Origin) -> None:
    made = make(b"x" * 32, api="products", scheme="http", target=b"/products/items", now=time.time())
    assert (await warm(lane, "/products/items", made)).status == 401
    assert origin.heads == []


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "OPTIONS"])
async def test_a_token_writes_nothing(lane: Door, origin: Origin, method: str) -> None:
    assert (await warm(lane, "/products/items", method=method)).status == 401
    assert origin.heads == []


async def test_two_tokens_in_one_call_are_none(lane: Door, origin: Origin) -> None:
    line = f"x-apimgr-warm-up: {token('/products/items')}\r\n"
    refused = await lane.raw(f"GET /products/items HTTP/1.1\r\nhost: api.test\r\n{line}{line}\r\n".encode())
    assert (refused.status, origin.heads) == (401, [])


async def test_a_token_ends_although_the_same_head_was_let_in_before(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", FRESH)
    value = token("/products/items", now=time.time() - LIFE + 1.5)
    assert (await warm(lane, "/products/items", value)).status == 200
    expires = int(value.partition(".")[0])
    await until(lambda: time.time() >= expires)
    assert (await warm(lane, "/products/items", value)).status == 401


async def test_beside_a_key_the_token_says_nothing(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", FRESH)
    await lane.call("/products/items", key=KEY, x_apimgr_warm_up=token("/products/items"))
    (record,) = lane.calls()
    assert (record.application, WARM_UP in record.flags) == ("acme/bot", False)


async def test_a_warm_up_stores_nothing_where_answers_belong_to_somebody(
    lane: Door, published: Published, origin: Origin
) -> None:
    published.change(api("products", upstreams=origin.url, policy=Policy(api="products", scope="tenant")))
    await until(lambda: lane.gateway.config.epoch == 2)
    origin.paths["/items"] = ok(b"[]", FRESH)
    warmed = await warm(lane, "/products/items")
    assert (warmed.status, warmed.cache) == (200, "BYPASS")
    assert "detail=no_identity" in warmed["cache-status"]
    assert (await lane.call("/products/items")).cache == "MISS"


async def test_a_warm_up_learns_why_an_answer_is_not_stored(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", "cache-control: private")
    assert "detail=private" in (await warm(lane, "/products/items"))["cache-status"]


async def test_an_open_api_is_warmed_up_too(lane: Door, published: Published, origin: Origin) -> None:
    published.change(api("products", upstreams=origin.url, authentication=("none",)))
    await until(lambda: lane.gateway.config.epoch == 2)
    origin.paths["/items"] = ok(b"[]", FRESH)
    await warm(lane, "/products/items")
    assert (await lane.call("/products/items", key=None)).cache == "HIT"
    assert [WARM_UP in record.flags for record in lane.calls()] == [True, False]


async def test_an_answer_is_stored_for_callers_of_the_scheme_that_the_token_names(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"[]", FRESH)
    await warm(lane, "/products/items", token("/products/items", scheme="https"))
    assert b"x-forwarded-proto: https" in origin.heads[0]
    assert (await lane.call("/products/items")).cache == "MISS"


async def test_without_a_trust_lease_a_warm_up_gets_what_a_key_gets(lane: Door, origin: Origin) -> None:
    class Over(TrustLease):
        def valid(self, now: float, limit: float | None = None) -> bool:
            return False

    lane.gateway.config.trust_lease = Over(900)
    assert (await warm(lane, "/products/items")).status == 503


def test_a_token_is_good_for_a_minute_and_for_one_call() -> None:
    made = make(b"k" * 32, api="a", scheme="https", target=b"/a/1", now=1000.0).encode()
    assert scheme_of(b"k" * 32, made, api="a", target=b"/a/1", now=1000.0 + LIFE - 1) == "https"
    assert scheme_of(b"k" * 32, made, api="a", target=b"/a/1", now=1000.0 + LIFE) is None
    assert scheme_of(b"k" * 32, made, api="a", target=b"/a/1?x", now=1000.0) is None
    assert scheme_of(b"k" * 32, made, api="ab", target=b"/a/1", now=1000.0) is None

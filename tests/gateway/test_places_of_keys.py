"""Where a key may stand: in the API's header, its query parameter, its cookie, or as the user of Basic. Wherever it stands, it
stays here.
"""

import base64
from typing import Any

import pytest

from apps.gateway.call.named_values import crumbs, parameters, without_crumb, without_parameter
from apps.httpcache.policy import Policy
from tests.gateway.house import KEY, OTHER_KEY, Answered, Door, Origin, Published, api, ok
from tests.support.waiting import until

ALL = {"api_key_query": "key", "api_key_cookie": "key", "api_key_basic_user": True}


def as_user(key: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{key}:{password}".encode()).decode()


async def takes(door: Door, published: Published, origin: Origin, **changes: Any) -> None:
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
    changes = {"debug_headers": "all", "policy": Policy(api="products", mode="ttl", ttl=60.0)} | changes
    wanted = api("products", upstreams=origin.url, revision=2, **changes)
    published.change(wanted)
    await until(lambda: door.gateway.config.route(b"", b"/products/") == wanted)


def calls(key: str) -> dict[str, tuple[str, dict[str, str]]]:
    """A call with a key in each of its places: target and fields."""
    quoted = key.replace("a-key", "a%2Dkey")
    return {
        "query": (f"/products/items?a=1&key={key}&b=2", {}),
        "encoded query": (f"/products/items?a=1&k%65y={quoted}&b=2", {}),
        "cookie": ("/products/items?a=1&b=2", {"Cookie": f"theme=dark; key={key}; lang=en"}),
        "quoted cookie": ("/products/items?a=1&b=2", {"Cookie": f'theme=dark;key="{key}"; lang=en'}),
        "basic user": ("/products/items?a=1&b=2", {"Authorization": as_user(key)}),
    }


@pytest.mark.parametrize("place", calls(KEY))
async def test_a_key_opens_from_where_the_api_takes_it_and_goes_no_further(
    door: Door, published: Published, origin: Origin, place: str
):
    await takes(door, published, origin, **ALL)
    target, fields = calls(KEY)[place]
    answer = await door.call(target, key=None, **fields)
    assert answer.status == 200
    assert door.calls()[-1].application == "acme/bot"
    (head,) = origin.heads
    assert head.startswith(b"GET /items?a=1&b=2 ")
    assert b"a-key" not in head
    assert b"a%2Dkey" not in head
    assert b"authorization" not in head.lower()
    assert (b"cookie" in head.lower()) is ("cookie" in place)
    assert KEY not in str(answer.headers)
    assert not [each for each in door.calls() if "a-key" in f"{each.path}{each.request_id}{each.trace}"]


@pytest.mark.parametrize("place", calls(KEY))
async def test_an_api_that_does_not_say_so_takes_keys_from_its_header_alone(
    lane: Door, published: Published, origin: Origin, place: str
):
    await takes(lane, published, origin)
    target, fields = calls(KEY)[place]
    answer = await lane.call(target, key=None, **fields)
    assert answer.status == 401
    assert b"missing_credential" in answer.body


async def test_two_callers_with_keys_in_their_queries_share_what_is_stored(
    lane: Door, published: Published, origin: Origin
):
    await takes(lane, published, origin, **ALL)
    for key in (KEY, OTHER_KEY, KEY):
        assert (await lane.call(f"/products/items?key={key}", key=None)).status == 200
    assert len(origin.heads) == 1
    assert {each.application for each in lane.calls()} == {"acme/bot", "zenith/bot"}


async def test_of_several_places_the_first_decides_and_the_others_stay_here_too(
    lane: Door, published: Published, origin: Origin
):
    await takes(lane, published, origin, **ALL)

    async def call(header: str | None, query: str, cookie: str, user: str) -> Answered:
        fields = {name: value for name, value in (("Cookie", cookie), ("Authorization", user)) if value}
        return await lane.call(f"/products/items?{query}", key=header, **fields)

    wrong = "a-key-that-nobody-has-1"
    for places, status in (
        ((KEY, f"key={wrong}", f"key={wrong}", as_user(wrong)), 200),
        ((None, f"key={KEY}", f"key={wrong}", as_user(wrong)), 200),
        ((None, "x=1", f"key={KEY}", as_user(wrong)), 200),
        ((wrong, f"key={KEY}", "", ""), 401),
        ((None, f"key={wrong}", f"key={KEY}", ""), 401),
        ((None, f"key={KEY}&key={KEY}", "", ""), 401),
        ((None, "x=1", f"key={KEY}; key={KEY}", ""), 401),
        ((None, "key=", f"key={KEY}", ""), 401),
        ((None, "key", "", ""), 401),
        ((None, "x=1", "", as_user(KEY, "a-password")), 401),
    ):
        assert (await call(*places)).status == status, places
    seen = b"".join(origin.heads)
    assert b"a-key" not in seen
    assert b"key=" not in seen.lower()
    assert b"authorization" not in seen.lower()


async def test_an_api_that_takes_no_keys_knows_none_of_their_places(lane: Door, published: Published, origin: Origin):
    await takes(lane, published, origin, authentication=("none",), **ALL)
    assert (await lane.call("/products/items?key=upstreams-own", key=None, Cookie="key=upstreams-own")).status == 200
    assert b"key=upstreams-own" in origin.heads[0].partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("query", "values", "rest"),
    [
        (b"", [], None),
        (b"key", [b""], None),
        (b"key=a", [b"a"], None),
        (b"key=a&b=1", [b"a"], b"b=1"),
        (b"b=1&key=a+b%20c&&c", [b"a b c"], b"b=1&&c"),
        (b"key=a=b&KEY=c&key=d", [b"a=b", b"d"], b"KEY=c"),
        (b"mykey=a&key2=b", [], b"mykey=a&key2=b"),
    ],
)
def test_a_parameter_is_read_and_taken_out_by_its_name(query: bytes, values: list[bytes], rest: bytes | None):
    assert parameters(query, b"key") == values
    assert without_parameter(query, b"key") == rest
    assert without_parameter(None, b"key") is None


@pytest.mark.parametrize(
    ("cookie", "values", "rest"),
    [
        (b"key=a", [b"a"], None),
        (b"a=1; key=b ;c=2", [b"b"], b"a=1;c=2"),
        (b'a=1; key="b"', [b"b"], b"a=1"),
        (b"a=key", [], b"a=key"),
        (b"mykey=1; keys=2", [], b"mykey=1; keys=2"),
        (b"key=a; key=b; x", [b"a", b"b"], b"x"),
    ],
)
def test_a_crumb_is_read_and_taken_out_by_its_name(cookie: bytes, values: list[bytes], rest: bytes | None):
    fields = ((b"accept", b"key=1"), (b"cookie", cookie))
    assert crumbs(fields, b"key") == values
    kept = ((b"accept", b"key=1"), *([(b"cookie", rest)] if rest is not None else []))
    assert without_crumb(fields, b"key") == kept

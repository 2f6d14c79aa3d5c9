"""An application that calls with its name and a key, by HTTP Basic (RFC 7617)."""

import base64

import pytest

from apps.gateway.pipeline.authenticators.basic import user_and_password
from apps.wire.snapshot import Grant
from tests.gateway.house import KEY, OTHER_KEY, Door, Origin, Published, api, credential, ok
from tests.support.waiting import until

MINE = "acme/bot"


def basic(user: str, password: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


async def takes(door: Door, published: Published, origin: Origin, *ways: str) -> None:
    origin.paths["/items"] = ok(b"items")
    wanted = api("products", upstreams=origin.url, revision=2, authentication=ways)
    published.change(wanted)
    await until(lambda: door.gateway.config.route(b"", b"/products/") == wanted)


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
async def test_an_application_calls_with_its_name_and_a_key_of_its_own(
    door: Door, published: Published, origin: Origin, scheme: str
):
    await takes(door, published, origin, "basic")
    answer = await door.call("/products/items", key=None, Authorization=basic(MINE, KEY, scheme))
    assert answer.status == 200
    assert door.calls()[-1].application == MINE
    assert b"authorization" not in b"".join(origin.heads).lower()
    assert KEY.encode() not in b"".join(origin.heads)


WRONG = {
    "a key of another application": basic("zenith/bot", KEY),
    "no application": basic("acme", KEY),
    "an application without its tenant": basic("bot", KEY),
    "no user": basic("", KEY),
    "another case": basic("ACME/BOT", KEY),
    "another application's key": basic(MINE, OTHER_KEY),
    "an unknown key": basic(MINE, "a-key-that-nobody-has-1"),
    "no password": basic(MINE, ""),
    "a colon in the user's name": basic(f"{MINE}:x", KEY),
    "nothing": "Basic",
    "nothing but a blank": "Basic ",
    "no Base64": "Basic !!!",
    "Base64 that is cut off": basic(MINE, KEY)[:-3],
    "more padding than there is": basic(MINE, KEY) + "=",
    "no colon": f"Basic {base64.b64encode(MINE.encode()).decode()}",
    "Latin-1": f"Basic {base64.b64encode(b'acme/b' + bytes([0xF6]) + b't:' + KEY.encode()).decode()}",
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG.keys())
async def test_what_is_wrong_in_any_part_is_refused_alike(lane: Door, published: Published, origin: Origin, said: str):
    await takes(lane, published, origin, "basic")
    answer = await lane.call("/products/items", key=None, Authorization=said)
    assert answer.status == 401
    assert b'"code":"invalid_credential"' in answer.body
    assert answer["www-authenticate"] == 'Basic realm="products", charset="UTF-8"'
    assert not origin.heads


async def test_two_fields_are_refused_and_another_scheme_is_none(lane: Door, published: Published, origin: Origin):
    await takes(lane, published, origin, "basic")
    twice = f"{basic(MINE, KEY)}\r\nauthorization: {basic(MINE, KEY)}"
    assert b"invalid_credential" in (await lane.call("/products/items", key=None, Authorization=twice)).body
    assert b"missing_credential" in (await lane.call("/products/items", key=None, Authorization=f"Bearer {KEY}")).body
    assert not origin.heads


async def test_a_name_has_any_characters_of_utf_8(lane: Door, published: Published, origin: Origin):
    await takes(lane, published, origin, "basic")
    key = "a-key-of-an-application-with-an-umlaut"
    grants = {"products": Grant(7, "unlimited", "active")}
    published.change(credential(key, grants, key_id=7, application="acme/größe"))
    answer = await lane.call("/products/items", key=None, Authorization=basic("acme/größe", key))
    assert answer.status == 200


async def test_the_first_way_that_is_there_decides_and_the_others_stay_here(
    lane: Door, published: Published, origin: Origin
):
    await takes(lane, published, origin, "api_key", "basic")
    both = await lane.call("/products/items", key=OTHER_KEY, Authorization=basic(MINE, KEY))
    assert both.status == 200
    assert lane.calls()[-1].application == "zenith/bot"
    wrong_first = await lane.call("/products/items", key="a-key-that-nobody-has-1", Authorization=basic(MINE, KEY))
    assert wrong_first.status == 401
    assert [name for name, _ in wrong_first.headers].count("www-authenticate") == 2
    seen = b"".join(origin.heads).lower()
    assert b"authorization" not in seen
    assert b"x-api-key" not in seen


async def test_a_key_in_basic_stays_out_of_the_upstreams_of_an_api_that_does_not_take_it(
    lane: Door, published: Published, origin: Origin
):
    await takes(lane, published, origin, "none")
    for password in (KEY, "the-upstreams-own-password"):
        assert (await lane.call("/products/items", key=None, Authorization=basic("ann", password))).status == 200
    seen = [head for head in origin.heads if b"authorization" in head.lower()]
    assert len(seen) == 1
    assert basic("ann", "the-upstreams-own-password").encode() in seen[0]


@pytest.mark.parametrize("blanks", [" ", "  ", "\t"])
def test_a_pair_is_read_behind_any_blanks(blanks: str):
    assert user_and_password(f"Basic{blanks}YTpi".encode()) == (b"a", b"b")

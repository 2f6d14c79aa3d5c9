"""Calls with tokens through a gateway: what callers, upstreams and records see of them, and what is remembered."""

import asyncio
from time import time
from typing import Any

import pytest

from apps.httpcache import subject_of_key, tag_of_subject
from apps.httpcache.policy import Policy
from apps.wire.snapshot import Grant, ScopeRule, TokenRules
from tests.gateway.house import KEY, Answered, Door, Origin, Published, api, ok
from tests.gateway.test_issuer_keys import DOWN
from tests.gateway.tokens import client_credential, issuer, key, key_set, token
from tests.support.waiting import until

GRANTS = {"products": Grant(7, "unlimited", "active")}
ENTRANCES = ("jwt", "api_key")


async def opened(door: Door, published: Published, origin: Origin, *more: Any, **changes: Any) -> None:
    """The API takes tokens of the issuer ``corp``."""
    origin.paths.setdefault("/items", ok(b"items"))
    fields = {"authentication": ("jwt",), "jwt": TokenRules(("corp",)), "revision": 2} | changes
    wanted = api("products", upstreams=origin.url, **fields)
    things = [
        each for each in (issuer(), client_credential(GRANTS)) if not any(type(each) is type(one) for one in more)
    ]
    published.change(wanted, *things, *more)
    await until(lambda: door.gateway.config.route(b"", b"/products/") == wanted)


async def called(door: Door, given: str, target: str = "/products/items", **more: Any) -> Answered:
    return await door.call(target, key=None, authorization=f"Bearer {given}", **more)


async def test_a_token_opens_what_its_client_is_subscribed_to(door: Door, published: Published, origin: Origin):
    await opened(door, published, origin)
    given = token()
    for _ in range(3):
        answer = await called(door, given)
        assert (answer.status, answer.body) == (200, b"items")
    record = door.calls()[-1]
    assert (record.application, record.plan, record.key_id) == ("acme/bot", "unlimited", 7)
    assert ("authenticate", "client ID 7") in [step[:2] for step in record.trace]


async def test_a_token_reaches_neither_upstream_nor_records_nor_redis(
    seeing: Door, published: Published, origin: Origin, caplog: pytest.LogCaptureFixture
):
    await opened(seeing, published, origin)
    given = token(None, None, secret="told to nobody")
    part = given.split(".")[1]
    answer = await called(seeing, given, f"/products/items?access_token={given}", cookie=f"a={given}; b=1")
    assert answer.status == 200
    for bad in (given + "x", token(None, None, exp=1)):
        assert (await called(seeing, bad)).status == 401
    heads = b"".join(origin.heads)
    assert b"authorization" not in heads.lower()
    assert part.encode() not in heads
    assert b"b=1" in heads
    spool = b"".join(path.read_bytes() for path in seeing.gateway.spool.folder.glob("*.spool"))
    assert part.encode() not in spool
    assert part not in caplog.text
    for name in published.client.keys("*"):
        assert part.encode() not in name
        assert part.encode() not in (published.client.dump(name) or b"")


@pytest.mark.parametrize(
    ("given", "status", "code", "why"),
    [
        (lambda: token(None, None, exp=int(time()) - 60), 401, "invalid_token", "token_expired"),
        (lambda: token(None, None, aud="other"), 401, "invalid_token", "token_wrong_audience"),
        (lambda: token(None, {"kid": "x"}), 401, "invalid_token", "token_unknown_key"),
        (lambda: "opaque", 401, "invalid_token", "token_malformed"),
        (lambda: token(None, None, scope="other"), 403, "insufficient_scope", "token_missing_scope"),
        (lambda: token(None, None, azp="nobody", scope="read"), 403, "not_subscribed", "token_unknown_client"),
    ],
    ids=["expired", "audience", "key", "opaque", "scope", "client"],
)
async def test_who_is_refused_is_told_why_and_so_is_who_reads_the_record(
    lane: Door, published: Published, origin: Origin, given: Any, status: int, code: str, why: str
):
    await opened(lane, published, origin, jwt=TokenRules(("corp",), ("read",)))
    answer = await called(lane, given())
    assert answer.status == status
    assert f'"code":"{code}"'.encode() in answer.body
    if code != "not_subscribed":
        assert answer["www-authenticate"].startswith(f'Bearer realm="products", error="{code}", error_description=')
    record = lane.calls()[-1]
    assert record.code == code
    assert record.trace[-1][:2] == ("authenticate", why)
    assert not origin.heads


async def test_who_has_no_token_is_told_how(lane: Door, published: Published, origin: Origin):
    await opened(lane, published, origin, authentication=ENTRANCES)
    answer = await lane.call("/products/items", key=None)
    assert answer.status == 401
    assert answer.all("www-authenticate") == [
        'Bearer realm="products"',
        'ApiKey realm="products", header="X-API-Key"',
    ]


async def test_a_token_that_was_taken_from_its_application_opens_nothing(
    lane: Door, published: Published, origin: Origin
):
    await opened(lane, published, origin, client_credential(GRANTS, state="revoked"))
    answer = await called(lane, token())
    assert (answer.status, b"not_subscribed" in answer.body) == (403, True)


@pytest.mark.parametrize(("words", "application"), [(ENTRANCES, "acme/app"), (ENTRANCES[::-1], "acme/bot")])
async def test_of_two_credentials_the_stated_order_decides_and_neither_goes_on(
    lane: Door, published: Published, origin: Origin, words: tuple[str, ...], application: str
):
    mine = client_credential(GRANTS, application="acme/app")
    await opened(lane, published, origin, mine, authentication=words)
    answer = await lane.call("/products/items", key=KEY, authorization=f"Bearer {token()}")
    assert answer.status == 200
    assert lane.calls()[-1].application == application
    head = origin.heads[-1].lower()
    assert b"authorization" not in head
    assert b"x-api-key" not in head


async def test_a_key_opens_an_api_that_takes_tokens_too(lane: Door, published: Published, origin: Origin):
    await opened(lane, published, origin, authentication=ENTRANCES)
    assert (await lane.call("/products/items")).status == 200
    assert (await called(lane, token())).status == 200


async def test_a_token_goes_on_where_an_administrator_says_so(seeing: Door, published: Published, origin: Origin):
    await opened(seeing, published, origin, forward_credential=True)
    given = token()
    assert (await called(seeing, given)).status == 200
    assert f"authorization: bearer {given}".encode().lower() in origin.heads[-1].lower()


async def test_a_tenants_issuer_opens_no_api_of_another_tenant(lane: Door, published: Published, origin: Origin):
    mine = client_credential(GRANTS, namespace="corp")
    await opened(lane, published, origin, issuer(tenant="acme"), mine)
    assert (await called(lane, token())).status == 401
    await opened(lane, published, origin, issuer(tenant="acme"), mine, tenant="acme", revision=3)
    assert (await called(lane, token())).status == 200


# What is remembered


async def test_a_remembered_head_ends_with_its_token(lane: Door, published: Published, origin: Origin):
    await opened(lane, published, origin)
    end = int(time()) + 100
    given = token(None, None, exp=end)
    for _ in range(2):
        assert (await called(lane, given)).status == 200
    (entry,) = lane.gateway.pipeline._entries.values()
    assert entry.expires == end


async def test_what_is_within_the_leeway_is_not_remembered(lane: Door, published: Published, origin: Origin):
    await opened(lane, published, origin)
    given = token(None, None, exp=int(time()) - 5)
    for _ in range(3):
        assert (await called(lane, given)).status == 200
    assert not len(lane.gateway.pipeline._entries)


async def test_a_key_that_is_taken_back_ends_remembered_heads(lane: Door, published: Published, origin: Origin):
    origin.paths["/keys"] = ok(key_set().encode())
    await opened(lane, published, origin, issuer(jwks_url=f"{origin.url}/keys"))
    given = token()
    for _ in range(3):
        assert (await called(lane, given)).status == 200
    new = key("ES256", "two")
    origin.paths["/keys"] = ok(key_set(new).encode())
    assert (await called(lane, token(new))).status == 200  # it brings the keys anew
    assert (await called(lane, given)).status == 401


async def test_a_remembered_head_ends_when_its_keys_are_to_be_fetched_anew(
    lane: Door, published: Published, origin: Origin
):
    origin.paths["/keys"] = ok(key_set().encode(), "cache-control: max-age=400")
    await opened(lane, published, origin, issuer(jwks_url=f"{origin.url}/keys"))
    given = token(None, None, exp=int(time()) + 3600)
    for _ in range(2):
        assert (await called(lane, given)).status == 200
    (entry,) = lane.gateway.pipeline._entries.values()
    assert 200 < entry.expires - time() <= 300


async def test_keys_rotate_under_load_and_no_call_fails(lane: Door, published: Published, origin: Origin):
    origin.paths["/keys"] = ok(key_set().encode())
    await opened(lane, published, origin, issuer(jwks_url=f"{origin.url}/keys"))
    old, new = key(), key("ES256", "two")
    done = asyncio.Event()
    statuses: list[int] = []

    async def calls(signed_by: Any, number: int) -> None:
        while not done.is_set():
            statuses.append((await called(lane, token(signed_by, None, jti=str(len(statuses))))).status)

    older = [asyncio.create_task(calls(old, number)) for number in range(4)]
    await until(lambda: len(statuses) > 20)
    origin.paths["/keys"] = ok(key_set(old, new).encode())
    newer = [asyncio.create_task(calls(new, number)) for number in range(4)]
    before = len(statuses)
    await until(lambda: len(statuses) > before + 60)
    done.set()
    await asyncio.gather(*older, *newer)
    assert set(statuses) == {200}
    assert origin.calls_to("/keys") == 2


async def test_what_can_not_be_known_is_no_refusal(lane: Door, published: Published, origin: Origin):
    origin.paths["/keys"] = DOWN
    await opened(lane, published, origin, issuer(jwks_url=f"{origin.url}/keys"))
    answer = await called(lane, token())
    assert (answer.status, b"not_ready" in answer.body) == (503, True)
    assert 1 <= int(answer["retry-after"]) <= 10
    assert lane.calls()[-1].trace[-1][:2] == ("authenticate", "token_issuer_away")


# Whose a response is


async def test_two_users_of_one_client_never_share_a_private_response(lane: Door, published: Published, origin: Origin):
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
    await opened(lane, published, origin, policy=Policy(api="products", scope="subject"))
    ann, ben = token(), token(None, None, sub="ben")
    assert [(await called(lane, each)).cache for each in (ann, ann, ben, ann, ben)] == [
        *("MISS", "HIT", "MISS", "HIT", "HIT")
    ]
    again = token(None, None, jti="another token of hers")
    assert (await called(lane, again)).cache == "HIT"
    assert (await called(lane, token(None, None, sub=None))).cache == "MISS"


async def test_tokens_that_do_not_say_whose_they_are_share_no_private_response(
    lane: Door, published: Published, origin: Origin
):
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
    await opened(lane, published, origin, policy=Policy(api="products", scope="subject"))
    one, other, empty = (token(None, None, sub=sub, jti=str(jti)) for jti, sub in ((1, None), (2, None), (3, "")))
    given = (one, one, other, one, other, empty)
    assert [(await called(lane, each)).cache for each in given] == ["MISS", "HIT", "MISS", "HIT", "HIT", "MISS"]


async def test_no_header_makes_another_call_of_one_that_a_token_has_the_scopes_for(
    lane: Door, published: Published, origin: Origin
):
    rules = TokenRules(("corp",), operations=(ScopeRule(("DELETE",), ("items",), ("write",)),))
    await opened(lane, published, origin, jwt=rules)
    lines = {"X_HTTP_Method_Override": "DELETE", "X_Original_URL": "/admin"}
    assert (await called(lane, token(), method="POST", body=b"x", **lines)).status == 200
    assert b"override" not in origin.heads[0].lower()
    assert b"/admin" not in origin.heads[0]


async def test_a_forwarded_token_is_its_subjects_own(lane: Door, published: Published, origin: Origin):
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
    await opened(lane, published, origin, forward_credential=True)
    ann, ben = token(), token(None, None, sub="ben")
    assert [(await called(lane, each)).cache for each in (ann, ann, ben)] == ["MISS", "HIT", "MISS"]


async def test_what_callers_of_a_client_have_of_their_own_ends_with_the_client(
    lane: Door, published: Published, origin: Origin
):
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
    await opened(lane, published, origin, policy=Policy(api="products", scope="subject"))
    given = [token(), token(None, None, sub="ben")]
    assert [(await called(lane, each)).cache for each in given * 2] == ["MISS", "MISS", "HIT", "HIT"]
    purges = lane.gateway.store.purges
    purges.apply([tag_of_subject(subject_of_key(7))], purges.clock + 1, soft=False)
    assert [(await called(lane, each)).cache for each in given] == ["MISS", "MISS"]

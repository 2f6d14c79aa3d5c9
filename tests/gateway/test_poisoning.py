"""One caller's request never decides what another gets: RFC 9111 §7.1 (cache poisoning), §7.3; RFC 9110 §7.6.1."""

from typing import Any

import pytest

from apps.gateway.gateway import Gateway
from apps.httpcache import normalise_target
from apps.httpcache.fields import UNKEYED_ECHOES
from apps.httpcache.policy import Policy
from tests.gateway.house import KEY, Door, Origin, Published, api, ok, read_body
from tests.support.waiting import until

FRESH = "cache-control: max-age=60"


async def publish(gateway: Gateway, published: Published, origin: Origin, **changes: Any) -> None:
    """``products`` changed, once the gateway knows it."""
    wanted = api("products", upstreams=origin.url, revision=2, **changes)
    published.change(wanted)
    await until(lambda: gateway.config.route(b"", b"/products/") == wanted)


class Everywhere(dict[str, Any]):
    """An origin's paths: whatever is asked for."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def get(self, path: str, default: Any = None) -> Any:
        return self.handler


def echoing(*lines: str) -> Any:
    """Answers with the whole request, in one line."""

    async def handler(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        body = await read_body(head, reader)
        writer.write(ok(head.replace(b"\r\n", b" ") + body, FRESH, *lines))
        await writer.drain()

    return Everywhere(handler)


async def test_a_field_that_an_origin_may_echo_doesnt_reach_it(lane: Door, origin: Origin) -> None:
    origin.paths = echoing()
    for name in sorted(UNKEYED_ECHOES):
        field = name.decode()
        attacker = await lane.call(f"/products/{field}", **{field: "evil.example"})
        victim = await lane.call(f"/products/{field}")
        assert (attacker.cache, victim.cache) == ("MISS", "HIT"), field
        assert b"evil.example" not in victim.body, field


PROXIES = "forwarded x-forwarded-for x-forwarded-proto x-real-ip client-ip true-client-ip cf-connecting-ip".split()


async def test_what_only_proxies_may_say_isnt_believed_of_callers(lane: Door, origin: Origin) -> None:
    origin.paths = echoing()
    for name in PROXIES:
        await lane.call(f"/products/{name}", **{name: "for=evil.example;host=evil.example"})
        assert b"evil.example" not in (await lane.call(f"/products/{name}")).body, name


@pytest.mark.parametrize("keyed", ["x-original-url", "x-http-method-override"])
async def test_one_that_is_in_the_key_reaches_it_and_nobody_else(
    lane: Door, origin: Origin, published: Published, keyed: str
) -> None:
    await publish(lane.gateway, published, origin, policy=Policy(api="products", headers=(keyed,)))
    origin.paths = echoing()
    attacker = await lane.call("/products/items", x_key="1", **{keyed.replace("-", "_"): "evil.example"})
    victim = await lane.call("/products/items")
    assert (attacker.cache, victim.cache) == ("MISS", "MISS")
    assert b"evil.example" not in victim.body


async def test_a_get_with_a_body_is_never_stored_and_never_answered(door: Door, origin: Origin) -> None:
    origin.paths = echoing()
    fat = [await door.call("/products/items", body=b"callback=evil") for _ in range(2)]
    assert [each.cache for each in fat] == ["BYPASS", "BYPASS"]
    victim = await door.call("/products/items")
    assert (victim.cache, b"evil" in victim.body) == ("MISS", False)


async def test_a_field_that_connection_lists_counts_for_nothing(lane: Door, origin: Origin) -> None:
    """Or a caller would have the answer without a language stored as the French one."""
    origin.paths = echoing("vary: accept-language")
    attacker = await lane.call("/products/items", accept_language="fr", connection="accept-language")
    victim = await lane.call("/products/items", accept_language="fr")
    assert (attacker.cache, victim.cache) == ("MISS", "MISS")
    assert b"accept-language: fr" in victim.body
    assert (await lane.call("/products/items")).cache == "HIT"


async def test_a_keyed_field_that_connection_lists_counts_for_nothing(
    lane: Door, origin: Origin, published: Published
) -> None:
    await publish(lane.gateway, published, origin, policy=Policy(api="products", headers=("x-channel",)))
    origin.paths = echoing()
    await lane.call("/products/items", x_channel="web", connection="x-channel")
    victim = await lane.call("/products/items", x_channel="web")
    assert (victim.cache, b"x-channel: web" in victim.body) == ("MISS", True)


def by_exact_value(name: str, wanted: str) -> Any:
    """Answers a call whose field has this very value, in the first of its lines, otherwise than all others."""

    async def handler(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        lines = [line.partition(b": ") for line in head.split(b"\r\n")]
        told = next((value for field, _, value in lines if field == name.encode()), b"")
        writer.write(ok(b"known" if told == wanted.encode() else b"unknown", FRESH, f"vary: {name}"))
        await writer.drain()

    return Everywhere(handler)


# Each is one list with the value of the honest caller to whoever thinks that each field is a list.
SPELLINGS = {
    "origin": ("https://shop.example", ["https://shop.example,", ",https://shop.example", " , https://shop.example,,"]),
    "x-region": ("eu", ["eu,", ",eu", "eu,,"]),
    "user-agent": (
        "a (KHTML, like b)",
        ["a (KHTML,like b)", "a (KHTML,  like b)", "a (KHTML\t, like b)", "a (KHTML,, like b)"],
    ),
    "accept": ("text/html, text/plain", ["text/html,text/plain", "text/html, text/plain,"]),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("keyed", [False, True])
async def test_no_other_spelling_of_a_field_decides_what_the_usual_one_gets(
    lane: Door, origin: Origin, published: Published, name: str, keyed: bool
) -> None:
    usual, others = SPELLINGS[name]
    policy = Policy(api="products", headers=(name,) if keyed else ())
    await publish(lane.gateway, published, origin, policy=policy)
    origin.paths = by_exact_value(name, usual)
    for number, other in enumerate(others):
        attacker = await lane.call(f"/products/{number}", **{name: other})
        victim = await lane.call(f"/products/{number}", **{name: usual})
        assert (attacker.body, victim.body, victim.cache) == (b"unknown", b"known", "MISS"), other


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-request-id"])
@pytest.mark.parametrize("keyed", [False, True])
async def test_an_answer_by_a_callers_address_is_nobody_elses(
    lane: Door, origin: Origin, published: Published, name: str, keyed: bool
) -> None:
    """The origin says so in ``Vary``, or the policy in ``headers``; what it sees, the gateway wrote."""
    policy = Policy(api="products", mode="override", ttl=60.0, headers=(name,) if keyed else ())
    await publish(lane.gateway, published, origin, policy=policy)
    origin.paths = echoing() if keyed else echoing(f"vary: {name}")
    calls = [await lane.call("/products/items") for _ in range(2)]
    assert [each.cache for each in calls] == ["MISS", "MISS"]


async def test_credentials_that_connection_lists_are_none(lane: Door, origin: Origin) -> None:
    origin.paths = echoing()
    await lane.call("/products/items", cookie="session=1", connection="cookie")
    assert b"session" not in (await lane.call("/products/items")).body


# What origins read as ``/account``, each in its own lax way.
LAX = """
/account /account/ /account// //account /account;x.css /account;/x.css /account;jsessionid=1/x.css /account/x.css
/account/;x.css /account%2Fx.css /account%2fx.css /account%3Bx.css /account%3Fx.css /account%23x.css /account%00.css
/account%0A.css /account%0d%0a.css /account%20 /account%09.css /account. /account.. /account... /account.css
/account.css; /account%2Ecss /account%252Fx.css /account%252e%252e/x.css /./account /a/../account /a/%2e%2e/account
/a/%2E./account /static/..%2Faccount /static/%2e%2e%2faccount /static/..;/account /static/.;/account
/static/%2e%2e;/account /static/..%5Caccount /static%5C..%5Caccount /account%5Cx.css /account%5c..%5cx.css
/account/x.css/.. /account/x.css/%2e%2e /account/. /account/%2e /Account /ACCOUNT /%61ccount /acc%6Funt
/account%EF%BC%8Fx.css /account%E2%80%8B /account~ /account@ /account!.css /account:80 /account,x.css /account+
/account? /account?x.css /account??x.css /account?/x.css /account?%2Fx.css /account?;x.css /account?a=1&a=2
/account?a=1;a=2 /account?a=1?a=2 /account?&&a /account?a[]=1 /account?%61=1 /account&x.css /account&a=1
""".split()


def private(by: str) -> Any:
    """Answers each caller with what is theirs, at every path, by the field that tells callers apart."""

    async def handler(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        told = [line for line in head.split(b"\r\n") if line.startswith(by.encode() + b":")]
        writer.write(ok(b"of " + b", ".join(told)))
        await writer.drain()

    return Everywhere(handler)


@pytest.mark.parametrize("by", ["cookie", "authorization", "x-auth-token"])
async def test_no_spelling_of_a_path_makes_a_private_answer_anybody_elses(
    lane: Door, origin: Origin, published: Published, by: str
) -> None:
    """The policy gives everything a lifetime, and the origin says nothing at all."""
    policy = Policy(api="products", mode="ttl", ttl=60.0)
    await publish(lane.gateway, published, origin, policy=policy)
    origin.paths = private(by)
    refused = 0
    for path in LAX:
        first = await lane.call(f"/products{path}", **{by: "ann-secret"})
        if first.status == 400:
            refused += 1
            continue
        others = [await lane.call(f"/products{path}", **more) for more in ({by: "bob-secret"}, {})]
        again = await lane.call(f"/products{path}", **{by: "ann-secret"})
        assert b"ann-secret" in first.body, path
        assert again.body == first.body, path
        assert (b"bob-secret" in others[0].body, b"ann" in others[0].body) == (True, False), path
        assert others[1].body == b"of ", path
    assert 0 < refused < len(LAX) / 2


async def test_an_answer_made_for_one_key_of_the_origin_is_not_anothers_where_it_goes_on(
    lane: Door, origin: Origin, published: Published
) -> None:
    await publish(
        lane.gateway,
        published,
        origin,
        forward_credential=True,
        api_key_header="X-Gateway-Key",
        policy=Policy(api="products", mode="ttl", ttl=60.0),
    )
    origin.paths = private("x-api-key")
    for path in LAX:
        answers = {
            key: await lane.call(f"/products{path}", key=None, x_gateway_key=KEY, x_api_key=key)
            for key in ("the-origins-key-of-ann", "the-origins-key-of-bob")
        }
        for key, answer in answers.items():
            assert answer.status == 400 or key.encode() in answer.body, path


async def test_the_origin_sees_the_very_path_and_query_that_are_keyed(lane: Door, origin: Origin) -> None:
    """So two spellings that get one answer were one request to the origin, and two requests never get one answer."""
    origin.paths = echoing()
    answers: dict[bytes, bytes] = {}
    for path in LAX:
        answer = await lane.call(f"/products{path}")
        target = normalise_target(f"/products{path}".encode())
        assert (answer.status == 400) == (target is None), path
        if target is None:
            continue
        wanted = target.path.removeprefix(b"/products") + (b"" if target.query is None else b"?" + target.query)
        assert answer.body.startswith(b"GET %b HTTP/1.1 " % wanted), path
        assert (answer.cache == "HIT") == (wanted in answers), path
        answers[wanted] = answer.body


@pytest.mark.parametrize("blanks", [" ", "\t", " \t  "])
async def test_blanks_around_a_value_are_no_part_of_it(
    door: Door, origin: Origin, published: Published, blanks: str
) -> None:
    """RFC 9110 §5.5. Else a key with one behind it would be nobody's, and go on to an open API's upstream."""
    await publish(door.gateway, published, origin, authentication=("none",))
    origin.paths = echoing()
    told = await door.call("/products/items", key=f"{KEY}{blanks}", x_region=f"eu{blanks}")
    assert KEY.encode() not in told.body
    assert b"x-region: eu x-forwarded-for" in told.body


@pytest.mark.parametrize("value", ["chunked\t", "chunked \t ", "\tchunked\t"])
async def test_a_transfer_coding_with_blanks_is_refused_where_servers_may_differ(
    lane: Door, origin: Origin, value: str
) -> None:
    origin.paths = echoing()
    head = f"POST /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ntransfer-encoding: {value}\r\n\r\n"
    told = await lane.raw(head.encode() + b"5\r\nhello\r\n0\r\n\r\n", "POST")
    assert (told.status, origin.heads) == (400, [])


@pytest.mark.parametrize(
    "to_ann",
    [
        ok(b"for ann", "cache-control: private"),
        b"HTTP/1.1 304 Not Modified\r\ncache-control: private\r\n\r\n",
        b'HTTP/1.1 304 Not Modified\r\netag: "of ann"\r\n\r\n',
        b"HTTP/1.1 304 Not Modified\r\nx-user: ann\r\n\r\n",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_made_up_credentials_get_neither_ends_nor_changes_what_is_for_all(
    lane: Door, origin: Origin, published: Published, method: str, to_ann: bytes
) -> None:
    await publish(lane.gateway, published, origin, policy=Policy(api="products", client_directives="honour"))

    async def asked(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        if b"cookie" not in head:
            writer.write(ok(b"for all", "cache-control: public, max-age=60", 'etag: "1"'))
        elif b" 304 " in to_ann and b"if-none-match" not in head:
            writer.write(ok(b"" if head.startswith(b"HEAD") else b"for ann", "cache-control: private"))
        elif head.startswith(b"HEAD"):
            writer.write(to_ann.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        else:
            writer.write(to_ann)

    origin.paths["/items"] = asked
    first = await lane.call("/products/items")
    await lane.call("/products/items", method=method, cookie="ann", cache_control="no-cache")
    again = await lane.call("/products/items")
    assert (first.cache, again.cache, again.body) == ("MISS", "HIT", b"for all")
    assert "x-user" not in again

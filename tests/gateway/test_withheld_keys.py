"""What never reaches an upstream, and what is never shared because an upstream saw it: keys of this platform wherever they
stand, names that origins read as others (RFC 3875 §4.1.18), and fields that name who calls.
"""

import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from apps.gateway.gateway import Gateway
from apps.httpcache.fields import UNKEYED_ECHOES
from apps.httpcache.policy import Policy
from apps.wire.api_keys import make_key
from apps.wire.snapshot import Grant, HeaderRules
from tests.gateway.house import (
    KEY,
    OTHER_KEY,
    Answered,
    Door,
    Origin,
    Published,
    api,
    credential,
    ok,
    read_answer,
    read_body,
    serving,
)
from tests.support.header_names import IDENTITY
from tests.support.waiting import until

OURS = make_key()
TOKEN = "amt_" + "b-_" * 14 + "x"
SESSION = "ams_" + "c_-" * 14 + "y"
LONG = Policy(api="products", mode="ttl", ttl=60.0)


class Everywhere(dict[str, Any]):
    """An origin's paths: one handler for whatever is asked for."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def get(self, path: str, default: Any = None) -> Any:
        return self.handler


async def echo(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
    body = await read_body(head, reader)
    origin.bodies.append(body)
    writer.write(ok(head.replace(b"\r\n", b" ") + body))
    await writer.drain()


async def publish(gateway: Gateway, published: Published, origin: Origin, **changes: Any) -> None:
    """``products`` changed, and a key of our own form, once the gateway knows them."""
    changes.setdefault("policy", LONG)
    wanted = api("products", upstreams=origin.url, revision=2, **changes)
    published.change(wanted, credential(OURS, {"products": Grant(4, "unlimited", "active")}, key_id=4, tenant="zenith"))
    await until(lambda: gateway.config.route(b"", b"/products/") == wanted)


async def send(door: Door, path: str, *lines: str, body: bytes | None = None, method: str = "GET") -> Answered:
    """One call with these lines of a head, as they are."""
    said = [f"{method} {path} HTTP/1.1", "host: api.test", *lines]
    if body is not None:
        said.append("transfer-encoding: chunked")
    return await door.raw("\r\n".join([*said, "", ""]).encode("latin-1") + (body or b""), method)


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


PLACES: dict[str, Callable[[str], str]] = {
    "its own field": lambda key: f"X-API-Key: {key}",
    "another field": lambda key: f"X-Anything: {key}",
    "Bearer": lambda key: f"Authorization: Bearer {key}",
    "a scheme of its own": lambda key: f"Authorization: ApiKey key={key}, v=1",
    "the user of Basic": lambda key: f"Authorization: Basic {basic(key, '')}",
    "Basic with a tab": lambda key: f"Authorization: Basic\t{basic('ann', key)}",
    "the password of Basic": lambda key: f"authorization: bAsIC {basic('ann', key)}",
    "Basic of another field": lambda key: f"X-Original-Authorization: Basic {basic('ann', key)}",
    "Proxy-Authorization": lambda key: f"Proxy-Authorization: Bearer {key}",
    "a cookie": lambda key: f"Cookie: theme=dark; key={key}; lang=en",
    "Referer": lambda key: f"Referer: https://shop.test/?key={key}",
    "an encoded Referer": lambda key: f"Referer: https://shop.test/?key={key.replace('_', '%5F')}",
    "a list": lambda key: f"X-Keys: one, {key}, two",
    "X-Request-ID": lambda key: f"X-Request-ID: {key}",
    "a trace": lambda key: f"Baggage: key={key}",
    "User-Agent": lambda key: f"User-Agent: curl/8 {key}",
    "a name with an underscore": lambda key: f"X_API_Key: {key}",
    "a member of Connection": lambda key: f"X-Keep: {key}\r\nConnection: X-Keep",
    "Forwarded": lambda key: f"Forwarded: for={key}",
}


def seen_by(origin: Origin) -> bytes:
    return b"".join(origin.heads + origin.bodies)


@pytest.mark.parametrize("changes", [{}, {"forward_credential": True}, {"authentication": ("none",)}], ids=str)
@pytest.mark.parametrize("trusted", [False, True])
async def test_no_secret_of_ours_reaches_an_upstream_wherever_it_stands(
    gateways: Callable[..., Awaitable[Gateway]], published: Published, origin: Origin, changes: Any, trusted: bool
) -> None:
    gateway = await gateways(trusted_proxies=["127.0.0.1"] if trusted else [])
    await publish(gateway, published, origin, **changes)
    origin.paths = Everywhere(echo)
    async with serving(gateway, "lane") as door:
        for number, (place, line) in enumerate(PLACES.items()):
            for secret in (OURS, TOKEN, SESSION):
                own = place == "its own field"
                lines = [line(secret)] if own else [line(secret), f"X-API-Key: {KEY}"]
                answer = await send(door, f"/products/{number}/{secret[:3]}", *lines)
                if secret == OURS or not own or changes:
                    assert answer.status in (200, 401), (place, answer)
                assert secret.encode() not in seen_by(origin), place
                assert secret.replace("_", "%5F").encode() not in seen_by(origin), place
                assert base64.b64encode(secret.encode())[:40] not in seen_by(origin), place
                assert basic("ann", secret)[8:40].encode() not in seen_by(origin), place
        assert b"theme=dark; lang=en" in seen_by(origin)
        assert not [each for each in door.calls() if "am" + "k_" in each.request_id + each.path]


async def test_the_consoles_session_stays_out_of_the_key_and_other_cookies_go_on(
    lane: Door, published: Published, origin: Origin
) -> None:
    """A browser that is signed in sends the console's cookie to the gateway too, where both have one host name."""
    await publish(lane.gateway, published, origin)
    origin.paths = Everywhere(echo)
    for cookie, seen in ((f"sessionid={SESSION}", b""), (f"a=1; sessionid={SESSION}; b=2", b"cookie: a=1; b=2")):
        answer = await lane.call("/products/x", method="POST", body=b"", Cookie=cookie)
        assert SESSION.encode() not in answer.body
        assert seen in answer.body.lower()
    assert b"cookie" not in (await lane.call("/products/y", Cookie=f"sessionid={SESSION}")).body.lower()


async def test_nothing_behind_the_gateway_sets_a_session_of_the_console(
    door: Door, published: Published, origin: Origin
) -> None:
    kept = Policy(api="products", mode="ttl", ttl=60.0, store_set_cookie=True)
    rules = HeaderRules(set=(("set-cookie", f"sessionid={SESSION}; Path=/"),))
    origin.paths["/items"] = ok(
        b"[]",
        f"set-cookie: sessionid={SESSION}; Path=/",
        "Set-Cookie: theme=dark",
        f"SET-COOKIE: a=ams%5F{SESSION[4:]}",
    )
    for rule in (HeaderRules(), rules):
        await publish(door.gateway, published, origin, policy=kept, response_headers=rule)
        answers = [await door.call("/products/items") for _ in range(2)] + [
            await door.call("/products/items", method="POST")
        ]
        assert [answer.cache for answer in answers[1:]] == ["HIT", "BYPASS"]
        for answer in answers:
            assert answer.all("set-cookie") == ["theme=dark"]


async def test_a_key_in_a_query_is_left_out_and_one_in_a_path_refused(
    lane: Door, published: Published, origin: Origin
) -> None:
    await publish(lane.gateway, published, origin)
    origin.paths = Everywhere(echo)
    for query in (f"a=1&key={OURS}&b=2", f"a=1&b=2&{OURS}", f"a=1&%6bey=%61mk_{OURS[4:]}&b=2", f"a=1&k={KEY}&b=2"):
        answer = await lane.call(f"/products/items?{query}")
        assert answer.body.startswith(b"GET /items?a=1&b=2 HTTP/1.1"), query
    assert (await lane.call(f"/products/items?{OURS}")).body.startswith(b"GET /items HTTP/1.1")
    for path in (f"/products/{OURS}", f"/products/of-{OURS}/x", f"/products/%61mk%5F{OURS[4:]}"):
        assert (await lane.call(path)).status == 400, path
    assert (await lane.raw(f"GET /products/ HTTP/1.1\r\nhost: {OURS}.test\r\n\r\n".encode())).status == 400
    assert (await lane.call(f"/products/{'x' * 9000}{OURS}")).status == 414
    assert (await lane.call(f"/nowhere/{OURS}")).status == 404
    assert OURS.encode() not in seen_by(origin)
    assert not any(OURS[4:].lower() in (each.path + each.host).lower() for each in lane.calls())


async def test_a_key_in_trailers_stays_here(seeing: Door, published: Published, origin: Origin) -> None:
    await publish(seeing.gateway, published, origin)
    origin.paths = Everywhere(echo)
    body = f"3\r\nabc\r\n0\r\nX-Key: {OURS}\r\nX_Forwarded_Host: evil.test\r\n\r\n".encode()
    answer = await send(seeing, "/products/items", f"X-API-Key: {KEY}", "Trailer: X-Key", body=body, method="POST")
    assert answer.status == 200
    assert b"abc" in answer.body
    assert OURS.encode() not in seen_by(origin)
    assert b"evil.test" not in seen_by(origin)


@pytest.mark.parametrize("forwards", [False, True])
async def test_the_key_that_was_accepted_never_reaches_an_upstream(
    lane: Door, published: Published, origin: Origin, forwards: bool
) -> None:
    """Whatever its form: it was imported, so that nothing but its being accepted tells that it is one."""
    await publish(lane.gateway, published, origin, forward_credential=forwards)
    origin.paths = Everywhere(echo)
    for number, line in enumerate(PLACES.values()):
        answer = await send(lane, f"/products/{number}", f"x-api-key: {KEY}", line(KEY))
        assert answer.status in (200, 401)
    heads = seen_by(origin)
    assert KEY.encode() not in heads
    assert base64.b64encode(KEY.encode())[:20] not in heads
    assert basic("ann", KEY)[8:20].encode() not in heads


async def test_an_imported_key_of_somebody_stays_here_at_an_open_api(
    door: Door, published: Published, origin: Origin
) -> None:
    """A client that sends its key with every call sends it to another tenant's open API too; the upstream's own keys, which
    nobody has here, go on.
    """
    await publish(door.gateway, published, origin, authentication=("none",), api_key_header="X-Shop-Key")
    origin.paths = Everywhere(echo)
    for name in ("X-API-Key", "X-Shop-Key"):
        first = await send(door, f"/products/{name}", f"{name}: {OTHER_KEY}")
        other = await send(door, f"/products/{name}", f"{name}: a-key-of-the-upstream")
        assert (OTHER_KEY.encode() in first.body, b"a-key-of-the-upstream" in other.body) == (False, True)
    assert OTHER_KEY.encode() not in seen_by(origin)


async def test_whether_a_key_at_an_open_api_is_somebodys_must_be_known(
    lane: Door, published: Published, origin: Origin
) -> None:
    await publish(lane.gateway, published, origin, authentication=("none",))
    origin.paths = Everywhere(echo)
    theirs = "X-API-Key: a-key-of-the-upstream"
    assert [(await send(lane, "/products/known", theirs)).status for _ in range(2)] == [200, 200]
    asked = len(origin.heads)
    lane.gateway.config.trust_lease.ends = 0.0
    for path in ("/products/known", "/products/new"):
        assert (await send(lane, path, theirs)).status == 503
    assert len(origin.heads) == asked
    assert (await send(lane, "/products/items")).status == 200


@pytest.mark.parametrize("forwards", [False, True])
async def test_the_upstreams_own_key_goes_on_where_an_administrator_lets_it(
    lane: Door, published: Published, origin: Origin, forwards: bool
) -> None:
    await publish(lane.gateway, published, origin, api_key_header="X-Gateway-Key", forward_credential=forwards)
    origin.paths = Everywhere(echo)
    keys = (KEY, OTHER_KEY)
    answers = [await send(lane, "/products/1", f"x-gateway-key: {KEY}", f"x-api-key: theirs-{key}") for key in "ab"]
    assert [b"theirs-" in answer.body for answer in answers] == [forwards, forwards]
    assert (b"theirs-a" in answers[0].body, b"theirs-b" in answers[1].body) == (forwards, forwards)
    for number, key in enumerate(keys):
        await send(lane, f"/products/of-{number}", f"x-gateway-key: {KEY}", f"x-api-key: {key}")
    assert not any(key.encode() in seen_by(origin) for key in keys)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"apis": ("products",)}, ""),
        ({"apis": ("orders", "products")}, ""),
        ({"apis": ("orders",)}, "key_not_for_api"),
        ({"apis": ()}, "key_not_for_api"),
        ({"only_api": "orders"}, "key_not_for_api"),
    ],
)
async def test_a_key_is_good_for_its_own_apis(
    door: Door, published: Published, origin: Origin, changes: Any, code: str
) -> None:
    origin.paths = Everywhere(echo)
    assert (await door.call("/products/before")).status == 200
    grants = {"products": Grant(1, "unlimited", "active")}
    published.change(credential(KEY, grants, **changes))
    epoch = door.gateway.config.epoch
    await until(
        lambda: door.gateway.config.epoch > epoch or door.gateway.config.credential(credential(KEY, {}).digest) is None
    )
    for path in ("/products/before", "/products/after"):
        answer = await door.call(path)
        assert (answer.status, f'"code":"{code}"'.encode() in answer.body) == ((403, True) if code else (200, False))


def folded(head: bytes) -> dict[str, str]:
    """A head as CGI, WSGI, Rack and PHP give it to a program: every character that is no letter or digit is one."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = [line.partition(":") for line in lines if ":" in line]
    return {re.sub(r"[^A-Z0-9]", "_", name.upper()): value.strip() for name, _, value in pairs}


async def cgi(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
    """Answers by whatever it is told of who calls, from where and how; says nothing of ``Vary``."""
    await read_body(head, reader)
    told = sorted(value for value in folded(head).values() if "who-" in value)
    writer.write(ok(", ".join(told).encode()))
    await writer.drain()


def spellings(name: str) -> list[str]:
    """A field's name in ways that one origin or another reads as the same."""
    other = [name.replace("-", odd) for odd in "_." + ("~!|^*" if name == "X-User-Id" else "")]
    return list(dict.fromkeys([name, name.upper(), name.replace("-", "_", 1).lower(), *other]))


@pytest.fixture
async def shop(published: Published, origin: Origin, gateway: Gateway) -> AsyncIterator[Door]:
    """A lane to an open API with an origin that folds names."""
    await publish(gateway, published, origin, authentication=("none",))
    origin.paths = Everywhere(cgi)
    async with serving(gateway, "lane") as door:
        yield door


NAMES = sorted({*IDENTITY, *(name.decode().title() for name in UNKEYED_ECHOES), "Proxy"})


class Client:
    """One connection, on which call follows call."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await self._door.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()

    async def ask(self, path: str, name: str, who: str | None) -> bytes:
        """What is answered to somebody who says who they are in this field."""
        told = "" if who is None else f"{name}: who-{who}\r\n"
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: api.test\r\n{told}\r\n".encode())
        answer = await read_answer(self._reader)
        assert answer.status == 200, (name, answer)
        return answer.body


async def test_no_spelling_of_a_name_makes_one_callers_answer_anothers(shop: Door) -> None:
    """Two callers and one who says nothing, at an origin behind CGI that answers by the field and doesn't say so."""
    async with Client(shop) as client:
        for name in NAMES:
            for number, spelling in enumerate(spellings(name)):
                path = f"/products/{name}/{number}"
                ann, bob, nobody = [await client.ask(path, spelling, who) for who in ("ann", "bob", None)]
                assert b"bob" not in ann, spelling
                assert b"ann" not in bob + nobody, spelling
                assert b"bob" not in nobody, spelling
                assert b"ann" not in await client.ask(path, name, "carl"), spelling


async def test_what_trusted_proxies_say_of_who_calls_is_not_shared_either(
    gateways: Callable[..., Awaitable[Gateway]], published: Published, origin: Origin
) -> None:
    gateway = await gateways(trusted_proxies=["127.0.0.1"])
    await publish(gateway, published, origin, authentication=("none",))
    origin.paths = Everywhere(cgi)
    async with serving(gateway, "lane") as door, Client(door) as client:
        for name in IDENTITY:
            for number, spelling in enumerate((name, name.replace("-", "_"))):
                path = f"/products/{name}/{number}"
                answers = [await client.ask(path, spelling, who) for who in ("ann", "bob", None)]
                assert b"ann" not in answers[1] + answers[2], spelling
                assert b"bob" not in answers[2], spelling


ALLOWED = ("x_acme_region", "x.acme.region", "x_user_id")


async def test_a_name_that_an_api_allows_goes_on_and_is_keyed(
    gateway: Gateway, published: Published, origin: Origin
) -> None:
    keyed = Policy(api="products", mode="ttl", ttl=60.0, headers=ALLOWED)
    await publish(gateway, published, origin, authentication=("none",), underscore_headers=ALLOWED, policy=keyed)
    origin.paths = Everywhere(cgi)
    async with serving(gateway, "lane") as door, Client(door) as client:
        for name in ALLOWED:
            path = f"/products/{name}"
            answers = [await client.ask(path, name, who) for who in ("ann", "bob", None, "ann")]
            assert answers == [b"who-ann", b"who-bob", b"", b"who-ann"]
        assert len(origin.heads) == 3 * len(ALLOWED)
        assert await client.ask("/products/other", "x_other", "ann") == b""


@pytest.mark.parametrize(
    ("headers", "answers"), [((), [b"who-ann"] * 3), (("x-badge",), [b"who-ann", b"who-bob", b""])]
)
async def test_a_field_that_an_api_names_counts_as_a_credential(
    lane: Door, published: Published, origin: Origin, headers: tuple[str, ...], answers: list[bytes]
) -> None:
    policy = Policy(api="products", mode="ttl", ttl=60.0, credential_headers=headers)
    await publish(lane.gateway, published, origin, authentication=("none",), policy=policy)
    origin.paths = Everywhere(cgi)
    async with Client(lane) as client:
        assert [await client.ask("/products/1", "X-Badge", who) for who in ("ann", "bob", None)] == answers

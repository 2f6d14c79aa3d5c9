"""Opaque tokens: a server says what they are worth, and what it says is believed no longer and no further than it goes."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from itertools import product
from typing import Any
from urllib.parse import unquote_plus

import jwt
import pytest
import redis
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from apps.declarative.applying import apply
from apps.declarative.reader import read_text
from apps.fleet import compile as compiler
from apps.gateway.gateway import Gateway
from apps.gateway.pipeline.authenticators.introspection import asking, failed_tokens
from apps.httpcache.policy import PERSONAL, Policy
from apps.wire.circuit_breaker import Breaker
from apps.wire.snapshot import Egress, Issuer, ScopeRule, TokenRules
from tests.gateway.house import Answered, Door, Origin, Published, api, ok, serving
from tests.gateway.introspection_server import (
    PATH,
    IntrospectionServer,
    authlib_server,
    client,
    opaque,
    said,
    server_part,
)
from tests.gateway.test_policies import everything_in
from tests.gateway.tokens import issuer
from tests.gateway.tokens import key as signing_key
from tests.gateway.tokens import token as signed_token
from tests.support.waiting import until

SOON = 0.3
"""Seconds in place of the deadline of a question, for servers that don't answer."""


@pytest.fixture
async def server() -> AsyncIterator[IntrospectionServer]:
    """An introspection server of the test's own."""
    async with Origin() as origin:
        yield IntrospectionServer(origin)


async def publish(gateway: Gateway, published: Published, *things: Any) -> None:
    before = gateway.config.epoch
    published.change(*things)
    await until(lambda: gateway.config.epoch > before)


@pytest.fixture
async def asking_lane(lane: Door, published: Published, origin: Origin, server: IntrospectionServer) -> Door:
    """A gateway whose API ``products`` asks ``server`` about tokens."""
    origin.paths["/items"] = ok(b"items")
    await publish(lane.gateway, published, opaque(origin.url), server_part(server.url), client())
    return lane


async def called(door: Door, token: str | None, target: str = "/products/items", **more: Any) -> Answered:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return await door.call(target, key=None, **headers, **more)


def code_of(answer: Answered) -> str:
    return str(json.loads(answer.body)["code"])


async def test_an_active_token_calls_for_the_application_that_has_its_client_id(
    asking_lane: Door, server: IntrospectionServer, origin: Origin
):
    token = server.knows("mF_9.B5f-4.1JqM+/==")
    for _ in range(3):
        assert (await called(asking_lane, token)).body == b"items"
    assert {record.application for record in asking_lane.calls()} == {"acme/bot"}
    (question,) = server.questions
    assert question.form == {"token": token, "token_type_hint": "access_token"}
    assert question.fields["accept"] == "application/json"
    assert b"mF_9" not in b"".join(origin.heads)


async def test_an_inactive_token_is_refused_and_asked_about_once(asking_lane: Door, server: IntrospectionServer):
    for _ in range(3):
        answer = await called(asking_lane, "stolen")
        assert (answer.status, code_of(answer)) == (401, "invalid_token")
        assert 'error="invalid_token"' in answer["www-authenticate"]
    assert len(server.questions) == 1


async def test_without_a_token_the_caller_is_told_what_is_missing(asking_lane: Door, server: IntrospectionServer):
    answer = await called(asking_lane, None)
    assert (answer.status, code_of(answer)) == (401, "missing_credential")
    assert answer["www-authenticate"].startswith("Bearer")
    assert "error=" not in answer["www-authenticate"]
    assert not server.questions


async def test_a_token_of_an_unknown_client_is_not_subscribed(asking_lane: Door, server: IntrospectionServer):
    for claims in ({"client_id": "stranger"}, {"client_id": None}, {"client_id": 7}, {"client_id": "x" * 5000}):
        answer = await called(asking_lane, server.knows(f"token-{len(server.tokens)}", **claims))
        assert (answer.status, code_of(answer)) == (403, "not_subscribed"), claims


FILE = """
version: 1
tenants: [{slug: platform}, {slug: acme}]
plans: [{slug: unlimited}]
introspections: [{slug: legacy, url: "%s", client_id: gateway, client_secret: the secret, cache: 30s, negative_cache: 5s}]
apis:
  - slug: products
    tenant: platform
    listen_path: /products/
    upstreams: [{url: "%s"}]
    published: true
    authentication: [introspection]
    introspection: legacy
    jwt: {required_scopes: [read], required_claims: {tier: [gold, silver]}}
applications: [{tenant: acme, slug: bot, client_ids: [bot-client]}]
subscriptions: [{application: acme/bot, api: products, plan: unlimited}]
"""


@pytest.fixture
def from_file(db: None, origin: Origin, server: IntrospectionServer) -> list[Any]:
    """What gateways hold of ``FILE``."""
    apply(read_text((FILE % (server.url, origin.url)).encode()))
    parts = [part for some in compiler.all_parts() for part in some.values() if not isinstance(part, Egress)]
    return [*parts, *(record for some in compiler.all_credentials() for record in some.values() if record is not None)]


async def test_what_stands_in_the_file_is_what_the_gateway_does(
    lane: Door, published: Published, origin: Origin, server: IntrospectionServer, from_file: list[Any]
):
    origin.paths["/items"] = ok(b"items")
    await publish(lane.gateway, published, *from_file)
    token = server.knows("gold", scope="read", tier="gold")
    assert (await called(lane, token)).body == b"items"
    assert lane.calls()[-1].application == "acme/bot"
    assert (await called(lane, server.knows("tin", scope="read", tier="tin"))).status == 403
    assert base64.b64decode(server.questions[0].fields["authorization"].removeprefix("Basic ")) == b"gateway:the+secret"


# How long


@pytest.mark.parametrize(
    ("claims", "cache", "holds"),
    [({}, 60.0, 60), ({"exp": 20}, 60.0, 20), ({"exp": 100}, 30.0, 30), ({"exp": 20.5}, 60.0, 20.5)],
)
async def test_an_active_token_is_remembered_as_long_as_the_setting_says_and_never_past_its_end(
    asking_lane: Door,
    published: Published,
    server: IntrospectionServer,
    claims: dict[str, float],
    cache: float,
    holds: float,
):
    await publish(asking_lane.gateway, published, server_part(server.url, cache=cache))
    with time_machine.travel(NOW, tick=False) as clock:
        token = server.knows("token", **{name: NOW + value for name, value in claims.items()})
        assert (await called(asking_lane, token)).status == 200
        server.tokens.clear()
        clock.shift(holds - 0.1)
        # The second one is remembered with its head, the third comes with it.
        assert [(await called(asking_lane, token)).status for _ in range(2)] == [200, 200]
        clock.shift(0.2)
        assert (await called(asking_lane, token)).status == 401
    assert len(server.questions) == 2


async def test_a_token_that_became_active_is_taken_once_the_refusal_is_forgotten(
    asking_lane: Door, published: Published, server: IntrospectionServer
):
    await publish(asking_lane.gateway, published, server_part(server.url, negative_cache=5.0))
    with time_machine.travel(NOW, tick=False) as clock:
        assert (await called(asking_lane, "token")).status == 401
        server.knows("token")
        clock.shift(4.9)
        assert (await called(asking_lane, "token")).status == 401
        clock.shift(0.2)
        assert (await called(asking_lane, "token")).status == 200


async def test_a_server_whose_word_is_not_kept_is_asked_by_every_call(
    asking_lane: Door, published: Published, server: IntrospectionServer
):
    await publish(asking_lane.gateway, published, server_part(server.url, cache=0.0, negative_cache=0.0))
    token = server.knows("token")
    assert [(await called(asking_lane, token)).status for _ in range(3)] == [200, 200, 200]
    assert [(await called(asking_lane, "other")).status for _ in range(2)] == [401, 401]
    assert len(server.questions) == 5


async def test_a_large_response_is_used_and_not_kept(asking_lane: Door, server: IntrospectionServer):
    token = server.knows("token", note="x" * asking.LARGEST)
    assert [(await called(asking_lane, token)).status for _ in range(2)] == [200, 200]
    assert len(server.questions) == 2


async def test_a_token_that_became_inactive_opens_nothing_with_an_older_response(
    asking_lane: Door, published: Published, server: IntrospectionServer
):
    token = server.knows("token")
    with time_machine.travel(NOW, tick=False) as clock:
        assert (await called(asking_lane, token)).status == 200
        server.tokens.clear()
        clock.shift(61)
        assert (await called(asking_lane, token)).status == 401
        clock.shift(-5)  # the clock is put back: what the server said last holds
        assert (await called(asking_lane, token)).status == 401


NOW = 2_000_000_000.0

REFUSED_CLAIMS = [
    ("token_expired", {"exp": NOW - 1}),
    ("token_expired", {"exp": NOW}),
    ("token_not_yet_valid", {"nbf": NOW + 31}),
    ("token_not_yet_valid", {"iat": NOW + 31}),
    ("token_wrong_type", {"token_type": "refresh_token"}),
    ("token_wrong_type", {"token_type": "DPoP"}),
    ("token_wrong_type", {"token_use": "refresh_token"}),
    ("token_wrong_type", {"token_type": ["Bearer"]}),
    ("token_bound", {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
    ("token_inactive", {"active": False}),
]


@pytest.mark.parametrize(("why", "claims"), REFUSED_CLAIMS)
async def test_an_active_token_that_is_not_for_this_use_is_refused_and_the_trace_says_why(
    asking_lane: Door, server: IntrospectionServer, why: str, claims: dict[str, Any]
):
    with time_machine.travel(NOW, tick=False):
        answer = await called(asking_lane, server.knows("token", **claims))
    assert (answer.status, code_of(answer)) == (401, "invalid_token")
    assert why in trace_of(asking_lane)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW + 1, "nbf": NOW + 30, "iat": NOW + 30},
        {"token_type": "Bearer", "token_use": "access_token", "cnf": None},
        {"token_type": "bearer", "exp": None, "nbf": None},
    ],
)
async def test_clocks_may_differ_a_little(asking_lane: Door, server: IntrospectionServer, claims: dict[str, Any]):
    with time_machine.travel(NOW, tick=False):
        assert (await called(asking_lane, server.knows("token", **claims))).status == 200


def trace_of(door: Door) -> str:
    return " ".join(decision for _, decision, _ in door.calls()[-1].trace)


# Who asks


PEMS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def question_with(door: Door, published: Published, server: IntrospectionServer, **changes: Any) -> Any:
    await publish(door.gateway, published, server_part(server.url, **changes))
    assert (await called(door, server.knows("token"))).status == 200
    return server.questions[-1]


async def test_the_gateway_says_who_asks_by_basic(asking_lane: Door, published: Published, server: IntrospectionServer):
    secret = "p:ss wörd+%&="
    question = await question_with(asking_lane, published, server, client_id="gate:way", secret=secret)
    scheme, _, pair = question.fields["authorization"].partition(" ")
    assert scheme == "Basic"
    assert [unquote_plus(part) for part in base64.b64decode(pair).decode().split(":")] == ["gate:way", secret]
    assert question.form.keys() == {"token", "token_type_hint"}


async def test_the_gateway_says_who_asks_in_the_form(
    asking_lane: Door, published: Published, server: IntrospectionServer
):
    question = await question_with(asking_lane, published, server, client_authentication="post", secret="s&t")
    assert "authorization" not in question.fields
    assert (question.form["client_id"], question.form["client_secret"]) == ("gateway", "s&t")


async def test_the_gateway_says_nothing_of_itself_where_the_server_wants_nothing(
    asking_lane: Door, published: Published, server: IntrospectionServer
):
    question = await question_with(
        asking_lane, published, server, client_authentication="none", client_id="", secret=""
    )
    assert "authorization" not in question.fields
    assert question.form == {"token": "token", "token_type_hint": "access_token"}


@pytest.mark.parametrize("algorithm", PEMS)
async def test_the_gateway_says_who_asks_by_a_signed_assertion(
    asking_lane: Door, published: Published, server: IntrospectionServer, algorithm: str
):
    key = PEMS[algorithm]
    settings = {"client_authentication": "private_key_jwt", "secret": pem(key)}
    question = await question_with(asking_lane, published, server, **settings)
    assert question.form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    claims = jwt.decode(
        question.form["client_assertion"],
        key.public_key(),
        algorithms=[algorithm],
        audience=server.url,
        issuer="gateway",
    )
    assert claims["sub"] == "gateway"
    assert 0 < claims["exp"] - claims["iat"] <= 60
    assert (await called(asking_lane, server.knows("another"))).status == 200
    again = jwt.decode(server.questions[-1].form["client_assertion"], options={"verify_signature": False})
    assert again["jti"] != claims["jti"]


@pytest.mark.parametrize(
    "secret",
    ["no key", "", pem(rsa.generate_private_key(65537, 1024)), pem(ec.generate_private_key(ec.SECP256K1()))],
    ids=["text", "empty", "short", "curve"],
)
async def test_a_key_that_signs_no_assertion_leaves_tokens_unchecked(
    asking_lane: Door, published: Published, server: IntrospectionServer, secret: str
):
    changed = server_part(server.url, client_authentication="private_key_jwt", secret=secret)
    await publish(asking_lane.gateway, published, changed)
    answer = await called(asking_lane, server.knows("token"))
    assert (answer.status, code_of(answer)) == (503, "not_ready")
    assert "introspection_key_unusable" in trace_of(asking_lane)
    assert not server.questions


@pytest.mark.parametrize(("method", "ours"), [("client_secret_basic", "basic"), ("client_secret_post", "post")])
async def test_an_authorization_server_that_we_did_not_write_is_understood(
    asking_lane: Door, published: Published, method: str, ours: str
):
    secret = "a-secret-of-the-gateway"  # which has one form only: authlib doesn't decode what RFC 6749 §2.3.1 encodes
    with authlib_server(method, secret) as (url, tokens):
        changes = {"client_authentication": ours, "cache": 0.0, "negative_cache": 0.0}
        await publish(asking_lane.gateway, published, server_part(url, secret=secret, **changes))
        for token, status in (("annas", 200), ("old", 401), ("unheard-of", 401)):
            assert (await called(asking_lane, token)).status == status, token
        tokens["annas"].revoked = True
        assert (await called(asking_lane, "annas")).status == 401
        await publish(asking_lane.gateway, published, server_part(url, secret="another", **changes))
        answer = await called(asking_lane, "annas")
        assert (answer.status, code_of(answer)) == (503, "not_ready")
        assert "introspection_refused" in trace_of(asking_lane)


# Away


UNUSABLE = {
    "failed": (said({}, status="500 Oops"), "introspection_away"),
    "unavailable": (said({"active": True, "client_id": "bot-client"}, status="503 Away"), "introspection_away"),
    "limited": (said({"active": False}, status="429 Too Many"), "introspection_away"),
    "unauthorized": (said({"active": False}, status="401 Unauthorized"), "introspection_refused"),
    "forbidden": (said({"active": False}, status="403 Forbidden"), "introspection_refused"),
    "unknown client": (said({"error": "invalid_client"}, status="400 Bad Request"), "introspection_refused"),
    "bad request": (said({"active": False}, status="400 Bad Request"), "introspection_invalid"),
    "not found": (said({"active": False}, status="404 Not Found"), "introspection_invalid"),
    "created": (
        said({"active": True, "client_id": "bot-client"}, status="201 Created"),
        "introspection_invalid",
    ),
    "a page": (said({"active": False}, "text/html"), "introspection_invalid"),
    "no type": (ok(b'{"active": false}'), "introspection_invalid"),
    "a JWT": (said({"active": True}, "application/token-introspection+jwt"), "introspection_invalid"),
    "no JSON": (ok(b"active", "content-type: application/json"), "introspection_invalid"),
    "half of it": (ok(b'{"active": true', "content-type: application/json"), "introspection_invalid"),
    "deep": (ok(b'{"a":' * 10_000, "content-type: application/json"), "introspection_invalid"),
    "a list": (said([True]), "introspection_invalid"),
    "says nothing": (said({}), "introspection_invalid"),
    "a text": (said({"active": "true", "client_id": "bot-client"}), "introspection_invalid"),
    "a number": (said({"active": 1, "client_id": "bot-client"}), "introspection_invalid"),
    "an end that is none": (
        said({"active": True, "client_id": "bot-client", "exp": "never"}),
        "introspection_invalid",
    ),
    "an endless end": (
        ok(b'{"active": true, "client_id": "bot-client", "exp": 1e999}', "content-type: application/json"),
        "introspection_invalid",
    ),
    "a huge end": (
        ok(b'{"active": true, "client_id": "bot-client", "exp": %b}' % (b"9" * 400), "content-type: application/json"),
        "introspection_invalid",
    ),
    "many lists": (
        ok(
            b'{"active": true, "client_id": "bot-client", "x": [[]%b]}' % (b",[]" * 22_000),
            "content-type: application/json",
        ),
        "introspection_invalid",
    ),
    "large": (
        ok(b'{"active": true, "client_id": "bot-client"}' + b" " * 2**20, "content-type: application/json"),
        "introspection_away",
    ),
    "elsewhere": (
        ok(b"", "location: /introspect", "content-type: application/json", status="307 Temporary Redirect"),
        "introspection_invalid",
    ),
    "no HTTP": (b"what?\r\n\r\n", "introspection_away"),
}


async def test_a_response_that_says_nothing_neither_opens_nor_blames_the_caller(
    asking_lane: Door, server: IntrospectionServer, origin: Origin
):
    known = server.knows("known")
    assert (await called(asking_lane, known)).status == 200
    for number, (name, (response, why)) in enumerate(UNUSABLE.items()):
        new, server.response = server.knows(f"new-{number}"), response
        calls = origin.calls_to("/items")
        answer = await called(asking_lane, new)
        assert (answer.status, code_of(answer)) == (503, "not_ready"), name
        assert int(answer["retry-after"]) > 0
        assert "www-authenticate" not in answer
        assert why in trace_of(asking_lane), name
        assert (await called(asking_lane, known)).status == 200
        assert origin.calls_to("/items") == calls + 1
        server.response = None
        await until(lambda new=new: status_is(asking_lane, new, 200))


async def status_is(door: Door, token: str, status: int) -> bool:
    return (await called(door, token)).status == status


async def test_while_the_server_is_gone_known_tokens_work_and_others_wait_for_it(
    asking_lane: Door, server: IntrospectionServer
):
    token = server.knows("known")
    assert (await called(asking_lane, token)).status == 200
    assert (await called(asking_lane, "inactive")).status == 401
    await server.origin.__aexit__()
    for _ in range(6):
        answer = await called(asking_lane, server.knows("new"))
        assert (answer.status, code_of(answer)) == (503, "not_ready")
    assert (await called(asking_lane, token)).status == 200
    assert (await called(asking_lane, "inactive")).status == 401
    async with Origin(server.origin.port) as again:
        back = IntrospectionServer(again, server.tokens)
        await until(partial(status_is, asking_lane, "new", 200))
        assert len(back.questions) == 1


async def test_a_kept_connection_that_the_server_closes_costs_no_call(asking_lane: Door, server: IntrospectionServer):
    assert (await called(asking_lane, server.knows("first"))).status == 200
    closed = []

    async def close_once(
        origin: Origin, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        closed.append(head)
        origin.paths[PATH] = server._answer
        raise ConnectionError

    server.origin.paths[PATH] = close_once
    assert (await called(asking_lane, server.knows("second"))).status == 200
    assert len(closed) == 1


async def test_a_frozen_server_costs_a_few_calls_their_wait_and_the_others_nothing(
    asking_lane: Door, server: IntrospectionServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asking, "DEADLINE", SOON)
    monkeypatch.setattr(asking, "Breaker", lambda: Breaker(pause=600.0, longest=600.0))
    server.may_answer.clear()
    assert [(await called(asking_lane, server.knows(f"token-{n}"))).status for n in range(3)] == [503] * 3
    assert len(server.questions) == 3
    server.may_answer.set()
    assert (await called(asking_lane, server.knows("one-more"))).status == 503
    assert len(server.questions) == 3


async def test_a_caller_who_leaves_ends_the_question_for_nobody_else(asking_lane: Door, server: IntrospectionServer):
    token = server.knows("token")
    server.may_answer.clear()
    _, writer = await asking_lane.connect()
    writer.write(f"GET /products/items HTTP/1.1\r\nhost: api.test\r\nauthorization: Bearer {token}\r\n\r\n".encode())
    await until(lambda: server.questions)
    others = asyncio.gather(*(called(asking_lane, token) for _ in range(3)))
    await until(lambda: asking_lane.gateway.metrics.in_flight == 4)
    writer.transport.abort()
    server.may_answer.set()
    assert {answer.status for answer in await others} == {200}
    assert len(server.questions) == 1


async def test_metrics_count_how_questions_end_and_the_log_says_that_a_server_is_away(
    asking_lane: Door, server: IntrospectionServer, caplog: pytest.LogCaptureFixture
):
    for token in (server.knows("active"), "inactive", server.knows("another"), "active"):
        await called(asking_lane, token)
    server.response = said({}, status="500 Oops")
    for number in range(3):
        await called(asking_lane, f"unknown-{number}")
    text = asking_lane.gateway.metrics.text(0.0).decode()
    for outcome, count in (("active", 2), ("refused", 1), ("failed", 3)):
        assert f'apimgr_introspections_total{{server="legacy",outcome="{outcome}",worker="0"}} {count}\n' in text
    assert "introspection server legacy is left alone" in caplog.text


# Many


async def test_two_hundred_calls_with_one_new_token_make_one_question(asking_lane: Door, server: IntrospectionServer):
    token = server.knows("token")
    server.may_answer.clear()
    calls = asyncio.gather(*(called(asking_lane, token) for _ in range(200)))
    await until(lambda: asking_lane.gateway.metrics.in_flight == 200)
    server.may_answer.set()
    assert {answer.status for answer in await calls} == {200}
    assert len(server.questions) == 1


async def test_each_worker_asks_for_itself(
    gateways: Callable[..., Awaitable[Gateway]], published: Published, origin: Origin, server: IntrospectionServer
):
    origin.paths["/items"] = ok(b"items")
    published.change(opaque(origin.url), server_part(server.url), client())
    token = server.knows("token")
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(serving(await gateways())) for _ in range(2)]
        for _ in range(2):
            assert [(await called(door, token)).status for door in doors] == [200, 200]
    assert len(server.questions) == 2


async def test_a_flood_of_random_tokens_is_slowed_for_its_address_and_for_nobody_else(
    asking_lane: Door, server: IntrospectionServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(failed_tokens, "BURST", 5.0)
    monkeypatch.setattr(failed_tokens, "RATE", 0.001)
    known, new = server.knows("known"), server.knows("new")
    assert (await called(asking_lane, known)).status == 200
    answers = [await called(asking_lane, f"random-{n}") for n in range(9)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 4
    assert code_of(answers[-1]) == "rate_limited"
    assert int(answers[-1]["retry-after"]) > 0
    assert "introspection_too_many_failed" in trace_of(asking_lane)
    assert len(server.questions) == 6
    assert (await called(asking_lane, known)).status == 200
    assert (await called(asking_lane, "random-0")).status == 401
    elsewhere = f"GET /products/items HTTP/1.1\r\nhost: api.test\r\nauthorization: Bearer {new}\r\n\r\n".encode()
    assert (await asking_lane.raw(elsewhere, client="127.0.0.2")).status == 200


async def test_a_server_that_takes_all_tokens_back_ends_no_calls_with_anothers(
    asking_lane: Door,
    published: Published,
    origin: Origin,
    server: IntrospectionServer,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(failed_tokens, "BURST", 5.0)
    monkeypatch.setattr(failed_tokens, "RATE", 0.001)
    async with Origin() as their_origin:
        theirs = IntrospectionServer(their_origin)
        fields = {"tenant": "acme", "authentication": ("introspection",), "introspection": "theirs"}
        wanted = api("theirs", upstreams=origin.url, **fields)
        await publish(asking_lane.gateway, published, wanted, server_part(theirs.url, slug="theirs", tenant="acme"))
        answers = [await called(asking_lane, f"token-{n}", "/theirs/items") for n in range(7)]
        assert [answer.status for answer in answers] == [401] * 5 + [429] * 2
    assert (await called(asking_lane, server.knows("new"))).status == 200


async def test_behind_a_trusted_proxy_each_client_is_slowed_by_itself(
    gateways: Callable[..., Awaitable[Gateway]],
    published: Published,
    origin: Origin,
    server: IntrospectionServer,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(failed_tokens, "BURST", 2.0)
    monkeypatch.setattr(failed_tokens, "RATE", 0.001)
    origin.paths["/items"] = ok(b"items")
    published.change(opaque(origin.url), server_part(server.url), client())
    async with serving(await gateways(trusted_proxies=["127.0.0.1"])) as door:
        found = [(await called(door, f"random-{n}", x_forwarded_for="192.0.2.1")).status for n in range(3)]
        assert found == [401, 401, 429]
        assert (await called(door, "random", x_forwarded_for="192.0.2.2")).status == 401


async def test_no_more_questions_are_under_way_at_once_than_a_server_is_to_be_asked(
    asking_lane: Door, server: IntrospectionServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asking, "AT_ONCE", asking.Concurrency(calls=4, queue=2, wait=20.0))
    server.may_answer.clear()
    calls = [asyncio.create_task(called(asking_lane, server.knows(f"token-{n}"))) for n in range(9)]
    await until(lambda: sum(call.done() for call in calls) == 3)
    assert {call.result().status for call in calls if call.done()} == {503}
    await until(lambda: len(server.questions) == 4)
    server.may_answer.set()
    assert sorted([answer.status for answer in await asyncio.gather(*calls)]) == [200] * 6 + [503] * 3
    assert any("introspection_busy" in decision for record in asking_lane.calls() for _, decision, _ in record.trace)


# What else it depends on


@pytest.mark.parametrize("changes", [{"cache": 59.0}, {"client_claim": "azp"}, {"secret": "another"}])
async def test_a_changed_server_is_asked_anew(
    asking_lane: Door, published: Published, server: IntrospectionServer, changes: dict[str, Any]
):
    token = server.knows("token", azp="bot-client")
    assert [(await called(asking_lane, token)).status for _ in range(3)] == [200] * 3
    server.tokens.clear()
    await publish(asking_lane.gateway, published, server_part(server.url, **changes))
    assert (await called(asking_lane, token)).status == 401


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        (lambda url: opaque(url, revision=3, jwt=TokenRules(required_scopes=("admin",))), 403),
        (lambda url: opaque(url, revision=3, jwt=TokenRules(required_claims=(("tier", ("gold",)),))), 403),
        (lambda url: opaque(url, revision=3, introspection="another"), 503),
        (lambda url: opaque(url, revision=3, introspection=""), 503),
        (lambda url: opaque(url, revision=3, authentication=("api_key",)), 401),
        (lambda url: client(state="revoked"), 403),
        (lambda url: client(expires_at=1.0), 403),
        (lambda url: client(grants={}), 403),
        (lambda url: client(apis=()), 403),
    ],
)
async def test_what_was_let_through_is_not_once_anything_that_let_it_is_another(
    asking_lane: Door,
    published: Published,
    origin: Origin,
    server: IntrospectionServer,
    changed: Callable[[str], Any],
    status: int,
):
    token = server.knows("token", scope="read")
    assert [(await called(asking_lane, token)).status for _ in range(3)] == [200] * 3
    await publish(asking_lane.gateway, published, changed(origin.url))
    assert (await called(asking_lane, token)).status == status


async def test_one_servers_word_is_not_taken_for_anothers(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer
):
    token = server.knows("token")
    assert (await called(asking_lane, token)).status == 200
    async with Origin() as place:
        other = IntrospectionServer(place)
        things = server_part(other.url, slug="another"), opaque(origin.url, revision=3, introspection="another")
        await publish(asking_lane.gateway, published, *things)
        assert (await called(asking_lane, token)).status == 401
        assert len(other.questions) == 1


async def test_a_server_that_is_withdrawn_opens_nothing(
    asking_lane: Door, published: Published, server: IntrospectionServer
):
    token = server.knows("token")
    assert [(await called(asking_lane, token)).status for _ in range(3)] == [200] * 3
    published.change(gone=("introspection:legacy",))
    await until(lambda: asking_lane.gateway.config.introspection("legacy") is None)
    answer = await called(asking_lane, token)
    assert (answer.status, code_of(answer)) == (503, "not_ready")
    assert "introspection_unknown" in trace_of(asking_lane)


async def test_a_tenants_server_speaks_for_that_tenants_apis_alone(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer
):
    token = server.knows("token")
    theirs = client(namespace="introspection:legacy", key_id=9)
    await publish(asking_lane.gateway, published, server_part(server.url, tenant="zenith"), theirs)
    answer = await called(asking_lane, token)
    assert (answer.status, code_of(answer)) == (503, "not_ready")
    assert "introspection_unknown" in trace_of(asking_lane)
    assert not server.questions
    await publish(asking_lane.gateway, published, opaque(origin.url, tenant="zenith", revision=3))
    assert (await called(asking_lane, token)).status == 200


async def test_a_tenants_server_does_not_speak_for_the_platforms_clients(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer
):
    things = server_part(server.url, tenant="zenith"), opaque(origin.url, tenant="zenith", revision=3)
    await publish(asking_lane.gateway, published, *things)
    answer = await called(asking_lane, server.knows("token"))
    assert (answer.status, code_of(answer)) == (403, "not_subscribed")


async def test_a_tenants_server_does_not_speak_for_the_clients_of_another_tenants_issuer(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer
):
    issuer = Issuer("legacy", "acme", "https://id.acme.test/", ("ES256",), (), "azp", 30.0)
    of_zenith = server_part(server.url, tenant="zenith"), opaque(origin.url, tenant="zenith", revision=3)
    await publish(asking_lane.gateway, published, *of_zenith, issuer, client(namespace="legacy", key_id=9))
    answer = await called(asking_lane, server.knows("token"))
    assert (answer.status, code_of(answer)) == (403, "not_subscribed"), "namespaces of both kinds are apart"


async def test_a_server_is_asked_under_the_egress_rules_of_its_tenant(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer
):
    of_acme = server_part(server.url, tenant="acme"), opaque(origin.url, tenant="acme", revision=3)
    await publish(
        asking_lane.gateway, published, *of_acme, client(namespace="introspection:legacy", key_id=9), Egress("", ())
    )
    answer = await called(asking_lane, server.knows("token"))
    assert (answer.status, code_of(answer)) == (503, "not_ready")
    assert not server.questions
    await publish(asking_lane.gateway, published, Egress("acme", ("127.0.0.0/8",)))
    await until(partial(status_is, asking_lane, "token", 200))


RULES = TokenRules(
    required_scopes=("read",),
    required_claims=(("aud", ("apimgr",)), ("tier", ("gold", "silver"))),
    operations=(ScopeRule(("DELETE",), ("items",), ("admin",)),),
)


@pytest.mark.parametrize(
    ("method", "claims", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"scope": "write"}, 403),
        ("GET", {"scope": "readonly"}, 403),
        ("GET", {"scope": None}, 403),
        ("GET", {"aud": "another"}, 403),
        ("GET", {"aud": "apimgr"}, 200),
        ("GET", {"tier": "tin"}, 403),
        ("GET", {"tier": None}, 403),
        ("DELETE", {}, 403),
        ("DELETE", {"scope": "admin read"}, 200),
    ],
)
async def test_the_apis_rules_for_tokens_hold_for_opaque_ones(
    asking_lane: Door,
    published: Published,
    origin: Origin,
    server: IntrospectionServer,
    method: str,
    claims: dict[str, Any],
    status: int,
):
    await publish(asking_lane.gateway, published, opaque(origin.url, revision=3, jwt=RULES))
    token = server.knows("token", **{"scope": "read write", "aud": ["apimgr", "b"], "tier": "gold", **claims})
    for _ in range(3):
        answer = await called(asking_lane, token, method=method)
        assert answer.status == status
    if status == 403:
        assert code_of(answer) == "insufficient_scope"
        assert 'error="insufficient_scope"' in answer["www-authenticate"]
    assert len(server.questions) == 1


@pytest.mark.parametrize("policy", [Policy("products", sensitivity=PERSONAL), Policy("products", scope="subject")])
async def test_two_users_of_one_client_never_share_a_private_response(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer, policy: Policy
):
    await publish(asking_lane.gateway, published, opaque(origin.url, revision=3, policy=policy))
    users = {"anna": {"sub": "anna"}, "otto": {"username": "anna"}, "seven": {"sub": 7}, "one": {}, "another": {}}
    for name, claims in users.items():
        origin.paths["/mine"] = ok(name.encode(), "cache-control: max-age=600")
        token = server.knows(name, **claims)
        assert [(await called(asking_lane, token, "/products/mine")).body for _ in range(3)] == [name.encode()] * 3
    assert origin.calls_to("/mine") == len(users)
    again = server.knows("annas-next", sub="anna")
    assert (await called(asking_lane, again, "/products/mine")).body == b"anna"


@pytest.mark.parametrize("forwards", [False, True])
async def test_a_token_goes_on_only_where_an_administrator_says_so(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer, forwards: bool
):
    await publish(asking_lane.gateway, published, opaque(origin.url, revision=3, forward_credential=forwards))
    for _ in range(2):
        assert (await called(asking_lane, server.knows("tok.en"))).status == 200
    assert [b"bearer tok.en" in head.lower() for head in origin.heads] == [forwards] * 2


async def test_a_token_is_written_down_nowhere(
    asking_lane: Door,
    server: IntrospectionServer,
    state_redis: redis.Redis,
    cache_redis: redis.Redis,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG)
    tokens = [server.knows("Secret-of-anna", sub="anna"), "Secret-of-nobody", "Secret-of-no-server"]
    for token in tokens:
        for _ in range(2):
            await called(asking_lane, token, "/products/items?a=1", x_request_id="1")
        server.response = said({}, status="500 Oops") if token == tokens[1] else None
    gateway = asking_lane.gateway
    gateway.metrics.publish(0.0)
    kept = caplog.text.encode()
    for path in gateway.options.data_dir.rglob("*"):
        kept += path.read_bytes() if path.is_file() else b""
    for stream in (key for key in state_redis.scan_iter() if state_redis.type(key) == b"stream"):
        kept += repr(state_redis.xrange(stream)).encode()
        state_redis.delete(stream)
    kept += everything_in(state_redis) + everything_in(cache_redis)
    assert b"/products/items" in kept
    assert b"Secret-of" not in kept
    assert server.questions[0].form["token"] == tokens[0]


# Beside other ways


async def test_a_key_and_a_token_are_taken_side_by_side_and_the_order_of_the_api_decides(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer
):
    both = opaque(origin.url, revision=3, authentication=("introspection", "api_key"))
    await publish(asking_lane.gateway, published, both)
    assert (await asking_lane.call("/products/items")).status == 200
    assert (await asking_lane.call("/products/items", authorization="Basic YTpi")).status == 200
    assert (await called(asking_lane, server.knows("token"))).status == 200
    assert (await asking_lane.call("/products/items", authorization="Bearer bad")).status == 401
    await publish(
        asking_lane.gateway, published, opaque(origin.url, revision=4, authentication=("api_key", "introspection"))
    )
    assert (await asking_lane.call("/products/items", authorization="Bearer bad")).status == 200
    assert not [head for head in origin.heads if b"authorization" in head.lower() or b"x-api-key" in head.lower()]


async def test_a_jwt_of_a_known_issuer_is_checked_here_and_everything_else_is_asked_about(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer
):
    fields = {"authentication": ("jwt", "introspection"), "jwt": TokenRules(("corp",))}
    await publish(asking_lane.gateway, published, opaque(origin.url, revision=3, **fields), issuer())
    assert (await called(asking_lane, signed_token())).status == 200
    assert (await called(asking_lane, signed_token(exp=1))).status == 401
    assert (await called(asking_lane, signed_token(signing_key(number=1, key_id="one")))).status == 401
    assert not server.questions
    for other in ("opaque", signed_token(iss="https://id.other.test/"), "not.a.JWT", "a.b.c.d.e"):
        asked = len(server.questions)
        assert (await called(asking_lane, server.knows(other))).status == 200
        assert len(server.questions) == asked + 1
    first = opaque(origin.url, revision=4, **{**fields, "authentication": ("introspection", "jwt")})
    await publish(asking_lane.gateway, published, first)
    for signed in (signed_token(), signed_token(exp=1)):
        asked = len(server.questions)
        assert (await called(asking_lane, signed)).status == 401
        assert len(server.questions) == asked + 1


@pytest.mark.parametrize(
    ("authorization", "why"),
    [
        ("Bearer", "token_malformed"),
        ("Bearer a b", "token_malformed"),
        ("Bearer a,b", "token_malformed"),
        ("Bearer t\xf6ken", "token_malformed"),
        ("Bearer " + "a" * 8193, "token_too_large"),
    ],
)
async def test_what_can_be_no_token_is_asked_about_nowhere(
    asking_lane: Door, server: IntrospectionServer, authorization: str, why: str
):
    answer = await asking_lane.call("/products/items", key=None, authorization=authorization)
    assert (answer.status, code_of(answer)) == (401, "invalid_token")
    assert why in trace_of(asking_lane)
    assert not server.questions


async def test_claims_of_any_kind_end_in_a_response(
    asking_lane: Door, published: Published, origin: Origin, server: IntrospectionServer
):
    rules = TokenRules(required_scopes=("a",), required_claims=(("tier", (1, "a")),))
    await publish(asking_lane.gateway, published, opaque(origin.url, revision=3, jwt=rules))
    texts = '"\\ud800"', '"\\u0000"', '"a\\u2028"', "[]", '[[["a"]]]', "1e300", '{"a": {}}', '""'
    for number, (claim, text) in enumerate(product(("client_id", "sub", "username", "scope", "tier"), texts)):
        claims = {"active": "true", "client_id": '"bot-client"', "sub": '"anna"', "scope": '"a"', "tier": "1"}
        claims |= {claim: text, "sub": "null"} if claim == "username" else {claim: text}
        body = ", ".join(f'"{name}": {value}' for name, value in claims.items())
        server.response = ok(f"{{{body}}}".encode(), "content-type: application/json")
        assert (await called(asking_lane, f"token-{number}")).status in (200, 403, 503), (claim, text)

"""No secret with which a caller, or the gateway itself, says who it is goes further than it has to: one of each kind is planted,
good and wrong, and everything that a gateway writes, sends and answers is searched for it.
"""

import base64
import logging
from typing import Any

import pytest
import redis

from apps.httpcache.policy import Policy
from apps.wire.snapshot import Grant, TokenRules
from tests.gateway.house import Answered, Door, Origin, Published, api, credential, ok
from tests.gateway.introspection_server import IntrospectionServer, client, server_part
from tests.gateway.test_http_signature import SECRET, record
from tests.gateway.test_policies import everything_in
from tests.gateway.tokens import client_credential, issuer, token
from tests.support.signing import signed_lines
from tests.support.waiting import until

WAYS = ("api_key", "jwt", "introspection", "basic", "http_signature")
KEY, WRONG_KEY = "planted-key-of-acme-0001", "planted-key-that-is-wrong"
OPAQUE, WRONG_OPAQUE = "planted-opaque-token", "planted-opaque-that-is-wrong"
OF_THE_GATEWAY = "planted-secret-of-the-gateway"


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def places(key: str) -> list[tuple[str, list[str]]]:
    """A target's query and fields, with an API key in every place where one can stand, and in some where none can."""
    return [
        ("", [f"X-API-Key: {key}"]),
        (f"?key={key}", []),
        (f"?k%65y={key.replace('-', '%2D')}", []),
        ("", [f"Cookie: theme=dark; key={key}"]),
        ("", [basic(key, "")]),
        ("", [basic("acme/bot", key)]),
        (f"?key={key}&a={key}", [f"X-API-Key: {key}", f"Referer: http://a/?k={key}", f"X-Request-Id: {key}"]),
    ]


async def send(
    door: Door, query: str, lines: list[str], path: str = "/products/items", method: str = "GET"
) -> Answered:
    head = "\r\n".join([f"{method} {path}{query} HTTP/1.1", "host: api.test", *lines, "", ""])
    return await door.raw(head.encode(), method)


async def test_no_secret_is_told_to_upstreams_callers_logs_records_metrics_or_redis(
    lane: Door,
    published: Published,
    origin: Origin,
    state_redis: redis.Redis,
    cache_redis: redis.Redis,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG)
    grants = {"products": Grant(1, "unlimited", "active")}
    changes: dict[str, Any] = {
        "authentication": WAYS,
        "api_key_query": "key",
        "api_key_cookie": "key",
        "api_key_basic_user": True,
        "jwt": TokenRules(("corp",)),
        "introspection": "legacy",
        "debug_headers": "all",
        "policy": Policy(api="products", mode="ttl", ttl=60.0, scope="subject"),
    }
    origin.paths |= {"/items": ok(b"items"), "/broken": b"nonsense\r\n\r\n"}
    async with Origin() as its_origin:
        server = IntrospectionServer(its_origin)
        wanted = api("products", upstreams=origin.url, revision=2, **changes)
        published.change(
            wanted,
            issuer(),
            server_part(server.url, secret=OF_THE_GATEWAY),
            credential(KEY, grants),
            client_credential(grants),
            client(key_id=9),
            record(),
        )
        await until(lambda: lane.gateway.config.route(b"", b"/products/") == wanted)
        good, late = token(None, None, sub=None), token(None, None, exp=1, jti="late")
        server.knows(OPAQUE)
        calls = [*places(KEY), *places(WRONG_KEY)]
        calls += [("", [f"Authorization: Bearer {each}"]) for each in (good, late, good[:-9], OPAQUE, WRONG_OPAQUE)]
        calls += [(f"?access_token={each}", [f"Authorization: Bearer {each}"]) for each in (good, OPAQUE)]
        signed = signed_lines(SECRET, {"@method": "GET", "@path": "/products/items"})
        calls += [("", signed), ("", [signed[0], signed[1].replace(":", ":AAAA", 2)])]
        statuses = {200: 0, 401: 0}
        answers = []
        for query, lines in calls:
            for path, method in (("/products/items", "GET"), ("/products/items", "HEAD"), ("/products/broken", "GET")):
                answer = await send(lane, query, lines, path, method)
                answers.append(answer)
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
        assert statuses[200] > 20
        assert statuses[401] > 20
        assert statuses[502] > 10
    gateway = lane.gateway
    gateway.metrics.publish(0.0)
    kept = caplog.text.encode() + b"".join(origin.heads)
    kept += repr([(each.headers, each.body) for each in answers]).encode()
    for path in gateway.options.data_dir.rglob("*"):
        kept += path.read_bytes() if path.is_file() else b""
    for stream in [key for key in state_redis.scan_iter() if state_redis.type(key) == b"stream"]:
        kept += repr(state_redis.xrange(stream)).encode()
        state_redis.delete(stream)
    kept += everything_in(state_redis) + everything_in(cache_redis)
    assert b"/products/items" in kept
    signature = signed[1].partition(":")[2].strip(" :").partition("=:")[2][:20]
    secrets = ["planted", SECRET, good.split(".")[2], late.split(".")[2], signature]
    secrets += [base64.b64encode(f"{text}".encode()).decode()[:20] for text in (f"{KEY}:", f"acme/bot:{KEY}")]
    for secret in secrets:
        at = kept.find(secret.encode())
        assert at < 0, kept[max(0, at - 200) : at + 100]

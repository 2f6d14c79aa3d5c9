"""Requests that applications sign (RFC 9421), and bodies whose digest they sign (RFC 9530)."""

import base64
import hmac
from time import time

import pytest
from django.conf import settings
from msgspec import structs

from apps.gateway.call.call import Call
from apps.gateway.pipeline.authenticators.http_signature import WINDOW, signature_base, signature_in
from apps.wire.api_keys import identifier_digest
from apps.wire.snapshot import Credential, Grant
from tests.gateway.house import KEY, Answered, Door, Origin, Published, api, credential, ok
from tests.support.signing import digest_field, signed_lines
from tests.support.waiting import until

SECRET = "a-secret-of-acme-bot-with-32-bytes-0001"
PATH = "/products/items"
TARGET = {"@method": "GET", "@path": PATH}
BODY = b'{"a":1}'


def record(**changes: object) -> Credential:
    digest = identifier_digest(settings.KEY_PEPPER, "signing_key", "", b"sk-bot")
    fields = {"key_id": 8, "digest": digest, "kind": "signing_key"} | changes
    made = credential("", {"products": Grant(8, "unlimited", "active")}, **fields)
    return structs.replace(made, secret=SECRET)


@pytest.fixture
async def signed(door: Door, published: Published, origin: Origin) -> Door:
    """A gateway whose API takes signed requests and then keys."""
    return await takes(door, published, origin)


@pytest.fixture
async def lane_signed(lane: Door, published: Published, origin: Origin) -> Door:
    """The same behind the fast lane alone."""
    return await takes(lane, published, origin)


async def takes(door: Door, published: Published, origin: Origin) -> Door:
    origin.paths[PATH.removeprefix("/products")] = ok(b"items")
    wanted = api("products", upstreams=origin.url, revision=2, authentication=("http_signature", "api_key"))
    published.change(wanted, record())
    await until(lambda: door.gateway.config.route(b"", b"/products/") == wanted)
    return door


async def call(door: Door, *lines: str, target: str = PATH, method: str = "GET", body: bytes | None = None) -> Answered:
    framing = [f"content-length: {len(body)}"] if body is not None else []
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "host: api.test", *lines, *framing, "", ""])
    return await door.raw(head.encode("latin-1") + (body or b""), method)


async def test_an_application_signs_its_requests(signed: Door, origin: Origin):
    for components in (
        TARGET,
        {"@method": "GET", "@target-uri": f"http://api.test{PATH}"},
        {"@method": "GET", "@request-target": PATH},
        {"@method": "GET", "@path": PATH, "@query": "?", "@authority": "api.test", "@scheme": "http"},
        {"x-one": "1, 2", "@method": "GET", "@path": PATH, "host": "api.test"},
    ):
        answer = await call(signed, "X-One: 1", "X-One:  2 ", *signed_lines(SECRET, components))
        assert answer.status == 200, components
    assert {(each.application, each.key_id) for each in signed.calls()} == {("acme/bot", 8)}
    seen = b"".join(origin.heads).lower()
    assert b"signature" not in seen
    assert SECRET.encode() not in seen


async def test_where_the_host_tells_the_api_it_is_signed(lane_signed: Door, published: Published, origin: Origin):
    """Whoever sees a call could repeat it at another API on another host otherwise."""
    wanted = api("products", upstreams=origin.url, revision=3, authentication=("http_signature",), hosts=("api.test",))
    published.change(wanted)
    await until(lambda: lane_signed.gateway.config.route(b"api.test", b"/products/") == wanted)
    assert (await call(lane_signed, *signed_lines(SECRET, TARGET))).status == 401
    for more in ({"@authority": "api.test"}, {"host": "api.test"}, {"@target-uri": f"http://api.test{PATH}"}):
        assert (await call(lane_signed, *signed_lines(SECRET, TARGET | more))).status == 200, more


async def test_no_header_that_nobody_signed_makes_another_call_of_one(lane_signed: Door, origin: Origin):
    lines = ("X-HTTP-Method-Override: DELETE", "X-Original-URL: /admin")
    assert (await call(lane_signed, *lines, *signed_lines(SECRET, TARGET))).status == 200
    assert b"override" not in origin.heads[0].lower()
    assert b"/admin" not in origin.heads[0]


async def test_a_query_has_to_be_signed_where_there_is_one(lane_signed: Door):
    target = f"{PATH}?a=1&b=%20"
    assert (await call(lane_signed, *signed_lines(SECRET, TARGET), target=target)).status == 401
    for more in ({"@query": "?a=1&b=%20"}, {"@request-target": target}, {"@target-uri": f"http://api.test{target}"}):
        assert (await call(lane_signed, *signed_lines(SECRET, TARGET | more), target=target)).status == 200
        assert (await call(lane_signed, *signed_lines(SECRET, TARGET | more), target=f"{PATH}?a=2")).status == 401


NOW = int(time())
GOOD = signed_lines(SECRET, TARGET)
BAD = {
    "another secret": signed_lines("another-secret-of-at-least-32-bytes-1", TARGET),
    "another key": signed_lines(SECRET, TARGET, key_id="sk-other"),
    "an API key as the key": signed_lines(SECRET, TARGET, key_id=KEY),
    "another method": signed_lines(SECRET, TARGET | {"@method": "POST"}),
    "another path": signed_lines(SECRET, TARGET | {"@path": "/products/other"}),
    "no method": signed_lines(SECRET, {"@path": PATH}),
    "no path": signed_lines(SECRET, {"@method": "GET"}),
    "nothing": signed_lines(SECRET, {}),
    "a field that isn't there": signed_lines(SECRET, TARGET | {"x-none": ""}),
    "an unknown component": signed_lines(SECRET, TARGET | {"@status": "200"}),
    "a component twice": [line.replace('"@path")', '"@path" "@path")') for line in GOOD],
    "a component with parameters": [line.replace('"@path")', '"@path";req)') for line in GOOD],
    "too old": signed_lines(SECRET, TARGET, created=NOW - WINDOW - 60),
    "of the future": signed_lines(SECRET, TARGET, created=NOW + WINDOW + 3600),
    "over": signed_lines(SECRET, TARGET, more=f";expires={NOW - 1}"),
    "an end that is none": signed_lines(SECRET, TARGET, more=';expires="never"'),
    "another algorithm": signed_lines(SECRET, TARGET, more=';alg="rsa-v1_5-sha256"'),
    "no algorithm": signed_lines(SECRET, TARGET, more=";alg=hmac-sha256"),
    "a long nonce": signed_lines(SECRET, TARGET, more=f';nonce="{"n" * 129}"'),
    "no created": [line.replace(";created=", ";made=") for line in GOOD],
    "no key": [line.replace(";keyid=", ";key=") for line in GOOD],
    "no input": GOOD[1:],
    "no signature": GOOD[:1],
    "two signatures": [*GOOD, *signed_lines(SECRET, TARGET, label="sig2")],
    "a signature twice": [*GOOD, *GOOD],
    "labels that differ": [GOOD[0], GOOD[1].replace("sig1", "sig2")],
    "a signature that is cut off": [GOOD[0], GOOD[1][:-8] + ":"],
    "an empty signature": [GOOD[0], "Signature: sig1=::"],
    "a signature that is a text": [GOOD[0], 'Signature: sig1="x"'],
    "more behind": [f"{GOOD[0]} x", GOOD[1]],
    "an open quote": ['Signature-Input: sig1=("@method', GOOD[1]],
    "a huge number": [GOOD[0].replace(";created=", ";created=1"), GOOD[1]],
    "many components": signed_lines(SECRET, TARGET | {f"x-{number}": "" for number in range(40)}),
}


@pytest.mark.parametrize("lines", BAD.values(), ids=BAD)
async def test_a_signature_that_is_wrong_in_any_part_is_refused(lane_signed: Door, origin: Origin, lines: list[str]):
    answer = await call(lane_signed, *lines, f"X-API-Key: {KEY}")
    assert answer.status == 401
    assert b'"code":"invalid_credential"' in answer.body
    assert answer.all("www-authenticate")[0] == 'Signature realm="products"'
    assert not origin.heads


async def test_a_nonce_is_for_one_call_and_a_signature_without_one_for_its_minutes(lane_signed: Door):
    once = signed_lines(SECRET, TARGET, more=';nonce="n1"')
    assert [(await call(lane_signed, *once)).status for _ in range(3)] == [200, 401, 401]
    assert (await call(lane_signed, *signed_lines(SECRET, TARGET, more=';nonce="n2"'))).status == 200
    again = signed_lines(SECRET, TARGET)
    assert [(await call(lane_signed, *again)).status for _ in range(3)] == [200, 200, 200]


async def test_who_guesses_uses_up_no_nonce(lane_signed: Door):
    forged = signed_lines("another-secret-of-at-least-32-bytes-1", TARGET, more=';nonce="n1"')
    assert (await call(lane_signed, *forged)).status == 401
    assert (await call(lane_signed, *signed_lines(SECRET, TARGET, more=';nonce="n1"'))).status == 200


async def test_a_signed_head_is_remembered_no_longer_than_it_is_good(lane_signed: Door):
    lines = signed_lines(SECRET, TARGET, more=f";expires={int(time()) + 100}")
    for _ in range(2):
        assert (await call(lane_signed, *lines)).status == 200
    entries = [each for each in lane_signed.gateway.pipeline._entries.values() if each._facts["credential"].key_id == 8]
    assert entries
    assert all(each.expires <= time() + 101 for each in entries)
    with_nonce = signed_lines(SECRET, TARGET, more=';nonce="n3"')
    count = len(lane_signed.gateway.pipeline._entries)
    assert (await call(lane_signed, *with_nonce)).status == 200
    assert len(lane_signed.gateway.pipeline._entries) == count


async def post(door: Door, signed_body: bytes, body: bytes, algorithm: str = "sha-256") -> Answered:
    field = digest_field(signed_body, algorithm)
    components = {"@method": "POST", "@path": PATH, "content-digest": field}
    lines = [f"Content-Digest: {field}", *signed_lines(SECRET, components)]
    return await call(door, *lines, method="POST", body=body)


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
async def test_a_body_is_what_was_signed_before_any_of_it_goes_on(signed: Door, origin: Origin, algorithm: str):
    assert (await post(signed, BODY, BODY, algorithm)).status == 200
    assert origin.bodies == [BODY]
    refused = await post(signed, BODY, BODY.replace(b"1", b"2"), algorithm)
    assert refused.status == 400
    assert b"Content-Digest" in refused.body
    assert origin.bodies == [BODY]


async def test_a_body_without_a_signed_digest_is_refused(lane_signed: Door, origin: Origin):
    lines = signed_lines(SECRET, {"@method": "POST", "@path": PATH})
    for digest in ([], [f"Content-Digest: {digest_field(BODY)}"]):
        assert (await call(lane_signed, *digest, *lines, method="POST", body=BODY)).status == 401
    for told in ("md5=:AAAA:", "sha-256=nothing", "sha-256=:AAAA", ""):
        components = {"@method": "POST", "@path": PATH, "content-digest": told}
        lines = [f"Content-Digest: {told}", *signed_lines(SECRET, components)]
        assert (await call(lane_signed, *lines, method="POST", body=BODY)).status == 401, told
    assert not origin.heads


async def test_a_digest_of_a_body_that_is_left_out_is_refused(lane_signed: Door, origin: Origin):
    field = digest_field(BODY)
    lines = [f"Content-Digest: {field}", *signed_lines(SECRET, TARGET | {"content-digest": field})]
    assert (await call(lane_signed, *lines)).status == 401
    empty = digest_field(b"")
    lines = [f"Content-Digest: {empty}", *signed_lines(SECRET, TARGET | {"content-digest": empty})]
    assert (await call(lane_signed, *lines)).status == 200


async def test_a_signed_body_has_a_bound(lane_signed: Door, origin: Origin):
    large = b"x" * (2**20 + 1)
    with_limit = api(
        "products", upstreams=origin.url, revision=3, authentication=("http_signature",), body_limit=2 * len(large)
    )
    lane_signed.gateway.config.put(with_limit)
    answer = await post(lane_signed, large, large)
    assert answer.status == 413
    assert not origin.heads


async def test_a_signing_key_that_is_revoked_opens_nothing_also_with_a_remembered_head(
    lane_signed: Door, published: Published
):
    lines = signed_lines(SECRET, TARGET)
    assert [(await call(lane_signed, *lines)).status for _ in range(2)] == [200, 200]
    epoch = lane_signed.gateway.config.epoch
    published.change(record(state="revoked"))
    await until(lambda: lane_signed.gateway.config.epoch > epoch)
    assert (await call(lane_signed, *lines)).status == 401


def test_the_signature_of_the_standards_example_is_right():
    """RFC 9421, appendix B.2.5."""
    key = base64.b64decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
    headers = (
        (b"host", b"example.com"),
        (b"date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
        (b"content-type", b"application/json"),
        (
            b"signature-input",
            b'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
        ),
        (b"signature", b"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"),
    )
    x = Call("POST", b"/foo?param=Value&Pet=dog", headers, call_id="", began=0.0, at=0.0)
    x.told_host = b"example.com"
    read = signature_in(headers)
    assert read is not None
    base = signature_base(x, read[1])
    assert base is not None
    assert hmac.digest(key, base, "sha256") == read[0]

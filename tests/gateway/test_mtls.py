"""A client's certificate, as a proxy that ends TLS hands it on (RFC 9440)."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from cryptography import x509
from django.conf import settings

from apps.gateway.gateway import Gateway
from apps.gateway.pipeline.authenticators.mtls import fingerprint_of
from apps.wire.api_keys import identifier_digest
from apps.wire.snapshot import Credential, Grant
from tests.gateway.house import KEY, Answered, Door, Origin, Published, api, credential, ok, serving
from tests.support.client_certificates import NOW, der, make_certificate
from tests.support.waiting import until

CERTIFICATE = make_certificate()
PROXY, SOMEBODY = "127.0.0.1", "127.0.0.2"


def field(certificate: x509.Certificate | bytes) -> str:
    content = certificate if isinstance(certificate, bytes) else der(certificate)
    return f"Client-Cert: :{base64.b64encode(content).decode()}:"


def record(certificate: x509.Certificate, **changes: object) -> Credential:
    fingerprint = fingerprint_of(der(certificate))
    digest = identifier_digest(settings.KEY_PEPPER, "certificate", "", fingerprint.encode())
    grants = {"products": Grant(5, "unlimited", "active")}
    return credential("", grants, **{"key_id": 5, "digest": digest, "kind": "certificate"} | changes)


@pytest.fixture
async def door(
    gateways: Callable[..., Awaitable[Gateway]], published: Published, origin: Origin
) -> AsyncIterator[Door]:
    """A gateway behind a proxy, whose API takes certificates and then keys."""
    gateway = await gateways(trusted_proxies=[PROXY])
    origin.paths["/items"] = ok(b"items")
    ways = ("mtls", "api_key")
    wanted = api("products", upstreams=origin.url, revision=2, authentication=ways)
    published.change(wanted, record(CERTIFICATE))
    await until(lambda: gateway.config.route(b"", b"/products/") == wanted)
    async with serving(gateway) as running:
        yield running


async def call(door: Door, *lines: str, client: str = PROXY) -> Answered:
    head = "\r\n".join(["GET /products/items HTTP/1.1", "host: api.test", *lines, "", ""])
    return await door.raw(head.encode(), client=client)


async def test_an_application_is_known_by_its_certificate(door: Door, origin: Origin):
    for _ in range(3):
        assert (await call(door, field(CERTIFICATE))).status == 200
    assert {(each.application, each.key_id) for each in door.calls()} == {("acme/bot", 5)}
    assert b"client-cert" not in b"".join(origin.heads).lower()


async def test_from_anyone_but_a_trusted_proxy_a_certificate_is_nothing(door: Door, origin: Origin):
    answer = await call(door, field(CERTIFICATE), client=SOMEBODY)
    assert answer.status == 401
    assert b"missing_credential" in answer.body
    assert (await call(door, field(CERTIFICATE))).status == 200
    assert (await call(door, field(CERTIFICATE), client=SOMEBODY)).status == 401
    assert (await call(door, field(CERTIFICATE), f"X-API-Key: {KEY}", client=SOMEBODY)).status == 200
    assert door.calls()[-1].key_id == 1
    assert b"client-cert" not in b"".join(origin.heads).lower()


VERSION = b"\xa0\x03\x02\x01"
"""Of a certificate, before its number (RFC 5280 §4.1.2.1)."""

BAD = {
    "another certificate": field(make_certificate()),
    "two of them": f"{field(CERTIFICATE)}\r\n{field(CERTIFICATE)}",
    "nothing": "Client-Cert:",
    "an empty sequence": "Client-Cert: ::",
    "no sequence": "Client-Cert: " + base64.b64encode(der(CERTIFICATE)).decode(),
    "no Base64": "Client-Cert: :%%%:",
    "parameters": field(CERTIFICATE) + ";a=1",
    "no certificate": field(b"not a certificate"),
    "a certificate that is cut off": field(der(CERTIFICATE)[:-9]),
    "more behind the certificate": field(der(CERTIFICATE) + b"more"),
    "a version that there isn't": field(der(CERTIFICATE).replace(VERSION + b"\x02", VERSION + b"\x05", 1)),
    "hostile DER": field(b"\x30\x84\xff\xff\xff\xff" + b"\x30\x80" * 2000),
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
async def test_what_is_no_certificate_of_an_application_is_refused(door: Door, origin: Origin, line: str):
    answer = await call(door, line, f"X-API-Key: {KEY}")
    assert answer.status == 401
    assert b'"code":"invalid_credential"' in answer.body
    assert answer.all("www-authenticate")[0] == 'Certificate realm="products"'
    assert not origin.heads


@pytest.mark.parametrize(
    ("begins", "ends"), [(timedelta(days=-9), timedelta(seconds=-5)), (timedelta(hours=1), timedelta(days=9))]
)
async def test_the_days_of_a_certificate_are_looked_at_with_each_call(
    door: Door, published: Published, begins: timedelta, ends: timedelta
):
    certificate = make_certificate(begins=NOW + begins, ends=NOW + ends)
    epoch = door.gateway.config.epoch
    published.change(record(certificate, key_id=6))
    await until(lambda: door.gateway.config.epoch > epoch)
    answer = await call(door, field(certificate))
    assert answer.status == 401
    assert b"valid now" in answer.body


async def test_a_certificate_that_is_revoked_opens_nothing_also_with_a_remembered_head(
    door: Door, published: Published
):
    assert [(await call(door, field(CERTIFICATE))).status for _ in range(2)] == [200, 200]
    epoch = door.gateway.config.epoch
    published.change(record(CERTIFICATE, state="revoked"))
    await until(lambda: door.gateway.config.epoch > epoch)
    assert (await call(door, field(CERTIFICATE))).status == 401


async def test_a_fingerprint_is_no_key(door: Door, published: Published):
    """Whoever knows a certificate, which is no secret, could call with it otherwise."""
    for told in (fingerprint_of(der(CERTIFICATE)), base64.b64encode(der(CERTIFICATE))[:400].decode()):
        assert (await call(door, f"X-API-Key: {told}")).status == 401

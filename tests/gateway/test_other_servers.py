"""Calls as other servers hand them on, of HTTP/2 too, who check less of them or say more than HTTP/1.1 can: at the ASGI
application and at the view of a Django site.
"""

import asyncio
import json
from typing import Any

import pytest

from apps.gateway.gateway import Gateway
from apps.gateway.server.asgi import ASGIApplication
from tests.gateway import site
from tests.gateway.house import KEY, Origin, ok

HOST = (b"host", b"api.test")


@pytest.fixture(params=("asgi", "view"))
def application(request: pytest.FixtureRequest, gateway: Gateway) -> Any:
    """The gateway as an ASGI application, and a site with its view."""
    return ASGIApplication(gateway) if request.param == "asgi" else site.application(gateway)


async def told(
    application: Any, method: str, *headers: tuple[bytes, bytes], path: str = "/products/items", body: bytes = b""
) -> tuple[int, bytes]:
    """Status and body of the answer to a call of HTTP/2."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "http_version": "2",
        "headers": [HOST, (b"x-api-key", KEY.encode()), *headers],
    }
    await application(scope, receive, send)
    return sent[0]["status"], b"".join([each.get("body", b"") for each in sent[1:]])


@pytest.mark.parametrize(
    "method",
    ["", "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\nGET", "GET /hidden", "GET\n", "G\x00T", "GÉT", "G:T", "A" * 33],
)
async def test_a_method_that_is_none_is_refused(application: Any, origin: Origin, method: str) -> None:
    """Not every server of HTTP/2 looks at it, and in a request line of HTTP/1.1 it would be more than a method."""
    status, body = await told(application, method)
    assert (status, origin.heads) == (400, [])
    assert json.loads(body)["code"] == "invalid_request"


async def test_an_odd_method_goes_on(application: Any, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"found")
    assert await told(application, "VERSION-CONTROL") == (200, b"found")


async def test_a_length_of_thousands_of_digits_is_refused(application: Any) -> None:
    """Python refuses to read a number so long."""
    assert (await told(application, "POST", (b"content-length", b"9" * 5000)))[0] == 400


@pytest.mark.parametrize("length", [(), ((b"content-length", b"4"),)])
async def test_a_body_goes_on_whether_its_length_is_told_or_not(
    application: Any, origin: Origin, length: tuple[tuple[bytes, bytes], ...]
) -> None:
    """HTTP/2 has bodies that nothing in the head announces."""
    origin.paths["/items"] = ok(b"made", status="201 Created")
    assert await told(application, "POST", *length, body=b"body") == (201, b"made")
    assert origin.bodies == [b"body"]


async def test_a_call_for_something_with_a_body_that_nothing_announces_is_never_stored(
    application: Any, origin: Origin
) -> None:
    origin.paths["/items"] = ok(b"by the body", "cache-control: max-age=60")
    for _ in range(2):
        assert await told(application, "GET", body=b"which") == (200, b"by the body")
    assert origin.bodies == [b"which", b"which"]

"""The worst values that a head may have, in every field that the console's frameworks read: none holds the console."""

from http.cookies import SimpleCookie
from time import thread_time

import h11
import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from apimgr.transport import PlainCookies
from apps.supervisor.management.commands.console import HEAD_BYTES
from tests.gateway.test_hostile_values import VALUES

WORST = 0.5
"""Seconds of the processor for one call."""

FIELDS = (
    "accept accept-encoding accept-language authorization cookie content-type forwarded host hx-current-url hx-target "
    "if-match if-modified-since if-none-match if-range if-unmodified-since origin range referer user-agent x-csrftoken "
    "x-forwarded-for x-forwarded-host x-forwarded-proto"
).split()

PLACES = ("/accounts/login/", "/api/v1/apis/", "/static/css/charts.css", "/nowhere/")

KINDS = VALUES | {
    "cookie of escapes": (b'a="', b'\\"'),
    "cookie of octals": (b'a="', b"\\101"),
    "cookies": (b"", b"a=b;"),
}


def hostile(kind: str, size: int) -> str:
    front, unit = KINDS[kind]
    return (front + unit * ((size - len(front)) // len(unit))).decode("latin-1")


@pytest.mark.parametrize("place", PLACES)
def test_no_value_of_a_request_field_holds_the_console(db: None, state_redis: object, place: str) -> None:
    client, slow = Client(raise_request_exception=False), {}
    client.get(place).close()
    for name in FIELDS:
        for kind in KINDS:
            began = thread_time()
            client.get(place, headers={name: hostile(kind, HEAD_BYTES - 1024)}).close()
            if (took := thread_time() - began) > WORST:
                slow[name, kind] = took
    assert slow == {}


def test_no_head_holds_the_servers_parser() -> None:
    for kind in KINDS:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        head = f"GET / HTTP/1.1\r\nhost: a.test\r\nx: {hostile(kind, HEAD_BYTES - 1024)}x\r\n\r\n".encode("latin-1")
        began = thread_time()
        connection.receive_data(head)
        assert isinstance(connection.next_event(), h11.Request)
        assert thread_time() - began < WORST


def cookies_seen(sent: str) -> dict[str, str]:
    seen: dict[str, str] = {}

    def view(request: object) -> HttpResponse:
        seen.update(request.COOKIES)
        return HttpResponse()

    PlainCookies(view)(RequestFactory().get("/", headers={"cookie": sent}))
    return seen


def test_cookies_with_escapes_are_left_out() -> None:
    assert cookies_seen('a=b; evil="\\101"; c="d"; sessionid=e') == {"a": "b", "c": "d", "sessionid": "e"}
    assert cookies_seen("a=b; c=d") == {"a": "b", "c": "d"}


def test_no_cookie_of_ours_has_escapes() -> None:
    made = SimpleCookie()
    for name in ("sessionid", "csrftoken", "messages", "known-0123456789abcdef"):
        made[name] = "Ab0_-:.=nonce:1sXyZ:signature_-"
        assert "\\" not in made[name].OutputString()

"""The control plane's calls to what people name: to the address that was judged, and nowhere else."""

import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore
import httpx
import pytest

from apps.egress import outbound
from apps.egress.outbound import OutboundRefused, client
from apps.egress.rules import ONE_MACHINE, Guard, rule_of
from tests.support.ports import free_port
from tests.support.waiting import SOON

HERE = Guard([rule_of(text) for text in ONE_MACHINE])


class Target(BaseHTTPRequestHandler):
    """What is called."""

    server: Any

    def do_GET(self) -> None:
        self.server.calls.append((self.path, self.headers["Host"]))
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def target():
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Target)
    server.calls = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def names(monkeypatch):
    """What names resolve to; ``asked``: which were looked up."""
    known: dict[str, list[str]] = {}
    known["asked"] = []

    def resolved(host: str, port: int | None, *rest: Any, **options: Any):
        known["asked"].append(host)
        if host.endswith(".invalid"):
            raise socket.gaierror("no such host")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (each, port)) for each in known.get(host, [host])]

    monkeypatch.setattr(outbound.socket, "getaddrinfo", resolved)
    return known


def test_the_connection_goes_to_the_address_that_was_judged_under_the_name_that_was_asked_for(names, target):
    names["cdn.example.com"] = ["127.0.0.1"]
    with client(HERE) as http:
        answer = http.get(f"http://cdn.example.com:{target.server_port}/a")
    assert names["asked"] == ["cdn.example.com", "127.0.0.1"], (
        "the name is looked up once, and then the address is used"
    )
    assert target.calls == [("/a", f"cdn.example.com:{target.server_port}")]
    assert answer.request.extensions["sni_hostname"] == "cdn.example.com"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "fd00:ec2::254", "64:ff9b::a00:1", "0.0.0.0"]
)
def test_a_name_that_leads_to_an_address_without_a_rule_is_not_called(names, address):
    names["cdn.example.com"] = [address]
    with client(Guard()) as http, pytest.raises(OutboundRefused) as refused:
        http.get("http://cdn.example.com/")
    assert address not in str(refused.value)


def test_of_several_addresses_those_are_tried_that_may_be_called(names, target):
    names["cdn.example.com"] = ["169.254.169.254", "127.0.0.1"]
    with client(HERE) as http:
        assert http.get(f"http://cdn.example.com:{target.server_port}/a").status_code == 200
    names["cdn.example.com"] = ["127.0.0.9", "127.0.0.1"]  # nobody listens on the first
    with client(HERE) as http:
        assert http.get(f"http://cdn.example.com:{target.server_port}/b").status_code == 200
    names["cdn.example.com"] = ["127.0.0.9"]
    with client(HERE) as http, pytest.raises(httpx.ConnectError):
        http.get(f"http://cdn.example.com:{free_port()}/")


def test_the_platform_itself_is_not_called_whatever_is_allowed(names, target):
    names["state"] = names["innocent.test"] = ["127.0.0.1"]
    for own in ("localhost", "state", "127.0.0.1", "gone.invalid"):
        guard = Guard(HERE.rules, [(own, target.server_port), ("localhost", target.server_port)])
        for host in ("127.0.0.1", "state", "innocent.test"):
            with client(guard) as http, pytest.raises(OutboundRefused, match="platform itself"):
                http.get(f"http://{host}:{target.server_port}/")
    assert not target.calls


def test_redirects_are_not_followed_and_proxies_of_the_environment_not_asked(names, target, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with client(HERE) as http:
        assert http.get(f"http://127.0.0.1:{target.server_port}/away").status_code == 302
    assert len(target.calls) == 1


def test_a_name_that_nobody_has_is_a_failure_to_connect(names):
    with client(HERE) as http, pytest.raises(httpx.ConnectError):
        http.get("http://cdn.invalid/")


SLOW = {
    "a head that doesn't end": (b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"),
    "provisional answers": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a body that doesn't end": (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"a"),
    "a body in chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_call_ends_at_whatever_pace_it_is_answered(kind: str):
    """Each read comes in time: without a bound on all of them a thread waits for as long as the other side likes."""
    first, again = SLOW[kind]
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(first)
            while not over.wait(0.02):
                connection.sendall(again)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        began = time.monotonic()
        try:
            with client(HERE, timeout=5, longest=0.3) as http, pytest.raises(httpx.TimeoutException):
                http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        finally:
            took = time.monotonic() - began
            over.set()
            thread.join()
    assert took < SOON


def test_a_name_with_many_addresses_gets_no_more_time(names, monkeypatch):
    names["many.example.com"] = [f"127.0.0.{number}" for number in range(1, 60)]
    now = [0.0]
    monkeypatch.setattr(outbound.time, "monotonic", lambda: now[0])

    def slow(*arguments: Any) -> Any:
        now[0] += arguments[3]
        raise httpcore.ConnectTimeout

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", slow)
    with client(HERE, timeout=5, longest=12) as http, pytest.raises(httpx.ConnectTimeout):
        http.get("http://many.example.com/")
    assert now[0] == 12

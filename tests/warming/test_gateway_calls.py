"""Calls of warm-ups end, whatever pace the upstream behind the gateway has."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from apps.warming import gateway_calls
from apps.warming.gateway_calls import FAILED, Fetcher
from apps.warming.targets import WarmUpCall


class Drip(BaseHTTPRequestHandler):
    """In the gateway's place: hands on an upstream's response that never ends, a byte now and then."""

    server: Any

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.over.wait(0.02):
            try:
                self.wfile.write(b"x")
            except OSError:
                return

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def gateway() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Drip)
    server.over = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_call_whose_answer_never_ends_is_ended(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It kept all warm-ups of the installation from going on, for good."""
    monkeypatch.setattr(gateway_calls, "LONGEST", 0.3)
    with Fetcher(f"http://127.0.0.1:{gateway.server_port}") as fetcher:
        future = fetcher.submit("products", WarmUpCall("http", "a.test", "/products/"), {})
        try:
            outcome = future.result(timeout=10)
        finally:
            gateway.over.set()
    assert (outcome.kind, outcome.reached) == (FAILED, True)
    assert outcome.why == "Its response did not end within 0.3 s."

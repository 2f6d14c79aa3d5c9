"""“Try it”: what an upstream may send, and what of it the console takes."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from apps.console.try_it import SHOWN, call
from tests.support.cast import Cast, make_api


class Sender(BaseHTTPRequestHandler):
    """Answers ``/products/endless`` without end, and everything else with a character set that there isn't."""

    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=klingon")
        self.end_headers()
        if not self.path.endswith("/endless"):
            self.wfile.write(b"hello")
            return
        try:
            while Sender.sent < 256 * SHOWN:
                self.wfile.write(b"x" * SHOWN)
                Sender.sent += SHOWN
        except OSError:  # the reader had enough
            return

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def gateway(settings: Any) -> Iterator[None]:
    """Stands in for the gateway, which would pass the same bytes on."""
    Sender.sent = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Sender) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        settings.GATEWAY_URL = f"http://127.0.0.1:{server.server_port}"
        yield
        server.shutdown()
        thread.join()


def test_an_answer_without_end_does_not_fill_the_consoles_memory(cast: Cast, gateway: None):
    trial = call(make_api(cast.acme), "GET", "endless", (), "", None)
    assert (len(trial.body), trial.note) == (SHOWN, f"The first {SHOWN // 1024} KiB.")
    assert Sender.sent < 256 * SHOWN


def test_a_character_set_that_there_is_not_is_read_as_utf8(cast: Cast, gateway: None):
    assert call(make_api(cast.acme), "GET", "hello", (), "", None).body == "hello"

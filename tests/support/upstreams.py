"""Servers for tests on free loopback ports: httpbin, which we did not write, and any other WSGI application."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

from werkzeug.serving import make_server

from tests.support.ports import free_port


@contextlib.contextmanager
def httpbin() -> Iterator[str]:
    """The base URL of a running httpbin, for as long as the block lasts."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # httpbin and what it stands on are not ours to mend
        from httpbin import app
    with served(app) as url:
        yield url


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """The base URL of a WSGI application on a free loopback port, for as long as the block lasts."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", free_port(), app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()

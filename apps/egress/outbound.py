"""The control plane's calls to addresses that people name: ``with client(guard_of(tenant)) as http: http.get(url)``.

A name is resolved once, each address is judged by the tenant's guard, and the connection goes to an address that was judged: a
name that resolves to something else a moment later (DNS rebinding) changes nothing. Redirects aren't followed, proxies of the
environment aren't asked, and no connection outlives its call. Calls to the platform's own gateway ("Try it", warm-ups) are its
own affair and don't come here.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import httpcore
import httpx

from apps.egress.rules import Guard, allowed_addresses

TIMEOUT = 5.0
"""Seconds that a call may take to connect, and between two reads."""

LONGEST = 15.0
"""Seconds that a call may take altogether, at whatever pace it is answered, on however many addresses."""

_PORTS = {"http": 80, "https": 443}
_HEAD_BYTES = 16 * 1024


class OutboundRefused(httpx.RequestError):
    """The call may not be made; the message says why without the address."""


class _Stream(httpcore.NetworkStream):
    """A stream that waits no longer than its backend does: each read is bounded by httpx, and their number isn't."""

    def __init__(self, stream: httpcore.NetworkStream, backend: "_Backend") -> None:
        self._stream, self._backend = stream, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._backend.left(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._backend.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._backend)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    """Connections that all end at ``until``, a time of the monotonic clock."""

    until = 0.0

    def left(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
        """Seconds that a step may take. Raises ``late`` where there are none."""
        if (rest := self.until - time.monotonic()) <= 0:
            raise late("There was no response in time.")
        return rest if timeout is None else min(timeout, rest)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self.left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options), self)


class GuardedTransport(httpx.HTTPTransport):
    """Connects to an address that the guard judged, under the name that was asked for. One call at a time."""

    def __init__(self, guard: Guard, longest: float = LONGEST) -> None:
        super().__init__(trust_env=False, verify=_tls())
        self._guard, self._longest = guard, longest
        self._backend = _Backend()
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(), max_keepalive_connections=0, network_backend=self._backend
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As usual, to the first of the name's addresses that can be connected to. Raises ``OutboundRefused``."""
        self._backend.until = time.monotonic() + self._longest
        host = request.url.raw_host.decode("ascii")
        if not host or request.url.scheme not in _PORTS:  # what others wrote may lead here, like an issuer's metadata
            raise OutboundRefused("This is no address of the web: it starts with https://.", request=request)
        port = request.url.port or _PORTS[request.url.scheme]
        allowed, refusal = _allowed(self._guard, host, port)
        if refusal and not allowed:
            raise OutboundRefused(refusal, request=request)
        if not allowed:
            raise httpx.ConnectError(f"The name {host} can't be resolved.", request=request)
        # The Host field was set from the name when the request was made.
        request.extensions = {**request.extensions, "sni_hostname": host}
        for last, address in enumerate(allowed, 1 - len(allowed)):
            request.url = request.url.copy_with(host=address)
            try:
                return super().handle_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if last == 0:
                    raise
        raise AssertionError("unreachable")


def client(guard: Guard, timeout: float = TIMEOUT, longest: float = LONGEST) -> httpx.Client:
    """A client for calls on behalf of one tenant, one at a time. ``timeout``: seconds to connect, and between two reads;
    ``longest``: seconds of a call altogether.
    """
    transport = GuardedTransport(guard, longest)
    return httpx.Client(transport=transport, timeout=timeout, follow_redirects=False, trust_env=False)


def fetch_text(guard: Guard, url: httpx.URL, *, seconds: float = TIMEOUT, most: int = 4096) -> tuple[int, bytes]:
    """Status and the first ``most`` bytes of a small text, in so many ``seconds`` altogether, whatever pace the server has.

    HTTP/1.0, so that the text comes as it is. Raises ``OSError`` (``TimeoutError`` is one) with a sentence without the address.
    """
    until = time.monotonic() + seconds

    def left() -> float:
        if (rest := until - time.monotonic()) <= 0:
            raise TimeoutError("There was no response in time.")
        return rest

    host, port = url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]
    allowed, refusal = _allowed(guard, host, port)
    if not allowed:
        raise OSError(refusal or "The name has no address.")
    with _connected(allowed, port, left) as plain:
        plain.settimeout(left())
        connection = _tls().wrap_socket(plain, server_hostname=host) if url.scheme == "https" else plain
        with connection:
            connection.settimeout(left())
            connection.sendall(b"GET %b HTTP/1.0\r\nHost: %b\r\n\r\n" % (url.raw_path, url.netloc))
            data = b""
            while len(data) < _HEAD_BYTES + most:
                connection.settimeout(left())
                part = connection.recv(_HEAD_BYTES)
                if not part:
                    break
                data += part
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not words[0].startswith(b"HTTP/1.") or len(words) < 2 or not words[1][:3].isdigit():
        raise OSError("What answered does not speak HTTP/1.")
    return int(words[1][:3]), body[:most]


def _connected(addresses: list[str], port: int, left: Callable[[], float]) -> socket.socket:
    """A connection to the first address that takes one. Raises ``OSError``."""
    for last, address in enumerate(addresses, 1 - len(addresses)):
        try:
            return socket.create_connection((address, port), timeout=left())
        except OSError:
            if last == 0:
                raise
    raise AssertionError("unreachable")


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def addresses_of(host: str) -> list[str]:
    """The addresses that a name has here, each once; none where it has none, or can't be resolved."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _allowed(guard: Guard, host: str, port: int) -> tuple[list[str], str | None]:
    """The addresses of a host that may be connected to, and why another one may not."""
    own = [each for name in guard.own_names(port) for each in addresses_of(name)]
    return allowed_addresses(guard, host, port, addresses_of(host), own)

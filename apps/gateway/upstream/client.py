"""The upstream client: what the rest of the gateway knows of upstream connections, and the pool behind it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from apps.egress.rules import Guard, address_of, allowed_addresses, reason_of
from apps.gateway.upstream.connection import Connection, Fields, OnInterim, write_body
from apps.gateway.upstream.connection_attempts import AddressOrder, first_connection
from apps.gateway.upstream.errors import (
    Broken,
    DestinationRefused,
    TimedOut,
    Unreachable,
    UpstreamError,
    cause_of_connecting,
)
from apps.gateway.upstream.resolver import NameFailed, Resolver
from apps.gateway.upstream.trust import tls_context
from apps.wire.failure_causes import FailureCause

IDLE = 30.0
"""Seconds that an idle connection is kept."""

FRESH = 1.0
"""Seconds of idleness after which a connection may have been closed by the other side just now: calls that must not
be sent twice don't take it.
"""

OLDEST = 60.0
"""Seconds after which a connection is not used again: a name that moved is followed, however busy its connections are."""

IDLE_PER_ORIGIN = 256
"""Idle connections to one origin that are kept."""

CONTEXTS_KEPT = 64
"""Settings of TLS with an upstream's own certificates that are kept ready, the last used ones."""

IDLE_IN_ALL = 1024
"""Connections to all origins that are; beyond that, one that is given back is closed."""

REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
"""Idempotent methods (RFC 9110 §9.2.2, RFC 10008): a call may be sent again when its connection broke before any byte of a
response.
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an upstream's URL leads. ``base`` is its path without the last slash, ``path`` the path as it is written; ``authority``
    goes into ``Host``; ``ca`` are the certificates that vouch for it (PEM), empty: those that the machine trusts.
    """

    scheme: str
    host: str
    port: int
    authority: bytes
    base: bytes
    ca: str = ""
    path: bytes = b"/"

    @property
    def name(self) -> str:
        """``host:port``, for the call record."""
        return f"{self.host}:{self.port}"


def origin_of(url: str, ca: str = "") -> Origin:
    """The origin that an upstream's ``http`` or ``https`` URL names, with the certificates that vouch for it. Raises ``ValueError``
    for another scheme or without a host.
    """
    origin = _origin_of(url)
    return (
        replace(origin, ca=ca) if ca else origin
    )  # certificates are forty times as long as a URL: they aren't remembered


@lru_cache(maxsize=4096)
def _origin_of(url: str) -> Origin:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http(s) URL")
    default = 443 if parts.scheme == "https" else 80
    port = parts.port or default
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if port == default else f"{host}:{port}"
    base = parts.path.rstrip("/")
    return Origin(
        parts.scheme,
        parts.hostname,
        port,
        authority.encode("idna" if not host.isascii() else "ascii"),
        base.encode(),
        path=parts.path.encode() or b"/",
    )


class UpstreamResponse(Protocol):
    """An upstream's final response: its head is here, its body may still come."""

    status: int
    fields: Fields

    @property
    def whole(self) -> bytes | None:
        """The body, when all of it came with the head; else ``None``. May be asked once, before ``read``."""

    async def read(self) -> bytes:
        """The next part of the body, ``b""`` when it is complete. Raises ``UpstreamError`` when it ends early or
        too slowly.
        """

    def close(self) -> None:
        """Give the connection back, or end it when the response isn't complete. May be called again."""


class UpstreamClient(Protocol):
    """Sends one request to one origin."""

    async def send(
        self,
        origin: Origin,
        guard: Guard,
        tenant: str,
        method: str,
        target: bytes,
        fields: Fields,
        body: AsyncIterator[bytes] | None,
        connect_timeout: float,
        read_timeout: float,
        on_interim: OnInterim | None = None,
        host: bytes = b"",
    ) -> UpstreamResponse:
        """Send a request for one of the ``tenant``'s APIs and wait for the head of its response, if ``guard`` lets it be sent
        there.

        ``fields`` hold everything but framing and ``Host``; with ``body`` they hold its ``content-length`` where that
        is known. Timeouts are seconds; the read timeout is between two arrivals. ``on_interim`` is called with interim
        responses. ``host`` is the ``Host`` field; empty: the origin's own. Raises ``UpstreamError``, and whatever ``body`` raises.
        """

    async def close(self) -> None:
        """End all connections."""


class _Response:
    """A response on a pooled connection."""

    __slots__ = ("_closed", "_connection", "_key", "_pool", "_read_timeout", "_upload", "fields", "status")

    def __init__(
        self,
        pool: "HTTP1Client",
        key: "_Key",
        connection: Connection,
        read_timeout: float,
        upload: "asyncio.Task[None] | None",
    ) -> None:
        self._pool, self._key, self._connection = pool, key, connection
        self._closed = False
        self._read_timeout, self._upload = read_timeout, upload
        self.status, self.fields = connection.status, connection.fields

    @property
    def whole(self) -> bytes | None:
        return self._connection.take() if self._connection.complete else None

    async def read(self) -> bytes:
        return await self._connection.read(self._read_timeout)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        connection = self._connection
        upload = self._upload
        if upload is not None and not upload.done():
            upload.cancel()
        # Where the upstream answered before all of the request was out, the next call's head would be the rest of this one.
        sent = upload is None or (upload.done() and not upload.cancelled() and upload.exception() is None)
        if sent and connection.reusable:
            self._pool.keep(self._key, connection)
        else:
            connection.abort()


PLATFORM = ""
"""In whose name the names of the platform's own places are looked up."""

_Key = tuple[str, str, int, str]
"""Scheme, host, port and the certificates that vouch for it: a connection is used only where its server was held to these."""


class HTTP1Client:
    """Pools HTTP/1.1 connections by origin, the most recently used first.

    Each connection is to an address that a guard judged. It remembers the guard: under another one (of another tenant, or with
    changed rules) it is judged again before it is used.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: dict[_Key, list[Connection]] = {}
        self._kept = 0
        self._resolver = Resolver(loop)
        self._order = AddressOrder()
        self._own_tls = lru_cache(maxsize=CONTEXTS_KEPT)(tls_context)
        self._machine_tls: ssl.SSLContext | None = None

    async def send(
        self,
        origin: Origin,
        guard: Guard,
        tenant: str,
        method: str,
        target: bytes,
        fields: Fields,
        body: AsyncIterator[bytes] | None,
        connect_timeout: float,
        read_timeout: float,
        on_interim: OnInterim | None = None,
        host: bytes = b"",
    ) -> UpstreamResponse:
        chunked = body is not None and not any(name == b"content-length" for name, _ in fields)
        lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method.encode("ascii"), target, host or origin.authority)]
        lines += [b"%b: %b\r\n" % field for field in fields]
        if chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        elif body is None and method in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: 0\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        key = (origin.scheme, origin.host, origin.port, origin.ca)
        repeatable = body is None and method in REPEATABLE
        connection = self._pooled(key, guard, repeatable)
        tried = connection is not None
        if connection is not None:
            try:
                return await self._call(
                    key, connection, head, method == "HEAD", body, chunked, read_timeout, on_interim
                )
            except Broken:
                # The upstream closed the idle connection while we took it: no byte of a response came, so ask once more.
                if not repeatable or connection.wire_bytes:
                    raise
        try:
            connection = await self._connect(origin, guard, tenant, connect_timeout)
        except UpstreamError as error:
            error.sent_before = tried
            raise
        try:
            return await self._call(key, connection, head, method == "HEAD", body, chunked, read_timeout, on_interim)
        except UpstreamError:
            self._order.failed(key[:3], connection.address)
            raise

    async def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        self._kept = 0

    def keep(self, key: _Key, connection: Connection) -> None:
        """Take a connection back whose call has ended."""
        kept = self._idle.setdefault(key, [])
        now = self._loop.time()
        if len(kept) >= IDLE_PER_ORIGIN or self._kept >= IDLE_IN_ALL or now - connection.opened > OLDEST:
            connection.abort()
            return
        connection.idle_since = now
        connection.fields = []
        kept.append(connection)
        self._kept += 1

    def sweep(self) -> None:
        """Close what was idle for too long. To be called every now and then."""
        oldest = self._loop.time() - IDLE
        for key, connections in list(self._idle.items()):
            stay = [c for c in connections if not c.closed and c.idle_since > oldest]
            for connection in connections:
                if connection.closed or connection.idle_since <= oldest:
                    connection.abort()
            if stay:
                self._idle[key] = stay
            else:
                del self._idle[key]
        self._kept = sum(map(len, self._idle.values()))

    def _pooled(self, key: _Key, guard: Guard, repeatable: bool) -> Connection | None:
        kept, now = self._idle.get(key), self._loop.time()
        while kept:
            connection = kept.pop()
            self._kept -= 1
            if connection.closed:
                continue
            if now - connection.opened > OLDEST or (not repeatable and connection.idle_since < now - FRESH):
                connection.abort()
                continue
            if connection.guard is not guard:
                _, host, port, _ = key
                # Where the port is one of the platform's own under a name, that must be resolved: for a new connection.
                if guard.own_names(port) or guard.refusal(host, port, address_of(connection.address)) is not None:
                    connection.abort()
                    continue
                connection.guard = guard
            return connection
        return None

    async def _call(
        self,
        key: _Key,
        connection: Connection,
        head: bytes,
        head_only: bool,
        body: AsyncIterator[bytes] | None,
        chunked: bool,
        read_timeout: float,
        on_interim: OnInterim | None,
    ) -> UpstreamResponse:
        upload: asyncio.Task[None] | None = None
        try:
            connection.begin(head, head_only, on_interim)
            if body is None:
                await connection.head(read_timeout)
            else:
                upload = self._loop.create_task(write_body(connection, body, chunked, read_timeout))
                await self._head_while_sending(connection, upload, read_timeout)
        except BaseException:
            if upload is not None:
                upload.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await upload
            connection.abort()
            raise
        return _Response(self, key, connection, read_timeout, upload)

    async def _head_while_sending(self, connection: Connection, upload: "asyncio.Task[None]", patience: float) -> None:
        # The read timeout begins when the request is out; until then a response may come early (413, 401).
        response_head = self._loop.create_task(connection.head(86400.0))
        try:
            await asyncio.wait({response_head, upload}, return_when=asyncio.FIRST_COMPLETED)
            if not response_head.done():
                error = upload.exception()
                if isinstance(error, UpstreamError):
                    await asyncio.wait(
                        {response_head}, timeout=0.05
                    )  # an early response may be on its way before the reset
                if error is not None and not (response_head.done() and response_head.exception() is None):
                    raise error
                try:
                    await asyncio.wait_for(asyncio.shield(response_head), patience)
                except TimeoutError:
                    raise TimedOut(FailureCause.RESPONSE_TIMEOUT, sent=True) from None
            else:
                response_head.result()
        finally:
            if not response_head.done():
                response_head.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await response_head

    async def _connect(self, origin: Origin, guard: Guard, tenant: str, patience: float) -> Connection:
        progress = _Progress()
        try:
            async with asyncio.timeout(patience):
                return await self._connect_any(origin, guard, tenant, progress)
        except TimeoutError:
            raise TimedOut(progress.late, sent=False) from None

    async def _connect_any(self, origin: Origin, guard: Guard, tenant: str, progress: "_Progress") -> Connection:
        try:
            found = await self._resolver.addresses(origin.host, tenant)
        except NameFailed as error:
            raise Unreachable(error.cause, sent=False) from error
        own: list[str] = []
        for host in guard.own_names(origin.port):
            with contextlib.suppress(OSError):  # away from here: nothing can be reached by that name
                own += await self._resolver.addresses(host, PLATFORM, anew=True)  # a check goes by what is so now
        allowed, refusal = allowed_addresses(guard, origin.host, origin.port, found, own)
        if not allowed:
            raise DestinationRefused(refusal, reason_of(refusal))
        progress.late = FailureCause.CONNECTION_TIMEOUT
        place = (origin.scheme, origin.host, origin.port)

        async def connect(address: str) -> Connection:
            try:
                connection = await self._open(origin, address, progress)
            except (OSError, asyncio.CancelledError):  # ssl.SSLError is the former; of several, one that was too slow
                self._order.failed(place, address)
                raise
            connection.guard, connection.address = guard, address
            return connection

        try:
            connection = await first_connection(self._order.of(place, allowed), connect, Connection.abort)
        except OSError as last:
            self._resolver.forget(origin.host, tenant)  # it may have moved
            raise Unreachable(cause_of_connecting(last), sent=False) from last
        self._order.connected(place, connection.address)
        return connection

    async def _open(self, origin: Origin, address: str, progress: "_Progress") -> Connection:
        """A connection to one address. Raises ``OSError``."""
        if origin.scheme != "https":
            _, connection = await self._loop.create_connection(self._made, address, origin.port)
            return connection
        # In two steps, which tell a silent address from a server that doesn't speak TLS.
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
            sock.setblocking(False)
            await self._loop.sock_connect(sock, (address, origin.port))
            progress.late = FailureCause.TLS_TIMEOUT
            _, connection = await self._loop.create_connection(
                self._made, sock=sock, ssl=self._tls(origin.ca), server_hostname=origin.host
            )
            undo.pop_all()
        return connection

    def _tls(self, ca: str) -> ssl.SSLContext:
        if ca:
            return self._own_tls(ca)
        # Read once and kept: it takes some 50 ms, and no number of upstreams with certificates of their own may have it read again.
        if self._machine_tls is None:
            self._machine_tls = tls_context("")
        return self._machine_tls

    def _made(self) -> Connection:
        return Connection(self._loop)


class _Progress:
    """How far the making of a connection has come: ``late`` is what it means if time is up now."""

    __slots__ = ("late",)

    def __init__(self) -> None:
        self.late = FailureCause.NAME_TIMEOUT

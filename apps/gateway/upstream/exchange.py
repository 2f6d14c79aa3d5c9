"""The gateway's own small questions to other servers: an issuer's keys, what an opaque token is worth."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.upstream.client import UpstreamClient, UpstreamResponse, origin_of
from apps.gateway.upstream.connection import Fields
from apps.gateway.upstream.errors import UpstreamError

LARGEST = 2**18
"""Bytes that a response's body may have. All calls of the worker wait while it is parsed, and it may be from a tenant's server. A
set of a hundred RSA keys of 8192 bits has half of this.
"""

DEADLINE = 5.0
"""Seconds that an exchange may take, from the look-up of the name to the last byte."""

_URL = re.compile(r"https?://[!-~]{1,2040}")
"""What may be a URL: nothing in it may end a request's first line."""


class ExchangeFailed(Exception):
    """No response, not all of it, or one that is too large. What it says names no place."""


@dataclass(frozen=True, slots=True)
class ExchangeResponse:
    """A whole response, whatever its status: redirects aren't followed."""

    status: int
    fields: Fields
    body: bytes

    def field(self, name: bytes) -> bytes:
        """The first value of a field (its name in lower case); empty: it isn't there."""
        return next((value for each, value in self.fields if each == name), b"")


class Exchange:
    """Asks by the worker's own connections, where the egress rules let it."""

    def __init__(self, client: UpstreamClient, config: WorkerConfig) -> None:
        self._client, self._config = client, config

    async def __call__(
        self,
        tenant: str,
        method: str,
        url: str,
        fields: Sequence[tuple[bytes, bytes]] = (),
        body: bytes | None = None,
        deadline: float = DEADLINE,
    ) -> ExchangeResponse:
        """One request under the egress rules of a ``tenant`` (empty: of the installation), and its response. ``deadline`` is in
        seconds. Raises ``ExchangeFailed``.
        """
        if not _URL.fullmatch(url):
            raise ExchangeFailed("This is no http(s) URL.")
        try:
            async with asyncio.timeout(deadline):
                return await self._ask(tenant, method, url, fields, body, deadline)
        except UpstreamError as error:
            raise ExchangeFailed(error.cause.sentence) from error
        except TimeoutError:
            raise ExchangeFailed(f"There was no whole response within {deadline:g} s.") from None

    async def _ask(
        self,
        tenant: str,
        method: str,
        url: str,
        fields: Sequence[tuple[bytes, bytes]],
        body: bytes | None,
        deadline: float,
    ) -> ExchangeResponse:
        try:
            origin, parts = origin_of(url), urlsplit(url)
        except ValueError:
            raise ExchangeFailed("This is no http(s) URL.") from None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [(b"accept", b"application/json"), (b"accept-encoding", b"identity"), *fields]
        if body is not None:
            lines.append((b"content-length", b"%d" % len(body)))
        response = await self._client.send(
            origin,
            self._config.egress(tenant),
            tenant,
            method,
            target.encode(),
            lines,
            None if body is None else _once(body),
            deadline,
            deadline,
        )
        try:
            return ExchangeResponse(response.status, response.fields, await _whole(response))
        finally:
            response.close()


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _whole(response: UpstreamResponse) -> bytes:
    parts, size = [], 0
    while part := await response.read():
        size += len(part)
        if size > LARGEST:
            raise ExchangeFailed(f"The response has more than {LARGEST} bytes.")
        parts.append(part)
    return b"".join(parts)

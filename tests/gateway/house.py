"""A gateway with everything around it: a published world in a real Valkey, an origin of our own, a server on a real
port.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import redis
import uvicorn
from django.conf import settings

from apps.cachestore.backend import ResponsesCache
from apps.egress.rules import ONE_MACHINE
from apps.fleet import state
from apps.gateway.gateway import Gateway, Options
from apps.gateway.records.spool import frames
from apps.gateway.server.asgi import ASGIApplication
from apps.gateway.server.http1 import HTTP1Connection
from apps.gateway.server.worker import Server
from apps.httpcache.policy import Policy
from apps.wire import api_keys, redis_names
from apps.wire.call_records import SpooledCallRecord, decode
from apps.wire.snapshot import (
    API,
    KINDS,
    Credential,
    Egress,
    Grant,
    HeaderRules,
    HostOwner,
    Part,
    Plan,
    Revoked,
    Upstream,
)
from tests.support.ports import free_port
from tests.support.waiting import until

KEY = "a-key-of-acme-bot-0001"
OTHER_KEY = "a-key-of-zenith-bot-0001"
STRANGER_KEY = "a-key-without-a-grant-1"

UNLIMITED = Plan("unlimited", None, None, None, "month", True, None)


def api(slug: str = "products", **changes: Any) -> API:
    """An API with a key, cached as its origin says."""
    fields: dict[str, Any] = {
        "slug": slug,
        "tenant": "platform",
        "revision": 1,
        "listen_path": f"/{slug}/",
        "hosts": (),
        "strip_listen_path": True,
        "authentication": ("api_key",),
        "api_key_header": "X-API-Key",
        "forward_credential": False,
        "upstreams": (),
        "connect_timeout": 1.0,
        "read_timeout": 5.0,
        "retries": 1,
        "body_limit": 1024 * 1024,
        "debug_headers": "subscribers",
        "request_headers": HeaderRules(),
        "response_headers": HeaderRules(),
        "policy": Policy(api=slug),
    }
    fields.update(changes)
    if isinstance(fields["upstreams"], str):
        fields["upstreams"] = (Upstream(fields["upstreams"]),)
    return API(**fields)


def credential(
    secret: str, grants: dict[str, Grant], key_id: int = 1, tenant: str = "acme", **changes: Any
) -> Credential:
    """A key of an application, with what it may call."""
    fields: dict[str, Any] = {
        "key_id": key_id,
        "digest": api_keys.digest(settings.KEY_PEPPER, secret),
        "state": "active",
        "tenant": tenant,
        "application": f"{tenant}/bot",
        "grants": grants,
    }
    fields.update(changes)
    return Credential(**fields)


def name_of(part: Part) -> str:
    """Under which name a part of the snapshot is kept, like ``api:products``."""
    if isinstance(part, Egress):
        return f"egress:{part.tenant}"
    if isinstance(part, Revoked):
        return f"revoked:{part.bucket}"
    kind = next(kind for kind, made in KINDS.items() if isinstance(part, made))
    return f"{kind}:{part.host if isinstance(part, HostOwner) else part.slug}"


class Published:
    """What the control plane has pushed into a state Valkey, and pushes next."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def everything(self, *things: Part | Credential) -> None:
        """Fill an empty state. Unless ``things`` say otherwise, upstreams may be on this machine."""
        things = (Egress("", ONE_MACHINE), *things)
        self.client.set(redis_names.REFILLER, "test", px=15000)
        parts, records = self._sorted(things)
        assert state.fill(self.client, "test", 1, parts, records)
        assert state.switch(self.client, "test", 1, 1, 0)

    def change(self, *things: Part | Credential, gone: tuple[str, ...] = ()) -> None:
        """Publish new or changed things, and that the parts of the names in ``gone`` are no more."""
        held = state.redis_state(self.client)
        assert held is not None
        parts, records = self._sorted(things)
        parts |= dict.fromkeys(gone)
        assert state.push(self.client, held, parts, records, n=held.n + 1, names_of=(tuple(parts), tuple(records)))

    def _sorted(self, things: tuple[Part | Credential, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
        parts: dict[str, Any] = {}
        records: dict[str, Any] = {}
        for thing in things:
            if isinstance(thing, Credential):
                records[thing.digest] = thing
            else:
                parts[name_of(thing)] = thing
        return parts, records


class Answered:
    """An answer as it came over the wire."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.all(name))

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field.lower() == name.lower()]

    @property
    def cache(self) -> str:
        return self["x-cache"]

    def __repr__(self) -> str:
        return f"Answered({self.status}, {self.headers}, {self.body[:200]!r})"


class CutShort(Exception):
    """The connection ended before the answer did."""


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Answered:
    """One answer, framed as RFC 9112 says. Raises ``CutShort``."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise CutShort(error.partial) from None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    status = int(first.split(" ")[1])
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if 100 <= status < 200:
        return await read_answer(reader, method)
    answer = Answered(status, headers, b"")
    if method == "HEAD" or status in (204, 304):
        return answer
    try:
        if answer["transfer-encoding"] == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                answer.body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        elif "content-length" in answer:
            answer.body = await reader.readexactly(int(answer["content-length"]))
        else:
            answer.body = await reader.read()
    except asyncio.IncompleteReadError as error:
        raise CutShort(error.partial) from None
    return answer


class Door:
    """A gateway behind a listening port."""

    def __init__(self, gateway: Gateway, port: int, kind: str, server: Server) -> None:
        self.gateway = gateway
        self.server = server
        self.port = port
        self.kind = kind

    async def connect(self, client: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(client, 0))

    async def raw(self, data: bytes, method: str = "GET", client: str = "127.0.0.1") -> Answered:
        """Send bytes on a connection of its own, from the address ``client``, and read one answer."""
        reader, writer = await self.connect(client)
        try:
            writer.write(data)
            async with asyncio.timeout(30):
                return await read_answer(reader, method)
        finally:
            writer.close()

    async def call(
        self, target: str, *, method: str = "GET", key: str | None = KEY, body: bytes | None = None, **headers: str
    ) -> Answered:
        """One call as an ordinary client makes it; ``x_name`` stands for the field ``x-name``."""
        lines = [f"{method} {target} HTTP/1.1", "host: api.test"]
        if key is not None:
            lines.append(f"x-api-key: {key}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        return await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""), method)

    def records(self) -> list[SpooledCallRecord]:
        """What was written of calls so far, streamed ones once."""
        found = []
        for path in sorted(self.gateway.spool.folder.glob(f"{self.gateway.spool.incarnation}-*.spool")):
            found += [decode(frame.record) for frame in frames(path.read_bytes())]
        return [each for each in found if isinstance(each, SpooledCallRecord)]

    def calls(self) -> list[SpooledCallRecord]:
        """Records of ended calls."""
        return [each for each in self.records() if each.kind != "begun"]


Handler = Callable[["Origin", bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Origin:
    """An origin that a test scripts: ``paths`` maps a path to the bytes to answer, or to a coroutine function."""

    def __init__(self, port: int = 0) -> None:
        self.paths: dict[str, bytes | Handler] = {}
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.closed = 0
        self.port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Origin":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def calls_to(self, path: str) -> int:
        return sum(head.split(b" ")[1].partition(b"?")[0].decode() == path for head in self.heads)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                path = head.split(b" ")[1].partition(b"?")[0].decode()
                answer = self.paths.get(path, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                if isinstance(answer, bytes):
                    self.bodies.append(await read_body(head, reader))
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(self, head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed += 1
        finally:
            self._tasks.discard(task)
            writer.close()


async def read_body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    """A request's body, by its framing."""
    if length := re.search(rb"(?im)^content-length: *(\d+)", head):
        return await reader.readexactly(int(length[1]))
    if re.search(rb"(?im)^transfer-encoding: *chunked", head):
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body
    return b""


def ok(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, f"content-length: {len(body)}", "", ""])
    return head.encode("latin-1") + body


def gateway_options(
    folder: Path, redis_url: str, cache: ResponsesCache | None, worker: int = 0, **changes: Any
) -> Options:
    """Options for a gateway in a test's own folder."""
    fields: dict[str, Any] = {
        "worker": worker,
        "node": "test",
        "redis_url": redis_url,
        "data_dir": folder,
        "spool_dir": folder / "spool",
        "key_pepper": settings.KEY_PEPPER,
        "mac_key": settings.SNAPSHOT_MAC_KEY,
        "trust_lease": 900.0,
        "l1_bytes": 8 * 2**20,
        "cache": cache,
    }
    fields.update(changes)
    return Options(**fields)


@contextlib.asynccontextmanager
async def serving(gateway: Gateway, kind: str = "lane") -> AsyncIterator[Door]:
    """The gateway behind a real port: by the lane, by the ASGI application under another HTTP implementation (h11) or under
    uvicorn's usual one, or as a Django view.
    """
    port = free_port()
    app: Any = ASGIApplication(gateway)
    protocol: Any = HTTP1Connection
    if kind == "asgi":
        protocol = "h11"
    elif kind == "stock":
        protocol = "httptools"
    elif kind == "view":
        from tests.gateway import site

        protocol = "httptools"
        app = site.application(gateway)
    config = uvicorn.Config(
        app,
        port=port,
        http=protocol,
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    server = Server(config, gateway)
    task = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    try:
        yield Door(gateway, port, kind, server)
    finally:
        server.should_exit = True
        for connection in tuple(server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await task

"""The shared tier of cached responses behind Django's cache API.

django-redis is synchronous; Django's default for asynchronous calls is a thread per call. ``ResponsesCache`` speaks
to Redis natively from coroutines, with the same keys, serializer and compressor, so that the control plane and the
gateways see the same entries.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django_redis.cache import RedisCache
from django_redis.client import DefaultClient
from django_redis.pool import ConnectionFactory
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoScriptError

from apps.cachestore import eviction
from apps.cachestore.fair_share import UNCHARGED, Account
from apps.cachestore.serializer import REJECTED, becomes_large, is_large
from apps.wire.redis_client import connect, connect_async

SOCKET_TIMEOUT = 1.0
"""Seconds that any one exchange with the cache may take. The store waits much shorter; this is what frees a
connection.
"""

K = TypeVar("K", str, bytes)

MAXIMUM_KNOWN = 10.0
"""Seconds between two looks at how much memory the server may use."""

# Django makes a backend for each task, and a connection belongs to the loop that opened it.
_async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncRedis]] = WeakKeyDictionary()
_sync_clients: dict[str, Redis] = {}

# When each server was last asked (monotonic), and its ``maxmemory``.
_maxima: dict[str, tuple[float, int]] = {}


class CacheConnectionFactory(ConnectionFactory):
    """One client for each URL in this process, through the same client as everything else (Sentinel included)."""

    def connect(self, url: str) -> Redis:
        """The process's client of ``url``."""
        client = _sync_clients.get(url)
        if client is None:
            client = _sync_clients[url] = connect(url, timeout=SOCKET_TIMEOUT)
        return client


class OneServerClient(DefaultClient):
    """django-redis's client with our connections."""

    def __init__(self, server: Any, params: dict[str, Any], backend: RedisCache) -> None:
        # A Sentinel URL names several hosts, and django-redis would split it at the commas.
        super().__init__([server] if isinstance(server, str) else server, params, backend)
        self.connection_factory = CacheConnectionFactory(self._options)


class ResponsesClient(OneServerClient):
    """The same, with values that are always serialized."""

    def encode(self, value: Any, *, allow_int: bool = True) -> bytes:
        """Serialized and sealed; numbers too, so that none can be planted."""
        return self._compressor.compress(self._serializer.dumps(value))

    def decode(self, value: bytes) -> Any:
        """What was stored, or ``REJECTED``."""
        return self._serializer.loads(self._compressor.decompress(eviction.unmarked(value)))


class ResponsesCache(RedisCache):
    """Cached responses, for code of both kinds. A value without our seal is a miss. Errors of the connection are
    raised.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {
            "CLIENT_CLASS": "apps.cachestore.backend.ResponsesClient",
            "SERIALIZER": "apps.cachestore.serializer.CacheEntrySerializer",
            **params.get("OPTIONS", {}),
        }
        super().__init__(server, {**params, "OPTIONS": options})

    def get(self, key: str, default: Any = None, version: int | None = None, client: Any = None) -> Any:
        """The value, or ``default``."""
        value = super().get(key, default, version, client)
        return default if value is REJECTED else value

    def get_many(self, keys: Iterable[str], version: int | None = None, client: Any = None) -> dict[str, Any]:
        """The values that are there."""
        found = super().get_many(list(keys), version=version, client=client)
        return {key: value for key, value in found.items() if value is not REJECTED}

    @property
    def url(self) -> str:
        """Where the entries are."""
        return str(self._server)

    @property
    def redis(self) -> AsyncRedis:
        """The running loop's client of the server."""
        loop = asyncio.get_running_loop()
        clients = _async_clients.setdefault(loop, {})
        client = clients.get(self.url)
        if client is None:
            client = clients[self.url] = connect_async(self.url, timeout=SOCKET_TIMEOUT)
        return client

    def _name(self, key: str, version: int | None) -> str:
        return str(self.client.make_key(key, version=version))

    def _milliseconds(self, timeout: Any) -> int | None:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else int(seconds * 1000)

    async def aget(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """``get`` without a thread."""
        found = await self.aget_many([key], version)
        return found.get(key, default)

    async def aget_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        """``get_many`` in one exchange."""
        wanted = list(keys)
        if not wanted:
            return {}
        names = [self._name(key, version) for key in wanted]
        values: list[Any] = [await self.redis.get(names[0])] if len(names) == 1 else await self.redis.mget(names)
        return await self.adecode(dict(zip(wanted, values, strict=True)))

    async def adecode(self, values: Mapping[K, bytes | None]) -> dict[K, Any]:
        """The values that are there and ours, by what they were asked for as; large ones are read outside the loop."""
        present = {key: value for key, value in values.items() if value is not None}
        if any(becomes_large(eviction.unmarked(value)) for value in present.values()):
            return await asyncio.to_thread(self._decoded, present)
        return self._decoded(present)

    def _decoded(self, values: Mapping[K, bytes]) -> dict[K, Any]:
        decoded = {key: self.client.decode(value) for key, value in values.items()}
        return {key: value for key, value in decoded.items() if value is not REJECTED}

    # ruff: noqa: ASYNC109 (the signatures are Django's, and this timeout is the entry's)

    async def aset(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None, nx: bool = False
    ) -> bool:
        """``set``; a timeout that isn't positive deletes."""
        milliseconds = self._milliseconds(timeout)
        if milliseconds is not None and milliseconds <= 0:
            await self.adelete(key, version)
            return False
        stored = await self.redis.set(self._name(key, version), self.client.encode(value), px=milliseconds, nx=nx)
        return bool(stored)

    async def aadd(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """``set`` where nothing stands yet."""
        return await self.aset(key, value, timeout, version, nx=True)

    async def awrite(
        self,
        values: Iterable[tuple[str, Any, float]],
        gone: Iterable[str] = (),
        *,
        account: Account = UNCHARGED,
        max_size: int | None = None,
        guard: tuple[str, str] | None = None,
        note: eviction.EvictionItem | None = None,
    ) -> int:
        """Writes several records, each with its own timeout in seconds, and deletes others, in one exchange that also
        keeps the books (``eviction``): they are charged to ``account``, whose API may take ``max_size`` bytes.

        ``guard`` is the name of a fetch lock, which it frees, and the token under which it must be held. ``note`` is the
        entry's row among its siblings. Returns how many were written, or ``FENCED``.
        """
        values = list(values)
        encode = partial(self._items, values, gone, account, note)
        items = await asyncio.to_thread(encode) if any(is_large(value) for _, value, _ in values) else encode()
        if self._maximum_is_old():
            self._learn_maximum(await self.redis.info("memory"))
        arguments = eviction.command(items, account, bounds(_maxima[self.url][1], max_size), time.time(), guard)
        try:
            return int(await self.redis.evalsha(eviction.SHA, *arguments))
        except NoScriptError:
            return int(await self.redis.eval(eviction.SCRIPT, *arguments))

    def write(
        self,
        values: Iterable[tuple[str, Any, float]],
        gone: Iterable[str] = (),
        *,
        account: Account = UNCHARGED,
        max_size: int | None = None,
        note: eviction.EvictionItem | None = None,
    ) -> int:
        """``awrite`` for code without an event loop."""
        redis = self.client.get_client(write=True)
        if self._maximum_is_old():
            self._learn_maximum(redis.info("memory"))
        items = self._items(values, gone, account, note)
        arguments = eviction.command(items, account, bounds(_maxima[self.url][1], max_size), time.time())
        try:
            return int(redis.evalsha(eviction.SHA, *arguments))
        except NoScriptError:
            return int(redis.eval(eviction.SCRIPT, *arguments))

    def _items(
        self,
        values: Iterable[tuple[str, Any, float]],
        gone: Iterable[str],
        account: Account,
        note: eviction.EvictionItem | None,
    ) -> list[eviction.EvictionItem]:
        items = [
            eviction.EvictionItem(self._name(key, None), eviction.marked(self.client.encode(value), account), timeout)
            for key, value, timeout in values
        ]
        items += [eviction.EvictionItem(self._name(key, None)) for key in gone]
        if note is not None:
            items.append(note._replace(name=self._name(note.name, None)))
        return items

    def _maximum_is_old(self) -> bool:
        learned, _ = _maxima.get(self.url, (-MAXIMUM_KNOWN, 0))
        return time.monotonic() - learned >= MAXIMUM_KNOWN

    def _learn_maximum(self, memory: Mapping[str, Any]) -> None:
        _maxima[self.url] = (time.monotonic(), int(memory.get("maxmemory", 0)))

    async def aset_many(
        self, data: Mapping[str, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[str]:
        """``set_many`` in one exchange. Returns the keys that could not be stored: none, or it raises."""
        milliseconds = self._milliseconds(timeout)
        async with self.redis.pipeline(transaction=False) as pipeline:
            for key, value in data.items():
                name = self._name(key, version)
                if milliseconds is not None and milliseconds <= 0:
                    pipeline.delete(name)
                else:
                    pipeline.set(name, self.client.encode(value), px=milliseconds)
            await pipeline.execute()
        return []

    async def adelete(self, key: str, version: int | None = None) -> bool:
        """Whether something was deleted."""
        return bool(await self.redis.delete(self._name(key, version)))

    async def adelete_many(self, keys: Iterable[str], version: int | None = None) -> int:
        """How many were deleted."""
        names = [self._name(key, version) for key in keys]
        return int(await self.redis.delete(*names)) if names else 0

    async def ahas_key(self, key: str, version: int | None = None) -> bool:
        """Whether a value stands there, ours or not."""
        return bool(await self.redis.exists(self._name(key, version)))

    async def atouch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Gives a value a new timeout; whether there was one."""
        name, milliseconds = self._name(key, version), self._milliseconds(timeout)
        if milliseconds is None:
            return bool(await self.redis.persist(name) or await self.redis.exists(name))
        return bool(await self.redis.pexpire(name, milliseconds))

    async def aclose(self, **kwargs: Any) -> None:
        """Django closes caches after each request; the client stays, as it serves the whole loop. See
        ``close_clients``.
        """


def bounds(maximum: int, max_size: int | None = None) -> eviction.Bounds:
    """The books' bounds on this installation's cache server, which may use ``maximum`` bytes (0: without bound)."""
    fill = eviction.FILL_BESIDE_STATE if settings.CACHE_REDIS_URL == settings.REDIS_URL else eviction.FILL
    return eviction.bounds(maximum, max_size, fill=fill, tenant_share=settings.CACHE_TENANT_SHARE)


async def close_clients() -> None:
    """Closes what the running loop opened; a worker calls it when it stops."""
    for client in _async_clients.pop(asyncio.get_running_loop(), {}).values():
        await client.aclose()

"""Clients of the Redis servers, from whatever ``REDIS_URL`` or ``CACHE_REDIS_URL`` names. No ORM: both planes connect from
here, and no other module makes a client (a test enumerates that), so that an address that works for one works for all.

Every wait is bounded by a timeout that the caller chose, and nothing is tried again behind its back: redis-py's
default of three silent retries would turn one second of a frozen server into four.

With Sentinel, a client asks the sentinels for the master whenever it opens a connection. A master that was demoted refuses
the next write, or ends its connections: then the call fails as when a server is away, and the next one finds the new master.
"""

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from apimgr.environment import sentinels

AWAY = (RedisError, OSError, TimeoutError)
"""What a call raises when the server is away, frozen, or not able to do what was asked."""

Client = Any
"""A client. redis-py's own annotations say that every reply may be text; with these options it is bytes."""


def connect(url: str, *, timeout: float = 1.0) -> Client:
    """A client for ordinary code; ``timeout`` bounds each wait, in seconds. Connects on first use."""
    options = {**_options(timeout), "retry": Retry(NoBackoff(), 0)}
    named = sentinels(url)
    if named is None:
        return redis.Redis.from_url(url, **options)
    sentinel = Sentinel(named.hosts, sentinel_kwargs=options, **options, **named.login)
    return sentinel.master_for(named.master, connection_pool_class=_MasterPool)


def connect_async(url: str, *, timeout: float = 1.0, max_connections: int | None = None) -> Client:
    """The same for coroutines; more than ``max_connections`` calls at once raise. Close it with ``aclose``."""
    options = {**_options(timeout), "retry": AsyncRetry(NoBackoff(), 0)}
    named = sentinels(url)
    if named is None:
        return redis.asyncio.Redis.from_url(url, max_connections=max_connections, **options)
    sentinel = AsyncSentinel(named.hosts, sentinel_kwargs=options, **options, **named.login)
    return sentinel.master_for(named.master, connection_pool_class=_AsyncMasterPool, max_connections=max_connections)


def _options(timeout: float) -> dict[str, Any]:
    return {"protocol": 3, "socket_timeout": timeout, "socket_connect_timeout": min(timeout, 1.0)}


class _MasterPool(SentinelConnectionPool):
    """Closes its connections to the sentinels with those to the master: nothing else knows of them."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        if inuse_connections:
            self.sentinel_manager.close()


class _AsyncMasterPool(AsyncSentinelConnectionPool):
    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:
            await self.sentinel_manager.aclose()

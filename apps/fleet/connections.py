"""Clients of the state Redis, from whatever ``REDIS_URL`` names. No ORM: both planes connect from here.

Every wait is bounded by a timeout that the caller chose, and nothing is tried again behind its back: redis-py's
default of three silent retries would turn one second of a frozen server into four.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

AWAY = (RedisError, OSError, TimeoutError)
"""What a call raises when the server is away, frozen, or not able to do what was asked."""

SENTINEL = "redis+sentinel"

Client = Any
"""A client. redis-py's own annotations say that every answer may be text; with these options it is bytes."""


def connect(url: str, *, timeout: float = 1.0) -> Client:
    """A client for ordinary code; ``timeout`` bounds each wait, in seconds. Connects on first use."""
    options: dict[str, Any] = {**_options(timeout), "retry": Retry(NoBackoff(), 0)}
    if urlsplit(url).scheme != SENTINEL:
        return redis.Redis.from_url(url, **options)
    hosts, master, db = _sentinels(url)
    sentinel = Sentinel(hosts, sentinel_kwargs=_options(timeout), db=db, **options)
    return sentinel.master_for(master)


def connect_async(url: str, *, timeout: float = 1.0) -> Client:
    """The same for coroutines. Close it with ``aclose``."""
    options: dict[str, Any] = {**_options(timeout), "retry": AsyncRetry(NoBackoff(), 0)}
    if urlsplit(url).scheme != SENTINEL:
        return redis.asyncio.Redis.from_url(url, **options)
    hosts, master, db = _sentinels(url)
    sentinel = AsyncSentinel(hosts, sentinel_kwargs=_options(timeout), db=db, **options)
    return sentinel.master_for(master)


def _options(timeout: float) -> dict[str, Any]:
    return {"protocol": 3, "socket_timeout": timeout, "socket_connect_timeout": min(timeout, 1.0)}


def _sentinels(url: str) -> tuple[list[tuple[str, int]], str, int]:
    """``redis+sentinel://h1:26379,h2/master/0`` as (sentinels, name of the master, database)."""
    parts = urlsplit(url)
    hosts = []
    for each in parts.netloc.rpartition("@")[2].split(","):
        host, _, port = each.rpartition(":") if ":" in each else (each, "", "")
        hosts.append((host, int(port or 26379)))
    master, _, db = parts.path.strip("/").partition("/")
    return hosts, unquote(master), int(db or 0)

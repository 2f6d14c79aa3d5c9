"""Clients of the state Redis, from whatever ``REDIS_URL`` names. No ORM: both planes connect from here.

Every wait is bounded by a timeout that the caller chose, and nothing is tried again behind its back: redis-py's
default of three silent retries would turn one second of a frozen server into four.
"""

from typing import Any, NamedTuple
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
    named = _sentinels(url)
    sentinel = Sentinel(named.hosts, sentinel_kwargs=_options(timeout), **options, **named.login)
    return sentinel.master_for(named.master)


def connect_async(url: str, *, timeout: float = 1.0) -> Client:
    """The same for coroutines. Close it with ``aclose``."""
    options: dict[str, Any] = {**_options(timeout), "retry": AsyncRetry(NoBackoff(), 0)}
    if urlsplit(url).scheme != SENTINEL:
        return redis.asyncio.Redis.from_url(url, **options)
    named = _sentinels(url)
    sentinel = AsyncSentinel(named.hosts, sentinel_kwargs=_options(timeout), **options, **named.login)
    return sentinel.master_for(named.master)


def _options(timeout: float) -> dict[str, Any]:
    return {"protocol": 3, "socket_timeout": timeout, "socket_connect_timeout": min(timeout, 1.0)}


class Sentinels(NamedTuple):
    """What an address of sentinels says; ``login`` is for the server itself: database, and user and password if it
    has any."""

    hosts: list[tuple[str, int]]
    master: str
    login: dict[str, Any]


def _sentinels(url: str) -> Sentinels:
    """``redis+sentinel://user:password@h1:26379,h2/master/0``, where everything but the first host and the master
    may be missing."""
    parts = urlsplit(url)
    login, _, addresses = parts.netloc.rpartition("@")
    hosts = []
    for each in addresses.split(","):
        host, _, port = each.partition(":")
        hosts.append((host, int(port or 26379)))
    master, _, db = parts.path.strip("/").partition("/")
    user, _, password = login.partition(":")
    named = {"db": int(db or 0), "username": unquote(user) or None, "password": unquote(password) or None}
    return Sentinels(hosts, unquote(master), {name: value for name, value in named.items() if value is not None})

"""The console's small cache: Redis, and this process's memory while Redis is away.

What is counted in it must go on being counted: without a cache, allauth's rate limits refuse every sign-in, or none.
"""

from time import monotonic
from typing import Any, ClassVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache
from django_redis.cache import RedisCache
from django_redis.exceptions import ConnectionInterrupted

PAUSE = 5.0
"""Seconds during which a Redis that did not answer isn't asked again: a frozen one takes its timeout each time."""


class SteadyCache(RedisCache):
    """``get``, ``set``, ``add`` and ``delete`` fall back to memory; what was counted in one is not in the other."""

    # Django makes an instance per thread or task: all of a process know that Redis is away.
    _asked_again_at: ClassVar[float] = 0.0

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._memory = LocMemCache("steady", {})

    def get(self, key: str, default: Any = None, version: int | None = None, client: Any = None) -> Any:
        return self._either("get", key, default, version=version)

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._either("set", key, value, timeout, version=version)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._either("add", key, value, timeout, version=version))

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(self._either("delete", key, version=version))

    def _either(self, verb: str, *arguments: Any, **options: Any) -> Any:
        if monotonic() >= SteadyCache._asked_again_at:
            try:
                return getattr(self.client, verb)(*arguments, **options)
            except ConnectionInterrupted:
                SteadyCache._asked_again_at = monotonic() + PAUSE
        return getattr(self._memory, verb)(*arguments, **options)

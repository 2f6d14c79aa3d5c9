"""What ways of saying who calls may ask of the worker that they run in."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.authenticators.introspection.asking import Introspector
from apps.gateway.pipeline.authenticators.used_nonces import UsedNonces
from apps.gateway.upstream.exchange import Exchange

T = TypeVar("T")


class Sources:
    """One per worker. ``exchange`` asks other servers, ``spawn`` does so beside the calls, ``introspector`` knows opaque tokens;
    without them (``None``) nothing is fetched: what isn't known then can't be checked. ``pepper`` is the installation's, by which
    revoked tokens are hashed.
    """

    def __init__(
        self,
        config: WorkerConfig,
        exchange: Exchange | None = None,
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]] | None = None,
        introspector: Introspector | None = None,
        pepper: bytes = b"",
    ) -> None:
        self.config, self.exchange, self.spawn, self.pepper = config, exchange, spawn, pepper
        self.introspector = introspector
        self.used_nonces = UsedNonces()
        self._parts: dict[Callable[[Sources], Any], Any] = {}

    def of(self, kind: Callable[["Sources"], T]) -> T:
        """What this worker keeps for a way, like the keys of issuers: one of its kind, made when it is first asked for."""
        part: T | None = self._parts.get(kind)
        if part is None:
            part = self._parts[kind] = kind(self)
        return part

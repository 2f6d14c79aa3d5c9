"""What calls with unsafe methods made wrong: it ends here at once, and everywhere before their responses leave."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from time import monotonic

from redis.exceptions import RedisError

from apps import httpcache
from apps.cachestore.purges import PurgedTags, StateIsEmpty, purge_async
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.fetch.owed_purges import OwedPurges
from apps.gateway.upstream.client import origin_of
from apps.wire.bounded_wait import bounded
from apps.wire.redis_client import connect_async
from apps.wire.snapshot import API
from apps.wire.worker_reports import all_know

log = logging.getLogger(__name__)

INVALIDATION_WAIT = 0.2
"""Seconds that the response to an unsafe call waits for its invalidation to be in Redis."""

CONFIRMATION_WAIT = 0.025
"""Seconds more that it waits for the other workers to say that they know: a caller who wrote finds no old response on any
of them. Each takes a millisecond or two as a rule; one that hangs holds up no call longer than this.
"""

MOST_WAITED_FOR = 16
"""Workers in the installation up to which they are waited for: asking costs in proportion to them."""

INVALIDATION_RETRY = 1.0
"""Seconds between later attempts."""


class Invalidation:
    """Purges on behalf of calls. ``worker`` is this worker's name among those that are waited for; ``spawn`` does something beside
    the calls.
    """

    def __init__(
        self,
        redis_url: str,
        purges: PurgedTags,
        config: WorkerConfig,
        worker: str,
        spawn: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._state = connect_async(redis_url, timeout=INVALIDATION_WAIT, max_connections=8)
        self._purges, self._config, self._worker, self._spawn = purges, config, worker, spawn
        self.owed = OwedPurges()
        self._purging_later = False
        self._away_until = 0.0

    async def invalidate(self, api: API, request: httpcache.Request, head: httpcache.ResponseHead | None) -> None:
        """End what a call with an unsafe method made wrong, here at once, and everywhere before its response leaves.

        While Redis is away the response leaves after ``INVALIDATION_WAIT``, and the other workers are notified when it is back.
        """
        if not api.caches:
            return
        policy = api.policy_for(request.method, request.path)
        origins = [origin_of(upstream.url) for upstream in api.upstreams]
        authorities, bases = [each.authority.decode() for each in origins], [each.base.decode() for each in origins]
        operations = [(operation.method, operation.path) for operation in api.operations]
        tags = httpcache.on_unsafe(request, policy, head, api.listen_path, authorities, operations, bases)
        if not tags:
            return
        if monotonic() < self._away_until or not await self.purge(tags):
            self._purges.note(tags)
            self._away_until = monotonic() + INVALIDATION_RETRY
            self.owed.add(api.slug, tags)
            if not self._purging_later:
                self._purging_later = True
                self._spawn(self._purge_later())

    async def purge(self, tags: tuple[str, ...]) -> bool:
        """End what has one of ``tags``, everywhere; whether that is in Redis."""
        try:
            clock = await bounded(purge_async(self._state, tags), INVALIDATION_WAIT)
        except (RedisError, OSError, TimeoutError, StateIsEmpty) as error:
            log.warning("an invalidation waits for Redis: %s", type(error).__name__)
            return False
        self._purges.apply(tags, clock, False)
        if 1 < self._config.workers <= MOST_WAITED_FOR:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await bounded(self._known_everywhere(clock, monotonic() + CONFIRMATION_WAIT), CONFIRMATION_WAIT)
        return True

    async def _known_everywhere(self, clock: int, until: float) -> None:
        pause = 0.001
        while not await all_know(self._state, clock, but=self._worker) and monotonic() + pause < until:
            await asyncio.sleep(pause)
            pause *= 2

    async def _purge_later(self) -> None:
        try:
            while len(self.owed):
                await asyncio.sleep(INVALIDATION_RETRY)
                while (owed := self.owed.take()) is not None:
                    api, tags = owed
                    if not await self.purge(tags):
                        self.owed.add(api, tags)
                        break
        finally:
            self._purging_later = False

    async def close(self) -> None:
        """End its connections to Redis."""
        await self._state.aclose()

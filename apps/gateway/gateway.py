"""What one worker holds while it serves."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import monotonic, time

from redis.exceptions import RedisError

from apps.access import keys
from apps.caching import http
from apps.caching.backend import ResponsesCache
from apps.caching.purges import StateIsEmpty, purge_async
from apps.caching.store import ResponseStore
from apps.egress.rules import Place
from apps.fleet.connections import connect_async
from apps.fleet.workers import L1, all_know
from apps.gateway.allowances import Allowances
from apps.gateway.bounded import bounded
from apps.gateway.client_bounds import Connections
from apps.gateway.diskcopy import DiskCopyReader
from apps.gateway.fetches import Fetches
from apps.gateway.follower import Follower, Status
from apps.gateway.looks import Looks
from apps.gateway.loops import Loops
from apps.gateway.metrics import Metrics
from apps.gateway.owed_purges import OwedPurges
from apps.gateway.pipeline import Pipeline
from apps.gateway.readers import Readers, address_of, is_within, networks_of
from apps.gateway.snapshot import API
from apps.gateway.spool import SpoolWriter
from apps.gateway.stages.authenticate import digest_of
from apps.gateway.strangers import ROWS, StrangerTally
from apps.gateway.upstream.client import HTTP1Client, UpstreamClient, origin_of
from apps.gateway.upstream.concurrency import ConcurrencyLimits
from apps.gateway.world import World

log = logging.getLogger(__name__)

INVALIDATION_WAIT = 0.2
"""Seconds that the answer to an unsafe call waits for its invalidation to be in Redis."""

CONFIRMATION_WAIT = 0.025
"""Seconds more that it waits for the other workers to say that they know: a caller who wrote finds no old answer on any
of them. Each takes a millisecond or two as a rule; one that hangs holds up nobody longer than this.
"""

MOST_WAITED_FOR = 16
"""Workers in the installation up to which they are waited for: asking costs in proportion to them."""

INVALIDATION_RETRY = 1.0
"""Seconds between later attempts."""

DIGESTS_KEPT = 20_000
"""Keys whose HMAC is remembered, so that a hit doesn't compute it."""


@dataclass(slots=True, frozen=True)
class Options:
    """Where a worker's parts are. ``cache`` is the backend of the shared tier, ``None``: without one."""

    worker: int
    node: str
    redis_url: str
    data_dir: Path
    spool_dir: Path
    key_pepper: bytes
    mac_key: bytes
    trust_lease: float
    l1_bytes: int
    cache: ResponsesCache | None
    cache_tenant_share: float = 1.0
    cache_shares_server: bool = False
    trusted_proxies: Sequence[str] = ()
    metrics_networks: Sequence[str] = ()
    client_min_rate: float = 500.0
    connections_per_client: int = 1000
    connections: int = 0
    stranger_rows: float = ROWS
    own_places: Sequence[Place] = ()


class Gateway:
    """A worker's parts, and the few things that several stages need."""

    def __init__(self, options: Options, client: UpstreamClient | None = None) -> None:
        """In the event loop; no input or output yet but for the spool's."""
        self.options = options
        self.store = ResponseStore(
            options.l1_bytes,
            options.cache,
            shares_server=options.cache_shares_server,
            tenant_share=options.cache_tenant_share,
        )
        self.world = World(self.store.purges, options.trust_lease, options.own_places)
        self.spool = SpoolWriter(options.spool_dir, options.node, options.worker)
        self.strangers = StrangerTally(self.spool, options.stranger_rows, lambda: self.world.workers)
        self.metrics = Metrics(options.data_dir / "gateway" / "metrics", options.worker)
        self.follower = Follower(
            self.world,
            worker=options.worker,
            redis_url=options.redis_url,
            mac_key=options.mac_key,
            disk=DiskCopyReader(options.data_dir / "gateway" / "copy"),
            status=self._status,
            node=options.node,
        )
        self.allowances = Allowances(options.redis_url, self.spool.incarnation, lambda: self.world.workers)
        self.concurrency = ConcurrencyLimits(asyncio.get_running_loop())
        self.client: UpstreamClient = client or HTTP1Client(asyncio.get_running_loop())
        self.loops = Loops(options.mac_key)
        self.looks = Looks(self)
        self.fetches = Fetches(self)
        self.pipeline = Pipeline(self)
        self.connections = Connections(options.connections_per_client, options.connections)
        self._digest = lru_cache(maxsize=DIGESTS_KEPT)(lambda value: digest_of(options.key_pepper, value))
        self._trusted = networks_of(options.trusted_proxies)
        self.trusts = lru_cache(maxsize=4096)(self._trusts) if self._trusted else _nobody
        self.readers = Readers(options.metrics_networks, self.trusts)
        self._state = connect_async(options.redis_url, timeout=INVALIDATION_WAIT, max_connections=8)
        self._tasks: set[asyncio.Task[None]] = set()
        self.owed_purges = OwedPurges()
        self._purging_later: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self.stopping = False

    async def start(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109  its end is no error
        """Load the world and start what runs beside the calls; whether the world is loaded."""
        loaded = await self.follower.start(timeout)
        self.allowances.start()
        self.spawn(self._housekeeping())
        return loaded

    async def stop(self) -> None:
        """Give back what is borrowed, say goodbye, close the spool. Two seconds at most."""
        await self.fetches.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(self.allowances.stop(), self.follower.stop(), self.store.close(), return_exceptions=True)
        await self.client.close()
        await self._state.aclose()
        self.metrics.withdraw()
        self.strangers.close()
        self.spool.close()

    async def invalidate(self, api: API, request: http.Request, head: http.ResponseHead | None) -> None:
        """End what a call with an unsafe method made wrong, here at once, and everywhere before its answer leaves.

        While Redis is away the answer leaves after ``INVALIDATION_WAIT``, and the others are told when it is back.
        """
        if not api.caches:
            return
        policy = api.policy_for(request.method, request.path)
        origins = [origin_of(upstream.url) for upstream in api.upstreams]
        authorities, bases = [each.authority.decode() for each in origins], [each.base.decode() for each in origins]
        operations = [(operation.method, operation.path) for operation in api.operations]
        tags = http.on_unsafe(request, policy, head, api.listen_path, authorities, operations, bases)
        if not tags:
            return
        if monotonic() < self._away_until or not await self._purge(tags):
            self.store.purges.note(tags)
            self._away_until = monotonic() + INVALIDATION_RETRY
            self.owed_purges.add(api.slug, tags)
            if self._purging_later is None:
                self._purging_later = self.spawn(self._purge_later())

    async def _purge(self, tags: tuple[str, ...]) -> bool:
        try:
            clock = await bounded(purge_async(self._state, tags), INVALIDATION_WAIT)
        except (RedisError, OSError, TimeoutError, StateIsEmpty) as error:
            log.warning("an invalidation waits for Redis: %s", type(error).__name__)
            return False
        self.store.purges.apply(tags, clock, False)
        if 1 < self.world.workers <= MOST_WAITED_FOR:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await bounded(self._known_everywhere(clock, monotonic() + CONFIRMATION_WAIT), CONFIRMATION_WAIT)
        return True

    async def _known_everywhere(self, clock: int, until: float) -> None:
        pause = 0.001
        while not await all_know(self._state, clock, but=self.follower.worker) and monotonic() + pause < until:
            await asyncio.sleep(pause)
            pause *= 2

    async def _purge_later(self) -> None:
        try:
            while len(self.owed_purges):
                await asyncio.sleep(INVALIDATION_RETRY)
                while (owed := self.owed_purges.take()) is not None:
                    api, tags = owed
                    if not await self._purge(tags):
                        self.owed_purges.add(api, tags)
                        break
        finally:
            self._purging_later = None

    def _status(self) -> Status:
        held = self.store.local_stats
        return Status(
            in_flight=self.metrics.in_flight,
            troubled=self.metrics.troubled(monotonic()),
            l1=L1(held.bytes, self.store.local.capacity, held.entries, held.evictions),
        )

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.metrics.publish(self, monotonic())
            self.strangers.flush()
            self.store.tidy(time())
            if isinstance(self.client, HTTP1Client):
                self.client.sweep()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do something beside the calls; stopping ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def digest(self, value: bytes) -> str | None:
        """What a key is known by; ``None`` for what can't be one. What is longer than any key is not remembered."""
        return self._digest(value) if len(value) <= keys.LONGEST else None

    def _trusts(self, client: str) -> bool:
        return is_within(address_of(client), self._trusted)


def _nobody(client: str) -> bool:
    return False

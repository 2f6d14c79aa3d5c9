"""What one worker holds while it serves."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from time import monotonic, time

from apps.cachestore.backend import ResponsesCache
from apps.cachestore.store import ResponseStore
from apps.egress.rules import Place
from apps.gateway.config.disk_copy import DiskCopyReader
from apps.gateway.config.subscriber import ConfigSubscriber, Status
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.fetch.coalescer import Coalescer
from apps.gateway.fetch.invalidation import Invalidation
from apps.gateway.fetch.lookups import SharedLookups
from apps.gateway.limits.allowances import Allowances
from apps.gateway.limits.client_limits import ClientConnections
from apps.gateway.pipeline.authenticators.introspection.asking import Introspector
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.client_address import address_of, is_within, networks_of
from apps.gateway.pipeline.metrics_access import MetricsReaders
from apps.gateway.pipeline.own_endpoints import OwnEndpoints
from apps.gateway.pipeline.pipeline import Pipeline
from apps.gateway.pipeline.stages import Stage
from apps.gateway.pipeline.stages.addresses import Addresses
from apps.gateway.pipeline.stages.authenticate import Authenticate, digest_of
from apps.gateway.pipeline.stages.authorize import Authorize
from apps.gateway.pipeline.stages.cache import Cache, PlanCache
from apps.gateway.pipeline.stages.forward import Forward
from apps.gateway.pipeline.stages.limit import Limit
from apps.gateway.pipeline.stages.record import Recorder
from apps.gateway.pipeline.stages.route import Route
from apps.gateway.pipeline.stages.validate import Validate
from apps.gateway.pipeline.stages.validate_head import ValidateHead
from apps.gateway.records.metrics import Metrics, Sample
from apps.gateway.records.spool import SpoolWriter
from apps.gateway.records.unknown_calls import ROWS, UnknownCallTally
from apps.gateway.samples import samples_of
from apps.gateway.upstream.calls import UpstreamCalls
from apps.gateway.upstream.client import HTTP1Client, UpstreamClient
from apps.gateway.upstream.concurrency import ConcurrencyLimits
from apps.gateway.upstream.exchange import Exchange
from apps.gateway.upstream.failure_log import FailureLog
from apps.gateway.upstream.loop_detection import LoopDetection
from apps.gateway.validation.responses import ResponseReports
from apps.gateway.validation.validators import Validators
from apps.wire import api_keys
from apps.wire.worker_reports import L1

DIGESTS_KEPT = 20_000
"""Keys whose HMAC is remembered, so that a hit doesn't compute it."""

IDENTIFIERS_KEPT = 4096
"""The same of client IDs and the like, of which there are fewer: many callers share one."""


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
    unknown_call_rows: float = ROWS
    own_places: Sequence[Place] = ()


class Gateway:
    """Makes a worker's parts and joins them."""

    def __init__(self, options: Options, client: UpstreamClient | None = None) -> None:
        """In the event loop; no input or output yet but for the spool's."""
        self.options = options
        self.store = ResponseStore(
            options.l1_bytes,
            options.cache,
            shares_server=options.cache_shares_server,
            tenant_share=options.cache_tenant_share,
        )
        self.config = WorkerConfig(self.store.purges, options.trust_lease, options.own_places)
        self.spool = SpoolWriter(options.spool_dir, options.node, options.worker)
        self.unknown_calls = UnknownCallTally(self.spool, options.unknown_call_rows, lambda: self.config.workers)
        self.metrics = Metrics(options.data_dir / "gateway" / "metrics", options.worker, self._samples)
        self.record = Recorder(self.spool, self.unknown_calls, self.metrics)
        self.subscriber = ConfigSubscriber(
            self.config,
            worker=options.worker,
            redis_url=options.redis_url,
            mac_key=options.mac_key,
            disk=DiskCopyReader(options.data_dir / "gateway" / "copy"),
            status=self._status,
            node=options.node,
        )
        self.allowances = Allowances(options.redis_url, self.spool.incarnation, lambda: self.config.workers)
        self.concurrency = ConcurrencyLimits(asyncio.get_running_loop())
        self.client: UpstreamClient = client or HTTP1Client(asyncio.get_running_loop())
        self.loop_detection = LoopDetection(options.mac_key)
        self.failure_log = FailureLog()
        self.calls = UpstreamCalls(
            self.client, self.concurrency, self.loop_detection, self.config, self.metrics, self.failure_log
        )
        self.coalescer = Coalescer(self.store, self.calls, self.spawn)
        self.lookups = SharedLookups(self.store, self.coalescer.is_under_way)
        self.connections = ClientConnections(options.connections_per_client, options.connections)
        self._digest = lru_cache(maxsize=DIGESTS_KEPT)(lambda value: digest_of(options.key_pepper, value))
        self._digest_of_identifier = lru_cache(maxsize=IDENTIFIERS_KEPT)(
            partial(api_keys.identifier_digest, options.key_pepper)
        )
        self._trusted = networks_of(options.trusted_proxies)
        self.trusts = lru_cache(maxsize=4096)(self._trusts) if self._trusted else _trusts_none
        self.metrics_readers = MetricsReaders(options.metrics_networks, self.trusts)
        self._tasks: set[asyncio.Task[None]] = set()
        self.invalidation = Invalidation(
            options.redis_url, self.store.purges, self.config, self.subscriber.worker, self.spawn
        )
        exchange = Exchange(self.client, self.config)
        self.introspector = Introspector(exchange, self.spawn, self.trusts)
        self.sources = Sources(self.config, exchange, self.spawn, self.introspector, options.key_pepper)
        self.stopping = False
        self.own_endpoints = OwnEndpoints(self.config, self.metrics_readers, self.metrics, lambda: self.stopping)
        self.validators = Validators()
        self.stages: tuple[Stage, ...] = (
            Route(self.config, self.loop_detection, self.trusts),
            Authenticate(
                self.config,
                self.digest,
                self._digest_of_identifier,
                self.subscriber.lookup,
                options.mac_key,
                self.sources,
            ),
            Authorize(self.config),
            Addresses(self.trusts),
            ValidateHead(self.config, self.validators),
            PlanCache(),
            Limit(self.allowances),
            Validate(self.validators),
        )
        """The one place where a stage is named. Behind them comes the cache."""
        self.pipeline = self.through(self.stages)

    def through(self, stages: Sequence[Stage]) -> Pipeline:
        """A pipeline of ``stages``, with this worker's cache behind them."""
        return Pipeline(
            stages,
            Cache(self.store, self.lookups, self.coalescer),
            Forward(
                self.coalescer,
                self.calls,
                self.invalidation,
                ResponseReports(self.config, self.validators, self.spool.offer),
            ),
            self.own_endpoints,
            self.config,
            self.trusts,
            self.spool.next_call_id,
        )

    async def start(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109  its end is no error
        """Load the configuration and start what runs beside the calls; whether the configuration is loaded."""
        loaded = await self.subscriber.start(timeout)
        self.allowances.start()
        self.spawn(self._housekeeping())
        return loaded

    async def stop(self) -> None:
        """Give back what is borrowed, say goodbye, close the spool. Two seconds at most."""
        await self.coalescer.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(self.allowances.stop(), self.subscriber.stop(), self.store.close(), return_exceptions=True)
        await self.client.close()
        await self.invalidation.close()
        self.metrics.withdraw()
        self.unknown_calls.close()
        self.spool.close()

    def _samples(self, now: float) -> list[Sample]:
        return samples_of(
            self.store,
            self.concurrency,
            self.connections,
            self.spool,
            self.config,
            self.introspector.outcomes,
            now,
        )

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
            self.metrics.publish(monotonic())
            self.failure_log.tell(monotonic())
            self.unknown_calls.flush()
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
        return self._digest(value) if len(value) <= api_keys.LONGEST else None

    def _trusts(self, client: str) -> bool:
        return is_within(address_of(client), self._trusted)


def _trusts_none(client: str) -> bool:
    return False

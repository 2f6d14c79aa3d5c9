"""A worker: the process that listens, serves, and stops without failing a call."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

import uvicorn
from django.conf import settings
from django.core.cache import caches

from apps.foundation.ready import say_ready
from apps.gateway.gateway import Gateway, Options
from apps.gateway.server.asgi import ASGIApplication
from apps.gateway.server.http1 import HTTP1Connection
from apps.gateway.server.malloc import keep_large_blocks_apart
from apps.gateway.server.watchdog import Watchdog

log = logging.getLogger(__name__)

DRAIN = 2.5
"""Seconds after which a stopping worker ends calls that are still under way. ``up`` kills after 4."""

BACKLOG = 2048

DESCRIPTORS = 65_536
"""Open files that a worker asks for; a container's hard limit may be a thousand times that."""

UNREAD = 256 * 2**20
"""Bytes that wait in a worker for their clients, all connections together, looked at once a second: of responses that aren't
read, and of bodies that are read ahead.
"""


def options(worker: int) -> Options:
    """A worker's options from the settings."""
    return Options(
        worker=worker,
        node=settings.NODE_NAME,
        redis_url=settings.REDIS_URL,
        data_dir=settings.DATA_DIR,
        spool_dir=settings.SPOOL_DIR,
        key_pepper=settings.KEY_PEPPER,
        mac_key=settings.SNAPSHOT_MAC_KEY,
        trust_lease=settings.TRUST_LEASE,
        l1_bytes=settings.L1_BYTES,
        cache=caches["responses"],  # type: ignore[arg-type]
        cache_tenant_share=settings.CACHE_TENANT_SHARE,
        cache_shares_server=settings.CACHE_REDIS_URL == settings.REDIS_URL,
        trusted_proxies=settings.TRUSTED_PROXIES,
        metrics_networks=settings.METRICS_NETWORKS,
        client_min_rate=settings.CLIENT_MIN_RATE,
        connections_per_client=settings.CONNECTIONS_PER_CLIENT,
        connections=most_connections(),
        unknown_call_rows=settings.STRANGER_ROWS,
        own_places=settings.OWN_PLACES,
    )


def take_descriptors() -> None:
    """Raise the limit on open files, a thousand as a rule, as far as the system lets us: each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """How many connections clients may have together, so that upstreams, Redis and files find descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if soft == resource.RLIM_INFINITY else soft * 3 // 4


def end_the_largest(connections: Iterable[HTTP1Connection]) -> None:
    """End connections until what is written and not read yet has ``UNREAD`` bytes at most; who has most goes first."""
    unread = sorted(
        ((connection.unread, index, connection) for index, connection in enumerate(connections)), reverse=True
    )
    total = sum(size for size, _, _ in unread)
    for size, _, connection in unread:
        if total <= UNREAD:
            return
        connection.drop()
        total -= size


def listening_socket(fd: int | None) -> socket.socket:
    """The socket to accept on: the inherited one, which other workers share, or one of our own.

    Raises ``OSError`` when the port is taken.
    """
    if fd is not None:
        return socket.socket(fileno=fd)
    listener = socket.create_server((settings.LISTEN_HOST, settings.GATEWAY_PORT), backlog=BACKLOG)
    listener.setblocking(False)
    return listener


class Server(uvicorn.Server):
    """uvicorn's server with a stop that takes the connections' last calls."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self.gateway = gateway
        self._sweeper: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweeper = asyncio.create_task(self._sweep())
        asyncio.create_task(self._say_ready()).add_done_callback(_retrieved)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more; idle connections get a moment for a last call, calls under way ``DRAIN`` seconds."""
        self.gateway.stopping = True
        await super().shutdown(sockets)
        if self._sweeper is not None:
            self._sweeper.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT; unlike uvicorn's own, without dying of the signal afterwards: there is more
        to close.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            now = monotonic()
            connections = [each for each in tuple(self.server_state.connections) if isinstance(each, HTTP1Connection)]
            for connection in connections:
                connection.sweep(now)
            end_the_largest(connections)

    async def _say_ready(self) -> None:
        while True:
            if self.gateway.config.ready(monotonic()):
                say_ready()
                return
            await asyncio.sleep(0.02)


def _retrieved(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("saying ready failed", exc_info=task.exception())


def config(gateway: Gateway) -> uvicorn.Config:
    """uvicorn as the gateway wants it: our protocol, nothing added, and no proxy header believed."""
    return uvicorn.Config(
        ASGIApplication(gateway),
        http=HTTP1Connection,
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN,  # type: ignore[arg-type]
        backlog=BACKLOG,
    )


async def serve(worker: int, listener: socket.socket) -> None:
    """Serve until stopped."""
    gateway = Gateway(options(worker))
    watchdog = Watchdog(gateway.metrics.stalled)
    watchdog.start()
    if not await gateway.start():
        log.warning("nothing is loaded yet: calls are answered with 503 until Redis or a disk copy is there")
    try:
        await Server(config(gateway), gateway).serve([listener])
    finally:
        await gateway.stop()
        watchdog.stop()


def run(worker: int, listener: socket.socket) -> None:
    """Run a worker in this process, on a listening socket."""
    import uvloop

    keep_large_blocks_apart()
    take_descriptors()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(worker, listener))

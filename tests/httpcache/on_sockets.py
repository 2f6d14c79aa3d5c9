"""The exchanges of ``exchange`` over real sockets: a caller, gateways with both tiers, an origin, and a clock that
the test sets.
"""

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import redis
import time_machine
from django.conf import settings
from django.core.cache import caches

from apps.cachestore import fetch_lock, store
from apps.cachestore.backend import ResponsesCache, close_clients
from apps.gateway.fetch import invalidation
from apps.gateway.gateway import Gateway
from apps.httpcache import Policy, UpstreamFailure
from tests.gateway.house import UNLIMITED, Door, Published, api, gateway_options, read_body, serving
from tests.gateway.house import Origin as Listening
from tests.httpcache.build import NOW
from tests.httpcache.exchange import Outcome
from tests.support.waiting import until

HOW = {"HIT": "hit", "MISS": "miss", "STALE": "stale", "REVALIDATED": "validated", "BYPASS": "miss"}


class Site:
    """Everything that runs, on an event loop that turns only while a call is made."""

    def __init__(self, folder: Path, workers: int = 1, l1_bytes: int = 8 * 2**20) -> None:
        self.folder, self.workers, self.l1_bytes = folder, workers, l1_bytes
        self.loop = asyncio.new_event_loop()
        self.clock = time_machine.travel(NOW, tick=False)
        self._numbers = count()
        self._stack = contextlib.AsyncExitStack()

    def __enter__(self) -> "Site":
        # Whether a busy test machine's shared tier answers within 20 ms is not what these exchanges are about.
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(store, "READ_WAIT", 5.0)
        patch.setattr(store, "WRITE_WAIT", 5.0)
        patch.setattr(fetch_lock, "WAIT", 5.0)
        patch.setattr(invalidation, "INVALIDATION_WAIT", 5.0)
        patch.setattr(invalidation, "CONFIRMATION_WAIT", 5.0)
        self.run(self._start())
        self.traveller = self.clock.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.clock.stop()
        self.run(self._stack.aclose())
        self.run(close_clients())
        self.loop.close()
        for client in (self.state, self.cache):
            client.flushall()
            client.close()

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    async def _start(self) -> None:
        self.state, self.cache = (redis.Redis.from_url(url) for url in (settings.REDIS_URL, settings.CACHE_REDIS_URL))
        self.state.flushall()
        self.cache.flushall()
        self.published = Published(self.state)
        self.published.everything(UNLIMITED)
        self.listening = await self._stack.enter_async_context(Listening())
        self.doors: list[Door] = []
        cache = caches["responses"]
        assert isinstance(cache, ResponsesCache)
        for number in range(self.workers):
            folder = self.folder / str(number)
            options = gateway_options(folder, settings.REDIS_URL, cache, worker=number, l1_bytes=self.l1_bytes)
            gateway = Gateway(options)
            assert await gateway.start()
            self._stack.push_async_callback(gateway.stop)
            self.doors.append(await self._stack.enter_async_context(serving(gateway)))

    def exchange(self, policy: Policy | None = None) -> "SocketExchange":
        """A fresh API with this policy."""
        slug = f"site{next(self._numbers)}"
        policy = replace(policy or Policy(), api=slug)
        self.traveller.move_to(NOW)
        made = SocketExchange(self, slug)
        self.published.change(
            api(
                slug,
                policy=policy,
                authentication=("none",),
                upstreams=self.listening.url + f"/{slug}",
                debug_headers="all",
                retries=0,
            )
        )
        self.run(self._served(slug))
        return made

    async def _served(self, slug: str) -> None:
        for door in self.doors:
            await until(partial(_serves, door, slug))


def _serves(door: Door, slug: str) -> bool:
    return door.gateway.config.route(b"api.test", f"/{slug}/".encode()) is not None


class Script:
    """What the origin says next of one API, and what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"body"
        self.headers: list[tuple[str, str]] = []
        self.failure: UpstreamFailure | None = None
        self.seen: list[tuple[str, dict[bytes, bytes]]] = []

    async def __call__(self, origin, head, reader, writer) -> None:
        first, *lines = head.split(b"\r\n")[:-2]
        await read_body(head, reader)
        method = first.split(b" ")[0].decode()
        self.seen.append(
            (method, {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)})
        )
        if self.failure is not None:
            writer.close()
            return
        answer = [f"HTTP/1.1 {self.status} Said", *(f"{name}: {value}" for name, value in self.headers)]
        bodiless = method == "HEAD" or self.status in (204, 304)
        named = {name.lower() for name, _ in self.headers}
        if self.status not in (204, 304) and "content-length" not in named:
            answer.append(f"content-length: {len(self.body)}")
        writer.write("\r\n".join([*answer, "", ""]).encode("latin-1") + (b"" if bodiless else self.body))
        if "connection" in named:
            writer.close()
        await writer.drain()


class SocketExchange:
    """``Exchange`` by wire: the same methods, the same outcomes."""

    def __init__(self, site: Site, slug: str) -> None:
        self.site, self.slug = site, slug
        self.origin = Script()
        self.refreshes = 0
        self.elapsed = 0
        self._calls = count()

    def says(self, *headers, status=200, body=b"body", failure=None) -> "SocketExchange":
        self.origin.headers, self.origin.status = list(headers), status
        self.origin.body, self.origin.failure = body, failure
        return self

    def wait(self, seconds) -> "SocketExchange":
        self.elapsed += seconds
        return self

    def ask(self, *headers, method="GET", path="/a", query=None) -> Outcome:
        self.site.traveller.move_to(NOW + self.elapsed)
        self.site.listening.paths[f"/{self.slug}{path}"] = self.origin
        return self.site.run(self._ask(headers, method, path, query))

    async def _ask(self, headers, method, path, query) -> Outcome:
        target = f"/{self.slug}{path}" + (f"?{query}" if query else "")
        lines = [f"{method} {target} HTTP/1.1", "host: api.test", *(f"{name}: {value}" for name, value in headers)]
        before = len(self.origin.seen)
        door = self.site.doors[next(self._calls) % len(self.site.doors)]
        answer = await door.raw("\r\n".join([*lines, "", ""]).encode("latin-1"), method)
        await until(lambda: not door.gateway.coalescer._running)
        # An invalidation is in Redis when the answer leaves; the other workers follow within milliseconds.
        clock = door.gateway.store.purges.clock
        await until(lambda: all(each.gateway.store.purges.clock >= clock for each in self.site.doors))
        how = HOW[answer.cache]
        if (
            how == "stale"
            and len(self.origin.seen) > before
            and self.origin.failure is None
            and self.origin.status < 500
        ):
            self.refreshes += 1
        if answer["content-type"] == "application/problem+json":
            how = "failed"
        fields = {name.lower().encode(): value.encode("latin-1") for name, value in answer.headers}
        reason = answer["cache-status"].rpartition("detail=")[2]
        return Outcome(how, answer.status, fields, answer.body, reason)

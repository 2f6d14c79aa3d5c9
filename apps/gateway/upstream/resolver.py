"""The addresses of upstreams' names, from the machine's own resolver.

That one blocks a thread until a name's servers have answered, for ten seconds and more where they don't. So each look-up has a
thread of its own, and a tenant has few of them: whose names are slow waits alone. The event loop's executor, which decodes
large stored entries too, is not for this.

What was found is used for ``REMEMBERED`` seconds, and that nothing was for ``FAILURE_REMEMBERED``: a machine's resolver tells no
TTL. So a name that moves is followed that soon (and connections end: ``client.OLDEST``), and one whose servers are
silent is asked for once in a while, not by every call.
"""

import asyncio
import contextlib
import socket
import threading
from collections import Counter, deque

from apps.egress.addresses import literal
from apps.gateway.upstream.errors import cause_of_lookup
from apps.wire.failure_causes import FailureCause

OF_A_TENANT = 4
"""Names of one tenant that are looked up at once."""

ALTOGETHER = 64
"""Names that are looked up at once. Of the last half, a tenant gets one."""

REMEMBERED, FAILURE_REMEMBERED = 30.0, 2.0
"""Seconds that addresses are used, and that a name is taken for having none."""

NAMES_KEPT = 4096
"""Names whose addresses are remembered."""

MOST_ADDRESSES = 16
"""Addresses of one name that are used and remembered: the first. A check that goes by a name's addresses gets all of them."""

_Key = tuple[str, str]


class _LookUp:
    """A name that is looked up for a tenant. ``waiting``: how many calls wait for it."""

    __slots__ = ("answer", "host", "tenant", "waiting")

    def __init__(self, host: str, tenant: str, answer: "asyncio.Future[list[str] | NameFailed]") -> None:
        self.host, self.tenant, self.answer = host, tenant, answer
        self.waiting = 0


class NameFailed(OSError):
    """A name without an address; ``cause`` is why."""

    def __init__(self, cause: FailureCause, why: str) -> None:
        super().__init__(why)
        self.cause = cause


class Resolver:
    """Looks names up for one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: dict[_Key, _LookUp] = {}  # queued or under way
        self._queued: dict[str, deque[_LookUp]] = {}  # by tenant, the next to be served first
        self._running: Counter[str] = Counter()
        self._known: dict[_Key, tuple[float, list[str] | NameFailed]] = {}  # until when, the oldest first

    async def addresses(self, host: str, tenant: str, *, anew: bool = False) -> list[str]:
        """The addresses of ``host``, each once, for a call of one of the tenant's APIs; ``anew``: what was found before is not good
        enough, nor is the first part of it. Raises ``NameFailed`` where it has none.
        """
        if (address := literal(host)) is not None:
            return [str(address)]
        key = (tenant, host)
        until, answer = self._known.get(key, (0.0, []))
        if anew or self._loop.time() >= until:
            answer = await self._ask(key)
        if isinstance(answer, NameFailed):
            raise NameFailed(answer.cause, str(answer)) from answer
        return answer if anew else answer[:MOST_ADDRESSES]

    def forget(self, host: str, tenant: str) -> None:
        """What was found of this name is of no use: the next call looks it up anew."""
        self._known.pop((tenant, host), None)

    async def _ask(self, key: _Key) -> list[str] | NameFailed:
        """What a look-up finds that this call starts, or joins."""
        tenant, host = key
        look_up = self._asked.get(key)
        if look_up is None:
            look_up = self._asked[key] = _LookUp(host, tenant, self._loop.create_future())
            self._queued.setdefault(tenant, deque()).append(look_up)
        look_up.waiting += 1
        self._start_some()
        try:
            return await asyncio.shield(look_up.answer)
        finally:
            look_up.waiting -= 1

    def _start_some(self) -> None:
        """Start what may be started, each tenant in turn."""
        for tenant in list(self._queued):
            theirs = self._queued.pop(tenant)
            while theirs and self._may_start(tenant):
                self._start(theirs.popleft())
            if theirs:
                self._queued[tenant] = theirs  # behind the others

    def _may_start(self, tenant: str) -> bool:
        running = self._running.total()
        return running < ALTOGETHER and self._running[tenant] < (OF_A_TENANT if running < ALTOGETHER // 2 else 1)

    def _start(self, look_up: _LookUp) -> None:
        if not look_up.waiting:  # its calls have left meanwhile
            del self._asked[look_up.tenant, look_up.host]
            return
        self._running[look_up.tenant] += 1
        try:
            # A daemon: a worker that ends doesn't wait for name servers.
            threading.Thread(target=self._look_up, args=(look_up,), name="resolve", daemon=True).start()
        except RuntimeError as error:
            self._end(look_up, NameFailed(FailureCause.NAME_FAILED, str(error)), remember=False)

    def _look_up(self, look_up: _LookUp) -> None:
        """In a thread of its own."""
        answer: list[str] | NameFailed
        try:
            found = socket.getaddrinfo(look_up.host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer = NameFailed(cause_of_lookup(error), str(error))
        else:
            answer = list(dict.fromkeys(str(address[0]) for *_, address in found))
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._ended, look_up, answer)

    def _ended(self, look_up: _LookUp, answer: list[str] | NameFailed) -> None:
        self._end(look_up, answer)
        self._start_some()

    def _end(self, look_up: _LookUp, answer: list[str] | NameFailed, *, remember: bool = True) -> None:
        del self._asked[look_up.tenant, look_up.host]
        self._running[look_up.tenant] -= 1
        if not self._running[look_up.tenant]:
            del self._running[look_up.tenant]
        if remember:
            self._remember((look_up.tenant, look_up.host), answer)
        if not look_up.answer.done():
            look_up.answer.set_result(answer)

    def _remember(self, key: _Key, answer: list[str] | NameFailed) -> None:
        if isinstance(answer, NameFailed):
            seconds = FAILURE_REMEMBERED
        else:
            seconds, answer = REMEMBERED, answer[:MOST_ADDRESSES]
        self._known.pop(key, None)
        self._known[key] = (self._loop.time() + seconds, answer)
        if len(self._known) > NAMES_KEPT:
            del self._known[next(iter(self._known))]

"""The addresses of upstreams' names, from the machine's own resolver.

That one blocks a thread until a name's servers have answered, for ten seconds and more where they don't. So each look-up has a
thread of its own, and a tenant has few of them: whose names are slow waits alone. The event loop's executor, which decodes
large stored entries too, is not for this.
"""

import asyncio
import contextlib
import socket
import threading
from collections import Counter, deque

from apps.egress.addresses import literal

OF_A_TENANT = 4
"""Names of one tenant that are looked up at once."""

ALTOGETHER = 64
"""Names that are looked up at once. Of the last half, a tenant gets one."""

_Key = tuple[str, str]


class _LookUp:
    """A name that is looked up for a tenant. ``waiting``: how many calls wait for it."""

    __slots__ = ("answer", "host", "tenant", "waiting")

    def __init__(self, host: str, tenant: str, answer: "asyncio.Future[list[str] | OSError]") -> None:
        self.host, self.tenant, self.answer = host, tenant, answer
        self.waiting = 0


class Resolver:
    """Looks names up for one event loop. Remembers no answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: dict[_Key, _LookUp] = {}  # queued or under way
        self._queued: dict[str, deque[_LookUp]] = {}  # by tenant, the next to be served first
        self._running: Counter[str] = Counter()

    async def addresses(self, host: str, tenant: str) -> list[str]:
        """The addresses of ``host``, each once, for a call of one of the tenant's APIs. Raises ``OSError`` where it has none."""
        if (address := literal(host)) is not None:
            return [str(address)]
        key = (tenant, host)
        look_up = self._asked.get(key)
        if look_up is None:
            look_up = self._asked[key] = _LookUp(host, tenant, self._loop.create_future())
            self._queued.setdefault(tenant, deque()).append(look_up)
        look_up.waiting += 1
        self._start_some()
        try:
            answer = await asyncio.shield(look_up.answer)
        finally:
            look_up.waiting -= 1
        if isinstance(answer, OSError):
            raise OSError(str(answer)) from answer
        return answer

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
            self._end(look_up, OSError(str(error)))

    def _look_up(self, look_up: _LookUp) -> None:
        """In a thread of its own."""
        answer: list[str] | OSError
        try:
            found = socket.getaddrinfo(look_up.host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            answer = error
        except UnicodeError as error:
            answer = OSError(str(error))
        else:
            answer = list(dict.fromkeys(str(address[0]) for *_, address in found))
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._ended, look_up, answer)

    def _ended(self, look_up: _LookUp, answer: list[str] | OSError) -> None:
        self._end(look_up, answer)
        self._start_some()

    def _end(self, look_up: _LookUp, answer: list[str] | OSError) -> None:
        del self._asked[look_up.tenant, look_up.host]
        self._running[look_up.tenant] -= 1
        if not self._running[look_up.tenant]:
            del self._running[look_up.tenant]
        if not look_up.answer.done():
            look_up.answer.set_result(answer)

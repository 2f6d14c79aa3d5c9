"""How many calls to one API's upstreams a worker makes at once, and who waits for a place.

A call takes a place before it connects and gives it back when its response has ended, streamed ones too. Without a free place
it waits in the API's queue, for so long and behind so many as the API's ``concurrency`` says; beyond that it fails with
``Busy``. The queue is fair between consumers: each in turn gets the next place, and where it is full, who has most waiting
gives way. Warm-ups are served last and give way first. What can do without a response now (a refresh in the background, a
call that a stale response can answer) doesn't wait at all.
"""

import asyncio
from collections import Counter, deque

from apps.gateway.snapshot import Concurrency
from apps.gateway.upstream.errors import Busy

WARM_UPS = ""
"""The consumer in whose name warm-ups wait."""

_Waiter = asyncio.Future[None]


class Place:
    """A call's place. ``waited``: it was not free at once."""

    __slots__ = ("_limits", "_queue", "waited")

    def __init__(self, limits: "ConcurrencyLimits", queue: "_Queue", waited: bool) -> None:
        self._limits = limits
        self._queue: _Queue | None = queue
        self.waited = waited

    def leave(self) -> None:
        """Give it back. May be called again."""
        queue, self._queue = self._queue, None
        if queue is not None:
            self._limits._give_back(queue)


class _Queue:
    """One API's calls: how many run, and who waits, by consumer, the next to be served first."""

    __slots__ = ("api", "bounds", "running", "size", "waiting")

    def __init__(self, api: str) -> None:
        self.api = api
        self.bounds = Concurrency()
        self.running = 0
        self.size = 0
        self.waiting: dict[str, deque[_Waiter]] = {}

    def add(self, consumer: str, waiter: _Waiter) -> None:
        self.waiting.setdefault(consumer, deque()).append(waiter)
        self.size += 1

    def remove(self, consumer: str, waiter: _Waiter) -> None:
        theirs = self.waiting.get(consumer)
        if theirs is not None and waiter in theirs:
            theirs.remove(waiter)
            self._taken(consumer, theirs)

    def serve_next(self) -> bool:
        """Hand a place over to the next who waits; whether there was one."""
        while self.waiting:
            consumer = next((each for each in self.waiting if each != WARM_UPS), WARM_UPS)
            theirs = self.waiting.pop(consumer)
            waiter = theirs.popleft()
            self.waiting[consumer] = theirs  # behind the others
            self._taken(consumer, theirs)
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    def make_room(self, consumer: str) -> bool:
        """Send away who waits last of those with most waiting, if that is fair to them; whether there is room."""
        if self.size < self.bounds.queue:
            return True
        mine = len(self.waiting.get(consumer, ()))
        largest = max(self.waiting, key=lambda each: (each == WARM_UPS, len(self.waiting[each])), default=consumer)
        if consumer in (WARM_UPS, largest) or (largest != WARM_UPS and len(self.waiting[largest]) <= mine + 1):
            return False
        theirs = self.waiting[largest]
        waiter = theirs.pop()
        self._taken(largest, theirs)
        if not waiter.done():
            waiter.set_exception(Busy(self.api))
        return True

    def _taken(self, consumer: str, theirs: deque[_Waiter]) -> None:
        self.size -= 1
        if not theirs:
            del self.waiting[consumer]


class ConcurrencyLimits:
    """The calls to upstreams of one worker, by API. An API without calls under way takes no memory."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: dict[str, _Queue] = {}
        self.refused: Counter[str] = Counter()
        """Calls without a place since the worker started, by API."""

    async def enter(self, api: str, bounds: Concurrency, consumer: str, *, waits: bool = True) -> Place:
        """A place for a call to ``api``, now or once it is this consumer's turn; ``waits``: not only now. Raises ``Busy``."""
        queue = self._queues.get(api)
        if queue is None:
            queue = self._queues[api] = _Queue(api)
        queue.bounds = bounds
        if queue.running < bounds.calls and not queue.size:
            queue.running += 1
            return Place(self, queue, False)
        if not waits or not queue.make_room(consumer):
            self.refused[api] += 1
            raise Busy(api)
        waiter = self._loop.create_future()
        queue.add(consumer, waiter)
        timer = self._loop.call_later(bounds.wait, _give_up, api, waiter)
        try:
            await waiter
        except Busy:
            queue.remove(consumer, waiter)
            self.refused[api] += 1
            raise
        except BaseException:
            queue.remove(consumer, waiter)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(queue)  # it was handed over to a caller who had just left
            raise
        finally:
            timer.cancel()
        return Place(self, queue, True)

    def _give_back(self, queue: _Queue) -> None:
        # With fewer places than before, by a change of configuration, those that are over aren't handed on.
        if queue.running > queue.bounds.calls or not queue.serve_next():
            queue.running -= 1
        if not queue.running and not queue.size:
            self._queues.pop(queue.api, None)

    def counts(self) -> list[tuple[str, int, int]]:
        """Calls under way and calls that wait, by API."""
        return [(queue.api, queue.running, queue.size) for queue in self._queues.values()]


def _give_up(api: str, waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(Busy(api))

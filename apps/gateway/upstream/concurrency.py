"""How many calls to one API's upstreams a worker makes at once, and who waits for a place.

A call takes a place before it connects and gives it back when its response has ended, streamed ones too. Without a free place
it waits in the API's queue, for so long and behind so many as the API's ``concurrency`` says; beyond that it fails with
``Busy``. The queue is fair between consumers: each in turn gets the next place, and where it is full, who has most waiting
gives way. Warm-ups are served last and give way first. What can do without a response now (a refresh in the background, a
call that a stale response can answer) doesn't wait at all.

A call that is kept from its end by its client, who sends or reads slowly, gives its place up to a consumer with fewer places:
else one client with patience would have them all.
"""

import asyncio
from collections import Counter, deque
from typing import Protocol

from apps.gateway.upstream.errors import Busy
from apps.wire.snapshot import Concurrency

WARM_UPS = ""
"""The consumer in whose name warm-ups wait."""

SLOW = 5.0
"""Seconds after which the place of a call that has waited for its client, and for at least half of its time, may be another
consumer's.
"""

_Waiter = asyncio.Future[None]


class SlotHolder(Protocol):
    """What keeps a place: a call to an upstream."""

    def seconds_waited(self) -> float:
        """Seconds for which its client was waited for: for its body, or for it to read on."""

    def give_up(self) -> None:
        """End the call, and leave its place, now or soon."""


class Slot:
    """A call's place. ``waited``: it was not free at once; ``held_by``: what keeps it, where that can be slow."""

    __slots__ = ("_began", "_heir", "_limits", "_queue", "consumer", "held_by", "waited")

    def __init__(self, limits: "ConcurrencyLimits", queue: "_Queue", consumer: str, waited: bool) -> None:
        self._limits = limits
        self._queue: _Queue | None = queue
        self._heir: str | None = None
        self._began = limits._loop.time()
        self.consumer = consumer
        self.waited = waited
        self.held_by: SlotHolder | None = None
        queue.places.setdefault(consumer, set()).add(self)

    def leave(self) -> None:
        """Give it back. May be called again."""
        queue, self._queue = self._queue, None
        if queue is not None:
            theirs = queue.places[self.consumer]
            theirs.remove(self)
            if not theirs:
                del queue.places[self.consumer]
            self._limits._give_back(queue, self._heir)

    def slowness(self) -> float:
        """Seconds for which its client was waited for; 0 where that was less than half of the time, and where another is to have
        the place already.
        """
        if self.held_by is None or self._heir is not None:
            return 0.0
        seconds = self.held_by.seconds_waited()
        return seconds if 2 * seconds >= self._limits._loop.time() - self._began else 0.0

    def bequeath(self, consumer: str) -> None:
        """End what keeps it, for this consumer."""
        if self.held_by is not None:
            self._heir = consumer
            self.held_by.give_up()


class _Queue:
    """One API's calls: how many run, and who waits, by consumer, the next to be served first."""

    __slots__ = ("api", "bounds", "places", "running", "size", "waiting")

    def __init__(self, api: str) -> None:
        self.api = api
        self.bounds = Concurrency()
        self.running = 0
        self.size = 0
        self.waiting: dict[str, deque[_Waiter]] = {}
        self.places: dict[str, set[Slot]] = {}

    def add(self, consumer: str, waiter: _Waiter) -> None:
        self.waiting.setdefault(consumer, deque()).append(waiter)
        self.size += 1

    def remove(self, consumer: str, waiter: _Waiter) -> None:
        theirs = self.waiting.get(consumer)
        if theirs is not None and waiter in theirs:
            theirs.remove(waiter)
            self._taken(consumer, theirs)

    def displace(self, consumer: str) -> None:
        """Have the slowest call of who has most places give up for ``consumer``, if that is fair to them."""
        largest = max(self.places, key=lambda each: len(self.places[each]), default=consumer)
        if len(self.places.get(largest, ())) <= len(self.places.get(consumer, ())) + 1:
            return
        slowest = max(self.places[largest], key=Slot.slowness)
        if slowest.slowness() >= SLOW:
            slowest.bequeath(consumer)

    def serve_next(self, heir: str | None = None) -> bool:
        """Hand a place over to the next who waits (``heir``, if that one does); whether there was one."""
        while self.waiting:
            consumer = next((each for each in self.waiting if each != WARM_UPS), WARM_UPS)
            if heir in self.waiting:
                consumer = heir
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
            waiter.set_exception(Busy())
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

    async def enter(self, api: str, bounds: Concurrency, consumer: str, *, waits: bool = True) -> Slot:
        """A place for a call to ``api``, now or once it is this consumer's turn; ``waits``: not only now. Raises ``Busy``."""
        queue = self._queues.get(api)
        if queue is None:
            queue = self._queues[api] = _Queue(api)
        queue.bounds = bounds
        if queue.running < bounds.calls and not queue.size:
            queue.running += 1
            return Slot(self, queue, consumer, False)
        if not waits or not queue.make_room(consumer):
            self.refused[api] += 1
            raise Busy
        waiter = self._loop.create_future()
        queue.add(consumer, waiter)
        timer = self._loop.call_later(bounds.wait, _give_up, waiter)
        if consumer != WARM_UPS:
            queue.displace(consumer)
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
        return Slot(self, queue, consumer, True)

    def _give_back(self, queue: _Queue, heir: str | None = None) -> None:
        # With fewer places than before, by a change of configuration, those that are over aren't handed on.
        if queue.running > queue.bounds.calls or not queue.serve_next(heir):
            queue.running -= 1
        if not queue.running and not queue.size:
            self._queues.pop(queue.api, None)

    def counts(self) -> list[tuple[str, int, int]]:
        """Calls under way and calls that wait, by API."""
        return [(queue.api, queue.running, queue.size) for queue in self._queues.values()]


def _give_up(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(Busy())

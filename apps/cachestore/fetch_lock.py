"""The fetch lock: of all workers on all machines, one asks the upstream for a key, and the others wait for what it
stores.

It is a key of the *cache* server beside the entries, and no more than a help: where that server is away, slow or
frozen, or has evicted the lock, each worker collapses its own calls and waits for no other.

The rules:

- A look-up that finds nothing takes the lock in the same exchange, so that a lone miss pays no round trip for it. It
  is held under a token made for this one fetch, for ``LEASE`` seconds, and renewed while the fetch goes on. A leader
  that dies is followed by another worker as soon as that time is over.
- **Fencing**: the holder of a lease writes the entry only if the lock still carries its token; Redis looks and writes
  in one script, which also frees the lock. A leader that was asleep for longer than its lease finds the token gone,
  and its response, older perhaps than what a successor stored, goes to its own callers and is kept nowhere. A lock is freed and
  renewed only under its token.
- What turns out not to be cacheable leaves the lock as a marker: every worker that waits, or comes within
  that time, lets all its callers go at once (hit-for-miss). A fetch that failed, and one whose response is a long time
  coming, leaves a marker that lets each worker ask by itself. So no call ever queues for a response that can't be shared.

The lock's value in Redis is one letter and the holder's token: L led, W led and waited for, P hit for miss; G, F, T and E, each
worker by itself. What becomes of it:

========== ============ ================================================================= ==========
value      who finds it what happens                                                      next value
========== ============ ================================================================= ==========
none       leads        a look finds nothing stored, or insists on the lock               L
L          waits        another worker looks                                              W
L, W       waits        the response is written, or the fetch ended with nothing to say   none
L, W       waits        nothing was heard of the holder for ``LEASE`` seconds             none
L, W       waits        the response is a long time coming; the holder may still write it G
L, W       waits        the fetch came to nothing, failed, was too slow, met a 5xx        G, F, T, E
L, W       waits        the response can't be cached                                      P
G, F, T, E asks alone   ``BESIDE`` seconds pass, or what is left of the holder's lease    none
P          asks alone   the seconds pass for which the response is known not to be cached none
========== ============ ================================================================= ==========

A holder's steps are one script each, which does nothing unless the lock still carries the holder's token.

Those who wait are woken by one look at all their locks, every few milliseconds for the whole worker.
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from redis.exceptions import NoScriptError

from apps.cachestore.backend import ResponsesCache
from apps.wire.lua_scripts import read_script

LEASE = 2.0
"""Seconds that a lock is held without a sign of life."""

RENEW = 0.5
"""Seconds between two signs of life."""

BESIDE = 1.0
"""Seconds after a failure during which workers don't wait for each other."""

WATCH = (0.004, 0.02)
"""Seconds between two looks at the locks that are waited for: shortest, after a call began to wait, and longest."""

WAIT = 0.05
"""Seconds that an exchange about locks may take before the worker goes on without it; while all is well, the store's
``PATIENCE``.
"""


class LockState(Enum):
    """What a look at the lock says to a worker that lacks a response."""

    LEADING = "leading"
    """The lock is this worker's: ask the upstream."""
    HELD = "held"
    """Another worker is asking: wait."""
    BESIDE = "beside"
    """Ask, without the lock: a fetch came to nothing, or takes long."""
    FAILED = "failed"
    """The same: the upstream gave no response."""
    TIMED_OUT = "timed_out"
    """The same: the upstream was too slow."""
    ERRED = "erred"
    """The same: the upstream answered that it failed (5xx)."""
    HIT_FOR_MISS = "hit_for_miss"
    """What stands there can't be cached: every call asks for itself."""


@dataclass(slots=True, frozen=True)
class LockAttempt:
    """``token`` is the holder's; ``seconds`` is what is left of a ``HIT_FOR_MISS``."""

    state: LockState
    token: str = ""
    seconds: float = 0.0


@dataclass(slots=True, frozen=True)
class FetchLease:
    """The lock in this worker's hands: its name in Redis and the token under which it is held."""

    name: str
    token: str


@dataclass(slots=True)
class LockStats:
    """Counters since the worker started: fetches led, waits for other workers, of those how many ended in taking over,
    and responses not kept because the lock had gone to another worker.
    """

    led: int = 0
    waits: int = 0
    takeovers: int = 0
    fenced: int = 0


LOOK = read_script(__file__, "fetch_lock_look")

LOOK_SHA = hashlib.sha1(LOOK.encode(), usedforsecurity=False).hexdigest()
"""What Redis calls the script that every miss runs."""

LEAVE = read_script(__file__, "fetch_lock_leave")

RENEWAL = read_script(__file__, "fetch_lock_renew")

_LETTERS = {
    b"L": LockState.HELD,
    b"W": LockState.HELD,
    b"G": LockState.BESIDE,
    b"F": LockState.FAILED,
    b"T": LockState.TIMED_OUT,
    b"E": LockState.ERRED,
    b"P": LockState.HIT_FOR_MISS,
}
_LEFT_AS = {
    LockState.BESIDE: "G",
    LockState.FAILED: "F",
    LockState.TIMED_OUT: "T",
    LockState.ERRED: "E",
    LockState.HIT_FOR_MISS: "P",
}


class Bounded(Protocol):
    """An exchange with the cache server that waits a bounded time, and not at all behind an open breaker."""

    def __call__(self, operation: Callable[[], Awaitable[Any]], wait: float) -> Coroutine[None, None, Any]:
        """Its result, or ``None``."""


class FetchLocks:
    """One worker's part in the fetch lock. ``backend`` is ``None`` without a shared tier: then no worker waits for another."""

    def __init__(self, backend: ResponsesCache | None, bounded: Bounded) -> None:
        self.stats = LockStats()
        self._backend = backend
        self._bounded = bounded
        self._worker = os.urandom(6).hex()
        self._made = 0
        self._leases: dict[str, str] = {}
        self._waiting: dict[str, tuple[str, asyncio.Future[None]]] = {}
        self._pause = WATCH[0]
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._errands: set[asyncio.Task[Any]] = set()

    def name(self, fetch_key: bytes) -> str:
        """The lock's name in Redis."""
        if self._backend is None:
            raise ValueError("there is no shared tier")
        return str(self._backend.client.make_key(f"fetch:{fetch_key.hex()}"))

    async def look(
        self, fetch_key: bytes, keys: Sequence[bytes], *, although_there: bool = False
    ) -> tuple[LockAttempt | None, dict[bytes, Any]]:
        """What stands under ``keys`` (entries, by key) and what that means for this worker, in one exchange.

        The lock is taken where it is free and nothing stands there, or ``although_there``. The attempt is ``None`` where there is
        no lock to take, and while the cache server is away: then go on without a lock.
        """
        backend = self._backend
        if backend is None:
            return None, {}
        self._made += 1
        lock, token = self.name(fetch_key), f"{self._worker}{self._made:x}"
        names = [str(backend.client.make_key(key.hex())) for key in keys]
        arguments = (token, int(LEASE * 1000), int(although_there), self._worker)
        waited_for = True

        async def exchange() -> Any:
            try:
                reply = await backend.redis.evalsha(LOOK_SHA, 1 + len(names), lock, *names, *arguments)
            except NoScriptError:
                reply = await backend.redis.eval(LOOK, 1 + len(names), lock, *names, *arguments)
            if not waited_for and reply[0] == b"L" + token.encode():
                # The call that asked has given up waiting: the lock is freed again.
                await backend.redis.eval(LEAVE, 1, lock, token, "", 0)
            return reply

        reply = None
        try:
            reply = await self._bounded(exchange, WAIT)
        finally:
            waited_for = reply is not None
        if reply is None:
            return None, {}
        said, milliseconds, values = reply
        return self._claim(said, milliseconds), await backend.adecode(dict(zip(keys, values, strict=True)))

    def _claim(self, said: bytes, milliseconds: int) -> LockAttempt | None:
        if not said:
            return None
        # A value that no worker wrote is no lock to wait for.
        state, token = _LETTERS.get(said[:1], LockState.BESIDE), said[1:].decode("latin-1")
        if state is LockState.HELD and token.startswith(self._worker):
            state = LockState.LEADING
        return LockAttempt(state, token, max(0, milliseconds) / 1000)

    def hold(self, fetch_key: bytes, lock_attempt: LockAttempt) -> FetchLease:
        """Go on with a ``LEADING`` attempt: the lock is renewed until ``leave`` or ``written``. Attempts with one token are
        one lease.
        """
        lease = FetchLease(self.name(fetch_key), lock_attempt.token)
        if self._leases.get(lease.name) != lease.token:
            self._leases[lease.name] = lease.token
            self.stats.led += 1
        self._keep_going("renewing", self._renew)
        return lease

    def written(self, lease: FetchLease, outcome: bool) -> None:
        """The write has freed the lock, or found it in other hands (``eviction``)."""
        self._forget(lease)
        self.stats.fenced += not outcome

    def leave(self, lease: FetchLease, state: LockState | None = None, seconds: float = BESIDE) -> None:
        """Give the lock up, in the background. What others shall do stays there for ``seconds``; ``None`` frees it for
        the next.
        """
        self._forget(lease)
        letter = _LEFT_AS[state] if state is not None else ""
        self._tell(lease, letter, max(1, int(seconds * 1000)))

    def wait_no_more(self, lease: FetchLease) -> None:
        """Let the other workers ask for themselves, and go on: the response is a long time coming."""
        self._tell(lease, "G", 0)

    def _tell(self, lease: FetchLease, letter: str, milliseconds: int) -> None:
        backend = self._backend
        if backend is not None:
            self._errand(
                self._bounded(lambda: backend.redis.eval(LEAVE, 1, lease.name, lease.token, letter, milliseconds), WAIT)
            )

    async def is_waited_for(self, lease: FetchLease) -> bool:
        """Whether another worker waits for the holder of ``lease``."""
        backend = self._backend
        if backend is None:
            return False
        return bool(await self._bounded(lambda: backend.redis.get(lease.name), WAIT) == b"W" + lease.token.encode())

    async def changed(self, fetch_key: bytes, token: str) -> None:
        """Wait until the lock is no longer held under ``token``, or the cache server can't say."""
        name = self.name(fetch_key)
        waiting = self._waiting.get(name)
        if waiting is None or waiting[0] != token:
            if waiting is not None:
                waiting[1].set_result(None)
            waiting = self._waiting[name] = (token, asyncio.get_running_loop().create_future())
            self._pause = WATCH[0]
            self._keep_going("watching", self._watch)
        self.stats.waits += 1
        await asyncio.shield(waiting[1])

    async def _watch(self) -> None:
        backend = self._backend
        try:
            while self._waiting and backend is not None:
                await asyncio.sleep(self._pause)
                self._pause = min(self._pause * 1.5, WATCH[1])
                names = list(self._waiting)
                values = await self._bounded(lambda names=names: backend.redis.mget(names), WAIT)  # type: ignore[misc]
                for name, value in zip(names, values or [None] * len(names), strict=True):
                    token = self._waiting[name][0].encode("latin-1")
                    if value is None or value[:1] not in b"LW" or value[1:] != token:
                        self._waiting.pop(name)[1].set_result(None)
        finally:
            # However this loop ended, every call that waits is woken.
            for _, future in self._waiting.values():
                future.set_result(None)
            self._waiting.clear()

    async def _renew(self) -> None:
        backend = self._backend
        while self._leases and backend is not None:
            await asyncio.sleep(RENEW)
            held = dict(self._leases)
            if held:
                arguments: tuple[str | int, ...] = (*held, int(LEASE * 1000), *held.values())
                await self._bounded(lambda: backend.redis.eval(RENEWAL, len(held), *arguments), WAIT)  # noqa: B023

    def _forget(self, lease: FetchLease) -> None:
        if self._leases.get(lease.name) == lease.token:
            del self._leases[lease.name]

    def _keep_going(self, name: str, loop: Callable[[], Coroutine[None, None, None]]) -> None:
        task = self._loops.get(name)
        if task is None or task.done():
            self._loops[name] = asyncio.get_running_loop().create_task(loop())

    def _errand(self, work: Coroutine[None, None, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def close(self) -> None:
        """Free what is still held, as far as that is quickly done."""
        for name, token in tuple(self._leases.items()):
            self.leave(FetchLease(name, token))
        for task in self._loops.values():
            task.cancel()
        if self._errands:
            await asyncio.wait(self._errands, timeout=0.5)

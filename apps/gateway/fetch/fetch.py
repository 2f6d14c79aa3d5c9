"""One call to an upstream whose response may be stored: a task of its own, to whose outcome callers subscribe.

Theory of operation. The first caller of a worker who lacks a response makes the fetch, and so does a refresh in the background.
Further callers with the same key find it (``coalescer``) and subscribe. The task gets the fetch lock (``cachestore.fetch_lock``),
or that worker's response (``leadership``); it asks the upstream, and judges the head that comes. Then ``outcome`` is set,
once, and each subscriber makes its own response of it (``responses``), or finds that it has to ask for itself.

========== =================================================================== ==========
state      what happens                                                        next state
========== =================================================================== ==========
waiting    the lock is this worker's, or can't be had                          asking
waiting    what another worker stored or met answers, or all ask alone         ended
asking     the head came: the response may be stored (``Shared``)              collecting
asking     a 304, or another response to a condition, that can't be used       asking
asking     the stored response was confirmed and is written (``FromStore``)    ended
asking     the response is for one caller (``Own``), who reads and closes it   ended
asking     the upstream failed (``FetchFailure``, or a stale ``FromStore``)    ended
collecting the body is whole: it is written, then its last part leaves         ended
collecting it is too large, or one too many, or no caller waits for too long   passing on
collecting the upstream breaks off                                             ended
passing on the body ends, or breaks off                                        ended
any        the last subscriber left, and nothing else keeps it                 ended
========== =================================================================== ==========

What keeps a fetch without subscribers: ``storing`` (it collects, or writes), and ``background`` (no call needs to wait). While it
holds the lock and no head has come, another worker that waits for it does so too. However it ends, the lock is given back with
its result, ``outcome`` is set, and no caller finds it under its key any more.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import random
from time import time

from apps import httpcache
from apps.cachestore.fetch_lock import BESIDE, FetchLease, LockAttempt, LockState
from apps.cachestore.store import ResponseStore
from apps.gateway.call.call import Call
from apps.gateway.fetch.body_fanout import BodyFanout
from apps.gateway.fetch.collected_bodies import CollectedBodies
from apps.gateway.fetch.leadership import leads
from apps.gateway.fetch.results import (
    FetchFailure,
    FetchOutcome,
    FromStore,
    JudgedResponse,
    Own,
    Shared,
    on_error,
    stored_of,
)
from apps.gateway.fetch.storing import keep
from apps.gateway.upstream.calls import UpstreamCalls
from apps.gateway.upstream.client import UpstreamResponse
from apps.gateway.upstream.errors import Broken, Busy, TimedOut, UpstreamError
from apps.httpcache.serving import may_end
from apps.wire.failure_causes import FailureCause

log = logging.getLogger(__name__)

LONG = 2.0
"""Seconds that the workers without the lock wait for the rest of a response whose head has come."""

UNAWAITED = 10.0
"""Seconds for which a response without a subscriber (its callers have left, or it is a refresh in the background) is still
collected to be stored. One that drips on, as a stream of events does, would hold its place among the API's calls without end.
"""

TOO_LARGE_FOR = 10.0
"""Seconds for which it is remembered that a response grew larger than the policy stores, or took too long."""


@dataclass(slots=True, frozen=True)
class Collaborators:
    """What the fetches of a worker work with. ``forget`` keeps further callers from subscribing to a fetch."""

    store: ResponseStore
    calls: UpstreamCalls
    collected_bodies: CollectedBodies
    spawn: Callable[[Coroutine[None, None, None]], object]
    forget: Callable[["UpstreamFetch"], None]


class UpstreamFetch:
    """One upstream call on behalf of ``x`` and of all who subscribe. ``outcome`` comes when the head is judged."""

    def __init__(
        self,
        others: Collaborators,
        x: Call,
        plan: httpcache.RequestPlan,
        decision: httpcache.Fetch | httpcache.Revalidate,
    ) -> None:
        self._others = others
        self._store = others.store
        self.x = x
        self.plan = plan
        self.decision = decision
        self.subscribers = 0
        self.background = False
        self.storing = False
        self.lock_attempt: LockAttempt | None = None
        self.lease: FetchLease | None = None
        self._ended = LockState.BESIDE
        self.outcome: asyncio.Future[FetchOutcome] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self._parts: list[bytes] | None = None
        self._body: BodyFanout | None = None

    def leave(self) -> None:
        """A subscriber has what it wanted, or is gone. The last one's leaving ends the fetch, unless its response is
        being stored or another worker waits for it.
        """
        self.subscribers -= 1
        if not self._is_idle():
            self._bound_unawaited()
            return
        if self.lease is not None and not self.outcome.done():
            self._others.spawn(self._end_unless_awaited(self.lease))
        else:
            self._end()

    def _bound_unawaited(self) -> None:
        """Give a body that is collected without a subscriber ``UNAWAITED`` seconds to end."""
        if not self.subscribers and self._parts is not None:
            asyncio.get_running_loop().call_later(UNAWAITED, self._end_unawaited)

    def _end_unawaited(self) -> None:
        if not self.subscribers and self._parts is not None:
            self.give_up_storing()

    def _is_idle(self) -> bool:
        return not (self.subscribers or self.background or self.storing)

    async def _end_unless_awaited(self, lease: FetchLease) -> None:
        awaited = await self._store.locks.is_waited_for(lease)
        if not self._is_idle():
            return
        if awaited and not self.outcome.done():
            self.background = True
        else:
            self._end()

    def _end(self) -> None:
        # A caller who subscribes before the task has met its end would fail with it.
        self._others.forget(self)
        if self.task is not None:
            self.task.cancel()
        if self.outcome.done() and not self.outcome.cancelled():
            outcome = self.outcome.result()
            if isinstance(outcome, Own) and not outcome.taken:
                outcome.taken = True
                outcome.response.close()

    def adopt(self, lock_attempt: LockAttempt | None) -> None:
        """Take over what a caller's look-up learned of the fetch lock."""
        if lock_attempt is None or self.lease is not None or self.plan.fetch_key is None:
            return
        if lock_attempt.state is LockState.LEADING:
            self.lease = self._store.locks.hold(self.plan.fetch_key, lock_attempt)
        elif self.task is None:
            self.lock_attempt = lock_attempt

    async def run(self, heard: JudgedResponse | None = None) -> None:
        """Ask, judge, and store; or go on from a response that was ``heard`` already."""
        try:
            if heard is None and await leads(self._store, self):
                heard = await self.hear()
            if heard is not None:
                await self._conclude(heard)
        except asyncio.CancelledError:
            self._give_back(None)
            self.resolve(FetchFailure(Broken(FailureCause.GATEWAY_STOPPED, sent=True)))
            raise
        except Exception:
            log.exception("a fetch failed")
            self.resolve(FetchFailure(Broken(FailureCause.GATEWAY_FAILED, sent=True)))
        finally:
            self._give_back(self._ended)
            self._others.forget(self)

    def _give_back(self, state: LockState | None, seconds: float = BESIDE) -> None:
        """The fetch lock is needed no more; what its name says for ``seconds``."""
        lease, self.lease = self.lease, None
        if lease is not None:
            self._store.locks.leave(lease, state, seconds)

    async def hear(self) -> JudgedResponse | None:
        """Ask the upstream and judge the head of its response. ``None``: it failed, and the outcome says so."""
        stored = stored_of(self.decision)
        conditional = self.decision.conditional
        while True:
            purge_clock, requested_at = self._store.purge_clock(), time()
            try:
                response = await self._others.calls.ask(self.x, conditional, waits=not self._can_do_without(stored))
            except UpstreamError as error:
                self._ended = LockState.TIMED_OUT if isinstance(error, TimedOut) else LockState.FAILED
                self.resolve(on_error(self.plan, stored, error))
                return None
            try:
                head = httpcache.ResponseHead(response.status, tuple(response.fields))
                chance = random()  # noqa: S311  spreads ends of lifetimes, not a secret
                judged = httpcache.on_response(self.plan, stored, head, requested_at, time(), purge_clock, chance)
                if isinstance(judged, httpcache.Reuse):
                    other = await self._store.one(judged.key, self.plan, time())
                    judged = httpcache.on_reuse(self.plan, other, head, requested_at, time(), purge_clock, chance)
            except BaseException:
                response.close()
                raise
            # A 304 to conditions of ours is no client's response, whatever became meanwhile of what they named.
            stray = (
                bool(conditional)
                and isinstance(judged, httpcache.NoStore)
                and judged.reason is httpcache.Reason.CONDITIONAL
            )
            if not isinstance(judged, httpcache.Refetch) and not stray:
                return JudgedResponse(response, head, judged, stored)
            response.close()
            if stored is not None and may_end(self.plan, stored.entry):
                await self._store.drop(self.plan, stored)
            stored, conditional, self.plan.others = None, (), ()

    def _can_do_without(self, stored: httpcache.StoredResponse | None) -> bool:
        """Whether no caller needs the upstream's response now: its callers can have ``stored``, or there are none."""
        if self.background and not self.subscribers:
            return True
        return isinstance(on_error(self.plan, stored, Busy()), FromStore)

    async def _conclude(self, heard: JudgedResponse) -> None:
        response, judged = heard.response, heard.judged
        try:
            if isinstance(judged, httpcache.Store):
                await self._collect_and_store(response, judged, heard.head)
            elif isinstance(judged, httpcache.Refreshed):
                self.storing = True
                stored = await self._keep(judged.entry, judged.entry.body)
                self.resolve(FromStore(stored, judged.reason, True))
            elif isinstance(judged, httpcache.Serve):
                self._ended = LockState.ERRED
                self.resolve(FromStore(judged.stored, judged.reason, False))
            else:
                await self.not_stored(judged, heard.stored)
                self.resolve(Own(response, judged.reason))
                return  # the caller who takes it closes it
        except BaseException:
            response.close()
            raise
        response.close()

    def resolve(self, outcome: FetchOutcome) -> None:
        """Notify the subscribers, once."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)
        if self.background and not self.subscribers and isinstance(outcome, Own):
            outcome.taken = True
            outcome.response.close()

    async def not_stored(self, judged: httpcache.NoStore, stored: httpcache.StoredResponse | None) -> None:
        """Record that the response is for its caller alone."""
        store = self._store
        if judged.hit_for_miss_seconds:
            store.remember_hit_for_miss(self.plan.fetch_key, time() + judged.hit_for_miss_seconds)
            self._give_back(LockState.HIT_FOR_MISS, judged.hit_for_miss_seconds)
        # Callers who come from here on must not wait for a response that isn't theirs.
        self._others.forget(self)
        if judged.ends:
            await store.drop(self.plan, stored)

    async def _keep(self, entry: httpcache.CacheEntry, body: bytes) -> httpcache.StoredResponse:
        stored = await keep(self._store, self.x, self.plan, entry, body, self.lease)
        self.lease = None
        return stored

    async def _collect_and_store(
        self, response: UpstreamResponse, judged: httpcache.Store, head: httpcache.ResponseHead
    ) -> None:
        """Collect the body for the store and for every caller who waits, as it arrives. Its end leaves when the shared
        tier has the entry: the last part where the length is known, else the mark that there is no more.
        """
        self.storing = True
        body = BodyFanout()
        shared = Shared(judged, head.status, head.headers, body)
        whole = response.whole
        if whole is not None:
            response.close()
            if len(whole) <= self.plan.policy.max_body:
                shared.stored = await self._keep(judged.entry, whole)
            body.put(whole)
            body.end()
        body.expect(self.subscribers)
        self.resolve(shared)
        if whole is not None:
            return
        patience = asyncio.get_running_loop().call_later(LONG, self._let_others_ask)
        try:
            await self._collect(response, judged, shared)
        finally:
            patience.cancel()

    def _let_others_ask(self) -> None:
        if self.lease is not None:
            self._store.locks.wait_no_more(self.lease)

    async def _collect(self, response: UpstreamResponse, judged: httpcache.Store, shared: Shared) -> None:
        body, collected_bodies = shared.body, self._others.collected_bodies
        self._parts, self._body = [], body
        size, last = 0, b""
        self._bound_unawaited()
        try:
            while part := await response.read():
                size += len(part)
                if self._parts is not None:
                    self._parts.append(part)
                    if size > self.plan.policy.max_body:
                        self.give_up_storing()
                    else:
                        collected_bodies.add(self, len(part))
                if size == judged.length:
                    last = part
                else:
                    body.put(part)
                await body.room()
        except UpstreamError as error:
            body.end(error)
            return
        except asyncio.CancelledError:
            body.end(Broken(FailureCause.GATEWAY_STOPPED, sent=True))
            raise
        finally:
            collected_bodies.end(self)
        response.close()
        parts, self._parts = self._parts, None
        if parts is not None and (judged.length is None or judged.length == size):
            shared.stored = await self._keep(judged.entry, b"".join(parts))
        if last:
            body.put(last)
        body.end()

    def give_up_storing(self) -> None:
        """The response is too large to be stored, or one too many at a time: it goes on to its callers alone."""
        self._parts = None
        self._others.collected_bodies.end(self)
        self._store.remember_hit_for_miss(self.plan.fetch_key, time() + TOO_LARGE_FOR)
        self._give_back(LockState.HIT_FOR_MISS, TOO_LARGE_FOR)
        self._others.forget(self)
        if self._body is not None:
            self._body.stop_keeping()
        self.storing = False
        if not self.subscribers and self.task is not None:
            self.task.cancel()

"""Calls to upstreams whose responses may be stored: each is a task owned by its cache key, and callers subscribe to it.

So concurrent misses on one key make one upstream call, and that call doesn't depend on any one caller: the last one's
leaving cancels it, unless its response is being stored. A response that can't be shared goes to one caller; the others
ask for themselves, all at once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from time import time

from apps import httpcache
from apps.cachestore.fetch_lock import LockState
from apps.cachestore.store import ResponseStore
from apps.gateway.call.call import Call
from apps.gateway.call.responses import AnyResponse, StreamedResponse
from apps.gateway.fetch import responses
from apps.gateway.fetch.collected_bodies import CollectedBodies
from apps.gateway.fetch.fetch import Collaborators, UpstreamFetch
from apps.gateway.fetch.results import EachAlone, FetchFailure, FromStore, Own, Shared
from apps.gateway.fetch.revalidation import call_for_the_whole
from apps.gateway.upstream.calls import UpstreamCalls, consumer_of
from apps.gateway.upstream.errors import Broken, Busy, UpstreamError
from apps.httpcache.serving import may_use
from apps.wire.failure_causes import FailureCause

TURNS = 3
"""How often a caller waits for a fetch of others whose response it then can't use, before it asks for itself."""


class Coalescer:
    """The fetches under way in a worker, by fetch key. ``spawn`` does something beside the calls."""

    def __init__(
        self, store: ResponseStore, calls: UpstreamCalls, spawn: Callable[[Coroutine[None, None, None]], object]
    ) -> None:
        self._store = store
        self._by_key: dict[bytes, UpstreamFetch] = {}
        self._running: set[asyncio.Task[None]] = set()
        self.collected_bodies = CollectedBodies()
        self._collaborators = Collaborators(store, calls, self.collected_bodies, spawn, self.forget)
        self._stopped = False

    def forget(self, fetch: UpstreamFetch) -> None:
        """No more subscribers for this one."""
        key = fetch.plan.fetch_key
        if key is not None and self._by_key.get(key) is fetch:
            del self._by_key[key]

    def is_under_way(self, fetch_key: bytes) -> bool:
        """Whether a caller with this key would join a fetch."""
        return fetch_key in self._by_key

    def refresh(self, x: Call, plan: httpcache.RequestPlan, decision: httpcache.Serve) -> None:
        """Refresh a stale response in the background, unless a fetch of it is under way, here or in another worker."""
        if plan.fetch_key is None or plan.fetch_key in self._by_key:
            return
        fetch = UpstreamFetch(
            self._collaborators, x, plan, httpcache.Revalidate(decision.stored, decision.conditional, decision.reason)
        )
        fetch.background = True
        self._start(fetch, fetch.run())

    def _start(self, fetch: UpstreamFetch, work: Coroutine[None, None, None], *, alone: bool = False) -> None:
        if fetch.plan.fetch_key is not None and not alone:
            self._by_key[fetch.plan.fetch_key] = fetch
        task = fetch.task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def respond(self, x: Call) -> AnyResponse:
        """The response for a call that the tiers couldn't answer: from a fetch of its own, or from one under way."""
        plan, store = x.cache_plan, self._store
        if plan.fetch_key is None and (whole := call_for_the_whole(x)) is not None:
            validated = await self._validated(x, whole)
            if validated is not None:
                return validated
        for turn in range(TURNS):
            if plan.fetch_key is None or store.is_hit_for_miss(plan.fetch_key, time()):
                break
            fetch = self._by_key.get(plan.fetch_key)
            collapsed = fetch is not None
            if fetch is None and (meanwhile := self._stored_meanwhile(x)) is not None:
                return responses.from_store(x, meanwhile, collapsed=turn > 0, hit=True)
            if fetch is None:
                fetch = UpstreamFetch(self._collaborators, x, plan, x.decision)
                fetch.adopt(x.lock_attempt)
                self._start(fetch, fetch.run())
            else:
                fetch.adopt(x.lock_attempt)
            x.lock_attempt = None
            response = await self._subscribe(fetch, x, collapsed, asks_again=turn + 1 < TURNS)
            if response is not None:
                return response
            if store.is_hit_for_miss(plan.fetch_key, time()):
                break
            # This caller can't use the response. What the fetch stored may be usable: look again, then ask again.
            stored, x.lock_attempt = await store.look(plan, time())
            decision = httpcache.on_entry(plan, stored, time())
            if isinstance(decision, httpcache.Serve):
                return responses.from_store(
                    x, FromStore(decision.stored, decision.reason, True), collapsed=True, hit=True
                )
            if isinstance(decision, (httpcache.Fetch, httpcache.Revalidate)):
                x.decision = decision
        return await self._alone(x)

    def _stored_meanwhile(self, x: Call) -> FromStore | None:
        """What a fetch stored here that began and ended while this call looked in the shared tier, and found nothing."""
        plan, now = x.cache_plan, time()
        decision = httpcache.on_entry(plan, self._store.find_local(plan, now), now)
        if not isinstance(decision, httpcache.Serve) or decision.refresh:
            return None
        self._leave_lock(x)
        return FromStore(decision.stored, decision.reason, True)

    def _leave_lock(self, x: Call, state: LockState | None = None) -> None:
        """Give up the fetch lock, where the call got it: for the next, or with what the others shall do."""
        attempt, key = x.lock_attempt, x.cache_plan.fetch_key
        if attempt is not None and attempt.state is LockState.LEADING and key is not None:
            locks = self._store.locks
            locks.leave(locks.hold(key, attempt), state)

    async def _validated(self, x: Call, whole: Call) -> AnyResponse | None:
        """The response from what is stored, after ``whole`` validated it for all who ask; ``None`` where that came to
        nothing.
        """
        response = await self.respond(whole)
        if isinstance(response, StreamedResponse):
            with contextlib.suppress(UpstreamError), contextlib.closing(response):
                while await response.read():
                    pass
        x.attempts, x.upstream, x.cause = whole.attempts, whole.upstream, whole.cause
        x.upstream_status, x.upstream_duration = whole.upstream_status, whole.upstream_duration
        if whole.cache == b"STALE" and isinstance(x.decision, httpcache.Revalidate):
            return responses.from_store(
                x, FromStore(x.decision.stored, httpcache.Reason.STALE_IF_ERROR, False), collapsed=True
            )
        stored = await self._store.find(x.cache_plan, time())
        decision = httpcache.on_entry(x.cache_plan, stored, time())
        if isinstance(decision, httpcache.Serve):
            return responses.from_store(x, FromStore(decision.stored, decision.reason, True), collapsed=True)
        return None

    async def _alone(self, x: Call) -> AnyResponse:
        """For a call that waits for no other: in its own task, unless the response is to be stored after all."""
        self._leave_lock(x, LockState.BESIDE)
        fetch = UpstreamFetch(self._collaborators, x, x.cache_plan, x.decision)
        heard = await fetch.hear()
        if heard is not None and isinstance(heard.judged, httpcache.NoStore):
            try:
                await fetch.not_stored(heard.judged, heard.stored)
                return responses.own(x, Own(heard.response, heard.judged.reason))
            except BaseException:
                heard.response.close()
                raise
        if heard is not None:
            self._start(fetch, fetch.run(heard), alone=True)
        return await self._subscribe(fetch, x, False) or responses.failed(
            x, Broken(FailureCause.GATEWAY_FAILED, sent=True)
        )

    async def _subscribe(
        self, fetch: UpstreamFetch, x: Call, collapsed: bool, *, asks_again: bool = False
    ) -> AnyResponse | None:
        """Wait for a fetch's outcome and make this caller's response of it; ``None`` when it is for others only, and, where
        the caller ``asks_again``, when it failed and this caller's own might not.
        """
        plan = x.cache_plan
        fetch.subscribers += 1
        expected, stays = not fetch.outcome.done(), False
        try:
            outcome = await asyncio.shield(fetch.outcome)
            collapsed = collapsed or (isinstance(outcome, FromStore) and outcome.elsewhere)
            if collapsed:
                x.flags = (*x.flags, "collapsed") if "collapsed" not in x.flags else x.flags
            if isinstance(outcome, EachAlone):
                return None
            if isinstance(outcome, Own):
                if fetch.x is not x:
                    return None
                outcome.taken = True
                return responses.own(x, outcome)
            if isinstance(outcome, FetchFailure):
                if collapsed and asks_again and not self._stopped and _is_its_own(outcome.error, fetch.x, x):
                    return None
                return responses.failed(x, outcome.error)
            if collapsed and self._is_over(outcome):
                self.forget(fetch)
                return None
            if isinstance(outcome, FromStore):
                if collapsed and may_use(plan, outcome.stored.entry) is not None:
                    return None
                return responses.from_store(x, outcome, collapsed=collapsed)
            if collapsed and (not httpcache.may_share(plan, outcome.store) or not outcome.body.has_all):
                return None
            response = responses.shared(x, outcome, collapsed, fetch.leave)
            stays = isinstance(response, StreamedResponse)
            return response
        finally:
            if expected and fetch.outcome.done() and isinstance(heard := fetch.outcome.result(), Shared):
                heard.body.decided()
            if not stays:
                fetch.leave()

    def _is_over(self, outcome: Shared | FromStore) -> bool:
        """Whether a purge ended the response while it was fetched: a caller who came after the purge must not get it."""
        stored = outcome.stored
        entry = stored.entry if stored is not None else outcome.store.entry if isinstance(outcome, Shared) else None
        purges = self._store.purges
        return entry is not None and purges.incarnation is not None and purges.is_dead(entry)

    async def stop(self) -> None:
        """Cancel what is under way: no caller waits for it any more."""
        self._stopped = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=0.5)


def _is_its_own(error: UpstreamError, led: Call, waits: Call) -> bool:
    """Whether a fetch may have failed by the call that it was made for: by a field on which the upstream breaks off, or for want
    of a place in that caller's name. An upstream that can't be reached, or is too slow, is so for all.
    """
    if isinstance(error, Busy):
        return consumer_of(led) != consumer_of(waits)
    return isinstance(error, Broken) and led.request_headers != waits.request_headers

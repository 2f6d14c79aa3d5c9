"""Which worker asks the upstream: how a fetch gets the fetch lock, or the response of the worker that had it, or goes on at once
without either.
"""

import asyncio
from dataclasses import replace
from time import time
from typing import Protocol

from apps import httpcache
from apps.cachestore.fetch_lock import FetchLease, LockAttempt, LockState
from apps.cachestore.store import ResponseStore
from apps.gateway.call.call import Call
from apps.gateway.fetch.results import EachAlone, FetchOutcome, FromStore, on_error, stored_of
from apps.gateway.fetch.revalidation import is_bounded
from apps.gateway.upstream.errors import TimedOut
from apps.httpcache.serving import may_use
from apps.wire.failure_causes import FailureCause
from apps.wire.snapshot import API

TURNS = 3
"""How often a fetch waits for other workers whose responses its callers then can't use, before it asks all the same."""

VAIN = 1
"""Lookups of the fetch lock in a row that may bring nothing, before a fetch goes on without it."""


class Contender(Protocol):
    """A fetch that wants the fetch lock. ``lock_attempt`` is what the last lookup said of the lock and is not considered yet;
    with a ``lease`` the fetch holds it.
    """

    x: Call
    plan: httpcache.RequestPlan
    decision: httpcache.Fetch | httpcache.Revalidate
    background: bool
    lock_attempt: LockAttempt | None
    lease: FetchLease | None
    outcome: asyncio.Future[FetchOutcome]

    def adopt(self, lock_attempt: LockAttempt | None) -> None:
        """Take over what was learned of the lock: hold it where the attempt leads."""

    def resolve(self, outcome: FetchOutcome) -> None:
        """Notify the subscribers."""


async def leads(store: ResponseStore, fetch: Contender) -> bool:
    """Whether to ask the upstream. ``False``: what another worker stored, or met, answers the call, or shows that each
    caller must ask for itself; the outcome says so.
    """
    known = stored_of(fetch.decision)
    turns, vain, insists = 0, 0, True
    while fetch.lease is None and turns <= TURNS:
        lock_attempt, fetch.lock_attempt = fetch.lock_attempt, None
        if lock_attempt is None:
            lock_attempt = await _look_again(store, fetch, known, insists=insists, waited=turns > 0)
            if fetch.outcome.done():
                return False
            # What stood there before this worker waited is not what the other one fetched.
            known = stored_of(fetch.decision) or known
        if lock_attempt is None and not insists:
            insists = True
        elif lock_attempt is None and vain < VAIN and not store.breaker.is_open:
            vain += 1
        elif lock_attempt is None or lock_attempt.state is LockState.BESIDE:
            break
        elif lock_attempt.state is LockState.HELD:
            try:
                async with asyncio.timeout(_longest_wait(fetch.x.api)):
                    await store.locks.changed(fetch.plan.fetch_key or b"", lock_attempt.token)
            except TimeoutError:
                break
            turns, vain, insists = turns + 1, 0, False
        elif lock_attempt.state is LockState.LEADING:
            fetch.adopt(lock_attempt)
            store.locks.stats.takeovers += turns > 0
        elif lock_attempt.state is LockState.HIT_FOR_MISS:
            if not fetch.background:
                fetch.resolve(EachAlone())
            return fetch.background
        else:
            return not _failed_already(fetch, lock_attempt.state, known, waited=turns > 0)
    return True


def _longest_wait(api: API) -> float:
    """Seconds that a leader can take to get a place and hear the head of a response, and one for the lock: a worker that holds it
    for longer leads no more.
    """
    return api.concurrency.wait + (1 + api.retries) * api.connect_timeout + api.read_timeout + 1.0


async def _look_again(
    store: ResponseStore, fetch: Contender, known: httpcache.StoredResponse | None, *, insists: bool, waited: bool
) -> LockAttempt | None:
    """What the shared tier has now, and the lock where it is free and nothing is there (``insists``: whatever is
    there). A newer response than ``known`` ends the fetch; after waiting for another worker that is so even where the
    next call would ask again, as with callers who wait in one worker.
    """
    plan = fetch.plan
    if plan.fetch_key is None:
        return None
    stored, lock_attempt = await (store.take_lock if insists else store.look)(plan, time())
    decision = httpcache.on_entry(plan, stored, time())
    serves = isinstance(decision, httpcache.Serve) and not decision.refresh
    if (
        stored is not None
        and (serves or waited)
        and may_use(plan, stored.entry) is None
        and (known is None or stored.entry.validated_at > known.entry.validated_at)
    ):
        if lock_attempt is not None and lock_attempt.state is LockState.LEADING:
            store.locks.leave(store.locks.hold(plan.fetch_key, lock_attempt))
        fetch.resolve(
            FromStore(stored, decision.reason if serves else httpcache.Reason.VALIDATED, True, elsewhere=True)
        )
    elif isinstance(decision, httpcache.Serve):
        fetch.decision = httpcache.Revalidate(decision.stored, decision.conditional, decision.reason)
    elif not isinstance(decision, httpcache.GatewayTimeout):
        fetch.decision = decision
    return lock_attempt


def _failed_already(
    fetch: Contender, state: LockState, known: httpcache.StoredResponse | None, *, waited: bool
) -> bool:
    """Whether the failure that another worker met is this fetch's too, and the outcome says so.

    That is so after waiting for an upstream until it was too slow: no call waits twice. And where the caller insists on
    validation although what is stored may stand in: the bound of ``bounded`` counts attempts.
    """
    if state is LockState.TIMED_OUT and waited:
        outcome = on_error(fetch.plan, known, TimedOut(FailureCause.FAILED_ELSEWHERE, sent=True))
        fetch.resolve(replace(outcome, elsewhere=True) if isinstance(outcome, FromStore) else outcome)
        return True
    if not is_bounded(fetch.plan, fetch.decision):
        return False
    judged = httpcache.on_error(
        fetch.plan, known, 503 if state is LockState.ERRED else httpcache.UpstreamFailure.UNREACHABLE, time()
    )
    if not isinstance(judged, httpcache.Serve):
        return False
    fetch.resolve(FromStore(judged.stored, judged.reason, False, elsewhere=True))
    return True

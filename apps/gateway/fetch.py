"""One call to an upstream whose answer may be stored: a task of its own, to whose outcome callers subscribe.

Before it asks, it has the fetch lock (``apps.caching.fetch_lock``), or has waited for the worker who had it.
"""

import asyncio
import logging
from random import random
from time import time
from typing import TYPE_CHECKING

from apps.caching import http
from apps.caching.fetch_lock import BESIDE, Claim, Lease, State
from apps.caching.http.serving import may_use
from apps.gateway.broadcast import Broadcast
from apps.gateway.exchange import Exchange
from apps.gateway.insisting import is_bounded
from apps.gateway.keeping import keep
from apps.gateway.outcomes import EachAlone, Failure, FromStore, Heard, Outcome, Own, Shared
from apps.gateway.stages.forward import ask
from apps.gateway.upstream.client import UpstreamResponse
from apps.gateway.upstream.errors import Broken, TimedOut, Unreachable, UpstreamError

if TYPE_CHECKING:
    from apps.gateway.gateway import Gateway

log = logging.getLogger(__name__)

TURNS = 3
"""How often a fetch waits for other workers whose answers its callers then can't use, before it asks all the same."""

VAIN = 1
"""Looks at the fetch lock that may come to nothing, in a row, before a fetch goes on without it."""

LONG = 2.0
"""Seconds that the workers without the lock wait for the rest of an answer whose head has come."""

TOO_LARGE_FOR = 10.0
"""Seconds for which it is remembered that an answer grew larger than the policy stores."""


class Fetch:
    """One upstream call on behalf of ``x`` and of whoever subscribes. ``outcome`` comes when the head is judged."""

    def __init__(
        self, gateway: "Gateway", x: Exchange, plan: http.RequestPlan, decision: http.Fetch | http.Revalidate
    ) -> None:
        self.gateway = gateway
        self.x = x
        self.plan = plan
        self.decision = decision
        self.subscribers = 0
        self.background = False
        self.storing = False
        self.claim: Claim | None = None
        self.lease: Lease | None = None
        self._ended = State.BESIDE
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """A subscriber has what it wanted, or is gone. The last one's leaving ends the fetch, unless its answer is
        being stored or another worker waits for it.
        """
        self.subscribers -= 1
        if not self._is_idle():
            return
        if self.lease is not None and not self.outcome.done():
            self.gateway.spawn(self._end_unless_awaited(self.lease))
        else:
            self._end()

    def _is_idle(self) -> bool:
        return not (self.subscribers or self.background or self.storing)

    async def _end_unless_awaited(self, lease: Lease) -> None:
        awaited = await self.gateway.store.locks.is_waited_for(lease)
        if not self._is_idle():
            return
        if awaited and not self.outcome.done():
            self.background = True
        else:
            self._end()

    def _end(self) -> None:
        if self.task is not None:
            self.task.cancel()
        if self.outcome.done() and not self.outcome.cancelled():
            outcome = self.outcome.result()
            if isinstance(outcome, Own) and not outcome.taken:
                outcome.taken = True
                outcome.response.close()

    def adopt(self, claim: Claim | None) -> None:
        """Take over what a caller's look-up learned of the fetch lock."""
        if claim is None or self.lease is not None or self.plan.fetch_key is None:
            return
        if claim.state is State.LEADING:
            self.lease = self.gateway.store.locks.hold(self.plan.fetch_key, claim)
        elif self.task is None:
            self.claim = claim

    @property
    def renewed(self) -> bool:
        """Whether what is stored is newer for it."""
        if not self.outcome.done() or self.outcome.cancelled():
            return False
        outcome = self.outcome.result()
        return (isinstance(outcome, FromStore) and outcome.confirmed) or (
            isinstance(outcome, Shared) and outcome.held is not None
        )

    async def run(self, heard: Heard | None = None) -> None:
        """Ask, judge, and store; or go on from an answer that was ``heard`` already."""
        try:
            if heard is None and await self._leads():
                heard = await self.hear()
            if heard is not None:
                await self._conclude(heard)
        except asyncio.CancelledError:
            self._give_back(None)
            self.resolve(Failure(Broken("the gateway is stopping", sent=True)))
            raise
        except Exception:
            log.exception("a fetch failed")
            self.resolve(Failure(Broken("the gateway failed", sent=True)))
        finally:
            self._give_back(self._ended)
            self.gateway.fetches.forget(self)

    async def _leads(self) -> bool:
        """Whether to ask the upstream. ``False``: what another worker stored answers the call, or shows that each
        caller must ask for itself; the outcome says so.
        """
        store, known = self.gateway.store, _held(self.decision)
        turns, vain, insists = 0, 0, True
        while self.lease is None and turns <= TURNS:
            claim, self.claim = self.claim, None
            if claim is None:
                claim = await self._look_again(known, insists=insists, waited=turns > 0)
                if self.outcome.done():
                    return False
            if claim is None and not insists:
                insists = True
                continue
            if claim is None and vain < VAIN and not store.breaker.is_open:
                vain += 1
                continue
            if claim is None or claim.state in (State.BESIDE, State.FAILED, State.ERRED):
                return not self._has_stand_in(claim, known)
            if claim.state is State.PASS:
                if not self.background:
                    self.resolve(EachAlone())
                return self.background
            if claim.state is State.LEADING:
                self.adopt(claim)
                store.locks.stats.takeovers += turns > 0
            else:
                await store.locks.changed(self.plan.fetch_key or b"", claim.token)
                turns, vain, insists = turns + 1, 0, False
        return True

    async def _look_again(self, known: http.Held | None, *, insists: bool, waited: bool) -> Claim | None:
        """What the shared tier has now, and the lock where it is free and nothing is there (``insists``: whatever is
        there). A newer answer than ``known`` ends the fetch; after waiting for another worker that is so even where
        the next call would ask again, as with callers who wait in one worker.
        """
        plan, store = self.plan, self.gateway.store
        if plan.fetch_key is None:
            return None
        held, claim = await (store.claim if insists else store.look)(plan, time())
        decision = http.on_entry(plan, held, time())
        serves = isinstance(decision, http.Serve) and not decision.refresh
        if (
            held is not None
            and (serves or waited)
            and may_use(plan, held.entry) is None
            and (known is None or held.entry.validated_at > known.entry.validated_at)
        ):
            if claim is not None and claim.state is State.LEADING:
                store.locks.leave(store.locks.hold(plan.fetch_key, claim))
            self.resolve(FromStore(held, decision.reason if serves else http.Reason.VALIDATED, True, elsewhere=True))
        elif isinstance(decision, http.Serve):
            self.decision = http.Revalidate(decision.held, decision.conditional, decision.reason)
        elif not isinstance(decision, http.GatewayTimeout):
            self.decision = decision
        return claim

    def _has_stand_in(self, claim: Claim | None, known: http.Held | None) -> bool:
        """Whether the upstream failed within the last second, and what is stored may stand in: then a caller who
        insists on validation gets that (the bound of ``bounded`` counts attempts), and the outcome says so.
        """
        if claim is None or claim.state is State.BESIDE or not is_bounded(self.plan, self.decision):
            return False
        failure = http.Failure.UNREACHABLE if claim.state is State.FAILED else 503
        judged = http.on_error(self.plan, known, failure, time())
        if isinstance(judged, http.Serve):
            self.resolve(FromStore(judged.held, judged.reason, False, elsewhere=True))
        return isinstance(judged, http.Serve)

    def _give_back(self, state: State | None, seconds: float = BESIDE) -> None:
        """The fetch lock is needed no more; what its name says for ``seconds``."""
        lease, self.lease = self.lease, None
        if lease is not None:
            self.gateway.store.locks.leave(lease, state, seconds)

    async def hear(self) -> Heard | None:
        """Ask the upstream and judge the head of its answer. ``None``: it failed, and the outcome says so."""
        held = _held(self.decision)
        conditional = self.decision.conditional
        while True:
            birth, requested_at = self.gateway.store.birth(), time()
            try:
                response = await ask(self.gateway, self.x, conditional)
            except UpstreamError as error:
                self._ended = State.FAILED
                self.resolve(self._on_error(held, error))
                return None
            head = http.ResponseHead(response.status, tuple(response.fields))
            chance = random()  # noqa: S311  spreads ends of lifetimes, not a secret
            judged = http.on_response(self.plan, held, head, requested_at, time(), birth, chance)
            if isinstance(judged, http.Reuse):
                other = await self.gateway.store.one(judged.key, self.plan, time())
                judged = http.on_reuse(self.plan, other, head, requested_at, time(), birth, chance)
            if not isinstance(judged, http.Refetch):
                return Heard(response, head, judged, held)
            response.close()
            if held is not None:
                await self.gateway.store.drop(self.plan, held)
            held, conditional, self.plan.others = None, (), ()

    async def _conclude(self, heard: Heard) -> None:
        response, judged = heard.response, heard.judged
        try:
            if isinstance(judged, http.Store):
                await self._store(response, judged, heard.head)
            elif isinstance(judged, http.Refreshed):
                self.storing = True
                stored = await self._keep(judged.entry, judged.entry.body)
                self.resolve(FromStore(stored, judged.reason, True))
            elif isinstance(judged, http.Serve):
                self._ended = State.ERRED
                self.resolve(FromStore(judged.held, judged.reason, False))
            else:
                await self.not_stored(judged, heard.held)
                self.resolve(Own(response, judged.reason))
                return  # the caller who takes it closes it
        except BaseException:
            response.close()
            raise
        response.close()

    def resolve(self, outcome: Outcome) -> None:
        """Tell the subscribers, unless they were told."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)
        if self.background and not self.subscribers and isinstance(outcome, Own):
            outcome.taken = True
            outcome.response.close()

    def _on_error(self, held: http.Held | None, error: UpstreamError) -> Outcome:
        failure = (
            http.Failure.TIMEOUT
            if isinstance(error, TimedOut)
            else http.Failure.UNREACHABLE
            if isinstance(error, Unreachable)
            else http.Failure.BROKEN
        )
        judged = http.on_error(self.plan, held, failure, time())
        if isinstance(judged, http.Serve):
            return FromStore(judged.held, judged.reason, False)
        return Failure(error)

    async def not_stored(self, judged: http.NoStore, held: http.Held | None) -> None:
        """Take note that the answer is for its caller alone."""
        store = self.gateway.store
        if judged.pass_for:
            store.remember_pass(self.plan.fetch_key, time() + judged.pass_for)
            self._give_back(State.PASS, judged.pass_for)
        # Callers who come from here on must not wait for an answer that isn't theirs.
        self.gateway.fetches.forget(self)
        if judged.ends:
            await store.drop(self.plan, held)

    async def _keep(self, entry: http.Entry, body: bytes) -> http.Held:
        held = await keep(self.gateway, self.x, self.plan, entry, body, self.lease)
        self.lease = None
        return held

    async def _store(self, response: UpstreamResponse, judged: http.Store, head: http.ResponseHead) -> None:
        """Collect the body for the store and for everybody who waits, as it arrives. Its end leaves when the shared
        tier has the entry: the last part where the length is known, else word that there is no more.
        """
        self.storing = True
        body = Broadcast()
        shared = Shared(judged, head.status, head.headers, body)
        whole = response.whole
        if whole is not None:
            response.close()
            if len(whole) <= self.plan.policy.max_body:
                shared.held = await self._keep(judged.entry, whole)
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
            self.gateway.store.locks.wait_no_more(self.lease)

    async def _collect(self, response: UpstreamResponse, judged: http.Store, shared: Shared) -> None:
        body = shared.body
        parts: list[bytes] | None = []
        size, last = 0, b""
        try:
            while part := await response.read():
                size += len(part)
                if parts is not None:
                    parts.append(part)
                    if size > self.plan.policy.max_body:
                        parts = None
                        self._give_up_storing(body)
                if size == judged.length:
                    last = part
                else:
                    body.put(part)
                await body.room()
        except UpstreamError as error:
            body.end(error)
            return
        except asyncio.CancelledError:
            body.end(Broken("nobody waits for it", sent=True))
            raise
        response.close()
        if parts is not None and (judged.length is None or judged.length == size):
            shared.held = await self._keep(judged.entry, b"".join(parts))
        if last:
            body.put(last)
        body.end()

    def _give_up_storing(self, body: Broadcast) -> None:
        self.gateway.store.remember_pass(self.plan.fetch_key, time() + TOO_LARGE_FOR)
        self._give_back(State.PASS, TOO_LARGE_FOR)
        self.gateway.fetches.forget(self)
        body.stop_keeping()
        self.storing = False
        if not self.subscribers and self.task is not None:
            self.task.cancel()


def _held(decision: http.Fetch | http.Revalidate) -> http.Held | None:
    return decision.held if isinstance(decision, http.Revalidate) else None

"""Calls to upstreams whose answers may be stored: each is a task owned by its cache key, and callers subscribe to it.

So concurrent misses on one key make one upstream call, and that call doesn't depend on any one caller: the last one's
leaving cancels it, unless its answer is being stored. An answer that can't be shared goes to one caller; the others
ask for themselves, all at once.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from time import time
from typing import TYPE_CHECKING

from apps.caching import http
from apps.caching.http.serving import may_use
from apps.gateway.answers import Answer, AnyAnswer, Streamed
from apps.gateway.broadcast import Broadcast, Reader
from apps.gateway.exchange import Exchange
from apps.gateway.forwarding import answer_fields, ruled
from apps.gateway.stages.forward import ask, failed, passed_on, with_length
from apps.gateway.upstream.client import UpstreamResponse
from apps.gateway.upstream.errors import Broken, TimedOut, Unreachable, UpstreamError

if TYPE_CHECKING:
    from apps.gateway.gateway import Gateway

log = logging.getLogger(__name__)

TURNS = 3
"""How often a caller waits for a fetch of others whose answer it then can't use, before it asks for itself."""


@dataclass(slots=True)
class Own:
    """The answer is for the one caller on whose behalf it was asked for."""

    response: UpstreamResponse
    reason: http.Reason
    taken: bool = False


@dataclass(slots=True)
class Shared:
    """The answer is being stored: ``fields`` are the upstream's; parts come through ``body``. ``held`` is set once
    it is whole.
    """

    store: http.Store
    status: int
    fields: http.Headers
    body: Broadcast
    held: http.Held | None = None


@dataclass(slots=True)
class FromStore:
    """Answer from ``held``: it was confirmed, or it stands in for an upstream that failed."""

    held: http.Held
    reason: http.Reason
    confirmed: bool


@dataclass(slots=True)
class Failure:
    """No answer."""

    error: UpstreamError


Outcome = Own | Shared | FromStore | Failure


@dataclass(slots=True)
class Heard:
    """The head of an upstream's answer, and what the caching core says of it."""

    response: UpstreamResponse
    head: http.ResponseHead
    judged: http.Store | http.NoStore | http.Refreshed | http.Serve
    held: http.Held | None


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
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """A subscriber has what it wanted, or is gone."""
        self.subscribers -= 1
        if self.subscribers or self.background or self.storing or self.task is None:
            return
        self.task.cancel()
        if self.outcome.done() and not self.outcome.cancelled():
            outcome = self.outcome.result()
            if isinstance(outcome, Own) and not outcome.taken:
                outcome.taken = True
                outcome.response.close()

    async def run(self, heard: "Heard | None" = None) -> None:
        """Ask, judge, and store; or go on from an answer that was ``heard`` already."""
        try:
            heard = heard or await self.hear()
            if heard is not None:
                await self._conclude(heard)
        except asyncio.CancelledError:
            self._resolve(Failure(Broken("the gateway is stopping", sent=True)))
            raise
        except Exception:
            log.exception("a fetch failed")
            self._resolve(Failure(Broken("the gateway failed", sent=True)))
        finally:
            self.gateway.fetches.forget(self)

    async def hear(self) -> "Heard | None":
        """Ask the upstream and judge the head of its answer. ``None``: it failed, and the outcome says so."""
        held = self.decision.held if isinstance(self.decision, http.Revalidate) else None
        conditional = self.decision.conditional if isinstance(self.decision, http.Revalidate) else ()
        while True:
            birth, requested_at = self.gateway.store.birth(), time()
            try:
                response = await ask(self.gateway, self.x, conditional)
            except UpstreamError as error:
                self._resolve(self._on_error(held, error))
                return None
            head = http.ResponseHead(response.status, tuple(response.fields))
            judged = http.on_response(self.plan, held, head, requested_at, time(), birth)
            if not isinstance(judged, http.Refetch):
                return Heard(response, head, judged, held)
            response.close()
            await self.gateway.store.drop(self.plan, held)
            held, conditional = None, ()

    async def _conclude(self, heard: "Heard") -> None:
        response, judged = heard.response, heard.judged
        try:
            if isinstance(judged, http.Store):
                await self._store(response, judged, heard.head)
            elif isinstance(judged, http.Refreshed):
                stored = await self.gateway.store.put(self.plan, self._ruled(judged.entry))
                self._resolve(FromStore(stored, judged.reason, True))
            elif isinstance(judged, http.Serve):
                self._resolve(FromStore(judged.held, judged.reason, False))
            else:
                await self.not_stored(judged, heard.held)
                self._resolve(Own(response, judged.reason))
                return  # the caller who takes it closes it
        except BaseException:
            response.close()
            raise
        response.close()

    def _resolve(self, outcome: Outcome) -> None:
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
        # Callers who come from here on must not wait for an answer that isn't theirs.
        self.gateway.fetches.forget(self)
        if judged.ends:
            await store.drop(self.plan, held)

    def _ruled(self, entry: http.Entry) -> http.Entry:
        return replace(entry, headers=ruled(entry.headers, self.x.api.response_headers))

    async def _store(self, response: UpstreamResponse, judged: http.Store, head: http.ResponseHead) -> None:
        """Collect the body for the store and for everybody who waits. The last part leaves when the shared tier has
        the entry.
        """
        self.storing = True
        entry = self._ruled(judged.entry)
        body = Broadcast()
        shared = Shared(judged, head.status, head.headers, body)
        whole = response.whole
        if whole is not None:
            response.close()
            if len(whole) <= self.plan.policy.max_body:
                entry.body = whole
                shared.held = await self.gateway.store.put(self.plan, entry)
            body.put(whole)
            body.end()
            self._resolve(shared)
            return
        self._resolve(shared)
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
                if last:
                    body.put(last)
                last = part
                await body.room()
        except UpstreamError as error:
            body.end(error)
            return
        except asyncio.CancelledError:
            body.end(Broken("nobody waits for it", sent=True))
            raise
        response.close()
        if parts is not None and (judged.length is None or judged.length == size):
            entry.body = b"".join(parts)
            shared.held = await self.gateway.store.put(self.plan, entry)
        if last:
            body.put(last)
        body.end()

    def _give_up_storing(self, body: Broadcast) -> None:
        self.gateway.store.remember_pass(self.plan.fetch_key, time() + 10.0)
        self.gateway.fetches.forget(self)
        body.stop_keeping()
        self.storing = False
        if not self.subscribers and self.task is not None:
            self.task.cancel()


class Fetches:
    """The fetches under way in a worker, by fetch key."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._by_key: dict[bytes, Fetch] = {}
        self._running: set[asyncio.Task[None]] = set()

    def forget(self, fetch: Fetch) -> None:
        """No more subscribers for this one."""
        key = fetch.plan.fetch_key
        if key is not None and self._by_key.get(key) is fetch:
            del self._by_key[key]

    def refresh(self, x: Exchange, plan: http.RequestPlan, decision: http.Serve) -> None:
        """Refresh a stale answer in the background, unless somebody is at it."""
        if plan.fetch_key is None or plan.fetch_key in self._by_key:
            return
        fetch = Fetch(self._gateway, x, plan, http.Revalidate(decision.held, decision.conditional, decision.reason))
        fetch.background = True
        self._start(fetch, self._refresh(fetch))

    async def _refresh(self, fetch: Fetch) -> None:
        # Another worker may have done it already.
        try:
            held = await self._gateway.store.find(fetch.plan, time())
        except BaseException:
            self.forget(fetch)
            raise
        again = http.on_entry(fetch.plan, held, time())
        known = fetch.decision.held.entry if isinstance(fetch.decision, http.Revalidate) else None
        newer = held is not None and (known is None or held.entry.validated_at > known.validated_at)
        if isinstance(again, http.Serve) and not again.refresh and newer:
            fetch._resolve(FromStore(again.held, again.reason, True))
            self.forget(fetch)
            return
        if isinstance(again, http.Serve):
            fetch.decision = http.Revalidate(again.held, again.conditional, again.reason)
        await fetch.run()

    def _start(self, fetch: Fetch, work: Coroutine[None, None, None], *, alone: bool = False) -> None:
        if fetch.plan.fetch_key is not None and not alone:
            self._by_key[fetch.plan.fetch_key] = fetch
        task = fetch.task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def answer(self, x: Exchange) -> AnyAnswer:
        """The answer for a call that the tiers couldn't answer: from a fetch of its own, or from one under way."""
        plan, store = x.cache_plan, self._gateway.store
        for _ in range(TURNS):
            if plan.fetch_key is None or store.is_pass(plan.fetch_key, time()):
                break
            fetch = self._by_key.get(plan.fetch_key)
            collapsed = fetch is not None
            if fetch is None:
                fetch = Fetch(self._gateway, x, plan, x.decision)
                self._start(fetch, fetch.run())
            answer = await self._subscribe(fetch, x, collapsed)
            if answer is not None:
                return answer
            # It was not for us. What it stored may be: look again, then ask again.
            held = store.find_local(plan, time())
            decision = http.on_entry(plan, held, time())
            if isinstance(decision, http.Serve):
                return self._from_store(x, FromStore(decision.held, decision.reason, True), collapsed=True, hit=True)
            if isinstance(decision, (http.Fetch, http.Revalidate)):
                x.decision = decision
        return await self._alone(x)

    async def _alone(self, x: Exchange) -> AnyAnswer:
        """For a call that waits for nobody: in its own task, unless the answer is to be stored after all."""
        fetch = Fetch(self._gateway, x, x.cache_plan, x.decision)
        heard = await fetch.hear()
        if heard is not None and isinstance(heard.judged, http.NoStore):
            try:
                await fetch.not_stored(heard.judged, heard.held)
                return self._own(x, Own(heard.response, heard.judged.reason))
            except BaseException:
                heard.response.close()
                raise
        if heard is not None:
            self._start(fetch, fetch.run(heard), alone=True)
        return await self._subscribe(fetch, x, False) or failed(self._gateway, x, Broken("no answer", sent=True))

    async def _subscribe(self, fetch: Fetch, x: Exchange, collapsed: bool) -> AnyAnswer | None:
        """Wait for a fetch's outcome and make this caller's answer of it; ``None`` when it is for others only."""
        plan = x.cache_plan
        fetch.subscribers += 1
        stays = False
        try:
            outcome = await asyncio.shield(fetch.outcome)
            if collapsed:
                x.flags = (*x.flags, "collapsed") if "collapsed" not in x.flags else x.flags
            if isinstance(outcome, Own):
                if fetch.x is not x:
                    return None
                outcome.taken = True
                return self._own(x, outcome)
            if isinstance(outcome, Failure):
                return failed(self._gateway, x, outcome.error)
            if isinstance(outcome, FromStore):
                if collapsed and may_use(plan, outcome.held.entry) is not None:
                    return None
                return self._from_store(x, outcome, collapsed=collapsed)
            if collapsed and (not http.may_share(plan, outcome.store) or not outcome.body.keeping):
                return None
            answer = self._shared(x, fetch, outcome, collapsed)
            stays = isinstance(answer, Streamed)
            return answer
        finally:
            if not stays:
                fetch.leave()

    def _own(self, x: Exchange, outcome: Own) -> AnyAnswer:
        x.reason = outcome.reason.code
        x.cache = b"MISS"
        self._say(x, outcome.response.status, stored=False, detail=outcome.reason, collapsed=False)
        return passed_on(x, outcome.response)

    def _from_store(self, x: Exchange, outcome: FromStore, *, collapsed: bool, hit: bool = False) -> AnyAnswer:
        plan, now = x.cache_plan, time()
        x.reason = outcome.reason.code
        held = outcome.held
        x.cache = b"HIT" if hit else b"REVALIDATED" if outcome.confirmed else b"STALE"
        x.cache_status = http.cache_status(
            hit=hit,
            forwarded=x.decision.reason,
            upstream_status=x.upstream_status or None,
            ttl=int(held.fresh_until - now),
            stored=outcome.confirmed and not hit,
            collapsed=collapsed,
            key=plan.key_text if x.shows_detail else "",
            detail=outcome.reason if x.shows_detail else None,
        )
        return http.answer_from(held, plan, now)

    def _shared(self, x: Exchange, fetch: Fetch, outcome: Shared, collapsed: bool) -> AnyAnswer:
        plan, api = x.cache_plan, x.api
        x.reason = outcome.store.reason.code
        x.cache = b"MISS"
        self._say(
            x, outcome.status, stored=True, detail=outcome.store.reason, collapsed=collapsed, entry=outcome.store.entry
        )
        if outcome.held is not None and not plan.plain:
            # The caller's own condition or range is judged against what was just stored.
            return http.answer_from(outcome.held, plan, time())
        fields = answer_fields(x, api, outcome.status, outcome.fields)
        if outcome.held is not None:
            whole = outcome.held.entry.body
            return Answer(outcome.status, with_length(x.method, outcome.status, fields, whole), whole)
        reader = outcome.body.reader()
        return Streamed(outcome.status, fields, reader.read, lambda: _left(fetch, reader))

    def _say(
        self,
        x: Exchange,
        status: int,
        *,
        stored: bool,
        detail: http.Reason,
        collapsed: bool,
        entry: http.Entry | None = None,
    ) -> None:
        plan = x.cache_plan
        x.cache_status = http.cache_status(
            forwarded=x.decision.reason,
            upstream_status=status,
            ttl=int(entry.fresh_until - time()) if entry is not None else None,
            stored=stored,
            collapsed=collapsed,
            key=plan.key_text if x.shows_detail else "",
            detail=detail if x.shows_detail else None,
        )

    async def stop(self) -> None:
        """Cancel what is under way: nobody waits for it any more."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=0.5)


def _left(fetch: Fetch, reader: Reader) -> None:
    reader.leave()
    fetch.leave()

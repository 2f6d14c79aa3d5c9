"""One call to an upstream whose answer may be stored: a task of its own, to whose outcome callers subscribe."""

import asyncio
import logging
from time import time
from typing import TYPE_CHECKING

from apps.caching import http
from apps.gateway.broadcast import Broadcast
from apps.gateway.exchange import Exchange
from apps.gateway.keeping import keep
from apps.gateway.outcomes import Failure, FromStore, Heard, Outcome, Own, Shared
from apps.gateway.stages.forward import ask
from apps.gateway.upstream.client import UpstreamResponse
from apps.gateway.upstream.errors import Broken, TimedOut, Unreachable, UpstreamError

if TYPE_CHECKING:
    from apps.gateway.gateway import Gateway

log = logging.getLogger(__name__)


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

    async def run(self, heard: Heard | None = None) -> None:
        """Ask, judge, and store; or go on from an answer that was ``heard`` already."""
        try:
            heard = heard or await self.hear()
            if heard is not None:
                await self._conclude(heard)
        except asyncio.CancelledError:
            self.resolve(Failure(Broken("the gateway is stopping", sent=True)))
            raise
        except Exception:
            log.exception("a fetch failed")
            self.resolve(Failure(Broken("the gateway failed", sent=True)))
        finally:
            self.gateway.fetches.forget(self)

    async def hear(self) -> Heard | None:
        """Ask the upstream and judge the head of its answer. ``None``: it failed, and the outcome says so."""
        held = self.decision.held if isinstance(self.decision, http.Revalidate) else None
        conditional = self.decision.conditional if isinstance(self.decision, http.Revalidate) else ()
        while True:
            birth, requested_at = self.gateway.store.birth(), time()
            try:
                response = await ask(self.gateway, self.x, conditional)
            except UpstreamError as error:
                self.resolve(self._on_error(held, error))
                return None
            head = http.ResponseHead(response.status, tuple(response.fields))
            judged = http.on_response(self.plan, held, head, requested_at, time(), birth)
            if not isinstance(judged, http.Refetch):
                return Heard(response, head, judged, held)
            response.close()
            await self.gateway.store.drop(self.plan, held)
            held, conditional = None, ()

    async def _conclude(self, heard: Heard) -> None:
        response, judged = heard.response, heard.judged
        try:
            if isinstance(judged, http.Store):
                await self._store(response, judged, heard.head)
            elif isinstance(judged, http.Refreshed):
                stored = await self._keep(judged.entry, judged.entry.body)
                self.resolve(FromStore(stored, judged.reason, True))
            elif isinstance(judged, http.Serve):
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
        # Callers who come from here on must not wait for an answer that isn't theirs.
        self.gateway.fetches.forget(self)
        if judged.ends:
            await store.drop(self.plan, held)

    async def _keep(self, entry: http.Entry, body: bytes) -> http.Held:
        return await keep(self.gateway, self.x, self.plan, entry, body)

    async def _store(self, response: UpstreamResponse, judged: http.Store, head: http.ResponseHead) -> None:
        """Collect the body for the store and for everybody who waits. The last part leaves when the shared tier has
        the entry.
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
            self.resolve(shared)
            return
        self.resolve(shared)
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
            shared.held = await self._keep(judged.entry, b"".join(parts))
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

"""May the call be answered from what is stored."""

import logging
from random import random
from time import time

from apps import httpcache
from apps.cachestore.store import ResponseStore
from apps.gateway.call.call import Call
from apps.gateway.call.head_memo import ReadyResponse
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, WholeResponse, refuse
from apps.gateway.fetch.coalescer import Coalescer
from apps.gateway.fetch.lookups import SharedLookups
from apps.gateway.pipeline.cache_plan import plan_call
from apps.gateway.pipeline.stages import DependsOn, Need, Stage
from apps.gateway.pipeline.stages.route import relative_path

FRESH = httpcache.Reason.FRESH.code

log = logging.getLogger(__name__)


class PlanCache(Stage):
    """Plans, before the limits and the body, what the cache does with the call."""

    name = "plan_cache"
    depends_on = DependsOn.HEAD

    def __call__(self, x: Call) -> None:
        """Find out what the cache means to do with the call."""
        x.cache_plan = plan_of(x)

    def describe(self, x: Call) -> str:
        return ""


def plan_of(x: Call) -> httpcache.RequestPlan:
    """What the cache means to do with the call, as far as its head and what was read of its body tell."""
    api = x.api
    request = httpcache.Request(
        method=x.method,
        scheme=x.scheme,
        host=x.told_host,
        path=relative_path(api, x.path),
        query=x.query,
        headers=x.request_headers,
        has_body=x.body is not None,
        body=x.read_ahead.whole if x.read_ahead is not None else None,
    )
    return plan_call(api, request, x.credential, x.subject)


class Cache(Stage):
    """Responses from the two tiers."""

    name = "cache"

    def __init__(self, store: ResponseStore, lookups: SharedLookups, coalescer: Coalescer) -> None:
        self._store, self._lookups, self._coalescer = store, lookups, coalescer

    def __call__(self, x: Call) -> WholeResponse | Need | None:
        """Answer from the in-process tier, else from the shared one; else record what to ask the upstream.

        A stale response that may be served starts one refresh in the background.
        """
        plan = x.cache_plan
        if plan.bypass is not None:
            x.reason = plan.bypass.code
            return None
        now = time()
        if not x.shared_looked:
            plan.missed = httpcache.Reason.NOT_FOUND
            stored = self._store.find_local(plan, now)
            ready = x.head_memo.ready if x.head_memo is not None else None
            if (
                ready is not None
                and stored is not None
                and stored is ready.stored()
                and now < ready.until
                and not stored.soft
            ):
                # The same head met the same stored response within this second: so does the same decision hold.
                x.reason, x.cache, x.cache_status = FRESH, b"HIT", ready.cache_status
                response: WholeResponse = stored.ready
                return response
        else:
            stored, x.found = x.found, None
        decision = httpcache.on_entry(plan, stored, now, 1.0 - random())  # noqa: S311  a share of hits, not a secret
        if (
            type(decision) is not httpcache.Serve
            and not x.shared_looked
            and not self._store.is_hit_for_miss(plan.fetch_key, now)
        ):
            return Need(lambda: self._look_further(x))
        if decision.reason is httpcache.Reason.SCOPE_MISMATCH:
            self._store.stats.alarms += 1
            log.critical("a stored response of another caller was found under %s; it was not served", plan.key_text)
        x.reason = decision.reason.code
        if type(decision) is httpcache.Serve:
            if decision.refresh:
                self._coalescer.refresh(x, plan, decision)
            served = decision.stored
            x.cache = b"STALE" if decision.stale else b"HIT"
            x.cache_status = httpcache.cache_status(
                hit=True,
                ttl=int(served.fresh_until - now) if not served.soft else 0,
                key=plan.key_text if x.shows_detail else "",
                detail=decision.reason if x.shows_detail else None,
            )
            response = httpcache.response_from(served, plan, now)
            if (
                decision.reason is httpcache.Reason.FRESH
                and plan.plain
                and x.head_memo is not None
                and x.method != "HEAD"
            ):
                served.ready = GatewayResponse(response.status, response.headers, response.body, response.head)
                x.head_memo.ready = ReadyResponse(served, x.cache_status, now)
            return response
        if isinstance(decision, httpcache.GatewayTimeout):
            return refuse(x, Problem.NOT_STORED)
        x.decision = decision
        return None

    async def _look_further(self, x: Call) -> None:
        x.found, x.lock_attempt = await self._lookups.look(x.cache_plan)
        x.shared_looked = True

    def describe(self, x: Call) -> str:
        return x.reason

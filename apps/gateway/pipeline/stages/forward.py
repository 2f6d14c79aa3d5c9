"""Asking the upstream: by way of the cache's fetches, or past the cache."""

from apps import httpcache
from apps.gateway.call.call import Call
from apps.gateway.call.request_body import BodyRefused
from apps.gateway.call.responses import AnyResponse, refuse
from apps.gateway.fetch.coalescer import Coalescer
from apps.gateway.fetch.invalidation import Invalidation
from apps.gateway.fetch.responses import failed, passed_on
from apps.gateway.upstream.calls import UpstreamCalls
from apps.gateway.upstream.errors import UpstreamError
from apps.gateway.validation.refusal import OFF
from apps.gateway.validation.responses import ResponseReports
from apps.wire.call_records import QUERY


class Forward:
    """Asks the upstream for the response of a call that no stage answered."""

    def __init__(
        self, coalescer: Coalescer, calls: UpstreamCalls, invalidation: Invalidation, reports: ResponseReports
    ) -> None:
        self._coalescer, self._calls, self._invalidation, self._reports = coalescer, calls, invalidation, reports

    async def __call__(self, x: Call) -> AnyResponse:
        """Get the response from the upstream, by way of the cache's fetches where the response may be stored or shared."""
        if x.cache_plan.bypass is None:
            if x.query is not None:
                x.flags += (QUERY,)
            response = await self._coalescer.respond(x)
        else:
            response = await self._pass_by(x)
        return response if x.api.validation.response == OFF else self._reports.watch(x, response)

    async def _pass_by(self, x: Call) -> AnyResponse:
        """Forward a call that the cache has no part in. A call that may have written something ends what it made wrong
        before its response leaves.
        """
        plan, api = x.cache_plan, x.api
        unsafe = plan.writes
        try:
            response = await self._calls.ask(x)
        except UpstreamError as error:
            if unsafe and (error.sent or error.sent_before):
                await self._invalidation.invalidate(api, plan.request, None)
            return failed(x, error)
        except BodyRefused as error:
            if unsafe:
                await self._invalidation.invalidate(api, plan.request, None)
            return refuse(x, error.problem)
        try:
            if unsafe:
                head = httpcache.ResponseHead(response.status, tuple(response.fields))
                await self._invalidation.invalidate(api, plan.request, head)
            x.cache_status = httpcache.cache_status(
                forwarded=plan.bypass,
                upstream_status=response.status,
                detail=plan.bypass if x.shows_detail else None,
            )
            return passed_on(x, response)
        except BaseException:
            response.close()
            raise

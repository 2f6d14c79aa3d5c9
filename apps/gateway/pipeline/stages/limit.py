"""How often a subscription may call."""

from math import ceil
from time import monotonic

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.limits.allowances import RATE, Allowance, Allowances
from apps.gateway.pipeline.stages import Need, Stage


class Limit(Stage):
    """Takes calls from the allowances of subscriptions."""

    name = "limit"

    def __init__(self, allowances: Allowances) -> None:
        self._allowances = allowances

    def __call__(self, x: Call) -> GatewayResponse | Need | None:
        """Take one call from the subscription's allowance. Refuses with 429; needs to borrow when nothing is here."""
        plan, grant = x.plan, x.grant
        if plan is None or grant is None or (plan.rate is None and plan.quota is None):
            return None
        now = x.began if not x.stage else monotonic()
        allowances = self._allowances
        allowance = allowances.of(grant.subscription, plan, now)
        if allowance.take(now):
            if allowance.tokens <= allowance.low:
                allowances.refill_soon(allowance)
        elif now < allowance.refused_until and not allowances.away:
            return _over(x, allowance, now)
        elif allowances.away:
            if "local_share" not in x.flags:
                x.flags += ("local_share",)
            if not allowance.take_local(now, allowances.workers):
                return _over(x, allowance, now)
        else:
            return Need(lambda: self._borrow(allowance))
        x.allowance = allowance
        x.limit_lines = allowance.lines(now)
        return None

    async def _borrow(self, allowance: Allowance) -> None:
        allowance.waiting += 1
        try:
            await self._allowances.borrow(allowance)
        finally:
            allowance.waiting -= 1

    def describe(self, x: Call) -> str:
        if x.allowance is None:
            return "unlimited"
        return "local share" if "local_share" in x.flags else "within the limits"


def _over(x: Call, allowance: Allowance, now: float) -> GatewayResponse:
    x.limit_lines = allowance.lines(now)
    problem = Problem.RATE_LIMITED if allowance.refused_why == RATE else Problem.QUOTA_EXCEEDED
    return refuse(x, problem, extra=((b"retry-after", b"%d" % max(1, ceil(allowance.retry_at - now))),))

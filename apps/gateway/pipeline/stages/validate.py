"""Is the call one that the API takes."""

from apps.gateway.call.call import Call
from apps.gateway.call.keyed_body import KEYED_BYTES, ReadAhead
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.pipeline.stages import DependsOn, Need, Stage
from apps.gateway.pipeline.stages.cache import plan_of


class Validate(Stage):
    """Checks bodies."""

    name = "validate"
    depends_on = DependsOn.BODY

    def __call__(self, x: Call) -> GatewayResponse | Need | None:
        """Check the declared size of the body (413). One of unknown size is counted while it is read: here, where it is
        part of the cache's key, else on its way to the upstream.
        """
        if x.body is None:
            return None
        x.body.limit = x.api.body_limit
        if x.body.length is not None and x.body.length > x.api.body_limit:
            return refuse(x, Problem.BODY_TOO_LARGE)
        return _keyed(x) if x.cache_plan.wants_body else None


def _keyed(x: Call) -> GatewayResponse | Need | None:
    ahead = x.read_ahead
    if ahead is None:
        if x.body is None or (x.body.length or 0) > KEYED_BYTES:
            return None
        return Need(lambda: _read_ahead(x))
    if ahead.error is not None:
        return refuse(x, ahead.error.problem)
    if ahead.whole is not None:
        x.cache_plan = plan_of(x)
    return None


async def _read_ahead(x: Call) -> None:
    if x.body is not None:
        ahead = x.read_ahead = ReadAhead(x.body)
        await ahead.read()

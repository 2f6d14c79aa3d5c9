"""Is the call one that the API takes."""

from apps.gateway.call.call import Call
from apps.gateway.call.content_digest import is_body_of
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
        part of the cache's key or signed, else on its way to the upstream. One that isn't what was signed is refused (400).
        """
        if x.body is None:
            return None
        x.body.limit = x.api.body_limit
        if x.body.length is not None and x.body.length > x.api.body_limit:
            return refuse(x, Problem.BODY_TOO_LARGE)
        return _read(x) if x.cache_plan.wants_body or x.body_digests else None


def _read(x: Call) -> GatewayResponse | Need | None:
    """A body that is part of the cache's key, or that its caller signed."""
    ahead = x.read_ahead
    if ahead is None and x.body is not None and (x.body.length or 0) <= KEYED_BYTES:
        return Need(lambda: _read_ahead(x))
    if ahead is not None and ahead.error is not None:
        return refuse(x, ahead.error.problem)
    whole = ahead.whole if ahead is not None else None
    if x.body_digests:
        if whole is None:
            return refuse(x, Problem.BODY_TOO_LARGE, f"A signed body has {KEYED_BYTES} bytes at most.")
        if not is_body_of(x.body_digests, whole):
            return refuse(x, Problem.INVALID_REQUEST, "The body is not the one whose Content-Digest was signed.")
    if whole is not None and x.cache_plan.wants_body:
        x.cache_plan = plan_of(x)
    return None


async def _read_ahead(x: Call) -> None:
    if x.body is not None:
        ahead = x.read_ahead = ReadAhead(x.body)
        await ahead.read()

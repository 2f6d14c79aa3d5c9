"""May this credential call this API."""

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.stages import FOREVER, DependsOn, Stage
from apps.gateway.pipeline.stages.authenticate import not_ready
from apps.gateway.pipeline.stages.route import relative_path
from apps.httpcache.fields import UNKEYED_ECHOES, without
from apps.wire.snapshot import Credential


class Authorize(Stage):
    """Checks subscriptions."""

    name = "authorize"
    depends_on = DependsOn.HEAD

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config

    def __call__(self, x: Call) -> GatewayResponse | None:
        """Check what the credential is for, and the subscription. Refuses with 403; a call without a credential needs none."""
        credential, api = x.credential, x.api
        if credential is None:
            return None
        refusal = refusal_of(credential, api.slug, x.at) or refusal_of_bounds(credential, x)
        if refusal is not None:
            return refuse(x, *refusal)
        if credential.methods or credential.operations or credential.kind == "signing_key" or api.jwt.operations:
            # By these an origin would take the call for one that the credential is not good for, or that nobody signed.
            x.request_headers = without(x.request_headers, UNKEYED_ECHOES)
        x.grant = grant = credential.grants[api.slug]
        plan = x.plan = self._config.plan(grant.plan)
        # Without its plan a subscription's limits aren't known; with a plan of shorter trust, its keys aren't either.
        if plan is None or not self._config.trust_lease.valid(x.began, plan.trust_lease):
            return not_ready(x)
        return None

    def until(self, x: Call) -> float:
        return FOREVER if x.grant is None or x.grant.expires_at is None else x.grant.expires_at

    def describe(self, x: Call) -> str:
        return f"{x.grant.state} {x.grant.plan}" if x.grant is not None else "open"


def refusal_of(credential: Credential, api: str, at: float) -> tuple[Problem, str | None] | None:
    """Why a credential may not call an API at ``at`` (Unix seconds): the problem, and what is said of it where that is more
    than the problem's own detail.
    """
    if credential.state == "tenant_suspended":
        return Problem.NOT_SUBSCRIBED, "The tenant is suspended."
    if not credential.is_for(api):
        return Problem.KEY_NOT_FOR_API, None
    grant = credential.grants.get(api)
    if grant is None or (grant.expires_at is not None and grant.expires_at <= at):
        return Problem.NOT_SUBSCRIBED, None
    if grant.state != "active":
        return Problem.NOT_SUBSCRIBED, "The subscription is suspended."
    return None


def refusal_of_bounds(credential: Credential, x: Call) -> tuple[Problem, str] | None:
    """Why a credential is not for this method or operation: the problem, and which of its bounds says so."""
    if credential.methods and x.method not in credential.methods:
        return Problem.KEY_NOT_FOR_API, "This credential is good for other methods only."
    if not credential.allows(x.method, relative_path(x.api, x.path)):
        return Problem.KEY_NOT_FOR_API, "This credential is good for other operations only."
    return None

"""May this key call this API."""

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.stages import FOREVER, DependsOn, Stage
from apps.gateway.pipeline.stages.authenticate import not_ready


class Authorize(Stage):
    """Checks subscriptions."""

    name = "authorize"
    depends_on = DependsOn.HEAD

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config

    def __call__(self, x: Call) -> GatewayResponse | None:
        """Check what the key is for, and the subscription. Refuses with 403; a call without a key needs none."""
        credential, api = x.credential, x.api
        if credential is None:
            return None
        if credential.state == "tenant_suspended":
            return refuse(x, Problem.NOT_SUBSCRIBED, "The tenant is suspended.")
        if not credential.is_for(api.slug):
            return refuse(x, Problem.KEY_NOT_FOR_API)
        grant = credential.grants.get(api.slug)
        if grant is None or (grant.expires_at is not None and grant.expires_at <= x.at):
            return refuse(x, Problem.NOT_SUBSCRIBED)
        if grant.state != "active":
            return refuse(x, Problem.NOT_SUBSCRIBED, "The subscription is suspended.")
        x.grant = grant
        plan = x.plan = self._config.plan(grant.plan)
        # Without its plan a subscription's limits aren't known; with a plan of shorter trust, its keys aren't either.
        if plan is None or not self._config.trust_lease.valid(x.began, plan.trust_lease):
            return not_ready(x)
        return None

    def until(self, x: Call) -> float:
        return FOREVER if x.grant is None or x.grant.expires_at is None else x.grant.expires_at

    def describe(self, x: Call) -> str:
        return f"{x.grant.state} {x.grant.plan}" if x.grant is not None else "open"

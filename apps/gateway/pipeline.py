"""A call's way through the stages, in two halves.

``begin`` is plain and works on what is here: most hits and refusals end in it. ``finish`` is a coroutine and waits for what the
first half lacked: a credential record, an allowance, the shared tier, the upstream.
"""

from time import monotonic
from typing import TYPE_CHECKING

from apps.caching.http import RequestPlan
from apps.gateway.answers import Answer, AnyAnswer, Whole, refuse
from apps.gateway.exchange import Exchange
from apps.gateway.head_limits import refusal
from apps.gateway.own import own_answer
from apps.gateway.snapshot import API, Credential, Grant, Plan
from apps.gateway.stages import Need
from apps.gateway.stages.authenticate import authenticate
from apps.gateway.stages.authorize import authorize
from apps.gateway.stages.cache import cache, plan_cache
from apps.gateway.stages.forward import forward
from apps.gateway.stages.limit import limit
from apps.gateway.stages.route import route
from apps.gateway.stages.validate import validate

if TYPE_CHECKING:
    from apps.gateway.gateway import Gateway

STAGES = (route, authenticate, authorize, limit, validate, cache)
ADMITTED = STAGES.index(limit)
"""The first stage that depends on more than the head and the configuration."""

MEMORY = 4096
"""Heads whose admission is remembered."""

LARGEST = 4096
"""Bytes of fields in a head that is remembered."""

FOREVER = float("inf")


class Admission:
    """What the first stages found out about a head; the same for each call with this head until the configuration changes."""

    __slots__ = (
        "api",
        "cache_plan",
        "credential",
        "expires",
        "grant",
        "host",
        "operation",
        "path",
        "plan",
        "query",
        "request_headers",
        "scheme",
        "told_host",
        "trace",
        "version",
    )

    def __init__(self, x: Exchange, version: int) -> None:
        self.version = version
        self.host, self.path, self.query, self.scheme = x.host, x.path, x.query, x.scheme
        self.told_host = x.told_host
        self.request_headers = x.request_headers
        self.api: API = x.api
        self.operation = x.operation
        self.credential: Credential | None = x.credential
        self.grant: Grant | None = x.grant
        self.plan: Plan | None = x.plan
        self.cache_plan: RequestPlan = x.cache_plan
        ends = [each.expires_at for each in (x.credential, x.grant) if each is not None and each.expires_at is not None]
        self.expires = min(ends, default=FOREVER)
        self.trace = tuple((name, said, 0.0) for name, said, _ in x.trace)


_Key = tuple[str, bytes, tuple[tuple[bytes, bytes], ...], str, str]


class Pipeline:
    """Takes exchanges through the stages of one worker."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._admissions: dict[_Key, Admission] = {}

    def begin(self, x: Exchange) -> Whole | Need | None:
        """As far as it goes without waiting: an answer, what is needed, or ``None``: the upstream must be asked."""
        key: _Key | None = None
        if x.body is None:
            key = (x.method, x.target, x.headers, x.scheme, x.client if self._gateway.trusts(x.client) else "")
            admission = self._admissions.get(key)
            if admission is not None and self._admit(x, admission):
                return self._go_on(x)
        answer = self._at_the_door(x) or self._stages(x, 0, ADMITTED)
        if answer is not None:
            return answer
        x.cache_plan = plan_cache(x)
        if key is not None and sum(len(name) + len(value) for name, value in x.headers) <= LARGEST:
            if len(self._admissions) >= MEMORY:
                self._admissions.clear()
            self._admissions[key] = Admission(x, self._gateway.world.version)
        return self._go_on(x)

    async def finish(self, x: Exchange, outcome: Need | None) -> AnyAnswer:
        """The rest of a call, from what ``begin`` came to."""
        step: AnyAnswer | Need | None = outcome
        while isinstance(step, Need):
            await step.wait()
            step = self._resume(x)
        if step is None:
            step = await forward(self._gateway, x)
        return step

    def _admit(self, x: Exchange, admission: Admission) -> bool:
        """Use what is remembered of this head, if it still holds."""
        gateway = self._gateway
        if admission.version != gateway.world.version or admission.expires <= x.at:
            return False
        plan = admission.plan
        if admission.credential is not None and not gateway.world.lease.valid(
            x.began, plan.trust_lease if plan is not None else None
        ):
            return False
        x.host, x.path, x.query, x.scheme = admission.host, admission.path, admission.query, admission.scheme
        x.told_host = admission.told_host
        x.request_headers = admission.request_headers
        x.api, x.operation = admission.api, admission.operation
        x.credential, x.grant, x.plan = admission.credential, admission.grant, plan
        x.cache_plan = admission.cache_plan
        x.trace = admission.trace
        return True

    def _at_the_door(self, x: Exchange) -> Answer | None:
        refused = refusal(x.target, x.version, x.headers)
        if refused is not None:
            x.path = x.target.partition(b"?")[0][:1024]
            return refuse(x, *refused)
        return own_answer(self._gateway, x)

    def _resume(self, x: Exchange) -> Whole | Need | None:
        if x.stage < ADMITTED:
            step = self._stages(x, x.stage, ADMITTED)
            if step is not None:
                return step
            x.cache_plan = plan_cache(x)
            x.stage = ADMITTED
        return self._stages(x, x.stage, len(STAGES))

    def _go_on(self, x: Exchange) -> Whole | Need | None:
        return self._stages(x, ADMITTED, len(STAGES))

    def _stages(self, x: Exchange, start: int, end: int) -> Whole | Need | None:
        gateway = self._gateway
        for index in range(start, end):
            stage = STAGES[index]
            outcome = stage(gateway, x)
            if type(outcome) is Need:
                x.stage = index
                return outcome
            x.trace += ((stage.__name__, _said(stage.__name__, x), (monotonic() - x.began) * 1000),)
            if outcome is not None:
                return outcome
        x.stage = end
        return None


def _said(stage: str, x: Exchange) -> str:
    """What a stage decided, for "explain this call"."""
    if x.code:
        return x.code
    if stage == "route":
        return x.api.slug
    if stage == "authenticate":
        return f"key {x.credential.key_id}" if x.credential is not None else "no key"
    if stage == "authorize":
        return f"{x.grant.state} {x.grant.plan}" if x.grant is not None else "open"
    if stage == "limit":
        if x.allowance is None:
            return "unlimited"
        return "local share" if "local_share" in x.flags else "within the limits"
    if stage == "cache":
        return x.reason
    return "ok"

"""A call's way through the stages, in two halves.

``begin`` is plain and works on what is here: most hits and refusals end in it. ``finish`` is a coroutine and waits for
what the first half lacked: a credential record, an allowance, the shared tier, the upstream.
"""

from time import monotonic, time
from typing import TYPE_CHECKING

from apps.caching.http.recent import Recent
from apps.gateway.admission import Admission
from apps.gateway.answers import Answer, AnyAnswer, Whole, refuse
from apps.gateway.exchange import Exchange
from apps.gateway.head_limits import refusal
from apps.gateway.own import own_answer
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

MEMORY = 32 * 2**20
"""Bytes for admissions that are remembered, in each of the two tables: by fields and by the bytes of a head."""

LARGEST = 4096
"""Bytes of fields in a head that is remembered."""

_Key = tuple[str, bytes, tuple[tuple[bytes, bytes], ...], str, str, str]


class Pipeline:
    """Takes exchanges through the stages of one worker."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._admissions: Recent[_Key, Admission] = Recent(MEMORY, lambda _, admission: admission.size)
        self.heads: Recent[bytes, Admission] = Recent(MEMORY, lambda head, admission: len(head) + admission.size)
        """Admissions by the very bytes of a head, for a door that sees them. A caller that is a trusted proxy has
        none here.
        """
        self._version = 0

    def begin(self, x: Exchange) -> Whole | Need | None:
        """As far as it goes without waiting: an answer, what is needed, or ``None``: the upstream must be asked."""
        gateway = self._gateway
        key: _Key | None = None
        if x.body is None:
            if gateway.world.version != self._version:
                self._forget()
            proxy = x.client if gateway.trusts(x.client) else ""
            key = (x.method, x.target, x.headers, x.version, x.scheme, proxy)
            admission = self._admissions.get(key)
            if admission is not None and admission.holds(gateway.world, x):
                admission.admit(x)
                return self.go_on(x)
        answer = self.at_the_door(x) or self._stages(x, 0, ADMITTED)
        if answer is not None:
            return answer
        x.cache_plan = plan_cache(x)
        if key is not None and not x.warms and sum(len(name) + len(value) for name, value in x.headers) <= LARGEST:
            x.admission = Admission(x, gateway.world.version)
            self._admissions.put(key, x.admission)
        return self.go_on(x)

    def _forget(self) -> None:
        """The configuration changed: what was decided under another one counts no more, and would keep that one in memory."""
        self._admissions.clear()
        self.heads.clear()
        self._version = self._gateway.world.version

    def again(self, admission: Admission, client: str) -> Exchange | None:
        """A call with the very head of an earlier one, admitted; ``None`` when that must be decided anew."""
        x = Exchange(
            admission.method,
            admission.target,
            (),
            call_id=self._gateway.spool.next_call_id(),
            began=monotonic(),
            at=time(),
            client=client,
        )
        x.headers = admission.headers
        if admission.given_id:
            x.request_id = admission.given_id
        if not admission.holds(self._gateway.world, x):
            return None
        admission.admit(x)
        return x

    def remember(self, head: bytes, x: Exchange) -> None:
        """That these bytes are the head of a call that was admitted as ``x``."""
        if x.admission is not None and len(head) <= LARGEST:
            self.heads.put(head, x.admission)

    def go_on(self, x: Exchange) -> Whole | Need | None:
        """The rest of the first half, for an admitted call."""
        gateway = self._gateway
        outcome: Whole | Need | None = limit(gateway, x)
        if outcome is not None:
            return self._stopped(x, outcome, ADMITTED)
        if x.body is not None and (outcome := validate(gateway, x)) is not None:
            return self._stopped(x, outcome, ADMITTED + 1)
        outcome = cache(gateway, x)
        if type(outcome) is Need:
            x.stage = len(STAGES) - 1
        else:
            ms = (monotonic() - x.began) * 1000
            x.trace = (*x.trace, ("limit", _said("limit", x), ms), ("cache", x.reason, ms))
            x.stage = len(STAGES)
        return outcome

    def _stopped(self, x: Exchange, outcome: Whole | Need, stage: int) -> Whole | Need:
        x.stage = stage
        if type(outcome) is not Need:
            x.trace = (*x.trace, (STAGES[stage].__name__, x.code, (monotonic() - x.began) * 1000))
        return outcome

    async def finish(self, x: Exchange, outcome: Need | None) -> AnyAnswer:
        """The rest of a call, from what ``begin`` came to."""
        step: AnyAnswer | Need | None = outcome
        while isinstance(step, Need):
            await step.wait()
            step = self._resume(x)
        if step is None:
            step = await forward(self._gateway, x)
        return step

    def at_the_door(self, x: Exchange) -> Answer | None:
        """What needs no route: the refusal of a bad head, and the gateway's own addresses."""
        refused = refusal(x.method, x.target, x.version, x.headers)
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
        if x.credential is None:
            return "warm-up" if x.warms else "no key"
        return f"key {x.credential.key_id}"
    if stage == "authorize":
        return f"{x.grant.state} {x.grant.plan}" if x.grant is not None else "open"
    if stage == "limit":
        if x.allowance is None:
            return "unlimited"
        return "local share" if "local_share" in x.flags else "within the limits"
    if stage == "cache":
        return x.reason
    return "ok"

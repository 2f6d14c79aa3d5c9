"""A call's way through the stages, in two halves.

``begin`` is plain and works on what is here: most hits and refusals end in it. ``finish`` is a coroutine and waits for
what the first half lacked: a credential record, an allowance, the shared tier, the upstream.

What a stage declares (``stages``) decides when it runs. First come those whose outcome depends on the head: once they have let a
call through, that is remembered with the head, and the next call with it takes up there. The others run behind them, on every
call. Within the two groups the order in which they are given holds. The cache comes last: no hit goes past a stage.
"""

from collections.abc import Callable, Container, Iterable, Sequence, Set
from time import monotonic, time

from apps.gateway.call.call import Call
from apps.gateway.call.head_limits import refusal
from apps.gateway.call.responses import AnyResponse, GatewayResponse, WholeResponse, refuse
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.head_cache import HeadCacheEntry
from apps.gateway.pipeline.own_endpoints import OwnEndpoints
from apps.gateway.pipeline.stages import DependsOn, Need, Stage, Step
from apps.gateway.pipeline.stages.forward import Forward
from apps.httpcache.bounded_table import Recent

MEMORY = 32 * 2**20
"""Bytes of the head cache, in each of its two tables: by fields and by the bytes of a head."""

LARGEST = 4096
"""Bytes of fields in a head that is remembered."""

_PLACE = {"stage", "trace"}

_Key = tuple[str, bytes, tuple[tuple[bytes, bytes], ...], str, str, str]


class Pipeline:
    """Takes calls through the stages of one worker.

    ``cache`` runs behind ``stages``, and ``forward`` gets from the upstream what is not stored. ``trusts`` says whether an address
    is a trusted proxy's.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        cache: Stage,
        forward: Forward,
        own_endpoints: OwnEndpoints,
        config: WorkerConfig,
        trusts: Callable[[str], bool],
        next_call_id: Callable[[], str],
    ) -> None:
        self._forward, self._own_endpoints, self._config = forward, own_endpoints, config
        self._trusts, self._next_call_id = trusts, next_call_id
        by_head = [each for each in stages if each.depends_on in (DependsOn.HEAD, DependsOn.ADDRESS)]
        ordered = [*by_head, *(each for each in stages if each not in by_head), cache]
        self._by_head = len(by_head)
        self._with_body = _steps(ordered, set(DependsOn))
        self._without_body = _steps(ordered, {DependsOn.HEAD, DependsOn.ADDRESS, DependsOn.CALL})
        self._again = _steps(ordered, {DependsOn.CALL})
        """What runs for a remembered head, which has no body; and where the client's address is another one:"""
        self._again_elsewhere = _steps(ordered, {DependsOn.ADDRESS, DependsOn.CALL})
        self._until = tuple(each.until for each in by_head)
        self._entries: Recent[_Key, HeadCacheEntry] = Recent(MEMORY, lambda _, head_memo: head_memo.size)
        self.heads: Recent[bytes, HeadCacheEntry] = Recent(MEMORY, lambda head, head_memo: len(head) + head_memo.size)
        """Entries of the head cache by the very bytes of a head, for a server that sees them. Calls by way of a trusted proxy
        have none here.
        """
        self._version = 0

    def begin(self, x: Call) -> WholeResponse | Need | None:
        """As far as it goes without waiting: a response, what is needed, or ``None``: the upstream must be asked."""
        key: _Key | None = None
        if x.body is None:
            if self._config.version != self._version:
                self._forget()
            proxy = x.client if self._trusts(x.client) else ""
            key = (x.method, x.target, x.headers, x.version, x.scheme, proxy)
            head_memo = self._entries.get(key)
            if head_memo is not None and head_memo.holds(self._config, x.at, x.began):
                head_memo.admit(x)
                x.stages = self._again if x.client == head_memo.client else self._again_elsewhere
                return self.go_on(x)
        response = self.without_route(x)
        if response is not None:
            return response
        x.stages = self._with_body if x.body is not None else self._without_body
        came = set(vars(x))
        outcome = self.go_on(x, self._by_head)
        if outcome is not None:
            return outcome
        if key is not None:
            self._remember(key, x, vars(x).keys() - came - _PLACE)
        return self.go_on(x)

    def _remember(self, key: _Key, x: Call, found: Set[str]) -> None:
        """``found`` are the names of what the stages set that depend on the head."""
        until = min(ends(x) for ends in self._until)
        if until > x.at and sum(len(name) + len(value) for name, value in x.headers) <= LARGEST:
            head_memo = x.head_memo = HeadCacheEntry(x, found, self._config.version, until)
            self._entries.put(key, head_memo)

    def _forget(self) -> None:
        """The configuration changed: what was decided under another one counts no more, and would keep that one in memory."""
        self._entries.clear()
        self.heads.clear()
        self._version = self._config.version

    def again(self, head_memo: HeadCacheEntry, client: str) -> Call | None:
        """A call with the very head of an earlier one, admitted; ``None`` when that must be decided anew."""
        now, at = monotonic(), time()
        if not head_memo.holds(self._config, at, now):
            return None
        x = head_memo.again(self._next_call_id(), now, at, client)
        x.stages = self._again if client == head_memo.client else self._again_elsewhere
        return x

    def remember(self, head: bytes, x: Call) -> None:
        """That these bytes are the head of a call that was admitted as ``x``."""
        if isinstance(x.head_memo, HeadCacheEntry) and len(head) <= LARGEST:
            self.heads.put(head, x.head_memo)

    def go_on(self, x: Call, end: int | None = None) -> WholeResponse | Need | None:
        """Run the call's stages from the one that it has come to, as far as it goes without waiting."""
        steps: tuple[Step, ...] = x.stages
        place, trace, outcome = x.stage, x.trace, None
        for run, name, describe in steps[place:end]:
            outcome = run(x)
            if type(outcome) is Need:
                break
            place += 1
            decision = (x.why or x.code) if x.code else describe(x)
            if decision:
                trace += ((name, decision, (monotonic() - x.began) * 1000),)
            if outcome is not None:
                break
        x.stage, x.trace = place, trace
        return outcome

    async def finish(self, x: Call, outcome: Need | None) -> AnyResponse:
        """The rest of a call, from what ``begin`` came to."""
        step: AnyResponse | Need | None = outcome
        while isinstance(step, Need):
            await step.wait()
            step = self.go_on(x)
        if step is None:
            step = await self._forward(x)
        return step

    def without_route(self, x: Call) -> GatewayResponse | None:
        """What needs no route: the refusal of a bad head, and the gateway's own addresses."""
        refused = refusal(x.method, x.target, x.version, x.headers)
        if refused is not None:
            x.path = x.target.partition(b"?")[0][:1024]
            return refuse(x, *refused)
        return self._own_endpoints.respond(x)


def _steps(stages: Iterable[Stage], kinds: Container[DependsOn]) -> tuple[Step, ...]:
    return tuple((each.__call__, each.name, each.describe) for each in stages if each.depends_on in kinds)

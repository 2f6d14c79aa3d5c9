"""A caller, the core, and an origin that answers by script: whole exchanges over a dictionary, with a clock of their own."""

from dataclasses import dataclass, field

from apps.httpcache import (
    ANONYMOUS,
    Failed,
    Fetch,
    GatewayTimeout,
    NoStore,
    Policy,
    Refetch,
    Refreshed,
    Request,
    ResponseHead,
    Reuse,
    Revalidate,
    Serve,
    Store,
    StoredResponse,
    UpstreamFailure,
    find,
    on_entry,
    on_error,
    on_response,
    on_reuse,
    on_unsafe,
    placement,
    plan_request,
    response_from,
    tags_of,
)
from tests.httpcache.build import NOW, pairs


@dataclass
class Origin:
    """What the origin says next; ``seen`` are the requests that reached it."""

    status: int = 200
    headers: list = field(default_factory=list)
    body: bytes = b"body"
    failure: UpstreamFailure | None = None
    seen: list = field(default_factory=list)

    def answer(self, method, headers):
        self.seen.append((method, dict(headers)))
        if self.failure is not None:
            return self.failure
        return self.status, pairs(self.headers), self.body


@dataclass
class Outcome:
    """What the caller got, and how: ``hit``, ``stale``, ``validated``, ``miss``, ``failed`` or ``refused``."""

    how: str
    status: int
    headers: dict
    body: bytes
    reason: str


class Exchange:
    """A cache in front of ``origin``. ``ask`` makes one call at the present moment."""

    def __init__(self, policy=None):
        self.policy = policy or Policy(api="products")
        self.origin = Origin()
        self.now = NOW
        self.shelf = {}
        self.refreshes = 0

    def says(self, *headers, status=200, body=b"body", failure=None):
        """What the origin answers from now on."""
        self.origin.headers, self.origin.status = list(headers), status
        self.origin.body, self.origin.failure = body, failure
        return self

    def wait(self, seconds):
        self.now += seconds
        return self

    def ask(self, *headers, method="GET", path="/a", query=None, identity=ANONYMOUS) -> Outcome:
        request = Request(method, "http", b"h", path.encode(), query and query.encode(), pairs(headers))
        plan = plan_request(request, self.policy, identity)
        if plan.bypass is not None:
            return self._past(plan)
        held = self._find(plan)
        decision = on_entry(plan, held, self.now)
        if isinstance(decision, GatewayTimeout):
            return Outcome("refused", 504, {}, b"", decision.reason.code)
        if isinstance(decision, Serve):
            found = self._answered("stale" if decision.stale else "hit", decision, plan)
            if decision.refresh:
                self.refreshes += 1
                self._fetch(plan, Revalidate(decision.stored, decision.conditional, decision.reason))
            return found
        return self._fetch(plan, decision)

    def _past(self, plan):
        said = self.origin.answer(plan.request.method, plan.upstream_headers())
        head = None if isinstance(said, UpstreamFailure) else ResponseHead(said[0], said[1])
        ended = set(on_unsafe(plan.request, self.policy, head))
        for key in [
            key
            for key, held in self.shelf.items()
            if isinstance(held, StoredResponse) and ended & set(tags_of(held.entry))
        ]:
            del self.shelf[key]
        if head is None:
            return Outcome("failed", 502, {}, b"", plan.bypass.code)
        return Outcome("miss", said[0], dict(said[1]), said[2], plan.bypass.code)

    def _fetch(self, plan, decision: Fetch | Revalidate):
        held = decision.stored if isinstance(decision, Revalidate) else None
        conditional = decision.conditional if isinstance(decision, Revalidate) else ()
        if not isinstance(decision, Revalidate):
            conditional = decision.conditional
        said = self.origin.answer(plan.request.method, plan.upstream_headers(conditional))
        if isinstance(said, UpstreamFailure):
            stand_in = on_error(plan, held, said, self.now)
            if isinstance(stand_in, Failed):
                return Outcome("failed", 502, {}, b"", stand_in.reason.code)
            return self._answered("stale", stand_in, plan)
        status, headers, body = said
        judged = on_response(plan, held, ResponseHead(status, headers), self.now, self.now, (1, 0))
        if isinstance(judged, Serve):
            return self._answered("stale", judged, plan)
        if isinstance(judged, Reuse):
            other = self.shelf.get(judged.key)
            judged = on_reuse(plan, other, ResponseHead(status, headers), self.now, self.now, (1, 0))
        if isinstance(judged, Refreshed):
            self._put(plan, judged.entry)
            return self._answered("validated", Serve(StoredResponse(judged.entry), judged.reason), plan)
        if isinstance(judged, Refetch):
            self._drop(held)
            plan.others = ()
            return self._fetch(plan, Fetch(judged.reason))
        if isinstance(judged, NoStore):
            if judged.ends:
                self._drop(held)
            return Outcome("miss", status, dict(headers), body, judged.reason.code)
        assert isinstance(judged, Store)
        judged.entry.body = body
        self._put(plan, judged.entry)
        return Outcome("miss", status, dict(headers), body, judged.reason.code)

    def _answered(self, how, decision, plan):
        answer = response_from(decision.stored, plan, self.now)
        return Outcome(how, answer.status, dict(answer.headers), answer.body, decision.reason.code)

    def _find(self, plan):
        finding = find(plan)
        keys = next(finding)
        while True:
            try:
                keys = finding.send([self.shelf.get(key) for key in keys])
            except StopIteration as end:
                return end.value

    def _put(self, plan, entry):
        records, dropped = placement(self.shelf.get(entry.key), entry, plan.policy.max_variants)
        for key, record in records:
            self.shelf[key] = StoredResponse(record) if record is entry else record
        for key in dropped:
            self.shelf.pop(key, None)

    def _drop(self, held):
        self.shelf = {key: each for key, each in self.shelf.items() if each is not held}

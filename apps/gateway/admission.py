"""What is remembered of a request head: that it was admitted, and what was answered from the cache just now.

The first stages find out the same for each call with the same head until the configuration changes, and so it is kept.
What depends on the clock is checked at each call: the end of a key or grant, and the trust lease.
"""

from weakref import ref

from apps.caching.http import Answer as StoredAnswer
from apps.caching.http import Held, RequestPlan
from apps.gateway.answers import Answer
from apps.gateway.exchange import Exchange
from apps.gateway.snapshot import API, Credential, Grant, Plan
from apps.gateway.world import World

ADMISSION_BYTES = 6 * 1024
"""What an admission needs besides the fields of its request, measured: itself, the cache's plan, the trace."""

FIELD_BYTES = 250
"""What a field line needs besides its text: as it came, as the cache keys it, as it is forwarded."""


class Ready:
    """That a fresh hit was answered just now with what is ready in ``held``: right until ``until`` (Unix seconds), for as
    long as ``held`` is what is found. This doesn't keep it alive: what the cache pushes out is gone.
    """

    __slots__ = ("cache_status", "held", "until")

    def __init__(self, held: Held, answer: StoredAnswer, cache_status: bytes, now: float) -> None:
        self.held = ref(held)
        held.ready = Answer(answer.status, answer.headers, answer.body, answer.head)
        self.cache_status = cache_status
        # Until the age or the time left changes by a second, or the answer may be refreshed.
        age_turns = held.age_zero + held.age(now) + 1
        time_left_turns = held.fresh_until - int(held.fresh_until - now)
        self.until = min(age_turns, max(now, time_left_turns), held.early_from, held.fresh_until)


class Admission:
    """A head with which a call was let through: which call it is, whose, for which API; what stages found out that depend on the
    head. ``expires`` (Unix seconds) is until when they would again, ``client`` the address for which they did.
    """

    __slots__ = (
        "api",
        "cache_plan",
        "client",
        "credential",
        "expires",
        "forwarded",
        "given_id",
        "grant",
        "headers",
        "host",
        "method",
        "on_trust",
        "operation",
        "path",
        "plan",
        "query",
        "ready",
        "request_headers",
        "scheme",
        "size",
        "target",
        "texts",
        "told_host",
        "trace",
        "version",
    )

    def __init__(self, x: Exchange, version: int, until: float) -> None:
        self.version, self.expires, self.client = version, until, x.client
        self.method, self.target, self.headers = x.method, x.target, x.headers
        self.given_id = x.request_id if x.request_id is not x.call_id else ""
        self.host, self.path, self.query, self.scheme = x.host, x.path, x.query, x.scheme
        self.told_host = x.told_host
        self.texts = x.texts
        """Host and path as the call record has them."""
        self.request_headers = x.request_headers
        self.api: API = x.api
        self.operation = x.operation
        self.credential: Credential | None = x.credential
        self.on_trust = x.on_trust
        self.grant: Grant | None = x.grant
        self.plan: Plan | None = x.plan
        self.cache_plan: RequestPlan = x.cache_plan
        self.ready: Ready | None = None
        self.forwarded: tuple[str, tuple[tuple[bytes, bytes], ...]] | None = None
        """The fields to send upstream without a condition, but for the call's id, for one client's address."""
        texts = len(x.target) + sum(len(name) + len(value) for name, value in x.headers)
        self.size = ADMISSION_BYTES + 2 * texts + FIELD_BYTES * len(x.headers)
        """The bytes that keeping it costs."""
        # A whole number, because a record holds it in one byte.
        self.trace: tuple[tuple[str, str, float], ...] = tuple((stage, decision, 0) for stage, decision, _ in x.trace)

    def holds(self, world: World, x: Exchange) -> bool:
        """Whether it may be used for ``x`` now."""
        if self.version != world.version or self.expires <= x.at:
            return False
        if not self.on_trust:
            return True
        plan = self.plan
        return world.lease.valid(x.began, plan.trust_lease if plan is not None else None)

    def admit(self, x: Exchange) -> None:
        """Tell ``x`` what is known."""
        x.admission = self
        x.host, x.path, x.query, x.scheme = self.host, self.path, self.query, self.scheme
        x.told_host = self.told_host
        x.request_headers = self.request_headers
        x.api, x.operation = self.api, self.operation
        x.credential, x.grant, x.plan = self.credential, self.grant, self.plan
        x.cache_plan = self.cache_plan
        x.trace = self.trace

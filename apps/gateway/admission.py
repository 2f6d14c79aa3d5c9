"""What is remembered of a request head: that it was admitted, and what was answered from the cache just now.

The first stages find out the same for each call with the same head until the configuration changes, and so it is kept.
What depends on the clock is checked at each call: the end of a key or grant, and the trust lease.
"""

from collections.abc import Iterable
from typing import Any
from weakref import ref

from apps.caching.http import Answer as StoredAnswer
from apps.caching.http import Held
from apps.gateway.answers import Answer
from apps.gateway.exchange import Exchange
from apps.gateway.snapshot import Plan
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
    """A head with which a call was let through: what came, and whatever the stages found out that depend on the head. ``expires``
    (Unix seconds) is until when they would again, ``client`` the address for which they did.
    """

    __slots__ = (
        "_facts",
        "_has_own_id",
        "_on_trust",
        "client",
        "expires",
        "forwarded",
        "ready",
        "size",
        "texts",
        "version",
    )

    def __init__(self, x: Exchange, found: Iterable[str], version: int, until: float) -> None:
        """``found`` are the names of what the stages set in ``x``."""
        self.version, self.expires, self.client = version, until, x.client
        self._facts: dict[str, Any] = {name: getattr(x, name) for name in (*OF_A_HEAD, *found)}
        self._has_own_id = x.request_id is not x.call_id
        if self._has_own_id:
            self._facts["request_id"] = x.request_id
        # A whole number, because a record holds it in one byte.
        self._facts["trace"] = tuple((stage, decision, 0) for stage, decision, _ in x.trace)
        self._on_trust = x.on_trust
        self.texts = x.texts
        """Host and path as the call record has them."""
        self.ready: Ready | None = None
        self.forwarded: tuple[str, tuple[tuple[bytes, bytes], ...]] | None = None
        """The fields to send upstream without a condition, but for the call's id, for one client's address."""
        texts = len(x.target) + sum(len(name) + len(value) for name, value in x.headers)
        self.size = ADMISSION_BYTES + 2 * texts + FIELD_BYTES * len(x.headers)
        """The bytes that keeping it costs."""

    def holds(self, world: World, at: float, now: float) -> bool:
        """Whether it may be used for a call that came at ``at`` (Unix seconds), ``now`` (monotonic)."""
        if self.version != world.version or self.expires <= at:
            return False
        if not self._on_trust:
            return True
        plan: Plan | None = self._facts.get("plan")
        return world.lease.valid(now, plan.trust_lease if plan is not None else None)

    def admit(self, x: Exchange) -> None:
        """Tell ``x``, which came with this head, what was found out."""
        vars(x).update(self._facts)
        x.admission = self

    def again(self, call_id: str, began: float, at: float, client: str) -> Exchange:
        """A call with the very head."""
        x = Exchange.__new__(Exchange)
        known = x.__dict__
        known.update(self._facts)
        known["call_id"] = call_id
        if not self._has_own_id:
            known["request_id"] = call_id
        known["began"], known["at"], known["client"], known["admission"] = began, at, client, self
        return x


OF_A_HEAD = ("method", "target", "headers", "version", "scheme")
"""What the server set in a call from its head."""

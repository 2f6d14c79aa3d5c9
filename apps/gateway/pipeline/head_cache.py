"""What is remembered of a request head: that it was admitted, and what was found out about it.

The first stages find out the same for each call with the same head until the configuration changes, and so it is kept.
What depends on the clock is checked at each call: the end of a key or grant, and the trust lease.
"""

from collections.abc import Iterable
from typing import Any

from apps.gateway.call.call import Call
from apps.gateway.call.head_memo import HeadMemo
from apps.gateway.config.worker_config import WorkerConfig
from apps.wire.snapshot import Plan

ENTRY_BYTES = 6 * 1024
"""What an entry needs besides the fields of its request, measured: itself, the cache's plan, the trace."""

FIELD_BYTES = 250
"""What a field line needs besides its text: as it came, as the cache keys it, as it is forwarded."""


class HeadCacheEntry(HeadMemo):
    """A head with which a call was let through: what came, and what the stages that depend on the head found out. ``expires``
    (Unix seconds) is until when they would again, ``client`` the address for which they did.
    """

    __slots__ = (
        "_facts",
        "_has_own_id",
        "_on_trust",
        "client",
        "expires",
        "size",
        "version",
    )

    def __init__(self, x: Call, found: Iterable[str], version: int, until: float) -> None:
        """``found`` are the names of what the stages set in ``x``."""
        super().__init__(x.texts)
        self.version, self.expires, self.client = version, until, x.client
        self._facts: dict[str, Any] = {name: getattr(x, name) for name in (*OF_A_HEAD, *found)}
        self._has_own_id = x.request_id is not x.call_id
        if self._has_own_id:
            self._facts["request_id"] = x.request_id
        # A whole number, because a record holds it in one byte.
        self._facts["trace"] = tuple((stage, decision, 0) for stage, decision, _ in x.trace)
        self._on_trust = x.on_trust
        texts = len(x.target) + sum(len(name) + len(value) for name, value in x.headers)
        self.size = ENTRY_BYTES + 2 * texts + FIELD_BYTES * len(x.headers)
        """The bytes that keeping it costs."""

    def holds(self, config: WorkerConfig, at: float, now: float) -> bool:
        """Whether it may be used for a call that came at ``at`` (Unix seconds), ``now`` (monotonic)."""
        if self.version != config.version or self.expires <= at:
            return False
        if not self._on_trust:
            return True
        plan: Plan | None = self._facts.get("plan")
        return config.trust_lease.valid(now, plan.trust_lease if plan is not None else None)

    def admit(self, x: Call) -> None:
        """Give ``x``, which came with this head, what was found out."""
        vars(x).update(self._facts)
        x.head_memo = self

    def again(self, call_id: str, began: float, at: float, client: str) -> Call:
        """A call with the very head."""
        x = Call.__new__(Call)
        known = x.__dict__
        known.update(self._facts)
        known["call_id"] = call_id
        if not self._has_own_id:
            known["request_id"] = call_id
        known["began"], known["at"], known["client"], known["head_memo"] = began, at, client, self
        return x


OF_A_HEAD = ("method", "target", "headers", "version", "scheme")
"""What the server set in a call from its head."""

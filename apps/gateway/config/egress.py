"""Where the calls of each tenant's APIs may lead, as a worker knows it.

Rules come with the snapshot: a part for the installation, one for each tenant that has rules of its own. Without the installation's
part nothing but public addresses may be reached.
"""

import logging
from collections.abc import Iterable

from apps.egress.rules import Guard, Place, Rule, rule_of
from apps.wire.snapshot import Egress

log = logging.getLogger(__name__)


class EgressTable:
    """A guard for each tenant. A guard stays the same object until its rules change: connections remember the one that let them be
    opened."""

    __slots__ = ("_guards", "_own", "_parts")

    def __init__(self, own: Iterable[Place] = ()) -> None:
        """``own``: the installation's own places, as this worker's settings name them."""
        self._own = tuple(own)
        self._parts: dict[str, Egress] = {}
        self._guards: dict[str, Guard] = {}

    def of(self, tenant: str) -> Guard:
        """The guard of a tenant's APIs. Tenants without rules of their own share the installation's."""
        key = tenant if tenant in self._parts else ""
        guard = self._guards.get(key)
        if guard is None:
            guard = self._guards[key] = self._guard(key)
        return guard

    def put(self, part: Egress) -> None:
        """Have rules in place of those before."""
        self._parts[part.tenant] = part
        self._guards.clear()

    def drop(self, tenant: str) -> None:
        """Have a tenant's rules no more."""
        self._parts.pop(tenant, None)
        self._guards.clear()

    def get(self, tenant: str) -> Egress | None:
        """The part of a tenant; of the installation with an empty name."""
        return self._parts.get(tenant)

    def empty(self) -> "EgressTable":
        """A table that knows no rules yet, of the same worker."""
        return EgressTable(self._own)

    def _guard(self, tenant: str) -> Guard:
        parts = [part for name in dict.fromkeys(("", tenant)) if (part := self._parts.get(name)) is not None]
        own = [*self._own, *(place for part in parts for place in part.own)]
        return Guard([rule for part in parts for rule in _rules(part)], dict.fromkeys(own))


def _rules(part: Egress) -> Iterable[Rule]:
    for text in part.allow:
        try:
            yield rule_of(text)
        except ValueError as error:  # of a later version: what isn't understood allows nothing
            log.error("an egress rule allows nothing here: %s", error)

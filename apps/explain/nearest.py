"""What is stored near a call: under the same path of an API, and what of it differs, for users who may see it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

from apps import httpcache
from apps.cachestore.inspection import CacheInspection
from apps.cachestore.path_index import IndexedResponse, Shown
from apps.catalog.models import API
from apps.purging.policies import sees_others_entries
from apps.tenants.actors import Actor
from apps.tenants.policies import tenants_of

ANOTHER = "(another)"
"""What is said of a part that may not be shown."""

_PLAIN = frozenset({"scheme", "method", "path"})
"""Parts that disclose nothing of other callers: the path is the request's own, but for a slash."""


@dataclass(frozen=True)
class KeyPart:
    """One part of a cache key: ``label`` as in ``apps.httpcache.keys``, ``value`` fit to be shown."""

    label: str
    value: str


@dataclass(frozen=True)
class Difference:
    """One part in which a stored response's key isn't the request's."""

    label: str
    wanted: Annotated[str, "The request's."]
    stored: str


@dataclass(frozen=True)
class NearestEntry:
    """A stored response, without its body."""

    key: str
    status: int
    state: Annotated[str, "fresh, stale or purged."]
    stored_at: datetime
    fresh_until: datetime
    keep_until: datetime
    size: Annotated[int, "Bytes of body."]
    scope: Annotated[str, "Among whom it may be shared: shared, tenant, application or subject."]
    holder: Annotated[str, "Whose it is, as far as you may know; empty: everybody's."]
    rule: Annotated[str, "Why it may be shared so."]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Nearest:
    """The stored response under the same path that differs in the fewest parts. Where it was stored for another caller's call,
    what its key says there is ``ANOTHER``, and ``stored`` has no key and no tags.
    """

    stored: NearestEntry
    differences: tuple[Difference, ...]
    others: Annotated[int, "How many more are stored under this path, as far as you may see them."]


@dataclass(frozen=True)
class KeyOfCall:
    """A call's cache key in parts, what is stored under it, and another stored response: as far as something of it is known."""

    key: Annotated[str, "What names it in Cache-Status, or in the call's record."] = ""
    parts: tuple[KeyPart, ...] = ()
    stored: NearestEntry | None = None
    nearest: Nearest | None = None


class VisibleEntries:
    """The entries of an API as far as the reader may see them: those that are shared by all, those of their own tenants, and
    those of ``owners`` ((scope, owner) of the caller whose request they explain); all of them, where the API is theirs.
    """

    def __init__(self, actor: Actor, api: API, owners: Sequence[tuple[int, bytes]] = ()) -> None:
        self.cache = CacheInspection()
        self._api = api.slug
        self._all = sees_others_entries(actor, api)
        self._tenants = set() if self._all else set(tenants_of(actor).values_list("slug", flat=True))
        self._owners = owners

    def under(self, path: bytes) -> list[IndexedResponse]:
        """What of them is stored under a path, newest first."""
        return [row for row in self.cache.siblings(self._api, path) if self._all or self._may_see(row)]

    def stored(self, row: IndexedResponse) -> NearestEntry | None:
        """What is shown of the entry of a row, if it is there."""
        record, now = self.cache.record(row.key), time.time()
        if not isinstance(record, httpcache.StoredResponse):
            return None
        return stored_of(record, self.cache.is_purged(record) or now >= record.entry.keep_until, now)

    def nearest(self, rows: Iterable[tuple[list[Difference], IndexedResponse]]) -> Nearest | None:
        """The stored response that differs in the fewest parts, but in some; of several, the first. ``rows`` are of ``under``, with
        what differs.
        """
        others = sorted((pair for pair in rows if pair[0]), key=lambda pair: len(pair[0]))
        for differing, row in others:
            stored = self.stored(row)
            if stored is None:
                continue
            if self._may_read(row):
                return Nearest(stored, tuple(differing), len(others) - 1)
            hidden = (each if each.label in _PLAIN else replace(each, stored=ANOTHER) for each in differing)
            return Nearest(replace(stored, key="", tags=()), tuple(hidden), len(others) - 1)
        return None

    def _may_see(self, row: IndexedResponse) -> bool:
        is_own = bool(row.holder) and row.holder[0] in self._tenants
        return is_own or row.scope == httpcache.SharingScope.SHARED or (row.scope, row.owner) in self._owners

    def _may_read(self, row: IndexedResponse) -> bool:
        """Whether the parts of its key may be told. A response that is shared by all was asked for by a caller in whose query or
        fields may stand private data: an address, a token.
        """
        return self._all or row.scope != httpcache.SharingScope.SHARED


def stored_of(held: httpcache.StoredResponse, ended: bool, now: float) -> NearestEntry:
    """What is shown of a stored response; ``ended``: by a purge or its age. ``now`` is Unix seconds."""
    entry = held.entry
    state = "purged" if ended else "fresh" if now < held.fresh_until and not held.soft else "stale"
    return NearestEntry(
        key=entry.key.hex(),
        status=entry.status,
        state=state,
        stored_at=_time(entry.received_at),
        fresh_until=_time(entry.fresh_until),
        keep_until=_time(entry.keep_until),
        size=len(entry.body),
        scope=httpcache.SharingScope(entry.scope).name.lower(),
        # A subject's name is that of a key; its application says whose it is.
        holder=next((name for name in reversed(entry.holder[:2]) if name), ""),
        rule=entry.rule,
        tags=entry.tags,
    )


def _time(seconds: float) -> datetime:
    """To the second, as it is shown."""
    return datetime.fromtimestamp(int(seconds), UTC)


def differences(parts: Shown, fields: Mapping[str, str], row: IndexedResponse) -> list[Difference]:
    """What differs between a call, with these parts of its key and these fields that ``Vary`` names, and a stored
    response. Of fields that the call isn't known to have had or not, nothing is said.
    """
    here, there = dict(parts), dict(row.parts)
    found = [Difference(label, here.get(label, "(none)"), there.get(label, "(none)")) for label in here | there]
    found += [Difference(f"Vary: {name}", fields[name], value) for name, value in row.selecting if name in fields]
    return [each for each in found if each.wanted != each.stored]

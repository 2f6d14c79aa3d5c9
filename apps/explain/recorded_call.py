"""The cache key of a call that was made: its parts, what is stored under it now, and what is nearest.

The call log holds no query and no header, which may be secret; it holds a name of the key, by which the parts are found
where the answer was stored, for as long as something of it is.
"""

import time
from dataclasses import dataclass

from apps.cachestore.inspection import CacheInspection
from apps.catalog.models import API
from apps.explain.nearest import KeyPart, Nearest, NearestEntry, VisibleEntries, differences, nearest_of, stored_of
from apps.purging.policies import can_explain
from apps.tenants.actors import Actor
from apps.wire.redis_client import AWAY


@dataclass(frozen=True)
class KeyOfCall:
    """``key`` is the name of the call's key. Without ``parts`` nothing of it is stored any more, or never was."""

    key: str
    parts: tuple[KeyPart, ...] = ()
    stored: NearestEntry | None = None
    nearest: Nearest | None = None


def key_of_call(*, actor: Actor, api: str, path: str, cache_key: str) -> KeyOfCall | None:
    """The key of a recorded call that ``actor`` may see, to the API ``api`` with the whole ``path``. ``None``: the cache
    was not asked, or this API doesn't show its callers how it is cached. While Redis is away there are no parts.
    """
    if not cache_key:
        return None
    row = API.objects.select_related("tenant").filter(slug=api).first()
    if row is None or not path.startswith(row.listen_path) or not can_explain(actor, row, None, subscribed=True):
        return None
    try:
        return _read(
            CacheInspection(),
            VisibleEntries(actor, row),
            api,
            path[len(row.listen_path) - 1 :].encode("latin-1"),
            cache_key,
        )
    except AWAY:
        return KeyOfCall(cache_key)


def _read(shelf: CacheInspection, eyes: VisibleEntries, api: str, path: bytes, cache_key: str) -> KeyOfCall:
    rows = [row for row in shelf.siblings(api, path) if eyes.may_see(row)]
    own = next((row for row in rows if row.call == cache_key), None)
    if own is None:
        return KeyOfCall(cache_key)
    read = shelf.first_stored([own])
    return KeyOfCall(
        cache_key,
        tuple(KeyPart(label, value) for label, value in own.parts),
        stored_of(read[1], read[2], time.time()) if read is not None else None,
        nearest_of(shelf, eyes, [(differences(own.parts, own.selecting, row), row) for row in rows if row is not own]),
    )

"""The cache key of a call that was made: its parts, what is stored under it now, and what is nearest.

The call log holds no query and no header, which may be secret; it holds a name of the key, by which the parts are found
where the response was stored, for as long as something of it is.
"""

from apps.catalog.models import API
from apps.explain.nearest import KeyOfCall, KeyPart, VisibleEntries, differences
from apps.purging.policies import can_explain
from apps.tenants.actors import Actor
from apps.wire.listen_paths import is_at, path_below
from apps.wire.redis_client import AWAY


def key_of_call(*, actor: Actor, api: str, path: str, cache_key: str) -> KeyOfCall | None:
    """The key of a recorded call that ``actor`` may see, to the API ``api`` with the whole ``path``. ``None``: the cache
    was not asked, or this API doesn't show its callers how it is cached. Without parts nothing of it is stored any more, or
    never was; or Redis is away.
    """
    if not cache_key:
        return None
    row = API.objects.select_related("tenant").filter(slug=api).first()
    called = path.encode("latin-1")
    if row is None or not is_at(row.listen_path, called) or not can_explain(actor, row, None, subscribed=True):
        return None
    below = path_below(row.listen_path, called)
    try:
        return _read(VisibleEntries(actor, row), below, cache_key)
    except AWAY:
        return KeyOfCall(cache_key)


def _read(entries: VisibleEntries, path: bytes, cache_key: str) -> KeyOfCall:
    rows = entries.under(path)
    own = next((row for row in rows if row.call == cache_key), None)
    if own is None:
        return KeyOfCall(cache_key)
    fields = dict(own.selecting)
    others = [(differences(own.parts, fields, row), row) for row in rows if row is not own]
    parts = tuple(KeyPart(*part) for part in own.parts)
    return KeyOfCall(cache_key, parts, entries.stored(own), entries.nearest(others))

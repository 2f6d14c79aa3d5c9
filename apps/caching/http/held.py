"""An entry as a worker holds it: with the bytes of its head ready, so that a hit only adds what is new per call."""

from apps.caching.http.entry import Entry


class Held:
    """``head`` is the status line and every stored field line with ``content-length``, without ``age`` and the final blank line.

    ``soft`` is set when a soft purge made the entry stale; ``purges_seen`` is the purge clock at which it was last found alive.
    """

    __slots__ = ("entry", "etag", "fresh_until", "head", "last_modified", "not_modified", "purges_seen", "size", "soft")

    def __init__(self, entry: Entry) -> None:
        raise NotImplementedError

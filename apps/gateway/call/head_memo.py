"""What hangs on a call whose head is remembered, for the parts that needn't make it again at the next call with this head."""

from weakref import ref

from apps.httpcache import StoredResponse


class ReadyResponse:
    """That a fresh hit was answered just now with what is ready in ``stored``: right until ``until`` (Unix seconds), for as
    long as ``stored`` is what is found. This doesn't keep it alive: what the cache pushes out is gone.
    """

    __slots__ = ("cache_status", "stored", "until")

    def __init__(self, stored: StoredResponse, cache_status: bytes, now: float) -> None:
        self.stored = ref(stored)
        self.cache_status = cache_status
        # Until the age or the time left changes by a second, or the response may be refreshed.
        age_turns = stored.age_zero + stored.age(now) + 1
        time_left_turns = stored.fresh_until - int(stored.fresh_until - now)
        self.until = min(age_turns, max(now, time_left_turns), stored.early_from, stored.fresh_until)


class HeadMemo:
    """What is made once for a head. ``ready`` is the response of a fresh hit, as long as it holds."""

    __slots__ = ("forwarded", "ready", "texts")

    def __init__(self, texts: tuple[str, str]) -> None:
        self.texts = texts
        """Host and path as the call record has them."""
        self.ready: ReadyResponse | None = None
        self.forwarded: tuple[str, tuple[tuple[bytes, bytes], ...]] | None = None
        """The fields to send upstream without a condition, but for the call's id, for one client's address."""

"""Purges that wait for Redis: cached responses that unsafe methods made outdated while it was away."""

from apps.httpcache import tag_of_api

MOST = 10_000
"""Tags that wait one by one; beyond it, an API's next one stands for all of that API."""

AT_ONCE = 500
"""Tags of one purge."""


class OwedPurges:
    """Tags by API, each once. Bounded: ``MOST`` and one for each API."""

    def __init__(self) -> None:
        self._by_api: dict[str, dict[str, None]] = {}
        self._size = 0

    def add(self, api: str, tags: tuple[str, ...]) -> None:
        """Have ``tags`` wait, or, where there are too many, everything of their API."""
        theirs = self._by_api.setdefault(api, {})
        everything = tag_of_api(api)
        if everything in theirs:
            return
        new = dict.fromkeys(tags)
        if self._size + len(new) > MOST:
            self._size -= len(theirs)
            theirs.clear()
            new = {everything: None}
        before = len(theirs)
        theirs.update(new)
        self._size += len(theirs) - before

    def take(self) -> tuple[str, tuple[str, ...]] | None:
        """Some that wait, all of one API, with its name; they wait no more. ``None``: there are none."""
        for api, theirs in self._by_api.items():
            tags = tuple(theirs)[:AT_ONCE]
            for tag in tags:
                del theirs[tag]
            self._size -= len(tags)
            if not theirs:
                del self._by_api[api]
            return api, tags
        return None

    def __len__(self) -> int:
        return self._size

"""How much of responses a worker gathers at a time to store them once they are whole.

Each response is bounded by its API's policy; all of them together are bounded here. Who gathers most gives up first: its response
goes on to its callers, and isn't stored. So one upstream's large and slow responses can't fill a worker's memory.
"""

from typing import Protocol

MOST = 128 * 2**20
"""Bytes: 16 responses of the largest usual size at once."""


class CollectingFetch(Protocol):
    """A fetch that gathers a response."""

    def give_up_storing(self) -> None:
        """Let go of what was gathered."""


class CollectedBodies:
    """What a worker's fetches have gathered, in bytes."""

    def __init__(self) -> None:
        self._sizes: dict[CollectingFetch, int] = {}
        self.bytes = 0

    def add(self, who: CollectingFetch, size: int) -> None:
        """``who`` has gathered ``size`` bytes more; perhaps one too many: then the fetch that has most gives up storing."""
        self._sizes[who] = self._sizes.get(who, 0) + size
        self.bytes += size
        while self.bytes > MOST:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self.end(largest)
            largest.give_up_storing()

    def end(self, who: CollectingFetch) -> None:
        """``who`` gathers no more."""
        self.bytes -= self._sizes.pop(who, 0)

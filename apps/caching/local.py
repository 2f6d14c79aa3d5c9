"""The in-process tier: bounded by bytes, evicting by SIEVE.

SIEVE (Zhang et al., NSDI 2024) keeps one queue and one bit per entry: a hit sets the bit and moves nothing, so that
it costs a dictionary look-up; eviction walks from the oldest, spares what was used and clears its bit. It withstands
scans, which empty an LRU.
"""

from dataclasses import dataclass

from apps.caching.http import Held, Variants

Stored = Held | Variants

NODE_BYTES = 400
"""What the queue and the table need for one entry besides the entry itself."""

LARGEST_SHARE = 8
"""An entry larger than the bound divided by this isn't kept: it would push out too much."""


class _Node:
    __slots__ = ("key", "newer", "older", "size", "used", "value")

    def __init__(self, key: bytes, value: Stored, size: int) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.used = False
        self.newer: _Node | None = None
        self.older: _Node | None = None


@dataclass(slots=True)
class LocalStats:
    """What the tier holds, in bytes and entries, and how many it pushed out since the worker started."""

    bytes: int = 0
    entries: int = 0
    evictions: int = 0


def size_of(value: Stored) -> int:
    """The bytes that keeping ``value`` costs, Python's overhead included."""
    if isinstance(value, Held):
        return NODE_BYTES + value.size
    return NODE_BYTES + 400 + 100 * len(value.keys) + 200 * sum(len(spec) + 1 for spec in value.specs)


class Local:
    """Stored answers by key. ``capacity`` is in bytes; 0 switches the tier off."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.stats = LocalStats()
        self._nodes: dict[bytes, _Node] = {}
        self._newest: _Node | None = None
        self._oldest: _Node | None = None
        self._hand: _Node | None = None

    def get(self, key: bytes) -> Stored | None:
        """What stands under ``key``; it counts as used."""
        node = self._nodes.get(key)
        if node is None:
            return None
        node.used = True
        return node.value

    def put(self, key: bytes, value: Stored) -> None:
        """Keeps ``value``, pushing out others until it fits. One too large for the tier only takes the place of its
        predecessor.
        """
        known = self._nodes.get(key)
        used = False
        if known is not None:
            used = known.used
            self._remove(known)
        size = size_of(value)
        if size * LARGEST_SHARE > self.capacity:
            return
        while self.stats.bytes + size > self.capacity:
            self._evict()
        node = _Node(key, value, size)
        node.used = used
        node.older = self._newest
        if self._newest is not None:
            self._newest.newer = node
        self._newest = node
        if self._oldest is None:
            self._oldest = node
        self._nodes[key] = node
        self.stats.bytes += size
        self.stats.entries += 1

    def drop(self, key: bytes) -> None:
        """Forgets what stands under ``key``, if anything."""
        node = self._nodes.get(key)
        if node is not None:
            self._remove(node)

    def clear(self) -> None:
        """Forgets everything."""
        self._nodes.clear()
        self._newest = self._oldest = self._hand = None
        self.stats.bytes = self.stats.entries = 0

    def _evict(self) -> None:
        node = self._hand or self._oldest
        while node is not None and node.used:
            node.used = False
            node = node.newer or self._oldest
        if node is not None:
            self._hand = node.newer
            self._remove(node)
            self.stats.evictions += 1

    def _remove(self, node: _Node) -> None:
        if self._hand is node:
            self._hand = node.newer
        if node.newer is not None:
            node.newer.older = node.older
        else:
            self._newest = node.older
        if node.older is not None:
            node.older.newer = node.newer
        else:
            self._oldest = node.newer
        # A cut link lets what was pushed out go at once, without waiting for the garbage collector.
        node.newer = node.older = None
        del self._nodes[node.key]
        self.stats.bytes -= node.size
        self.stats.entries -= 1

    def __len__(self) -> int:
        return len(self._nodes)

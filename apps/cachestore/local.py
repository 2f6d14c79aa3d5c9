"""The in-process tier: bounded by bytes, shared fairly, evicting by SIEVE.

SIEVE (Zhang et al., NSDI 2024) keeps one queue and one bit per entry: a hit sets the bit and moves nothing, so that
it costs a dictionary look-up; eviction walks from the oldest, spares what was used and clears its bit. It withstands
scans, which empty an LRU.

Here each account has a queue of its own. Which queue gives is decided by ``fair_share``: the largest, whichever account stores. All
of that happens when something is stored; a hit knows nothing of it.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from apps.cachestore.fair_share import UNCHARGED, Account, Share
from apps.httpcache import StoredResponse, Variants

StoredValue = StoredResponse | Variants

NODE_BYTES = 400
"""What the queue and the table need for one entry besides the entry itself."""

LARGEST_SHARE = 8
"""An entry larger than the bound divided by this isn't kept: it would push out too much."""


class _Link:
    """A place in a ring, beside the next newer and the next older one."""

    __slots__ = ("newer", "older")

    def __init__(self) -> None:
        self.newer: _Link = self
        self.older: _Link = self


class _Node(_Link):
    __slots__ = ("key", "queue", "size", "used", "value")

    def __init__(self, key: bytes, value: StoredValue, size: int, queue: "_Queue", used: bool) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.queue = queue
        self.used = used


class _Queue(Share):
    """A share with the ring of what is charged to it: ``_end`` stands between the newest node and the oldest. Only leaves
    have a ring, as long as something is in it.
    """

    __slots__ = ("_end", "_hand")

    def add(self, node: _Node) -> None:
        if not self.bytes:
            self._end = self._hand = _Link()
        node.newer, node.older = self._end, self._end.older
        node.older.newer = node.newer.older = node
        self.charge(node.size)

    def victim(self) -> _Node:
        """The node to evict. There must be one."""
        while True:
            node, self._hand = self._hand, self._hand.newer
            if isinstance(node, _Node):
                if not node.used:
                    return node
                node.used = False

    def remove(self, node: _Node) -> None:
        if self._hand is node:
            self._hand = node.newer
        node.newer.older, node.older.newer = node.older, node.newer
        self.charge(-node.size)
        if not self.bytes:
            # A ring that is cut goes at once, without waiting for the garbage collector.
            del self._end.newer, self._end.older


class LocalStats(NamedTuple):
    """What the tier holds, in bytes and entries, and how many it pushed out since the worker started."""

    bytes: int
    entries: int
    evictions: int


def size_of(value: StoredValue) -> int:
    """The bytes that keeping ``value`` costs, Python's overhead included."""
    if isinstance(value, StoredResponse):
        return NODE_BYTES + value.size
    return NODE_BYTES + 400 + 100 * len(value.keys) + 200 * sum(len(spec) + 1 for spec in value.specs)


class Local:
    """Stored responses by key. ``capacity`` is in bytes; 0 switches the tier off. ``tenant_share`` is the part of it
    that one tenant's APIs may take at most.
    """

    def __init__(self, capacity: int, tenant_share: float = 1.0) -> None:
        self.capacity = capacity
        self._evictions = 0
        self._tenant_capacity = int(capacity * tenant_share)
        self._nodes: dict[bytes, _Node] = {}
        self._shares = _Queue()
        self._unchecked: list[bytes] = []

    @property
    def stats(self) -> LocalStats:
        """What it holds now."""
        return LocalStats(self._shares.bytes, len(self._nodes), self._evictions)

    def get(self, key: bytes) -> StoredValue | None:
        """What stands under ``key``; it counts as used."""
        node = self._nodes.get(key)
        if node is None:
            return None
        node.used = True
        return node.value

    def put(self, key: bytes, value: StoredValue, account: Account = UNCHARGED, max_size: int | None = None) -> None:
        """Keeps ``value``, pushing out others until it fits. One too large for the tier only takes the place of its
        predecessor.

        ``max_size`` is the bound of all that the account's API has here, in bytes.
        """
        known = self._nodes.get(key)
        if known is not None:
            self.drop(key)
        size = size_of(value)
        tenant = self._shares.child(account.tenant)
        api = tenant.child(account.api)
        queue = api.child(account.caller)
        path, api_capacity = (self._shares, tenant, api, queue), self.capacity if max_size is None else max_size
        fits = size <= min(self.capacity // LARGEST_SHARE, self._tenant_capacity, api_capacity)
        if fits and self._shares.bytes - tenant.bytes + size > self.capacity:
            # An entry larger than any account's share would evict from all of them.
            fits = size < self._shares.largest_child().bytes
        # Room is made where it doesn't fit too: the bound of its API may be a smaller one now.
        wanted = size if fits else 0
        for depth, bound in ((2, api_capacity), (1, self._tenant_capacity), (0, self.capacity)):
            share = path[depth]
            while share.bytes + wanted > bound and share.bytes:
                self.drop(_giver(path[depth:], wanted).victim().key)
                self._evictions += 1
        if fits:
            node = self._nodes[key] = _Node(key, value, size, queue, known is not None and known.used)
            queue.add(node)

    def drop(self, key: bytes) -> None:
        """Forgets what stands under ``key``, if anything."""
        node = self._nodes.pop(key, None)
        if node is not None:
            node.queue.remove(node)

    def clear(self) -> None:
        """Forgets everything."""
        for key in tuple(self._nodes):
            self.drop(key)

    def sweep(self, useless: Callable[[StoredValue], bool], most: int) -> None:
        """Forgets what is ``useless``, looking at ``most`` entries: call by call at every one in turn. Without it,
        what is no longer asked for would count as its account's until it is pushed out.
        """
        if not self._unchecked:
            self._unchecked = list(self._nodes)
        for key in self._unchecked[-most:]:
            node = self._nodes.get(key)
            if node is not None and useless(node.value):
                self.drop(key)
        del self._unchecked[-most:]

    def __len__(self) -> int:
        return len(self._nodes)


def _giver(path: tuple[_Queue, ...], size: int) -> _Queue:
    """Who below the first of ``path`` gives ``size`` bytes to the last of it: the largest, and among equals who wants them."""
    for share, own in pairwise(path):
        largest = share.largest_child()
        if not own.bytes or own.bytes + size < largest.bytes:
            return largest.largest()
    return path[-1]

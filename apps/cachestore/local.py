"""The in-process tier: bounded by bytes, shared fairly, evicting by SIEVE.

SIEVE (Zhang et al., NSDI 2024) keeps one queue and one bit per entry: a hit sets the bit and moves nothing, so that
it costs a dictionary look-up; eviction walks from the oldest, spares what was used and clears its bit. It withstands
scans, which empty an LRU.

Here each account has a queue of its own. Which queue gives is decided by ``fair_share``: the largest, whoever stores. All
of that happens when something is stored; a hit knows nothing of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from apps.cachestore.fair_share import NOBODY, Account, Share
from apps.httpcache import Held, Variants

Stored = Held | Variants

NODE_BYTES = 400
"""What the queue and the table need for one entry besides the entry itself."""

LARGEST_SHARE = 8
"""An entry larger than the bound divided by this isn't kept: it would push out too much."""


class _Node:
    __slots__ = ("key", "newer", "older", "queue", "size", "used", "value")

    def __init__(self, key: bytes, value: Stored, size: int, queue: "_Queue") -> None:
        self.key = key
        self.value = value
        self.size = size
        self.queue = queue
        self.used = False
        self.newer: _Node | None = None
        self.older: _Node | None = None


class _Queue(Share):
    """A share with the queue of what is charged to it. Only leaves use theirs."""

    __slots__ = ("_hand", "_newest", "_oldest")

    def __init__(self, name: str = "", parent: "_Queue | None" = None) -> None:
        super().__init__(name, parent)
        self._newest: _Node | None = None
        self._oldest: _Node | None = None
        self._hand: _Node | None = None

    def add(self, node: _Node) -> None:
        node.older = self._newest
        if self._newest is not None:
            self._newest.newer = node
        self._newest = node
        if self._oldest is None:
            self._oldest = node
        self.charge(node.size)

    def victim(self) -> _Node:
        """The node to evict. Raises ``ValueError`` without any."""
        node = self._hand or self._oldest
        while node is not None and node.used:
            node.used = False
            node = node.newer or self._oldest
        if node is None:
            raise ValueError("Nothing is charged to this share.")
        self._hand = node.newer
        return node

    def remove(self, node: _Node) -> None:
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
        self.charge(-node.size)


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
    """Stored answers by key. ``capacity`` is in bytes; 0 switches the tier off. ``tenant_share`` is the part of it
    that one tenant's APIs may take at most.
    """

    def __init__(self, capacity: int, tenant_share: float = 1.0) -> None:
        self.capacity = capacity
        self.stats = LocalStats()
        self._tenant_capacity = int(capacity * tenant_share)
        self._nodes: dict[bytes, _Node] = {}
        self._shares = _Queue()
        self._unchecked: list[bytes] = []

    def get(self, key: bytes) -> Stored | None:
        """What stands under ``key``; it counts as used."""
        node = self._nodes.get(key)
        if node is None:
            return None
        node.used = True
        return node.value

    def put(self, key: bytes, value: Stored, account: Account = NOBODY, max_size: int | None = None) -> None:
        """Keeps ``value``, pushing out others until it fits. One too large for the tier only takes the place of its
        predecessor.

        ``max_size`` is the bound of all that the account's API has here, in bytes.
        """
        known = self._nodes.get(key)
        used = False
        if known is not None:
            used = known.used
            self._remove(known)
        size = size_of(value)
        largest = min(self.capacity // LARGEST_SHARE, self._tenant_capacity)
        tenant = self._shares.child(account.tenant)
        api = tenant.child(account.api)
        queue = api.child(account.caller)
        if max_size is not None:
            largest = min(largest, max_size)
            self._make_room(api, (queue,), size if size <= largest else 0, max_size)
        if size > largest:
            return
        self._make_room(tenant, (api, queue), size, self._tenant_capacity)
        if self._is_too_much(tenant, size):
            return
        self._make_room(self._shares, (tenant, api, queue), size, self.capacity)
        node = _Node(key, value, size, queue)
        node.used = used
        queue.add(node)
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
        for node in tuple(self._nodes.values()):
            self._remove(node)

    def sweep(self, useless: Callable[[Stored], bool], most: int) -> None:
        """Forgets what is ``useless``, looking at ``most`` entries: call by call at every one in turn. Without it,
        what nobody asks for any more would count as its account's until it is pushed out.
        """
        if not self._unchecked:
            self._unchecked = list(self._nodes)
        for key in self._unchecked[-most:]:
            node = self._nodes.get(key)
            if node is not None and useless(node.value):
                self._remove(node)
        del self._unchecked[-most:]

    def _is_too_much(self, tenant: _Queue, size: int) -> bool:
        """Whether ``size`` bytes more, of one entry, are more than anybody has, and would take from everybody."""
        shares = self._shares
        if shares.bytes - tenant.bytes + size <= self.capacity:
            return False
        return size >= shares.largest_child().bytes

    def _make_room(self, share: _Queue, own: tuple[_Queue, ...], size: int, bound: int) -> None:
        """Evicts below ``share`` until ``size`` bytes more fit into ``bound``; ``own`` is the way down from there to
        who wants them.
        """
        while share.bytes and share.bytes + size > bound:
            queue = _giver(share, own, size)
            self._remove(queue.victim())
            self.stats.evictions += 1

    def _remove(self, node: _Node) -> None:
        node.queue.remove(node)
        del self._nodes[node.key]
        self.stats.bytes -= node.size
        self.stats.entries -= 1

    def __len__(self) -> int:
        return len(self._nodes)


def _giver(share: _Queue, own: tuple[_Queue, ...], size: int) -> _Queue:
    """Who gives ``size`` bytes: the largest, and among equals who wants them."""
    for mine in own:
        largest = share.largest_child()
        if not mine.bytes or mine.bytes + size < largest.bytes:
            return largest.largest()
        share = mine
    return share

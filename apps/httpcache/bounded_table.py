"""A table that is bounded in bytes and forgets what wasn't used for longest, about."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Two generations: use moves a value to the younger one, and when that is full, what is left of the older one goes.

    So what is used stays whatever else comes by, there is no moment at which everything is forgotten, and a hit in the
    younger generation is one dictionary look-up, unlike a strict LRU, which writes on every read. ``capacity`` is in bytes
    and holds for both generations together; ``size_of`` says what an entry needs, Python's overhead included.
    """

    __slots__ = ("_half", "_old", "_size_of", "_young", "_young_bytes", "capacity")

    def __init__(self, capacity: int, size_of: Callable[[K, V], int]) -> None:
        self.capacity = capacity
        self._half = capacity // 2
        self._size_of = size_of
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._young_bytes = 0

    def get(self, key: K) -> V | None:
        """The value, which counts as used."""
        value = self._young.get(key)
        if value is None and self._old:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, and forget the unused half when there is no room. One larger than that isn't kept."""
        self.drop(key)
        size = self._size_of(key, value)
        if size > self._half:
            return
        if self._young_bytes + size > self._half:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = value
        self._young_bytes += size

    def drop(self, key: K) -> None:
        """Forget one."""
        value = self._young.pop(key, None)
        if value is not None:
            self._young_bytes -= self._size_of(key, value)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._young, self._old, self._young_bytes = {}, {}, 0

    def values(self) -> Iterator[V]:
        """All that is kept."""
        yield from self._young.values()
        yield from self._old.values()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Remembered(Generic[K, V]):
    """A function whose results are remembered in a bounded number of bytes: for arguments or results without a bound in
    size, where ``lru_cache``, which counts, would be none.
    """

    __slots__ = ("_table", "function")

    def __init__(self, function: Callable[[K], V], capacity: int, size_of: Callable[[K, V], int]) -> None:
        self.function = function
        self._table: Recent[K, tuple[V]] = Recent(capacity, lambda argument, found: size_of(argument, found[0]))

    def __call__(self, argument: K) -> V:
        found = self._table.get(argument)
        if found is None:
            found = (self.function(argument),)
            self._table.put(argument, found)
        return found[0]

    def cache_clear(self) -> None:
        """Forget all results."""
        self._table.clear()

    def __len__(self) -> int:
        return len(self._table)


def remembered(capacity: int, size_of: Callable[[K, V], int]) -> Callable[[Callable[[K], V]], Remembered[K, V]]:
    """Has a function's results remembered; ``capacity`` and ``size_of`` an argument and its result are in bytes."""
    return lambda function: Remembered(function, capacity, size_of)

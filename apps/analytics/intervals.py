"""Sets of whole numbers as sorted, disjoint, never adjacent intervals: which frames of an incarnation are settled.

A set stays small however many numbers are in it: one interval per gap. Plain Python: the node agent uses it too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Intervals:
    """A mutable set of numbers, kept as intervals that include both ends."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        """Takes pairs in any order; they may overlap. Raises ``ValueError`` for one whose end comes before its start."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in pairs:
            self.add(first, last)

    def add(self, first: int, last: int | None = None) -> None:
        """Put ``first`` to ``last`` in. O(log n) but for intervals that grow together."""
        last = first if last is None else last
        if last < first:
            raise ValueError(f"{first} to {last} is no interval")
        # Those which touch the new one, adjacent ones included, become one with it.
        start = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        if start < end:
            first = min(first, self._firsts[start])
            last = max(last, self._lasts[end - 1])
        self._firsts[start:end] = [first]
        self._lasts[start:end] = [last]

    def update(self, other: "Intervals") -> None:
        """Put everything of ``other`` in."""
        for first, last in other:
            self.add(first, last)

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of ``first`` to ``last`` that are not in the set."""
        holes = []
        for index in range(bisect_left(self._lasts, first), len(self._firsts)):
            if self._firsts[index] > last:
                break
            if self._firsts[index] > first:
                holes.append((first, self._firsts[index] - 1))
            first = self._lasts[index] + 1
        if first <= last:
            holes.append((first, last))
        return holes

    def covers(self, first: int, last: int) -> bool:
        """Whether all of ``first`` to ``last`` is in the set."""
        index = bisect_left(self._lasts, last)
        return index < len(self._firsts) and self._firsts[index] <= first

    def gaps(self) -> list[tuple[int, int]]:
        """What is missing below the greatest number, counted from 1."""
        return self.missing(1, self.last) if self._lasts else []

    @property
    def last(self) -> int:
        """The greatest number, 0 for the empty set."""
        return self._lasts[-1] if self._lasts else 0

    def count(self) -> int:
        """How many numbers are in the set."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def pairs(self) -> list[tuple[int, int]]:
        """The intervals, in order."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.pairs())

    def __contains__(self, number: int) -> bool:
        return self.covers(number, number)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self.pairs() == other.pairs()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Intervals({self.pairs()})"

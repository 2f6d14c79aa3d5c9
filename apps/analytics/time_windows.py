"""Spans of time, cut into the buckets that figures are kept in. Pure: all times are Unix seconds, ends are exclusive."""

from collections.abc import Sequence
from typing import NamedTuple

from apps.analytics.choices import Period

#: Points of a series when no number is asked for: enough to see a shape, few enough to read.
_STEPS = (
    (3 * 3600, 60),
    (12 * 3600, 300),
    (48 * 3600, 900),
    (8 * 86400, 3600),
    (30 * 86400, 6 * 3600),
)
LONGEST_SERIES = 1500


class Span(NamedTuple):
    """Buckets of one period, from ``start`` to before ``end``."""

    period: int
    start: int
    end: int


class Kept(NamedTuple):
    """Since when figures by minute and by hour are kept."""

    minutes: float
    hours: float

    def unit(self, since: float) -> int:
        """The shortest period that still has figures from ``since`` on."""
        return Period.MINUTE if since >= self.minutes else Period.HOUR if since >= self.hours else Period.DAY


def spans(since: float, until: float, kept: Kept) -> list[Span]:
    """The fewest buckets that hold ``since`` to ``until``, whole: at most 59 minutes, 23 hours at either end, days between.

    Widened to whole minutes; to whole hours or days where nothing finer is kept.
    """
    unit = kept.unit(since)
    start, end = down(since, unit), up(until, unit)
    found: list[Span] = []
    _cut(start, end, [period for period in (Period.MINUTE, Period.HOUR, Period.DAY) if period >= unit], found)
    return sorted(found, key=lambda span: span.start)


def steps(since: float, until: float, step: int | None, kept: Kept, coarse: bool = False) -> tuple[Span, int]:
    """The buckets to read for a series, and its step: seconds, a multiple of the bucket.

    Without ``step`` a fitting one is chosen; a ``coarse`` one reads no minutes where hours give a picture too.
    """
    length = max(until - since, 1.0)
    smallest = kept.unit(since)
    if step is None:
        step = next((step for most, step in _STEPS if length <= most), Period.DAY.value)
        if coarse and length > _STEPS[1][0]:
            step = max(step, Period.HOUR)
    step = up(max(step, length / LONGEST_SERIES), smallest)
    unit = max(period for period in Period if period >= smallest and step % period == 0)
    return Span(unit, down(since, step), up(until, step)), step


def down(moment: float, period: int) -> int:
    """The start of the bucket that holds ``moment``."""
    return int(moment // period) * period


def up(moment: float, period: int) -> int:
    """The end of the bucket that ends at ``moment`` or holds what comes before it."""
    return -int(-moment // period) * period


def _cut(start: int, end: int, periods: Sequence[int], found: list[Span]) -> None:
    """Cover ``start`` to ``end``, multiples of the first period, with the longest buckets that fit."""
    period, longer = periods[0], periods[1:]
    if start >= end:
        return
    if longer:
        inner, outer = up(start, longer[0]), down(end, longer[0])
        if inner < outer:
            if start < inner:
                found.append(Span(period, start, inner))
            _cut(inner, outer, longer, found)
            if outer < end:
                found.append(Span(period, outer, end))
            return
    found.append(Span(period, start, end))

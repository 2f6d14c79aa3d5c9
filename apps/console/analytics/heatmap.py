"""The heat map of latency: what stands in each of its cells, and how strongly."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log

from apps.analytics.heatmap import EDGES, Heat
from apps.console.number_format import counted, milliseconds

FAINTEST = 0.12
"""Of the colour in a cell with one call, where others have many."""


@dataclass(frozen=True)
class Cell:
    """Calls of one step in one band; ``strength`` is between ``FAINTEST`` and 1, by the logarithm of their number."""

    column: int
    at: datetime
    until: datetime
    calls: int
    strength: float

    @property
    def opacity(self) -> str:
        """For SVG, whatever the reader's language."""
        return f"{self.strength:.2f}"


@dataclass(frozen=True)
class Band:
    """A row of the map: the slowest stand first."""

    name: str
    cells: list[Cell]
    calls: int

    @property
    def words(self) -> str:
        """For who doesn't see it."""
        return f"{self.name}: {counted(self.calls, 'call')}"


@dataclass(frozen=True)
class Map:
    """The rows between the slowest and the fastest that have calls."""

    bands: list[Band]
    columns: int
    first: datetime
    last: datetime


def map_of(heat: Heat) -> Map | None:
    """What is drawn; ``None`` when there were no calls."""
    largest = max((count for row in heat.counts for count in row), default=0)
    if not largest:
        return None
    bands = []
    for index, row in enumerate(heat.counts):
        cells = [
            Cell(column, at, at + timedelta(seconds=heat.step), count, _strength(count, largest))
            for column, (at, count) in enumerate(zip(heat.ats, row, strict=True))
            if count
        ]
        bands.append(Band(_name(index), cells, sum(row)))
    filled = [index for index, band in enumerate(bands) if band.calls]
    shown = bands[filled[0] : filled[-1] + 1][::-1]
    return Map(shown, len(heat.ats), heat.ats[0], heat.ats[-1] + timedelta(seconds=heat.step))


def _strength(count: int, largest: int) -> float:
    return 1.0 if largest == 1 else FAINTEST + (1 - FAINTEST) * log(count) / log(largest)


def _name(index: int) -> str:
    if index == 0:
        return f"up to {milliseconds(EDGES[0])}"
    if index == len(EDGES):
        return f"over {milliseconds(EDGES[-1])}"
    return f"to {milliseconds(EDGES[index])}"

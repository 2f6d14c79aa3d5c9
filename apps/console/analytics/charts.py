"""Charts as data: what the script draws, and the table with the same numbers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil, floor, log10
from typing import Any, NamedTuple

from apps.analytics.selectors import Series
from apps.console import figure_words, number_format
from apps.console.analytics.event_marks import Mark

Point = dict[str, Any]
Number = float | int | None

FORMATS: dict[str, Callable[[Any], str]] = {
    "calls": number_format.number,
    "ratio": number_format.percent,
    "ms": number_format.milliseconds,
    "size": number_format.size,
}
RESULTS = (("HIT", "hit"), ("REVALIDATED", "revalidated"), ("STALE", "stale"), ("MISS", "miss"), ("BYPASS", "bypass"))
CLASSES = (
    ("1xx", "draft"),
    ("2xx", "active"),
    ("3xx", "revalidated"),
    ("4xx", "pending"),
    ("5xx", "error"),
)
#: Classes of calls whose latency is drawn, and the question of each.
WAITS = (
    ("hit", "How long do hits take?"),
    ("miss", "How long do misses take?"),
    ("bypass", "How long do calls past the cache take?"),
)
#: percentile -> how its line is drawn: hits and misses keep their colour
PERCENTILES = {"p50": "solid", "p95": "dashed", "p99": "dotted"}


@dataclass(frozen=True)
class Line:
    """One series. ``colour`` is a meaning's name; ``kind``: area, line or bar; ``behind``: of the period before.

    ``calls`` narrows the call log to what this series counts, as words of its address. ``means`` says what a ratio or a duration
    is made of: neither is drawn without it. Raises ``ValueError`` for one that is.
    """

    name: str
    colour: str
    values: Sequence[Number]
    unit: str = "calls"
    kind: str = "line"
    stacked: bool = False
    behind: bool = False
    stroke: str = "solid"
    calls: dict[str, str] = field(default_factory=dict)
    means: str = ""

    def __post_init__(self) -> None:
        if self.unit in ("ratio", "ms") and not self.means:
            raise ValueError(f"{self.name} doesn't say what it means")


class Row(NamedTuple):
    """The numbers of one step: (series, text) pairs, and whether records are missing."""

    at: datetime
    until: datetime
    gap: bool
    values: list[tuple[str, str]]


@dataclass(frozen=True)
class Chart:
    """A question and the lines that answer it, all over the same steps of time."""

    key: str
    question: str
    lines: list[Line]
    ats: list[datetime]
    step: int
    gaps: list[bool]
    received: int
    expected: int
    marks: Sequence[Mark] = ()
    log: bool = False
    top: float | None = None
    bottom: float | None = None
    synthetic: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was counted in the span."""
        return not any(value for line in self.lines if not line.behind for value in line.values)

    @property
    def complete(self) -> bool:
        """Whether every record that was written has come."""
        return self.received >= self.expected

    @property
    def element(self) -> str:
        """Id of the script element that holds its data."""
        return f"chart-{self.key}"

    def data(self) -> dict[str, Any]:
        """What the script draws. Times in milliseconds of Unix time."""
        return {
            "question": self.question,
            "at": [_milliseconds(at) for at in self.ats],
            "step": self.step * 1000,
            "log": self.log,
            "top": self.top,
            "bottom": self.bottom,
            "series": [
                {
                    "name": line.name,
                    "colour": line.colour,
                    "unit": line.unit,
                    "kind": line.kind,
                    "stacked": line.stacked,
                    "behind": line.behind,
                    "stroke": line.stroke,
                    "values": list(line.values),
                    "calls": line.calls,
                }
                for line in self.lines
            ],
            "gaps": [[_milliseconds(at), _milliseconds(at) + self.step * 1000] for at in self._gaps()],
            "marks": [{"at": _milliseconds(mark.at), "label": mark.label} for mark in self.marks],
        }

    @property
    def explained(self) -> list[tuple[str, str]]:
        """The name of each ratio and duration, and what it is made of."""
        return [(line.name, line.means) for line in self.lines if line.means]

    def columns(self) -> list[str]:
        """Heads of the table's columns, but the first."""
        return [line.name for line in self.lines]

    def rows(self) -> list[Row]:
        """The same numbers, newest first, of the steps in which there was something."""
        found: list[Row] = []
        for index, at in enumerate(self.ats):
            values = [line.values[index] for line in self.lines]
            if any(values) or self.gaps[index]:
                texts = [(line.name, FORMATS[line.unit](value)) for line, value in zip(self.lines, values, strict=True)]
                found.append(Row(at, at + timedelta(seconds=self.step), self.gaps[index], texts))
        return found[::-1]

    def _gaps(self) -> Iterable[datetime]:
        return (at for at, gap in zip(self.ats, self.gaps, strict=True) if gap)


def chart(key: str, question: str, now: Series, lines: list[Line], marks: Sequence[Mark] = (), **options: Any) -> Chart:
    """A chart over the steps of ``now``."""
    return Chart(
        key=key,
        question=question,
        lines=lines,
        ats=[point["at"] for point in now.points],
        step=now.step,
        gaps=[point["gap"] for point in now.points],
        received=sum(point["completeness"]["received"] for point in now.points),
        expected=sum(point["completeness"]["expected"] for point in now.points),
        marks=marks,
        synthetic=any(point["synthetic"] for point in now.points),
        **options,
    )


def counted(now: Series, of: Callable[[Point], Number]) -> list[Number]:
    """One number of each step."""
    return [of(point) for point in now.points]


def behind(now: Series, before: Series, of: Callable[[Point], Number], *, count: bool = False) -> list[Number]:
    """One number of each step from the period before, which ended where this one starts.

    Of longer ago only longer steps may be kept: a ``count`` of one is then shared out among the steps under it.
    """
    if not now.points or not before.points:
        return [None] * len(now.points)
    length = timedelta(seconds=now.step * len(now.points))
    first = before.points[0]["at"]
    share = now.step / before.step if count else 1
    values: list[Number] = []
    for point in now.points:
        index = int((point["at"] - length - first).total_seconds() // before.step)
        value = of(before.points[index]) if 0 <= index < len(before.points) else None
        values.append(value if value is None or share == 1 else value * share)
    return values


def in_class(name: str) -> Callable[[Point], Number]:
    """Calls answered with a class of status."""
    return lambda point: point["statuses"].get(name, 0)


def with_result(name: str) -> Callable[[Point], Number]:
    """Calls with a cache result."""
    return lambda point: point["caches"].get(name, 0)


def percentile(kind: str, name: str) -> Callable[[Point], Number]:
    """A percentile of the latency of a class of calls."""
    return lambda point: point["latency"][kind][name]


def error_ratio(point: Point) -> Number:
    """Share of the calls that were answered with 4xx or 5xx; ``None`` without calls."""
    return point["errors"] / point["calls"] if point["calls"] else None


def traffic(now: Series, before: Series, marks: Sequence[Mark]) -> list[Chart]:
    """How much comes in and goes out."""
    return [
        chart(
            "calls",
            "How many calls come in?",
            now,
            [
                Line("Calls", "primary", counted(now, lambda point: point["calls"]), kind="area"),
                Line("Before", "quiet", behind(now, before, lambda point: point["calls"], count=True), behind=True),
            ],
            marks,
        ),
        chart(
            "answers",
            "What do callers get back?",
            now,
            [
                Line(name, colour, values, kind="bar", stacked=True, calls={"status": name})
                for name, colour in CLASSES
                if any(values := counted(now, in_class(name)))
            ],
            marks,
        ),
        chart(
            "bytes",
            "How much goes out?",
            now,
            [
                Line("Sent", "primary", counted(now, lambda point: point["bytes"]), unit="size", kind="area"),
                Line(
                    "Before",
                    "quiet",
                    behind(now, before, lambda point: point["bytes"], count=True),
                    unit="size",
                    behind=True,
                ),
            ],
            marks,
        ),
    ]


def cache(now: Series, before: Series, marks: Sequence[Mark]) -> list[Chart]:
    """What the cache does."""
    results = [
        Line(name, colour, values, kind="area", stacked=True, calls={"cache": name})
        for name, colour in RESULTS
        if any(values := counted(now, with_result(name)))
    ]
    ratio = Line(
        "Hit ratio",
        "text",
        counted(now, lambda point: point["hit_ratio"]),
        unit="ratio",
        means=figure_words.HIT_RATIO,
    )
    earlier = Line(
        "Before",
        "quiet",
        behind(now, before, lambda point: point["hit_ratio"]),
        unit="ratio",
        behind=True,
        means=figure_words.BEFORE,
    )
    lines = [*results, ratio, earlier]
    return [chart("cache", "What is the cache hit ratio?", now, lines, marks, top=1.0)]


def latency(now: Series, before: Series, marks: Sequence[Mark]) -> list[Chart]:
    """How long callers wait, for hits, misses and bypasses: side by side on one logarithmic scale."""
    every = [
        value
        for point in now.points
        for kind, _ in WAITS
        for name in PERCENTILES
        if (value := point["latency"][kind][name])
    ]
    scale = {"bottom": 10 ** floor(log10(min(every))), "top": 10 ** ceil(log10(max(every) * 1.01))} if every else {}
    return [
        chart(
            f"latency-{kind}",
            question,
            now,
            [
                *(
                    Line(
                        name,
                        kind,
                        counted(now, percentile(kind, name)),
                        unit="ms",
                        stroke=stroke,
                        calls={"cache": kind.upper()},
                        means=figure_words.latency(kind, name),
                    )
                    for name, stroke in PERCENTILES.items()
                ),
                Line(
                    "p95 before",
                    "quiet",
                    behind(now, before, percentile(kind, "p95")),
                    unit="ms",
                    behind=True,
                    means=figure_words.BEFORE,
                ),
            ],
            marks,
            log=True,
            **scale,
        )
        for kind, question in WAITS
    ]


def errors(now: Series, before: Series, marks: Sequence[Mark]) -> list[Chart]:
    """What fails."""
    lines = [
        Line(name, colour, values, kind="bar", stacked=True, calls={"status": name})
        for name, colour in CLASSES[3:]
        if any(values := counted(now, in_class(name)))
    ]
    lines += [
        Line("Share of calls", "text", counted(now, error_ratio), unit="ratio", means=figure_words.ERROR_SHARE),
        Line(
            "Share before",
            "quiet",
            behind(now, before, error_ratio),
            unit="ratio",
            behind=True,
            means=figure_words.BEFORE,
        ),
    ]
    return [chart("errors", "How many calls fail?", now, lines, marks)]


def callers(now: Series, parts: Sequence[tuple[str, Series]], marks: Sequence[Mark]) -> list[Chart]:
    """Who calls: the largest tenants, stacked, and the rest."""
    lines = [
        Line(
            name or "without a key",
            f"series-{index}",
            counted(part, lambda point: point["calls"]),
            kind="area",
            stacked=True,
            calls={"tenant": name} if name else {},
        )
        for index, (name, part) in enumerate(parts, start=1)
    ]
    rest = [
        max(0, point["calls"] - sum(part.points[index]["calls"] for _, part in parts))
        for index, point in enumerate(now.points)
    ]
    if any(rest):
        lines.append(Line("others", "draft", rest, kind="area", stacked=True))
    return [chart("tenants", "Who calls?", now, lines, marks)]


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)

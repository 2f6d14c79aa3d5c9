"""How latency was spread over time: calls by step of time and by band of milliseconds, for a heat map."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime

from apps.analytics.choices import Level
from apps.analytics.figures import decode
from apps.analytics.histograms import value_of
from apps.analytics.questions import Question, kept, moment
from apps.analytics.time_windows import down, steps

EDGES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0)
"""Milliseconds between the bands: two for each power of ten. A value on an edge is in the band below."""


@dataclass(frozen=True)
class Heat:
    """``counts[band][step]`` calls; ``ats`` are the steps' starts, ``step`` their length in seconds. Bands ascend."""

    step: int
    ats: tuple[datetime, ...]
    counts: tuple[tuple[int, ...], ...]


def heat(question: Question) -> Heat:
    """The calls of a span by step and band: hits, misses and the rest together. One query, as for ``timeseries``."""
    level = question.level()
    span, step = steps(question.since.timestamp(), question.until.timestamp(), None, kept(), coarse=level is Level.FULL)
    columns = {at: index for index, at in enumerate(range(span.start, span.end, step))}
    counts = [[0] * len(columns) for _ in range(len(EDGES) + 1)]
    for bucket, packed in question.roll_ups(level, [span]).values_list("bucket", "packed").iterator(chunk_size=2000):
        column, figures = columns[down(bucket.timestamp(), step)], decode(packed)
        for latency, count in figures.everything.items():
            counts[bisect_left(EDGES, value_of(latency))][column] += count
    return Heat(step, tuple(moment(at) for at in columns), tuple(map(tuple, counts)))

"""When each decision of a call was made, as bars on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.analytics.explain import ExplainedStep

WIDTH = 200.0
LEAST = 1.5
"""Units of the picture: its width, and the narrowest bar that can be seen."""


@dataclass(frozen=True)
class Bar:
    """One decision and the time until it was made, since the one before it."""

    step: ExplainedStep
    took: float
    x: float
    width: float


def waterfall(steps: Sequence[ExplainedStep], duration: float) -> list[Bar]:
    """The bars of ``steps``, in their order. ``duration`` of the call in milliseconds; a late step stretches the scale."""
    total = max([duration, *(step.ms for step in steps)], default=0.0)
    if total <= 0:
        return [Bar(step, 0.0, 0.0, LEAST) for step in steps]
    bars = []
    earlier = 0.0
    for step in steps:
        took = max(0.0, step.ms - earlier)
        width = max(LEAST, WIDTH * took / total)
        bars.append(Bar(step, took, min(WIDTH * earlier / total, WIDTH - width), width))
        earlier = max(earlier, step.ms)
    return bars

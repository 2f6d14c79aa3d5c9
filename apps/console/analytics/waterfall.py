"""When each decision of a call was made, when its upstream was asked and answered, and when it ended, as bars on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.analytics.explain import ExplainedStep

UPSTREAM = "upstream"
"""The stage of a trace's steps at which an attempt ended: with the status of the upstream's response, or with how it failed."""

BODY = "upstream's body"
_OF_UPSTREAM = (UPSTREAM, BODY)

WIDTH = 200.0
LEAST = 1.5
"""Units of the picture: its width, and the narrowest bar that can be seen."""


@dataclass(frozen=True)
class Bar:
    """One decision and the time until it was made, since the one before it; ``of_upstream``: that was the time of the upstream."""

    step: ExplainedStep
    took: float
    x: float
    width: float
    of_upstream: bool


def waterfall(steps: Sequence[ExplainedStep], duration: float) -> list[Bar]:
    """The bars of ``steps``, in their order, and one of the time from the last of them to the end of the call. ``duration`` of
    the call in milliseconds; a late step stretches the scale.
    """
    if steps and duration > steps[-1].ms:
        steps = [*steps, _end(steps[-1], duration)]
    total = max((step.ms for step in steps), default=0.0)
    if total <= 0:
        return [Bar(step, 0.0, 0.0, LEAST, False) for step in steps]
    bars = []
    earlier = 0.0
    for step in steps:
        took = max(0.0, step.ms - earlier)
        width = max(LEAST, WIDTH * took / total)
        bars.append(Bar(step, took, min(WIDTH * earlier / total, WIDTH - width), width, step.stage in _OF_UPSTREAM))
        earlier = max(earlier, step.ms)
    return bars


def _end(last: ExplainedStep, duration: float) -> ExplainedStep:
    if last.stage == UPSTREAM and last.decision.isdecimal():
        return ExplainedStep(BODY, "last byte", duration, "The rest of the upstream's response came and was passed on.")
    return ExplainedStep("respond", "last byte", duration, "The response was passed on.")

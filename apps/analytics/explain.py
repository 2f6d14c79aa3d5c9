"""Why one call was answered as it was: every decision that the gateway recorded, in words."""

from dataclasses import dataclass
from typing import Annotated

from apps.analytics.models import CallRecord
from apps.egress.rules import REASONS as EGRESS
from apps.gateway.call.problems import Problem
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.httpcache.reasons import Reason
from apps.wire.failure_causes import FailureCause

_SENTENCES = (
    {problem.code: problem.detail for problem in Problem}
    | EGRESS
    | {fault.code: fault.sentence for fault in TokenFault}
    | {cause.code: cause.sentence for cause in FailureCause}
    | {reason.code: reason.sentence for reason in Reason}
    | {"gateway_crash": "The gateway died while it sent this response."}
    | {"listen_path": "The caller was sent on to the listen path, which ends with a slash."}
)


@dataclass(frozen=True)
class ExplainedStep:
    """One decision of the gateway."""

    stage: Annotated[str, "Like route, authenticate, limit, cache, forward or upstream."]
    decision: str
    ms: Annotated[float, "Milliseconds from the start of the call."]
    sentence: Annotated[str, "The decision in words; empty: it speaks for itself."]


@dataclass(frozen=True)
class Trace:
    """The decisions on a call; ``sentence`` says why it was answered so, ``failure`` why the last upstream call that failed did."""

    sentence: str
    failure: str
    steps: tuple[ExplainedStep, ...]


def call_trace(call: CallRecord) -> Trace:
    """What was decided on ``call``, from its record alone."""
    steps = tuple(ExplainedStep(stage, decision, ms, sentence_of(decision)) for stage, decision, ms in call.trace)
    return Trace(sentence_of(call.code) or sentence_of(call.reason), sentence_of(call.cause), steps)


def sentence_of(code: str) -> str:
    """What a reason or a problem code says to a person; empty for a decision that speaks for itself."""
    return _SENTENCES.get(code, "")

"""What becomes of a call with faults: it is refused with all of them, or goes on with the first in its record."""

from collections.abc import Sequence

from apps.gateway.call.call import Call, Fields
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.validation.faults import MOST_FAULTS, Fault, as_json
from apps.wire.call_records import INVALID

OFF, REPORT, BLOCK = "off", "report", "block"


def fault_or_refusal(x: Call, problem: Problem, faults: Sequence[Fault], extra: Fields = ()) -> GatewayResponse | None:
    """The refusal, where the API blocks; else ``None``, and the call carries the first fault. Its ``summary`` is what the record
    has of either.
    """
    if not x.fault:
        x.fault = faults[0].summary
    if x.api.validation.request == BLOCK:
        detail = "The call is not as the API's document has it." if problem is Problem.INVALID_REQUEST else None
        return refuse(x, problem, detail, extra, as_json(faults[:MOST_FAULTS]))
    if INVALID not in x.flags:
        x.flags = (*x.flags, INVALID)
    return None

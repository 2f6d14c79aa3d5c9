"""Finding the stored response that a call selects, without input or output (RFC 9111 §4, §4.1).

``find`` is a generator: it yields keys, is sent what stands under them, and returns the response. ``find_with`` drives it with
a function that knows each record, the shared tier with one round trip per step.
"""

from collections.abc import Callable, Generator, Sequence

from apps.httpcache.entry import Variants
from apps.httpcache.plan import RequestPlan
from apps.httpcache.reasons import Reason
from apps.httpcache.serving import may_use
from apps.httpcache.stored_response import StoredResponse
from apps.httpcache.vary import candidate_keys

MAX_TAGS = 8
"""Entity tags of other variants that an upstream is asked about at one time: the newest."""

StoredRecord = StoredResponse | Variants | None
LookupSteps = Generator[tuple[bytes, ...], Sequence[StoredRecord], StoredResponse | None]


def find(plan: RequestPlan) -> LookupSteps:
    """Looks under each of the plan's keys in order, and under the variants that stand there.

    A response that this call may not use is passed over, but for one of another scope or owner: that one is returned,
    so that the decision about it raises the alarm.
    """
    plan.others = ()
    records = yield plan.keys
    for key, record in zip(plan.keys, records, strict=True):
        if isinstance(record, Variants):
            plan.missed = Reason.VARY_MISMATCH
            plan.others = record.tags[-MAX_TAGS:]
            candidates = yield candidate_keys(key, record, plan.request.headers)
        else:
            candidates = (record,)
        for candidate in candidates:
            if isinstance(candidate, StoredResponse):
                refusal = may_use(plan, candidate.entry)
                if refusal is None or refusal is Reason.SCOPE_MISMATCH:
                    return candidate
                plan.missed = refusal
    return None


def find_with(plan: RequestPlan, record: Callable[[bytes], StoredRecord]) -> StoredResponse | None:
    """The response that ``plan`` selects, where ``record`` is what stands under a key."""
    finding = find(plan)
    wanted = next(finding)
    while True:
        try:
            wanted = finding.send([record(key) for key in wanted])
        except StopIteration as end:
            found: StoredResponse | None = end.value
            return found

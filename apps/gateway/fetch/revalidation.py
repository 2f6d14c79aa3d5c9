"""Callers who insist on validation with a call of a kind that is not collapsed: HEAD, a range, one with ``no-store``.

Each of them would ask the upstream. But where a whole response is stored and only the caller's word stands against using
it, the question is whether that response is still right; one GET settles it for all callers, and under ``bounded`` for the
next second too (RFC 9111 §5.2.1 leaves it to the cache how it validates).
"""

from copy import copy
from dataclasses import replace

from apps import httpcache
from apps.gateway.call.call import Call
from apps.httpcache.policy import BOUNDED
from apps.httpcache.validation import CONDITIONS, conditional_fields

_INSISTING = frozenset(
    {httpcache.Reason.REQUEST_NO_CACHE, httpcache.Reason.REQUEST_MAX_AGE, httpcache.Reason.REQUEST_MIN_FRESH}
)

_OF_THE_CALL = CONDITIONS | {b"range", b"cache-control", b"pragma"}


def is_bounded(plan: httpcache.RequestPlan, decision: httpcache.Fetch | httpcache.Revalidate) -> bool:
    """Whether only the caller's word stands against what is stored, and the policy bounds how often that counts."""
    return (
        plan.policy.client_directives == BOUNDED
        and isinstance(decision, httpcache.Revalidate)
        and decision.reason in _INSISTING
    )


def call_for_the_whole(x: Call) -> Call | None:
    """The GET that validates what is stored for ``x``; ``None`` where ``x`` has to ask by itself, or needn't."""
    plan, decision = x.cache_plan, x.decision
    if plan.fetch_key is not None or x.method not in ("GET", "HEAD") or not is_bounded(plan, decision):
        return None
    if not isinstance(decision, httpcache.Revalidate) or decision.stored.entry.status == 206:
        return None
    headers = tuple(pair for pair in plan.request.headers if pair[0] not in _OF_THE_CALL)
    twin = copy(x)
    twin.method = "GET"
    twin.head_memo = None
    twin.cache_plan = httpcache.plan_request(
        replace(plan.request, method="GET", headers=headers), plan.policy, plan.identity
    )
    twin.decision = httpcache.Revalidate(decision.stored, conditional_fields(decision.stored), decision.reason)
    return twin if twin.cache_plan.fetch_key is not None else None

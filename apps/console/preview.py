"""What a sample request would get under a cache policy, decided by the core that the gateways run. Nothing is called or stored."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps import httpcache
from apps.access.models import Application
from apps.access.services.applications import named
from apps.caching.models import CachePolicy
from apps.caching.validation import policy_errors
from apps.catalog.models import API
from apps.console import number_format
from apps.console.precedence import Winner, winners
from apps.fleet.compile import compile_api
from apps.foundation.path_templates import refusal_of_template
from apps.gateway.pipeline.authenticators.table import OPEN
from apps.gateway.pipeline.cache_plan import fields_forwarded, plan_call
from apps.gateway.pipeline.stages.route import query_taken
from apps.httpcache.policy import Policy
from apps.wire.snapshot import API as Compiled
from apps.wire.snapshot import Credential

SOME_ONE = ("sample", "sample/sample")
"""Tenant and application of a caller that wasn't named."""

SCOPES = {
    httpcache.SharingScope.SHARED: "every caller",
    httpcache.SharingScope.TENANT: "the caller's tenant",
    httpcache.SharingScope.APPLICATION: "the caller's application",
    httpcache.SharingScope.SUBJECT: "this one caller",
}


@dataclass
class PreviewedCall:
    """One call of the sample: its cache result, the sentence that follows “because”, and more sentences."""

    when: str
    result: str
    because: str
    sentences: list[str] = field(default_factory=list)


@dataclass
class Preview:
    """The first call, the same one again, what decided, and what the cache key is made of."""

    calls: list[PreviewedCall] = field(default_factory=list)
    policy: str = ""
    """Which policy the call falls under."""
    winners: list[Winner] = field(default_factory=list)
    key: list[tuple[str, str]] = field(default_factory=list)
    forwarded: str = ""
    error: str = ""


def preview(api: API, policy: CachePolicy, sample: Mapping[str, Any]) -> Preview:
    """Decide the sample (the fields of ``SampleForm``) twice: now, and ``age`` seconds later. ``policy`` need not be saved."""
    if refused := policy_errors(policy):
        return Preview(error=" ".join(message for messages in refused.values() for message in messages))
    if refusal := refusal_of_template(str(sample["path"])):
        return Preview(error=refusal)
    target = httpcache.normalise_target(str(sample["path"]).encode())
    if target is None:
        return Preview(error="The gateway refuses this path with 400.")
    api.cache_policy = policy
    compiled = compile_api(api)
    method, body = sample["method"], (sample.get("request_body") or "").encode() or None
    chosen = compiled.policy_for(method, target.path)
    request = httpcache.Request(
        method=method,
        scheme="http",
        host=b"gateway",
        path=target.path,
        query=query_taken(compiled, target.query),
        headers=fields_forwarded(compiled, headers_of(sample.get("request_headers") or ())),
        has_body=body is not None,
        body=body,
    )
    plan = plan_call(compiled, request, _caller(compiled, sample.get("application")))
    shown = Preview(policy=_policy_words(policy, compiled, chosen))
    if plan.bypass is None:
        shown.forwarded = plan.request.path.decode("latin-1") + (
            f"?{plan.query.decode('latin-1')}" if plan.query else ""
        )
        shown.key = list(plan.key_parts())
    head = httpcache.ResponseHead(int(sample["status"]), headers_of(sample.get("response_headers") or ()))
    shown.calls, stored = _calls(plan, head, float(sample.get("age") or 0))
    if plan.bypass is None:
        shown.winners = winners(chosen, head, stored)
    return shown


def _caller(api: Compiled, application: Application | None) -> Credential | None:
    if application is None and OPEN in api.authentication:
        return None
    tenant, name = SOME_ONE if application is None else (application.tenant.slug, named(application))
    return Credential(0, "", "active", tenant, name, {})


def _policy_words(policy: CachePolicy, api: Compiled, chosen: Policy) -> str:
    if not policy.operations:
        return ""
    for number, each in enumerate(api.operation_policies):
        if each.policy is chosen:
            said = policy.operations[number]
            methods = ", ".join(said.get("methods", ())) or "any method"
            return f"Policy {number + 1} of the operations counts: {methods} {said['path']}."
    return "None of the operations' policies is for this call: the API's own counts."


def _calls(
    plan: httpcache.RequestPlan, head: httpcache.ResponseHead, wait: float
) -> tuple[list[PreviewedCall], httpcache.Reason | None]:
    """The calls, and why the response to the first was stored, or not."""
    if plan.bypass is not None:
        past = "It goes past the cache to the upstream, and so does every one like it."
        return [PreviewedCall("This request", "BYPASS", plan.bypass.sentence, [past])], None
    now = time.time()
    missing = httpcache.on_entry(plan, None, now)
    if isinstance(missing, httpcache.GatewayTimeout):
        return [PreviewedCall("This request", "BYPASS", missing.reason.sentence, ["It is answered with 504."])], None
    decided = httpcache.on_response(plan, None, head, now, now, (1, 1))
    first = PreviewedCall("The first time, this request", "MISS", missing.reason.sentence, [decided.reason.sentence])
    if not isinstance(decided, httpcache.Store):
        again = PreviewedCall(_when(wait), "MISS", decided.reason.sentence, ["It goes to the upstream again."])
        return [first, again], decided.reason
    entry = decided.entry
    entry.body = b""
    first.sentences += _lifetimes(entry, now)
    return [first, _again(plan, entry, now, wait)], decided.reason


def _when(wait: float) -> str:
    return f"{number_format.duration(wait)} later, this request" if wait else "At once again, this request"


def _lifetimes(entry: httpcache.CacheEntry, now: float) -> list[str]:
    fresh = max(entry.fresh_until - now, 0)
    sentences = [
        f"Fresh for {number_format.duration(fresh)}, shared among {SCOPES[httpcache.SharingScope(entry.scope)]} ({entry.rule})."
    ]
    grace = entry.swr_until - entry.fresh_until
    if grace > 0:
        sentences.append(f"Served stale up to {number_format.duration(grace)} longer while one call refreshes it.")
    outage = entry.sie_5xx_until - entry.fresh_until
    if outage > 0:
        sentences.append(f"Served stale up to {number_format.duration(outage)} longer when the upstream fails.")
    return sentences


def _again(plan: httpcache.RequestPlan, entry: httpcache.CacheEntry, now: float, wait: float) -> PreviewedCall:
    decision = httpcache.on_entry(plan, httpcache.StoredResponse(entry), now + wait)
    if isinstance(decision, httpcache.Serve):
        result = "STALE" if decision.stale else "HIT"
        more = ["One call refreshes it in the background."] if decision.refresh else []
        return PreviewedCall(_when(wait), result, decision.reason.sentence, more)
    if isinstance(decision, httpcache.Revalidate) and decision.conditional:
        return PreviewedCall(
            _when(wait), "REVALIDATED", decision.reason.sentence, ["If the origin confirms it with 304, it lives on."]
        )
    return PreviewedCall(_when(wait), "MISS", decision.reason.sentence, ["It goes to the upstream."])


def headers_of(lines: str | Iterable[Sequence[str]]) -> httpcache.Headers:
    """``Name: value`` lines, or pairs, as the core takes them; lines of another form are passed over."""
    pairs = [line.split(":", 1) for line in lines.splitlines() if ":" in line] if isinstance(lines, str) else lines
    return tuple(
        (name.strip().lower().encode("latin-1", "replace"), value.strip().encode("latin-1", "replace"))
        for name, value in pairs
        if name.strip()
    )

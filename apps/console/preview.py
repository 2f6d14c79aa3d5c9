"""What a sample request would get under a cache policy, decided by the core that the gateways run. Nothing is called or stored."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.caching import http
from apps.caching.models import CachePolicy
from apps.catalog.models import API
from apps.console import figures
from apps.fleet.compile import compile_policy

SAMPLE = http.Identity(tenant="sample", application="sample/sample", told=http.Scope.SHARED)
SCOPES = {
    http.Scope.SHARED: "every caller",
    http.Scope.TENANT: "the caller's tenant",
    http.Scope.APPLICATION: "the caller's application",
    http.Scope.SUBJECT: "this one caller",
}


@dataclass
class Outcome:
    """One call of the sample: its cache result, and why, in sentences."""

    title: str
    result: str
    sentences: list[str]


@dataclass
class Preview:
    """The first call, the same one again, and what the cache key is made of."""

    calls: list[Outcome]
    key: list[tuple[str, str]]
    forwarded: str
    error: str = ""


def preview(api: API, policy: CachePolicy, sample: Mapping[str, Any]) -> Preview:
    """Decide the sample (the fields of ``SampleForm``) twice: now, and ``age`` seconds later."""
    target = http.normalise_target(str(sample["path"]).encode())
    if target is None:
        return Preview([], [], "", "The gateway refuses this path with 400.")
    request = http.Request(
        method=sample["method"],
        scheme="http",
        host=b"gateway",
        path=target.path,
        query=target.query,
        headers=headers_of(sample.get("request_headers") or ""),
        has_body=False,
    )
    plan = http.plan_request(request, compile_policy(api, policy), SAMPLE)
    forwarded = plan.request.path.decode("latin-1") + (f"?{plan.query.decode('latin-1')}" if plan.query else "")
    key = [] if plan.bypass else list(plan.key_parts())
    return Preview(_calls(plan, sample), key, forwarded)


def _calls(plan: http.RequestPlan, sample: Mapping[str, Any]) -> list[Outcome]:
    if plan.bypass is not None:
        past = "It goes past the cache to the upstream, and so does every one like it."
        return [Outcome("The first call", "BYPASS", [plan.bypass.sentence, past])]
    now = time.time()
    missing = http.on_entry(plan, None, now)
    if isinstance(missing, http.GatewayTimeout):
        return [Outcome("The first call", "BYPASS", [missing.reason.sentence, "It is answered with 504."])]
    head = http.ResponseHead(int(sample["status"]), headers_of(sample.get("response_headers") or ""))
    decided = http.on_response(plan, None, head, now, now, (1, 1))
    if not isinstance(decided, http.Store):
        again = "The same request again goes to the upstream too."
        return [Outcome("The first call", "MISS", [missing.reason.sentence, decided.reason.sentence, again])]
    entry = decided.entry
    entry.body = b""
    first = Outcome(
        "The first call", "MISS", [missing.reason.sentence, decided.reason.sentence, *_lifetimes(entry, now)]
    )
    wait = float(sample.get("age") or 0)
    return [first, _again(plan, entry, now, wait)]


def _lifetimes(entry: http.Entry, now: float) -> list[str]:
    fresh = max(entry.fresh_until - now, 0)
    sentences = [f"Fresh for {figures.duration(fresh)}, shared among {SCOPES[http.Scope(entry.scope)]}."]
    grace = entry.swr_until - entry.fresh_until
    if grace > 0:
        sentences.append(f"Served stale up to {figures.duration(grace)} longer while one call refreshes it.")
    return sentences


def _again(plan: http.RequestPlan, entry: http.Entry, now: float, wait: float) -> Outcome:
    title = f"The same call {figures.duration(wait)} later" if wait else "The same call at once"
    decision = http.on_entry(plan, http.Held(entry), now + wait)
    if isinstance(decision, http.Serve):
        result = "STALE" if decision.stale else "HIT"
        more = ["One call refreshes it in the background."] if decision.refresh else []
        return Outcome(title, result, [decision.reason.sentence, *more])
    if isinstance(decision, http.Revalidate) and decision.conditional:
        return Outcome(
            title, "REVALIDATED", [decision.reason.sentence, "If the origin confirms it with 304, it lives on."]
        )
    return Outcome(title, "MISS", [decision.reason.sentence, "It goes to the upstream."])


def headers_of(text: str) -> http.Headers:
    """``Name: value`` lines as the core takes them; lines of another form are passed over."""
    pairs = []
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip():
            pairs.append(
                (name.strip().lower().encode("latin-1", "replace"), value.strip().encode("latin-1", "replace"))
            )
    return tuple(pairs)

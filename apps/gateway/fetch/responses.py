"""The response of an upstream, or the outcome of a fetch, as one caller's response, with what its fields say of it."""

from collections.abc import Callable
from time import time

from apps import httpcache
from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import AnyResponse, GatewayResponse, StreamedResponse, refuse
from apps.gateway.fetch.results import FromStore, Own, Shared
from apps.gateway.upstream.client import UpstreamResponse
from apps.gateway.upstream.errors import Busy, DestinationRefused, TimedOut, Unreachable, UpstreamError
from apps.gateway.upstream.headers import response_fields
from apps.httpcache.stored_response import BODILESS

RETRY_AFTER = 1
"""Seconds after which a call for which there was no place may be made again."""


def own(x: Call, outcome: Own) -> AnyResponse:
    """The upstream's response as it is, for the one caller it is for."""
    x.reason = outcome.reason.code
    x.cache = b"MISS"
    _say(x, outcome.response.status, stored=False, detail=outcome.reason, collapsed=False)
    return passed_on(x, outcome.response)


def from_store(x: Call, outcome: FromStore, *, collapsed: bool, hit: bool = False) -> AnyResponse:
    """A stored response: confirmed, standing in, or (``hit``) stored by another fetch while this caller waited."""
    plan, now = x.cache_plan, time()
    x.reason = outcome.reason.code
    stored = outcome.stored
    missed = outcome.elsewhere and isinstance(x.decision, httpcache.Fetch)
    x.cache = b"HIT" if hit else b"STALE" if not outcome.confirmed else b"MISS" if missed else b"REVALIDATED"
    x.cache_status = httpcache.cache_status(
        hit=hit,
        forwarded=x.decision.reason,
        upstream_status=x.upstream_status or None,
        ttl=int(stored.fresh_until - now),
        stored=outcome.confirmed and not hit,
        collapsed=collapsed,
        key=plan.key_text if x.shows_detail else "",
        detail=outcome.reason if x.shows_detail else None,
    )
    return httpcache.response_from(stored, plan, now)


def shared(x: Call, outcome: Shared, collapsed: bool, leave: Callable[[], None]) -> AnyResponse:
    """A response that is being stored, or just was. One that still arrives is streamed, and ``leave`` is called when
    this caller has it or is gone.
    """
    plan, api = x.cache_plan, x.api
    x.reason = outcome.store.reason.code
    x.cache = b"MISS"
    _say(x, outcome.status, stored=True, detail=outcome.store.reason, collapsed=collapsed, entry=outcome.store.entry)
    if outcome.stored is not None and plan.selective:
        # The caller's own condition or range is judged against what was just stored.
        return httpcache.response_from(outcome.stored, plan, time())
    told = _told_to_all(outcome) if collapsed else outcome.fields
    fields = response_fields(x, api, outcome.status, told, outcome.store.entry)
    if outcome.stored is not None:
        whole = outcome.stored.entry.body
        return GatewayResponse(outcome.status, with_length(x.method, outcome.status, fields, whole), whole)
    reader = outcome.body.reader()
    x.waits_for_reader = reader.held_bytes

    def close() -> None:
        reader.leave()
        leave()

    return StreamedResponse(outcome.status, fields, reader.read, close)


def _told_to_all(outcome: Shared) -> httpcache.Headers:
    """The upstream's fields for those it wasn't asked for: what is stored of them (``private`` and ``no-cache`` may name some that
    aren't), and the framing and age of what comes.
    """
    stored = {name for name, _ in outcome.store.entry.headers} | {b"content-length", b"age"}
    return tuple([pair for pair in outcome.fields if pair[0] in stored])


def _say(
    x: Call,
    status: int,
    *,
    stored: bool,
    detail: httpcache.Reason,
    collapsed: bool,
    entry: httpcache.CacheEntry | None = None,
) -> None:
    plan = x.cache_plan
    x.cache_status = httpcache.cache_status(
        forwarded=x.decision.reason,
        upstream_status=status,
        ttl=int(entry.fresh_until - time()) if entry is not None else None,
        stored=stored,
        collapsed=collapsed,
        key=plan.key_text if x.shows_detail else "",
        detail=detail if x.shows_detail else None,
    )


def failed(x: Call, error: UpstreamError) -> GatewayResponse:
    """The upstream's failure as the caller's response; ``cause`` is in its record even where the call was another's."""
    x.cause = error.cause.code
    if x.allowance is not None and x.plan is not None and not x.plan.charge_failures:
        x.allowance.refund()
    cache_status = httpcache.cache_status(forwarded=httpcache.Reason.UPSTREAM_FAILED)
    if isinstance(error, TimedOut):
        response = refuse(x, Problem.UPSTREAM_TIMEOUT)
    elif isinstance(error, DestinationRefused):
        response = refuse(x, Problem.UPSTREAM_REFUSED)
    elif isinstance(error, Busy):
        response = refuse(x, Problem.UPSTREAM_BUSY, extra=((b"retry-after", b"%d" % RETRY_AFTER),))
    elif isinstance(error, Unreachable):
        response = refuse(x, Problem.UPSTREAM_UNREACHABLE)
    else:
        response = refuse(x, Problem.UPSTREAM_INVALID)
    x.cache_status = cache_status
    return response


def passed_on(x: Call, response: UpstreamResponse) -> AnyResponse:
    """An upstream's response as it is, whole if all of it came with the head, else streamed."""
    fields = response_fields(x, x.api, response.status, response.fields)
    if x.allowance is not None and response.status >= 500 and x.plan is not None and not x.plan.charge_failures:
        x.allowance.refund()
    whole = response.whole
    if whole is None:
        return StreamedResponse(response.status, fields, response.read, response.close)
    response.close()
    return GatewayResponse(response.status, with_length(x.method, response.status, fields, whole), whole)


def with_length(method: str, status: int, fields: httpcache.Headers, body: bytes) -> httpcache.Headers:
    """Fields with the ``content-length`` of a whole body, where there is one to tell."""
    if method == "HEAD" or status in BODILESS or any(name == b"content-length" for name, _ in fields):
        return fields
    return (*fields, (b"content-length", b"%d" % len(body)))

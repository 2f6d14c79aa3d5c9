"""What to do with what is stored: serve it, ask whether it is still right, or fetch anew (RFC 9111 §4, RFC 5861)."""

from apps.httpcache.decisions import Failed, Fetch, GatewayTimeout, Revalidate, Serve, UpstreamFailure
from apps.httpcache.early_refresh import refreshes
from apps.httpcache.entry import CacheEntry
from apps.httpcache.identity import SharingScope
from apps.httpcache.plan import RequestPlan
from apps.httpcache.policy import BOUNDED
from apps.httpcache.reasons import Reason
from apps.httpcache.stored_response import StoredResponse
from apps.httpcache.validation import conditional_fields
from apps.httpcache.vary import matches

VALIDATION_INTERVAL = 1.0
"""Seconds within which, under ``bounded``, callers who ask for validation share the last one, or the last attempt."""

STALE_STATUSES = frozenset({500, 502, 503, 504})
"""Responses that a stale one may replace (RFC 5861 §4)."""


def may_use(plan: RequestPlan, entry: CacheEntry) -> Reason | None:
    """Checks anew, on every hit, that this caller may be served this entry. ``None``: yes.

    ``SCOPE_MISMATCH`` can't come from honest data, because the key holds scope and owner: it is an alarm.
    """
    if (entry.scope, entry.owner) != _owner_under(plan, entry.key):
        return Reason.SCOPE_MISMATCH
    if plan.credentialed and entry.scope != SharingScope.SUBJECT and not entry.open_to_credentials:
        return Reason.AUTHORIZATION
    if entry.selecting and not matches(entry, plan.request.headers):
        return Reason.VARY_MISMATCH
    return None


def may_end(plan: RequestPlan, entry: CacheEntry) -> bool:
    """Whether a response to this call may end the stored one. What one caller's credentials get says nothing of what is for all:
    who makes some up could end it.
    """
    return not plan.credentialed or entry.scope == SharingScope.SUBJECT


def _owner_under(plan: RequestPlan, key: bytes) -> tuple[int, bytes] | None:
    for planned, owned_by in zip(plan.keys, plan.owners, strict=True):
        if planned == key:
            return owned_by
    return None


def on_entry(
    plan: RequestPlan, stored: StoredResponse | None, now: float, chance: float = 1.0
) -> Serve | Revalidate | Fetch | GatewayTimeout:
    """Decides what becomes of a call, given the stored response that it selects.

    ``now`` is Unix seconds; ``chance`` is a draw, uniform in (0, 1], with which a hit may refresh its response early
    (1: never). A stale response that may be served while it is refreshed comes with ``refresh`` set, and so does one
    refreshed early: the caller starts one refresh per fetch key.
    """
    if stored is None:
        return _without(plan, plan.missed)
    refusal = may_use(plan, stored.entry)
    if refusal is not None:
        return _without(plan, refusal)
    if now >= stored.entry.keep_until:
        return _without(plan, Reason.EXPIRED)
    if _is_fresh(stored, now):
        objection = _objection(plan, stored, now) if plan.noticed else None
        if objection is None:
            return _serve_fresh(stored, now, chance)
        if plan.policy.client_directives == BOUNDED and _was_just_asked_about(stored, now):
            return Serve(stored, Reason.RECENTLY_VALIDATED)
        return _ask_upstream(plan, stored, objection)
    return _serve_stale(plan, stored, now) or _ask_upstream(plan, stored, _staleness(stored))


def _is_fresh(stored: StoredResponse, now: float) -> bool:
    return now < stored.fresh_until and not stored.soft and not stored.entry.validate_always


def _was_just_asked_about(stored: StoredResponse, now: float) -> bool:
    return now - max(stored.entry.validated_at, stored.asked_at) < VALIDATION_INTERVAL


def _serve_fresh(stored: StoredResponse, now: float, chance: float) -> Serve:
    if now >= stored.early_from and refreshes(stored.fresh_until, stored.entry.fetch_seconds, now, chance):
        return Serve(stored, Reason.REFRESHED_EARLY, False, True, conditional_fields(stored))
    return Serve(stored, Reason.FRESH)


def _serve_stale(plan: RequestPlan, stored: StoredResponse, now: float) -> Serve | None:
    """Serves past freshness where origin or policy (SWR) or the caller (``max-stale``) allows it, and the caller
    didn't ask for a fresh response.
    """
    asked, entry = plan.directives, stored.entry
    if asked.no_cache or asked.min_fresh is not None or entry.validate_always or _too_old(plan, stored, now):
        return None
    if now < entry.swr_until and _has_grace(stored, entry.swr_until):
        return Serve(stored, Reason.STALE_WHILE_REVALIDATE, True, True, conditional_fields(stored))
    if asked.max_stale is None or not entry.stale_allowed or stored.soft:
        return None
    return Serve(stored, Reason.MAX_STALE, True) if now - stored.fresh_until <= asked.max_stale else None


def _has_grace(stored: StoredResponse, until: float) -> bool:
    """Whether ``until`` allows a stale response at all: what a soft purge made stale is still before the end of its
    freshness.
    """
    return not stored.soft or until > stored.fresh_until


def _ask_upstream(plan: RequestPlan, stored: StoredResponse, reason: Reason) -> Revalidate | GatewayTimeout:
    if plan.directives.only_if_cached:
        return GatewayTimeout(Reason.ONLY_IF_CACHED)
    # A part is asked for as it is: a 304 could confirm the whole, but the caller wants the part of the newest.
    return Revalidate(stored, conditional_fields(stored) if plan.range_wanted is None else (), reason)


def _without(plan: RequestPlan, reason: Reason) -> Fetch | GatewayTimeout:
    if plan.directives.only_if_cached:
        return GatewayTimeout(Reason.ONLY_IF_CACHED)
    if plan.range_wanted is not None:
        return Fetch(Reason.RANGE_NOT_STORED if reason is Reason.NOT_FOUND else reason)
    if reason is Reason.VARY_MISMATCH and plan.others and plan.request.method == "GET":
        tags = b", ".join(dict.fromkeys(tag for _, tag in plan.others))
        return Fetch(reason, ((b"if-none-match", tags),))
    return Fetch(reason)


def _staleness(stored: StoredResponse) -> Reason:
    if stored.entry.validate_always:
        return Reason.ALWAYS_VALIDATE
    return Reason.SOFT_PURGED if stored.soft else Reason.EXPIRED


def _too_old(plan: RequestPlan, stored: StoredResponse, now: float) -> bool:
    """Whether the caller's ``max-age`` refuses the response (§5.2.1.1); ``max-stale`` beside it speaks of staleness,
    not of age.
    """
    limit = plan.directives.max_age
    return limit is not None and stored.age(now) > limit


def _objection(plan: RequestPlan, stored: StoredResponse, now: float) -> Reason | None:
    """Why the caller doesn't want a fresh response (§5.2.1), or ``None``.

    A reload (``max-age=0``) doesn't validate what the origin calls immutable (RFC 8246 §2.1). A forced one
    (``no-cache``) does, unless the policy bounds what callers may ask for.
    """
    asked, immutable = plan.directives, stored.entry.immutable
    if asked.no_cache and not (immutable and plan.policy.client_directives == BOUNDED):
        return Reason.REQUEST_NO_CACHE
    if asked.max_age is not None and not immutable and (asked.max_age == 0 or _too_old(plan, stored, now)):
        return Reason.REQUEST_MAX_AGE
    if asked.min_fresh is not None and stored.fresh_until - now < asked.min_fresh:
        return Reason.REQUEST_MIN_FRESH
    return None


def on_error(
    plan: RequestPlan, stored: StoredResponse | None, failure: UpstreamFailure | int, now: float
) -> Serve | Failed:
    """Decides whether a stale response may stand in for an upstream that failed (§4.2.4, RFC 5861 §4).

    ``failure`` is how it failed, or the status that it answered. A caller who asked for validation may be served too:
    it asked for the newest response there is, and there is no newer one. Where stale responses are forbidden, grace ends
    with freshness.
    """
    if stored is None or may_use(plan, stored.entry) is not None or now >= stored.entry.keep_until:
        return Failed(Reason.UPSTREAM_FAILED)
    entry = stored.entry
    stored.asked_at = now
    if isinstance(failure, UpstreamFailure):
        until = entry.sie_unreachable_until
    else:
        until = entry.sie_5xx_until if failure in STALE_STATUSES else 0.0
    if now < until and not entry.validate_always and _has_grace(stored, until):
        return Serve(stored, Reason.STALE_IF_ERROR, stale=now >= stored.fresh_until or stored.soft)
    return Failed(Reason.UPSTREAM_FAILED)

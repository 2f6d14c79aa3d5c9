"""What becomes of an upstream's response: stored, passed on, or used to refresh what is stored (RFC 9111 §3,
§4.3.3-4.3.5).
"""

from dataclasses import replace
from math import inf

from apps.httpcache import dates
from apps.httpcache.decisions import Failed, NoStore, Refetch, Refreshed, Reuse, Serve, Store
from apps.httpcache.directives import ResponseDirectives, delta_seconds
from apps.httpcache.downstream import rule_of
from apps.httpcache.entity_tags import ANY, LONGEST, MOST, one_word
from apps.httpcache.entry import MAX_LIFE, CacheEntry, PurgeClock
from apps.httpcache.fields import PER_CALL, end_to_end, first, lines_of, members
from apps.httpcache.freshness import Grace, grace, initial_age, jittered, lifetime
from apps.httpcache.identity import SharingScope, holder, permits_sharing, scope_of_response
from apps.httpcache.messages import Headers, ResponseHead
from apps.httpcache.plan import RequestPlan
from apps.httpcache.policy import PASS, PERSONAL, PERSONAL_LIFETIME
from apps.httpcache.ranges import is_part
from apps.httpcache.reasons import Reason
from apps.httpcache.serving import STALE_STATUSES, may_end, may_use, on_error
from apps.httpcache.stored_response import StoredResponse
from apps.httpcache.targeted import Governing, directives_for
from apps.httpcache.validation import confirms, describes_same_body, merged_headers, named
from apps.httpcache.vary import depends_on_unkeyed, field_names, selecting

KEEP = 3600.0
"""Seconds past every other use during which a response with a validator is kept, for a conditional request."""

PASS_FOR = 10.0
"""Seconds during which calls for what turned out not to be cacheable don't wait for each other (hit-for-miss)."""

ENDING = frozenset({404, 410, 451})
"""Responses to a refresh that end what was stored, storable or not: the origin says that it is no more."""

FORBIDDING = frozenset({401, 403})
"""Responses to a refresh that end what was stored for this scope: the caller may not have it any more."""

UNDERSTOOD = frozenset(
    {200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 416}
    | {417, 421, 422, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511}
)
"""Statuses whose requirements on caches this one meets (``must-understand``, RFC 9111 §5.2.2.3)."""

NEVER_STORED = frozenset({412, 416, 417, 428, 429, 431, 511})
"""Statuses that judge one call by what isn't in the key (its conditions, range, rate, size of fields), whatever lifetime
comes with them: RFC 6585 §3-6 forbids to store four of them.
"""

OF_THE_WHOLE = frozenset({404, 410})
"""Errors that a call for a part may have met by its address alone."""

_NO_COOKIES = frozenset({b"set-cookie", b"set-cookie2"})


def on_response(
    plan: RequestPlan,
    stored: StoredResponse | None,
    head: ResponseHead,
    requested_at: float,
    now: float,
    purge_clock: PurgeClock,
    chance: float = 0.0,
) -> Store | NoStore | Refreshed | Serve | Reuse | Refetch:
    """Decides what an upstream's final response means. ``now`` is when its head had come, ``requested_at`` when the
    request left.

    ``stored`` is the stored response that the request was about, if there was one; ``purge_clock`` is what the worker knew of
    purges when the fetch began. ``chance`` (0..1) is drawn by the caller: how much of the policy's jitter is used.
    """
    decided = _decided(plan, stored, head, requested_at, now, purge_clock)
    if isinstance(decided, Store | Refreshed) and decided.entry.received_at == now:
        _cut_short(decided.entry, plan.policy.jitter, now, chance)
    return decided


def _cut_short(entry: CacheEntry, jitter: float, now: float, chance: float) -> None:
    """End freshness early by the jitter. Where stale responses may be served, they may for as long as before; where
    not, the response ends with its freshness. What other clients get doesn't change.
    """
    end = entry.fresh_until
    entry.fresh_until = now + jittered(end - now, jitter, chance)
    for grace_of in ("swr_until", "sie_5xx_until", "sie_unreachable_until"):
        if getattr(entry, grace_of) == end:
            setattr(entry, grace_of, entry.fresh_until)


def _decided(
    plan: RequestPlan,
    stored: StoredResponse | None,
    head: ResponseHead,
    requested_at: float,
    now: float,
    purge_clock: PurgeClock,
) -> Store | NoStore | Refreshed | Serve | Reuse | Refetch:
    if plan.bypass is not None:
        return NoStore(plan.bypass)
    if stored is not None and may_use(plan, stored.entry) is not None:
        stored = None
    if head.status == 304:
        return on_not_modified(plan, stored, head, requested_at, now, purge_clock)
    if stored is not None and head.status in STALE_STATUSES:
        stand_in = on_error(plan, stored, head.status, now)
        # A failed refresh never replaces a response that is still worth something.
        return NoStore(Reason.UPSTREAM_FAILED) if isinstance(stand_in, Failed) else stand_in
    if plan.request.method == "HEAD":
        return _on_head(plan, stored, head, requested_at, now, purge_clock)
    return _judged(plan, stored, head, requested_at, now, purge_clock)


def _judged(
    plan: RequestPlan,
    stored: StoredResponse | None,
    head: ResponseHead,
    requested_at: float,
    now: float,
    purge_clock: PurgeClock,
) -> Store | NoStore:
    said = directives_for(head.headers)
    refusal = _refusal(plan, head, said.directives)
    if refusal is not None:
        return _not_stored(plan, refusal, stored, head.status)
    entry, reason = _entry(plan, head, said, requested_at, now, purge_clock)
    if entry is None:
        return _not_stored(plan, reason, stored, head.status)
    length = first(head.headers, b"content-length")
    expected = delta_seconds(length.strip()) if length is not None else None
    if expected is not None and expected > plan.policy.max_body:
        return _not_stored(plan, Reason.TOO_LARGE, stored, head.status)
    return Store(entry, reason, expected)


def _not_stored(plan: RequestPlan, reason: Reason, stored: StoredResponse | None, status: int) -> NoStore:
    if reason in (Reason.REQUEST_NO_STORE, Reason.PARTIAL):
        # It is this call's doing, and says nothing of the next one's response or of the stored one.
        return NoStore(reason, ends=_may_end(plan, stored) and status in FORBIDDING)
    ends = _may_end(plan, stored) and (200 <= status < 400 or status in ENDING or status in FORBIDDING)
    return NoStore(reason, PASS_FOR, ends)


def _may_end(plan: RequestPlan, stored: StoredResponse | None) -> bool:
    return stored is not None and may_end(plan, stored.entry)


def _refusal(plan: RequestPlan, head: ResponseHead, said: ResponseDirectives) -> Reason | None:
    """Why a response must not be stored (§3), its lifetime aside."""
    status, headers = head.status, head.headers
    if status == 206 or (status == 200 and is_part(first(headers, b"content-range"))):
        return Reason.PARTIAL
    if status < 200 or status in NEVER_STORED:
        return Reason.STATUS
    if status >= 400 and status not in OF_THE_WHOLE and plan.range_wanted is not None:
        return Reason.PARTIAL
    understood = said.must_understand and status in UNDERSTOOD
    if said.must_understand and not understood:
        return Reason.MUST_UNDERSTAND
    if said.no_store and not understood:
        return Reason.NO_STORE
    if said.private:
        return Reason.PRIVATE
    if plan.directives.no_store:
        return Reason.REQUEST_NO_STORE
    if not plan.policy.store_set_cookie and any(name in _NO_COOKIES for name, _ in headers):
        return Reason.SET_COOKIE
    names = field_names(headers)
    if names is None:
        return Reason.VARY_STAR
    if depends_on_unkeyed((*names, *(name.encode() for name in plan.policy.headers)), plan.request.headers):
        return Reason.VARY_UNKEYED
    return None


def _entry(
    plan: RequestPlan,
    head: ResponseHead,
    governing: Governing,
    requested_at: float,
    now: float,
    purge_clock: PurgeClock,
) -> tuple[CacheEntry | None, Reason]:
    """The entry of a storable response, its body aside; ``None`` and why, if it would be of no use."""
    policy, said = plan.policy, governing.directives
    # No heuristic lifetime for what belongs to one client, or for a response to POST (RFC 9110 §9.3.3).
    guarded = plan.credentialed or plan.request.method == "POST"
    seconds, reason = lifetime(policy, ResponseHead(head.status, governing.headers), said, guarded, now)
    has_validator = (
        plan.validates and head.status == 200 and any(name in (b"etag", b"last-modified") for name, _ in head.headers)
    )
    if seconds is None:
        if reason is Reason.STATUS or not has_validator:
            return None, reason
        seconds, reason = 0.0, Reason.STORED_FOR_VALIDATION
    if said.no_cache:
        if not has_validator:
            return None, Reason.NO_VALIDATOR
        reason = Reason.STORED_FOR_VALIDATION

    age = initial_age(head.headers, requested_at, now)
    last = now + PERSONAL_LIFETIME if policy.sensitivity == PERSONAL else inf
    fresh_until = min(now - age + seconds, last)
    # A stored error spares the origin calls; it is nothing that could stand in for a response.
    allowed = Grace(allowed=False) if head.status >= 500 else grace(policy, said)
    keep = KEEP if has_validator else 0.0
    swr_until, sie_5xx_until, sie_unreachable_until = (
        min(fresh_until + part, last) for part in (allowed.while_revalidate, allowed.on_5xx, allowed.unreachable)
    )
    last_use = max(fresh_until, swr_until, sie_5xx_until, sie_unreachable_until)
    keep_until = min(max(last_use, now) + keep, now + MAX_LIFE, last)
    if fresh_until <= now and not has_validator and not _is_worth_grace(swr_until, sie_5xx_until, now):
        return None, Reason.ALREADY_STALE

    scope, rule = scope_of_response(policy, plan.base, plan.credentialed, said)
    by_all = policy.open_to_all and scope == SharingScope.SHARED and not plan.credentialed
    index = next(index for index, (owned_scope, _) in enumerate(plan.owners) if owned_scope == scope)
    names = field_names(head.headers) or ()
    chosen = selecting(names, plan.request.headers)
    return (
        CacheEntry(
            key=plan.keys[index],
            status=head.status,
            headers=_stored_headers(head.headers, said, now),
            body=b"",
            received_at=now,
            validated_at=now,
            age_at_receipt=age,
            fresh_until=fresh_until,
            swr_until=swr_until,
            sie_5xx_until=sie_5xx_until,
            sie_unreachable_until=sie_unreachable_until,
            keep_until=keep_until,
            validate_always=said.no_cache,
            stale_allowed=allowed.allowed,
            scope=int(scope),
            owner=plan.owners[index][1],
            rule=rule,
            open_to_credentials=_open_to_credentials(plan, said),
            selecting=chosen,
            api=policy.api,
            path=plan.request.path,
            tags=surrogate_keys(head.headers),
            birth=purge_clock,
            holder=holder(scope, plan.identity),
            fetch_seconds=max(0.0, now - requested_at),
            personal=policy.sensitivity == PERSONAL,
            downstream=rule_of(policy, by_all),
            surrogates=policy.surrogate_control == PASS,
            immutable=said.immutable,
        ),
        reason,
    )


def _is_worth_grace(swr_until: float, sie_5xx_until: float, now: float) -> bool:
    """A response that comes stale is kept where a policy or client asked for stale responses; the default minute alone is no
    reason.
    """
    return max(swr_until, sie_5xx_until) > now


def _open_to_credentials(plan: RequestPlan, said: ResponseDirectives) -> bool:
    return plan.policy.share_with_credentials or said.public or said.s_maxage is not None or said.must_revalidate


def _stored_headers(headers: Headers, said: ResponseDirectives, now: float) -> Headers:
    """The fields to store (§3.1), with a ``Date`` where the origin sent none (RFC 9110 §6.6.1)."""
    kept = end_to_end(headers, PER_CALL, {b"content-length"}, said.no_cache_fields, said.private_fields)
    if not any(name == b"date" for name, _ in kept):
        kept = (*kept, (b"date", dates.format_date(now)))
    return kept


def surrogate_keys(headers: Headers) -> tuple[str, ...]:
    """The origin's own tags: ``Surrogate-Key`` (separated by spaces) and ``Cache-Tag`` (by commas).

    Of more than are kept, or of longer ones, the response ends with the purge of any tag of its API: an origin that names
    one must not find it stored.
    """
    found = [key for line in lines_of(headers, b"surrogate-key") for key in line.split()]
    found += members(lines_of(headers, b"cache-tag"))
    texts = tuple(dict.fromkeys(one_word(key.decode("utf-8", "backslashreplace")) for key in found))
    return texts if len(texts) <= MOST and all(len(text) <= LONGEST for text in texts) else (ANY,)


def on_not_modified(
    plan: RequestPlan,
    stored: StoredResponse | None,
    head: ResponseHead,
    requested_at: float,
    now: float,
    purge_clock: PurgeClock,
) -> NoStore | Refreshed | Reuse | Refetch:
    """A 304: the stored response lives on with new fields and a new lifetime (§4.3.3, §4.3.4).

    Where the request named other variants, the 304's entity tag selects one of them. One that speaks of a response that
    isn't stored is followed by an unconditional request. One that this cache didn't ask for belongs to the client.
    """
    if stored is None and not plan.others:
        return NoStore(Reason.CONDITIONAL)
    if stored is None:
        key = named(plan.others, first(head.headers, b"etag"))
        return Refetch(Reason.INVALID_VALIDATION) if key is None else Reuse(key, Reason.VALIDATED)
    if not confirms(stored, head.headers):
        return Refetch(Reason.INVALID_VALIDATION)
    return _refreshed(plan, stored, head.headers, requested_at, now, purge_clock) or Refetch(Reason.INVALID_VALIDATION)


def on_reuse(
    plan: RequestPlan,
    other: StoredResponse | None,
    head: ResponseHead,
    requested_at: float,
    now: float,
    purge_clock: PurgeClock,
    chance: float = 0.0,
) -> Refreshed | Refetch:
    """The 304 said that ``other``, stored for another request to this URL, is this one's response too (§4.3.1): it is
    stored for both. ``None``: it is gone.
    """
    refreshed = None
    if other is not None and may_use(plan, other.entry) in (None, Reason.VARY_MISMATCH):
        refreshed = _refreshed(plan, other, head.headers, requested_at, now, purge_clock)
    if refreshed is None:
        return Refetch(Reason.INVALID_VALIDATION)
    _cut_short(refreshed.entry, plan.policy.jitter, now, chance)
    return refreshed


def _refreshed(
    plan: RequestPlan,
    stored: StoredResponse,
    headers: Headers,
    requested_at: float,
    now: float,
    purge_clock: PurgeClock,
) -> Refreshed | None:
    entry = stored.entry
    if plan.directives.no_store:
        # Of this response nothing may be kept (§5.2.1.5), and nothing of what others have may be lost by it.
        return Refreshed(replace(entry, validated_at=now), Reason.VALIDATED)
    if not _is_for_all_of(plan, entry, headers):
        # It confirms the body to this caller; for all others it says nothing.
        return Refreshed(replace(entry, validated_at=now), Reason.VALIDATED)
    unwanted = PER_CALL if plan.policy.store_set_cookie else PER_CALL | _NO_COOKIES
    merged = merged_headers(entry, headers, unwanted)
    # ``Age`` isn't stored, yet the age of this confirmation counts.
    timed = (*merged, *((b"age", value) for value in lines_of(headers, b"age")))
    if not lines_of(headers, b"date"):
        timed = (*(pair for pair in timed if pair[0] != b"date"), (b"date", dates.format_date(now)))
    head = ResponseHead(entry.status, timed)
    said = directives_for(timed)
    if _refusal(plan, head, said.directives) is not None:
        return None
    fresh, _ = _entry(plan, head, said, requested_at, now, purge_clock)
    if fresh is None or fresh.scope < entry.scope:
        # A confirmation doesn't widen who may have the body: an origin that means that can send it with the body.
        return None
    # The 304 may say nothing of tags, and a header rule may have taken the field from what is stored.
    return Refreshed(replace(fresh, body=entry.body, tags=surrogate_keys(headers) or entry.tags), Reason.VALIDATED)


def _on_head(
    plan: RequestPlan,
    stored: StoredResponse | None,
    head: ResponseHead,
    requested_at: float,
    now: float,
    purge_clock: PurgeClock,
) -> NoStore | Refreshed:
    """A response to HEAD has no body to store, but it refreshes or ends the stored response to GET (§4.3.5)."""
    if stored is None or head.status != 200:
        ends = _may_end(plan, stored) and (head.status in ENDING or head.status in FORBIDDING)
        return NoStore(Reason.HEAD_ONLY, ends=ends)
    if not describes_same_body(stored, head.headers) or not _is_for_all_of(plan, stored.entry, head.headers):
        return NoStore(Reason.HEAD_ONLY, ends=_may_end(plan, stored))
    return _refreshed(plan, stored, head.headers, requested_at, now, purge_clock) or NoStore(
        Reason.HEAD_ONLY, ends=_may_end(plan, stored)
    )


def _is_for_all_of(plan: RequestPlan, entry: CacheEntry, headers: Headers) -> bool:
    """Whether these fields of a response may be said to all who may have the stored one. To a call with credentials the response
    itself has to permit that (§3.5): what the stored one permits was said to another.
    """
    if not plan.credentialed or entry.scope == SharingScope.SUBJECT or plan.policy.share_with_credentials:
        return True
    return permits_sharing(directives_for(headers).directives) is not None


def may_share(plan: RequestPlan, decision: Store) -> bool:
    """Whether a call that waited for another's upstream call may have its response: same scope and owner, same variant."""
    return plan.bypass is None and may_use(plan, decision.entry) is None

"""How old a response is, how long it is fresh, and how long it may be served stale (RFC 9111 §4.2, RFC 5861)."""

from dataclasses import dataclass

from apps.httpcache import dates
from apps.httpcache.directives import ResponseDirectives, delta_seconds
from apps.httpcache.fields import first, lines_of, members
from apps.httpcache.messages import Headers, ResponseHead
from apps.httpcache.policy import HEURISTIC_CAP, HEURISTIC_FRACTION, OVERRIDE, TTL, UNREACHABLE_GRACE, Policy
from apps.httpcache.reasons import Reason

CACHEABLE_BY_DEFAULT = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses that may be stored although the origin gives no lifetime (RFC 9110 §15.1)."""

PASSING_ERRORS = frozenset({500, 502, 503, 504})
"""Errors that a policy whose TTL counts (``ttl``, ``override``) keeps for its ``negative_ttl``, to spare an origin that
is in trouble. Never 400, 401, 403 or 429: those are about the one caller, and kept, they would lock out the others.
"""

JITTERED_FROM = 10.0
"""Seconds from which on what is left of a lifetime is cut short at random."""


def initial_age(headers: Headers, requested_at: float, received_at: float) -> float:
    """The corrected initial age in seconds (§4.2.3).

    Of a repeated ``Age`` the first member counts, and one that is no number is ignored (§5.1).
    """
    ages = members(lines_of(headers, b"age"))
    age_value = (delta_seconds(ages[0]) or 0) if ages else 0
    date = first(headers, b"date")
    sent_at = dates.parse(date, received_at) if date is not None else None
    apparent_age = max(0.0, received_at - sent_at) if sent_at is not None else 0.0
    return max(apparent_age, age_value + max(0.0, received_at - requested_at))


def origin_lifetime(headers: Headers, said: ResponseDirectives, received_at: float) -> float | None:
    """The lifetime that the origin gives, in seconds (§4.2.1); ``None``: it gives none.

    ``s-maxage`` before ``max-age`` before ``Expires``. Several ``Expires`` lines that disagree, or a date that is
    none, mean: expired.
    """
    if said.s_maxage is not None:
        return float(said.s_maxage)
    if said.max_age is not None:
        return float(said.max_age)
    expires = lines_of(headers, b"expires")
    if not expires:
        return None
    moments = [dates.parse(value, received_at) for value in expires]
    date = first(headers, b"date")
    sent_at = dates.parse(date, received_at) if date is not None else None
    base = received_at if sent_at is None else sent_at
    return max(0.0, min(0.0 if moment is None else moment - base for moment in moments))


def heuristic_lifetime(headers: Headers, received_at: float) -> float | None:
    """A tenth of the time since ``Last-Modified``, a minute at most (§4.2.2); ``None`` without a usable one."""
    modified = first(headers, b"last-modified")
    modified_at = dates.parse(modified, received_at) if modified is not None else None
    if modified_at is None:
        return None
    date = first(headers, b"date")
    sent_at = dates.parse(date, received_at) if date is not None else None
    since = (received_at if sent_at is None else sent_at) - modified_at
    return min(HEURISTIC_CAP, since * HEURISTIC_FRACTION) if since > 0 else None


def lifetime(
    policy: Policy, head: ResponseHead, said: ResponseDirectives, guarded: bool, received_at: float
) -> tuple[float | None, Reason]:
    """The freshness lifetime in seconds, and what decided it; ``None``: nothing did.

    The policy's ``ttl`` gives a lifetime only to statuses that are cacheable by default: an origin's passing 500 must
    not stay for a minute for want of another rule. ``negative_ttl`` is for errors what ``ttl`` is for the rest,
    under ``origin`` too, where the origin gives them no lifetime of their own. ``guarded``: no heuristic lifetime.
    """
    given = origin_lifetime(head.headers, said, received_at)
    negative = policy.negative_ttl if head.status >= 400 else None
    by_default = head.status in CACHEABLE_BY_DEFAULT or said.public
    if negative is not None and policy.mode in (TTL, OVERRIDE):
        by_default = by_default or head.status in PASSING_ERRORS
    if given is not None and policy.mode != OVERRIDE:
        return given, Reason.STORED
    if given is None and not by_default:
        return None, Reason.STATUS
    if negative is not None:
        return (negative, Reason.STORED_NEGATIVE) if negative else (None, Reason.NO_LIFETIME)
    if policy.mode == OVERRIDE:
        return policy.ttl, Reason.STORED_OVERRIDE
    if policy.mode == TTL:
        return policy.ttl, Reason.STORED_TTL
    guessed = None if guarded else heuristic_lifetime(head.headers, received_at)
    return guessed, Reason.NO_LIFETIME if guessed is None else Reason.STORED_HEURISTIC


def jittered(left: float, jitter: float, chance: float) -> float:
    """What stays of a lifetime of which ``left`` seconds are left, so that what was stored together doesn't end
    together: at most ``jitter`` of it is cut off, as ``chance`` (0..1) has it. Short ones keep their length.
    """
    return left * (1.0 - jitter * chance) if left >= JITTERED_FROM else left


@dataclass(slots=True)
class Grace:
    """Seconds past freshness during which a stale response may be served: while it is refreshed, on a 5xx, without an
    upstream.
    """

    while_revalidate: float = 0.0
    on_5xx: float = 0.0
    unreachable: float = 0.0
    allowed: bool = True


def grace(policy: Policy, said: ResponseDirectives) -> Grace:
    """What may be served stale (§4.2.4, RFC 5861). The origin's own word goes before the policy's.

    ``must-revalidate``, ``proxy-revalidate`` and ``no-cache`` forbid it, and so does ``s-maxage`` (§5.2.2.10), unless
    the policy takes the origin's own ``stale-…`` beside it at its word.
    """
    forbidden = said.must_revalidate or said.proxy_revalidate or said.no_cache
    by_s_maxage = said.s_maxage is not None
    if forbidden or (by_s_maxage and not policy.origin_stale_beside_s_maxage):
        return Grace(allowed=False)
    swr, sie = said.stale_while_revalidate, said.stale_if_error
    if by_s_maxage:
        return Grace(float(swr or 0), float(sie or 0), float(sie or 0), allowed=False)
    if sie is not None:
        on_error, unreachable = float(sie), float(sie)
    elif policy.stale_if_error is not None:
        on_error = unreachable = policy.stale_if_error
    else:
        on_error, unreachable = 0.0, UNREACHABLE_GRACE
    return Grace(policy.stale_while_revalidate if swr is None else float(swr), on_error, unreachable)

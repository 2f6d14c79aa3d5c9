"""Where several rules had a say in what becomes of a response: which one won, and over what."""

from typing import NamedTuple

from apps.console.number_format import duration
from apps.httpcache import Reason, ResponseHead
from apps.httpcache.directives import ResponseDirectives, response_directives
from apps.httpcache.fields import first
from apps.httpcache.policy import OVERRIDE, TTL, Policy
from apps.httpcache.targeted import TARGETS, directives_for


class Winner(NamedTuple):
    """Of ``topic``, what counted, and why not the other."""

    topic: str
    sentence: str


def winners(policy: Policy, head: ResponseHead, stored: Reason | None = None) -> list[Winner]:
    """The contests that this response of an origin has under ``policy``; none where only one rule speaks. ``stored`` is
    why it was stored, or not."""
    governing = directives_for(head.headers)
    said = governing.directives
    found = [
        _field(head, said),
        _lifetime(policy, stored, said, first(governing.headers, b"expires") is not None),
        _stale(policy, said),
    ]
    return [winner for winner in found if winner is not None]


def _field(head: ResponseHead, said: ResponseDirectives) -> Winner | None:
    targeted = next((name for name in TARGETS if first(head.headers, name) is not None), None)
    if targeted is None or first(head.headers, b"cache-control") is None:
        return None
    if said == response_directives(head.headers):
        return Winner("Field", f"Cache-Control counts: {_name(targeted)} can't be read.")
    return Winner("Field", f"{_name(targeted)} counts instead of Cache-Control (RFC 9213).")


def _lifetime(policy: Policy, stored: Reason | None, said: ResponseDirectives, expires: bool) -> Winner | None:
    given = [
        name
        for name, value in (("s-maxage", said.s_maxage), ("max-age", said.max_age), ("Expires", expires or None))
        if value is not None
    ]
    if stored is Reason.STORED_NEGATIVE and policy.negative_ttl is not None:
        return Winner("Lifetime", f"It is an error: the policy's {duration(policy.negative_ttl)} for errors count.")
    if policy.mode == OVERRIDE:
        over = f" over the origin's {given[0]}" if given else ""
        return Winner("Lifetime", f"The policy's TTL of {duration(policy.ttl)} counts{over}.")
    if len(given) > 1:
        return Winner("Lifetime", f"The origin's {given[0]} counts over its {' and '.join(given[1:])}.")
    if policy.mode == TTL and given:
        return Winner("Lifetime", f"The origin's {given[0]} counts over the policy's TTL.")
    return None


def _stale(policy: Policy, said: ResponseDirectives) -> Winner | None:
    by_origin = [
        name
        for name, value in (
            ("stale-while-revalidate", said.stale_while_revalidate),
            ("stale-if-error", said.stale_if_error),
        )
        if value is not None
    ]
    by_policy = bool(policy.stale_while_revalidate or policy.stale_if_error)
    if not by_origin and not by_policy:
        return None
    whose = f"the origin's {' and '.join(by_origin)}" if by_origin else "the policy's stale times"
    for name, forbids in (
        ("must-revalidate", said.must_revalidate),
        ("proxy-revalidate", said.proxy_revalidate),
        ("no-cache", said.no_cache),
    ):
        if forbids:
            return Winner("Stale responses", f"{name} forbids them; {whose} {_don_t(by_origin)} count.")
    if said.s_maxage is not None:
        if by_origin and policy.origin_stale_beside_s_maxage:
            return Winner("Stale responses", f"{_upper(whose)} {_do(by_origin)} beside s-maxage: the policy says so.")
        return Winner(
            "Stale responses", f"s-maxage forbids them (RFC 9111 §5.2.2.10); {whose} {_don_t(by_origin)} count."
        )
    if by_origin and by_policy:
        return Winner("Stale responses", f"{_upper(whose)} {_do(by_origin)} over the policy's.")
    return None


def _don_t(names: list[str]) -> str:
    return "doesn't" if len(names) == 1 else "don't"


def _do(names: list[str]) -> str:
    return "counts" if len(names) == 1 else "count"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _name(field: bytes) -> str:
    return {"apimgr-cache-control": "APIMGR-Cache-Control", "cdn-cache-control": "CDN-Cache-Control"}[field.decode()]

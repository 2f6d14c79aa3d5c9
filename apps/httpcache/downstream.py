"""What caches behind the gateway may keep: CDNs in front of it, browsers (RFC 9111 §5.2.2, RFC 9213, W3C Edge Architecture).

The policy's ``downstream`` is ``pass`` (what the origin said), ``private``, ``no-store``, or seconds. It never loosens what the
origin says: a response that the origin calls ``no-store``, ``private`` or ``no-cache`` stays so. Seconds are given for stored
responses only, and count from when the response leaves: since ``Age`` says how old it is, ``max-age`` is that age and the seconds
together. They end where the response's freshness here ends, so a stale response is stale behind us too.

``Surrogate-Control`` and ``APIMGR-Cache-Control`` are for this gateway and end here, unless ``surrogate_control`` is ``pass``.
Responses of ``personal`` APIs are at least ``private``, those of ``secret`` ones ``no-store``, whatever the rule.

``CDN-Cache-Control`` is for every CDN on the way and goes on, except beside a rule of ours, which it would overrule.
"""

from apps.httpcache.directives import response_directives
from apps.httpcache.entry import CacheEntry
from apps.httpcache.fields import lines_of, members, without
from apps.httpcache.messages import Headers
from apps.httpcache.policy import NO_STORE, OFF, PASS, PERSONAL, PRIVATE, SECRET, Policy

FOR_US = frozenset({b"apimgr-cache-control", b"surrogate-control"})
"""Fields by which an origin speaks to this gateway alone."""

_CDN = b"cdn-cache-control"
_KEPT = frozenset({b"must-revalidate", b"must-understand", b"no-transform", b"proxy-revalidate"})
"""Directives that stand beside a lifetime of ours."""

_FOR_SHARED = frozenset({b"public", b"s-maxage", b"proxy-revalidate", b"private"})


def rule_of(policy: Policy, by_all: bool) -> str:
    """The rule to keep with an entry. ``by_all``: every client may have the response.

    What a cache behind us can't know is who may have a response: it doesn't know our keys. So seconds are for the
    client's own cache where the response was made for one client.
    """
    rule = _least(policy)
    return rule if rule in (PASS, PRIVATE, NO_STORE) or by_all else f"{PRIVATE} {rule}"


def _least(policy: Policy) -> str:
    """The policy's rule, or what the API's sensitivity demands: a cache behind us that doesn't know our keys for
    credentials takes a response without a word, or with ``max-age`` alone, for everybody's.
    """
    if policy.sensitivity == SECRET:
        return NO_STORE
    return PRIVATE if policy.sensitivity == PERSONAL and policy.downstream == PASS else policy.downstream


def prepared(headers: Headers, rule: str, surrogates: bool) -> tuple[Headers, tuple[bytes, int] | None]:
    """The fields as caches behind us get them. With a rule of seconds also the directives that ``max-age`` follows,
    and the seconds: ``lifetime`` makes the ``Cache-Control`` of them when the response leaves.
    """
    fields = headers if surrogates else without(headers, FOR_US)
    if rule == PASS:
        return fields, None
    said = response_directives(headers)
    if rule == NO_STORE:
        return (*without(fields, {b"cache-control", b"expires", _CDN}), (b"cache-control", b"no-store")), None
    fields = without(fields, {_CDN})
    if said.no_store or said.private:
        return fields, None
    lines = members(lines_of(headers, b"cache-control"))
    if rule == PRIVATE:
        kept = [member for member in lines if _name(member) not in _FOR_SHARED]
        told = (b"cache-control", b", ".join([b"private", *kept]))
        return (*without(fields, {b"cache-control"}), told), None
    if said.no_cache:
        return fields, None
    own, _, seconds = rule.rpartition(" ")
    words = [b"private"] if own else []
    words += [member for member in lines if _name(member) in _KEPT]
    prefix = b"".join(word + b", " for word in words)
    return without(fields, {b"cache-control", b"expires"}), (prefix, int(seconds))


def _name(member: bytes) -> bytes:
    return member.partition(b"=")[0].rstrip(b" \t").lower()


def lifetime(told: tuple[bytes, int], age: int, fresh_for: float) -> bytes:
    """``Cache-Control`` with a rule of seconds, for a response that is ``age`` seconds old and fresh here for another
    ``fresh_for``.
    """
    prefix, seconds = told
    return b"%smax-age=%d" % (prefix, age + max(0, min(seconds, int(fresh_for))))


def as_stored(headers: Headers, entry: CacheEntry, now: float) -> Headers:
    """The fields of a response that is just being stored as ``entry``, for those who get it from the origin."""
    fields, told = prepared(headers, entry.downstream, entry.surrogates)
    if told is None:
        return fields
    age = int(entry.age_at_receipt)
    return (*fields, (b"cache-control", lifetime(told, age, entry.fresh_until - now)))


def passed_down(headers: Headers, policy: Policy) -> Headers:
    """The fields of a response that isn't stored: nothing here says how long it may live, so seconds change nothing."""
    rule = _least(policy)
    if policy.mode == OFF and policy.sensitivity not in (PERSONAL, SECRET):
        return headers
    if rule not in (PRIVATE, NO_STORE):
        rule = PRIVATE if policy.sensitivity == PERSONAL else PASS
    return prepared(headers, rule, policy.surrogate_control == PASS)[0]

"""What caches behind the gateway are told: RFC 9111 §4.2.3, §5.1, §5.2.2; RFC 9213 §2; W3C Edge Architecture §2."""

import pytest

from apps.httpcache import Identity, Policy, response_from
from apps.httpcache.downstream import as_stored, passed_down, prepared, rule_of
from tests.httpcache.build import ANONYMOUS, NOW, pairs, plan, respond, stored

HOUR = ("Cache-Control", "max-age=3600")


def policy(**changes):
    return Policy(api="products", **changes)


def kept(headers, asked=(), identity=ANONYMOUS, **changes):
    """An answer as it is held under a policy with these changes."""
    own = policy(**{"open_to_all": True, **changes})
    return stored(headers, the_plan=plan(asked, policy=own, identity=identity), body=b"body")


def told(headers, rule, surrogates=False):
    fields, lasting = prepared(pairs(headers), rule, surrogates)
    return dict(fields), lasting


def test_without_a_rule_the_origins_word_goes_on():
    fields, lasting = told([HOUR, ("Expires", "0"), ("CDN-Cache-Control", "max-age=1"), ("A", "1")], "pass")
    assert fields == dict(pairs([HOUR, ("Expires", "0"), ("CDN-Cache-Control", "max-age=1"), ("A", "1")]))
    assert lasting is None


def test_fields_for_this_gateway_end_here_unless_they_shall_go_on():
    headers = [("Surrogate-Control", "max-age=1"), ("APIMGR-Cache-Control", "max-age=2"), HOUR]
    assert set(told(headers, "pass")[0]) == {b"cache-control"}
    assert len(told(headers, "pass", surrogates=True)[0]) == 3


@pytest.mark.parametrize(
    ("rule", "said", "told_then"),
    [
        ("private", "max-age=60", b"private, max-age=60"),
        ("private", "public, s-maxage=60, max-age=5, no-transform", b"private, max-age=5, no-transform"),
        ("private", None, b"private"),
        ("private", "Private, max-age=60", b"Private, max-age=60"),
        ("private", 'private="a", max-age=60', b"private, max-age=60"),
        ("private", "no-store", b"no-store"),
        ("private", "no-cache", b"private, no-cache"),
        ("no-store", "public, max-age=60", b"no-store"),
        ("no-store", None, b"no-store"),
        ("60", "no-store", b"no-store"),
        ("60", "private, max-age=5", b"private, max-age=5"),
        ("60", "no-cache", b"no-cache"),
    ],
)
def test_a_rule_never_loosens_what_the_origin_says(rule, said, told_then):
    fields, lasting = told([] if said is None else [("Cache-Control", said)], rule)
    assert fields[b"cache-control"] == told_then
    assert lasting is None


@pytest.mark.parametrize("rule", ["private", "no-store", "60"])
def test_the_field_for_cdns_does_not_overrule_a_rule(rule):
    assert b"cdn-cache-control" not in told([HOUR, ("CDN-Cache-Control", "max-age=9")], rule)[0]


def test_seconds_replace_every_lifetime_and_nothing_else():
    said = ("Cache-Control", "public, max-age=9, s-maxage=9, must-revalidate, stale-if-error=9, no-transform")
    fields, lasting = told([said, ("Expires", "0"), ("Vary", "a")], "60")
    assert fields == {b"vary": b"a"}
    assert lasting == (b"must-revalidate, no-transform, ", 60)


def test_seconds_for_an_answer_that_was_made_for_somebody_are_for_his_own_cache():
    seconds = policy(downstream="60")
    assert rule_of(seconds, by_all=True) == "60"
    assert rule_of(seconds, by_all=False) == "private 60"
    assert rule_of(policy(downstream="no-store"), by_all=False) == "no-store"
    assert told([HOUR], "private 60")[1] == (b"private, ", 60)
    known = Identity("acme", "acme/bot", "key:1")
    assert kept([HOUR], downstream="60").entry.downstream == "60"
    assert kept([HOUR], downstream="60", identity=known).entry.downstream == "60", "anybody may call it"
    assert kept([HOUR], downstream="60", open_to_all=False).entry.downstream == "private 60"
    assert kept([HOUR], downstream="60", scope="tenant", identity=known).entry.downstream == "private 60"
    public = ("Cache-Control", "public, max-age=9")
    assert kept([public], [("Authorization", "x")], downstream="60").entry.downstream == "private 60"


def control_of(answer):
    """``Cache-Control`` by both ways of rendering an answer, which agree."""
    lines = [line for line in answer.head.split(b"\r\n") if line.lower().startswith(b"cache-control")]
    assert lines == [b"cache-control: " + value for name, value in answer.headers if name == b"cache-control"]
    return lines[0].partition(b": ")[2]


@pytest.mark.parametrize(
    ("after", "age", "control"),
    [
        (0, 0, b"max-age=60"),
        (100, 100, b"max-age=160"),  # sixty seconds from now, for an answer that is a hundred seconds old
        (3590, 3590, b"max-age=3600"),  # not beyond the end of its freshness here
        (3700, 3700, b"max-age=3700"),  # stale here, stale there
    ],
)
def test_seconds_count_from_when_the_answer_leaves(after, age, control):
    held = kept([HOUR], downstream="60")
    answer = response_from(held, plan(), NOW + after)
    assert dict(answer.headers)[b"age"] == b"%d" % age
    assert control_of(answer) == control


def test_what_a_soft_purge_made_stale_is_not_kept_behind_us():
    held = kept([HOUR], downstream="60")
    held.soft = True
    assert control_of(response_from(held, plan(), NOW + 5)) == b"max-age=5"


@pytest.mark.parametrize(
    ("asked", "method", "status"),
    [
        ([("If-None-Match", '"a"')], "GET", 304),
        ([("Range", "bytes=0-1")], "GET", 206),
        ([("Range", "lines=1")], "GET", 200),
        ([("Pragma", "x")], "HEAD", 200),
        ([], "HEAD", 200),
    ],
)
def test_every_form_of_the_answer_tells_the_same(asked, method, status):
    held = kept([HOUR, ("ETag", '"a"')], downstream="60")
    answer = response_from(held, plan(asked, method=method), NOW + 10)
    assert (answer.status, control_of(answer)) == (status, b"max-age=70")


def test_the_origins_fields_are_stored_so_that_a_304_judges_by_them():
    held = kept([HOUR, ("APIMGR-Cache-Control", "max-age=9")], downstream="no-store")
    entry = held.entry
    assert entry.fresh_until == NOW + 9
    assert dict(entry.headers)[b"cache-control"] == b"max-age=3600"
    assert b"apimgr-cache-control" in dict(entry.headers)
    assert control_of(response_from(held, plan(), NOW)) == b"no-store"


def test_an_answer_that_is_not_stored_gets_no_lifetime_from_us():
    headers = pairs([HOUR, ("Surrogate-Control", "no-store")])
    assert passed_down(headers, policy(downstream="60")) == pairs([HOUR])
    assert passed_down(headers, policy(downstream="private")) == pairs([("Cache-Control", "private, max-age=3600")])
    assert passed_down(headers, policy(surrogate_control="pass")) == headers
    assert passed_down(headers, policy(mode="off", downstream="private")) == headers


def test_who_gets_the_answer_while_it_is_stored_is_told_the_same():
    entry = respond(plan(policy=policy(downstream="60", open_to_all=True)), [HOUR, ("Age", "40")]).entry
    assert dict(as_stored(pairs([HOUR, ("Age", "40")]), entry, NOW))[b"cache-control"] == b"max-age=100"
    entry = respond(plan(), [HOUR]).entry
    assert as_stored(pairs([HOUR]), entry, NOW) == pairs([HOUR])


@pytest.mark.parametrize(
    ("sensitivity", "mode", "rule", "told_then"),
    [
        ("personal", "origin", "pass", b"private, max-age=3600"),
        ("personal", "off", "pass", b"private, max-age=3600"),
        ("personal", "origin", "60", b"private, max-age=3600"),
        ("personal", "origin", "no-store", b"no-store"),
        ("secret", "origin", "pass", b"no-store"),
        ("secret", "off", "60", b"no-store"),
        ("internal", "off", "private", b"max-age=3600"),
    ],
)
def test_caches_behind_us_do_not_share_what_is_personal(sensitivity, mode, rule, told_then):
    """They don't know that ``X-API-Key`` tells callers apart."""
    own = policy(sensitivity=sensitivity, mode=mode, downstream=rule)
    fields = dict(passed_down(pairs([HOUR, ("CDN-Cache-Control", "max-age=3600")]), own))
    assert fields[b"cache-control"] == told_then
    assert (b"cdn-cache-control" in fields) == (sensitivity == "internal")


@pytest.mark.parametrize(("rule", "told_then"), [("pass", b"private, max-age=3600"), ("60", b"private, max-age=60")])
def test_nor_what_is_personal_and_stored(rule, told_then):
    held = kept([HOUR], sensitivity="personal", downstream=rule, identity=Identity("acme", "acme/bot", "ann"))
    the_plan = plan(policy=policy(sensitivity="personal"), identity=Identity("acme", "acme/bot", "ann"))
    assert b"cache-control: %b\r\n" % told_then in response_from(held, the_plan, NOW).head.lower()

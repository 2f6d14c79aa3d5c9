"""Serving: RFC 9111 §4 (reuse), §4.2.4 (stale answers), §5.2.1 (request directives), RFC 5861."""

import pytest

from apps.httpcache import (
    Failed,
    Fetch,
    GatewayTimeout,
    Identity,
    Policy,
    Reason,
    Revalidate,
    Serve,
    StoredResponse,
    UpstreamFailure,
    on_entry,
    on_error,
)
from apps.httpcache.serving import may_use
from tests.httpcache.build import NOW, pairs, plan, stored

ETAG = ("ETag", '"a"')


def cached(line="max-age=60", *fields, **how):
    return stored([("Cache-Control", line), *fields], **how)


def test_a_fresh_answer_is_served_until_the_moment_its_lifetime_ends():
    held = cached()
    assert on_entry(plan(), held, NOW) == Serve(held, Reason.FRESH)
    assert on_entry(plan(), held, NOW + 59.9) == Serve(held, Reason.FRESH)
    assert on_entry(plan(), held, NOW + 60) == Revalidate(held, (), Reason.EXPIRED)


def test_without_a_stored_answer_one_is_fetched():
    assert on_entry(plan(), None, NOW) == Fetch(Reason.NOT_FOUND)
    assert on_entry(plan([("Range", "bytes=0-1")]), None, NOW) == Fetch(Reason.RANGE_NOT_STORED)
    the_plan = plan()
    the_plan.missed = Reason.PURGED
    assert on_entry(the_plan, None, NOW) == Fetch(Reason.PURGED)


def test_a_stale_answer_is_validated_with_what_it_has():
    held = cached("max-age=1", ETAG, ("Last-Modified", "x"))
    conditions = pairs([("If-None-Match", '"a"'), ("If-Modified-Since", "x")])
    assert on_entry(plan(), held, NOW + 2) == Revalidate(held, conditions, Reason.EXPIRED)


def test_an_answer_that_nobody_should_keep_is_fetched_anew():
    held = cached("max-age=1")
    assert on_entry(plan(), held, NOW + 61) == Fetch(Reason.EXPIRED)


def test_a_stale_answer_is_served_while_one_call_refreshes_it():
    held = cached("max-age=1, stale-while-revalidate=30", ETAG)
    conditions = pairs([("If-None-Match", '"a"')])
    assert on_entry(plan(), held, NOW + 30.9) == Serve(held, Reason.STALE_WHILE_REVALIDATE, True, True, conditions)
    assert on_entry(plan(), held, NOW + 31) == Revalidate(held, conditions, Reason.EXPIRED)


def test_no_cache_of_the_origin_validates_every_use():
    held = cached("max-age=60, no-cache, stale-while-revalidate=30", ETAG)
    assert on_entry(plan(), held, NOW) == Revalidate(held, pairs([("If-None-Match", '"a"')]), Reason.ALWAYS_VALIDATE)
    assert on_error(plan(), held, UpstreamFailure.TIMEOUT, NOW) == Failed(Reason.UPSTREAM_FAILED)


@pytest.mark.parametrize("line", ["must-revalidate", "proxy-revalidate", "s-maxage=1"])
def test_the_origin_can_forbid_stale_answers(line):
    policy = Policy(api="products", stale_while_revalidate=100.0, stale_if_error=100.0)
    held = cached(f"max-age=1, {line}", ETAG, the_plan=plan(policy=policy))
    assert isinstance(on_entry(plan(policy=policy), held, NOW + 2), Revalidate)
    assert isinstance(on_entry(plan([("Cache-Control", "max-stale")], policy=policy), held, NOW + 2), Revalidate)
    for failure in (UpstreamFailure.UNREACHABLE, 503):
        assert on_error(plan(policy=policy), held, failure, NOW + 2) == Failed(Reason.UPSTREAM_FAILED)


def honour(line):
    return plan([("Cache-Control", line)], policy=Policy(api="products", client_directives="honour"))


@pytest.mark.parametrize(
    ("line", "at", "reason"),
    [
        ("no-cache", 5, Reason.REQUEST_NO_CACHE),
        ("max-age=0", 0, Reason.REQUEST_MAX_AGE),
        ("max-age=4", 5, Reason.REQUEST_MAX_AGE),
        ("min-fresh=56", 5, Reason.REQUEST_MIN_FRESH),
    ],
)
def test_a_caller_may_refuse_a_fresh_answer(line, at, reason):
    held = cached("max-age=60", ETAG)
    assert on_entry(honour(line), held, NOW + at) == Revalidate(held, pairs([("If-None-Match", '"a"')]), reason)


@pytest.mark.parametrize("line", ["max-age=5", "min-fresh=55", "max-stale", "no-store", "only-if-cached", "junk"])
def test_a_caller_who_is_content_gets_the_fresh_answer(line):
    held = cached()
    assert on_entry(honour(line), held, NOW + 5) == Serve(held, Reason.FRESH)


def test_bounded_callers_share_one_validation_a_second():
    held = cached("max-age=60", ETAG)
    for line in ("no-cache", "max-age=0", "min-fresh=100"):
        asking = plan([("Cache-Control", line)])
        assert on_entry(asking, held, NOW + 0.9) == Serve(held, Reason.RECENTLY_VALIDATED)
        assert isinstance(on_entry(asking, held, NOW + 1), Revalidate)
        assert isinstance(on_entry(honour("no-cache"), held, NOW + 0.9), Revalidate)


def test_pragma_asks_for_validation_too():
    assert isinstance(on_entry(plan([("Pragma", "no-cache")]), cached(), NOW + 5), Revalidate)


def test_ignored_directives_change_nothing():
    policy = Policy(api="products", client_directives="ignore")
    for line in ("no-cache", "max-age=0", "only-if-cached"):
        assert isinstance(on_entry(plan([("Cache-Control", line)], policy=policy), cached(), NOW + 5), Serve)


def test_a_caller_may_accept_a_stale_answer():
    held = cached("max-age=10", ETAG)
    for line, served in (("max-stale", True), ("max-stale=5", True), ("max-stale=4", False)):
        decision = on_entry(plan([("Cache-Control", line)]), held, NOW + 15)
        assert decision == Serve(held, Reason.MAX_STALE, True) if served else isinstance(decision, Revalidate)


def test_max_age_limits_what_max_stale_accepts():
    held = cached("max-age=10", ETAG)
    assert isinstance(on_entry(plan([("Cache-Control", "max-stale, max-age=12")]), held, NOW + 15), Revalidate)
    assert isinstance(on_entry(plan([("Cache-Control", "max-stale, max-age=15")]), held, NOW + 15), Serve)


def test_a_caller_who_wants_fresh_gets_no_stale_answer():
    held = cached("max-age=1, stale-while-revalidate=30", ETAG)
    for line in ("no-cache", "min-fresh=0", "max-age=1"):
        assert isinstance(on_entry(plan([("Cache-Control", line)]), held, NOW + 5), Revalidate)


def test_only_if_cached_never_reaches_the_upstream():
    only = plan([("Cache-Control", "only-if-cached")])
    assert on_entry(only, None, NOW) == GatewayTimeout(Reason.ONLY_IF_CACHED)
    assert on_entry(only, cached("max-age=1", ETAG), NOW + 5) == GatewayTimeout(Reason.ONLY_IF_CACHED)
    held = cached("max-age=1, stale-while-revalidate=30")
    assert isinstance(on_entry(only, held, NOW + 5), Serve)
    assert on_entry(plan([("Cache-Control", "only-if-cached, no-cache")]), cached(), NOW + 5) == GatewayTimeout(
        Reason.ONLY_IF_CACHED
    )


def test_a_range_of_a_stale_whole_is_asked_for_as_it_is():
    held = cached("max-age=1", ETAG)
    assert on_entry(plan([("Range", "bytes=0-1")]), held, NOW + 2) == Revalidate(held, (), Reason.EXPIRED)
    assert on_entry(plan([("Range", "bytes=0-1")]), held, NOW) == Serve(held, Reason.FRESH)


def soft(held: StoredResponse) -> StoredResponse:
    held.soft = True
    return held


def test_a_soft_purge_makes_stale():
    held = soft(cached("max-age=60", ETAG))
    assert on_entry(plan(), held, NOW) == Revalidate(held, pairs([("If-None-Match", '"a"')]), Reason.SOFT_PURGED)
    assert isinstance(on_entry(plan([("Cache-Control", "max-stale")]), held, NOW), Revalidate)


def test_a_soft_purged_answer_is_served_while_it_is_refreshed_where_that_is_allowed():
    held = soft(cached("max-age=60, stale-while-revalidate=5", ETAG))
    decision = on_entry(plan(), held, NOW)
    assert isinstance(decision, Serve)
    assert decision.stale
    assert decision.refresh


def test_a_soft_purged_answer_stands_in_for_an_error_only_where_stale_answers_may():
    assert isinstance(on_error(plan(), soft(cached()), UpstreamFailure.TIMEOUT, NOW), Serve)
    assert isinstance(on_error(plan(), soft(cached()), 503, NOW), Failed)
    assert isinstance(
        on_error(plan(), soft(cached("max-age=60, must-revalidate")), UpstreamFailure.TIMEOUT, NOW), Failed
    )


@pytest.mark.parametrize("failure", list(UpstreamFailure))
def test_for_a_minute_a_stale_answer_stands_in_for_an_upstream_that_is_away(failure):
    held = cached("max-age=10")
    assert on_error(plan(), held, failure, NOW + 69.9) == Serve(held, Reason.STALE_IF_ERROR, stale=True)
    assert on_error(plan(), held, failure, NOW + 70) == Failed(Reason.UPSTREAM_FAILED)


def test_a_5xx_is_passed_on_unless_somebody_said_otherwise():
    assert on_error(plan(), cached("max-age=10"), 503, NOW + 15) == Failed(Reason.UPSTREAM_FAILED)
    held = cached("max-age=10, stale-if-error=20")
    for status in (500, 502, 503, 504):
        assert on_error(plan(), held, status, NOW + 29) == Serve(held, Reason.STALE_IF_ERROR, stale=True)
        assert on_error(plan(), held, status, NOW + 30) == Failed(Reason.UPSTREAM_FAILED)
    assert on_error(plan(), held, 501, NOW + 29) == Failed(Reason.UPSTREAM_FAILED)
    assert on_error(plan(), held, 429, NOW + 29) == Failed(Reason.UPSTREAM_FAILED)


def test_an_answer_still_fresh_stands_in_and_is_not_called_stale():
    held = cached("max-age=60, must-revalidate")
    assert on_error(plan([("Cache-Control", "no-cache")]), held, UpstreamFailure.TIMEOUT, NOW + 5) == Serve(
        held, Reason.STALE_IF_ERROR, stale=False
    )


def test_nothing_stands_in_for_nothing():
    assert on_error(plan(), None, UpstreamFailure.TIMEOUT, NOW) == Failed(Reason.UPSTREAM_FAILED)


def test_someone_elses_answer_is_never_served():
    mine = plan([("Authorization", "mine")])
    other = cached(the_plan=plan([("Authorization", "other")]))
    assert on_entry(mine, other, NOW) == Fetch(Reason.SCOPE_MISMATCH)
    assert on_error(mine, other, UpstreamFailure.TIMEOUT, NOW) == Failed(Reason.UPSTREAM_FAILED)
    assert may_use(plan(), other.entry) is Reason.SCOPE_MISMATCH


def test_an_entry_that_claims_another_owner_than_its_key_is_never_served():
    policy = Policy(api="products", scope="tenant")
    acme = plan(policy=policy, identity=Identity("acme"))
    held = cached(the_plan=acme)
    held.entry.owner = b"other"
    assert on_entry(acme, held, NOW) == Fetch(Reason.SCOPE_MISMATCH)
    held.entry.owner, held.entry.scope = b"acme", 0
    assert on_entry(acme, held, NOW) == Fetch(Reason.SCOPE_MISMATCH)


def test_a_call_with_credentials_gets_an_anonymous_answer_only_with_the_origins_permission():
    mine = plan([("Authorization", "mine")])
    assert on_entry(mine, cached(), NOW) == Fetch(Reason.AUTHORIZATION)
    assert isinstance(on_entry(mine, cached("max-age=60, public"), NOW), Serve)


def test_the_wrong_variant_is_never_served():
    held = cached("max-age=60", ("Vary", "Foo"), the_plan=plan([("Foo", "1")]))
    assert on_entry(plan([("Foo", "2")]), held, NOW) == Fetch(Reason.VARY_MISMATCH)
    assert isinstance(on_entry(plan([("Foo", "1")]), held, NOW), Serve)


def test_a_hit_near_its_end_may_refresh_early_and_is_served_at_once():
    held = stored([("Cache-Control", "max-age=60"), ("ETag", '"a"')], requested_at=NOW - 1, at=NOW)
    late = held.fresh_until - 0.1
    decision = on_entry(plan(), held, late, 1e-9)
    assert decision == Serve(held, Reason.REFRESHED_EARLY, False, True, ((b"if-none-match", b'"a"'),))
    assert on_entry(plan(), held, late, 1.0) == Serve(held, Reason.FRESH)
    assert on_entry(plan(), held, NOW, 1e-300) == Serve(held, Reason.FRESH)


def test_a_call_that_no_variant_serves_asks_about_those_there_are():
    the_plan = plan()
    the_plan.missed, the_plan.others = Reason.VARY_MISMATCH, ((b"1", b'"a"'), (b"2", b'"b"'), (b"3", b'"a"'))
    assert on_entry(the_plan, None, NOW) == Fetch(Reason.VARY_MISMATCH, ((b"if-none-match", b'"a", "b"'),))
    for asked in ({"headers": [("Range", "bytes=0-1")]}, {"method": "HEAD"}):
        other = plan(**asked)
        other.missed, other.others = the_plan.missed, the_plan.others
        assert on_entry(other, None, NOW) == Fetch(Reason.VARY_MISMATCH)


FLOOD = [("Cache-Control", "no-cache")]


def test_a_flood_while_the_upstream_fails_is_one_call_a_second():
    held = stored([("Cache-Control", "max-age=60"), ("ETag", '"a"')])
    asked = 0
    for tenth in range(25):
        now = NOW + 10 + tenth / 10
        if isinstance(on_entry(plan(FLOOD), held, now), Revalidate):
            asked += 1
            assert on_error(plan(FLOOD), held, UpstreamFailure.UNREACHABLE, now).stored is held
    assert asked == 3
    assert isinstance(
        on_entry(plan(FLOOD, policy=Policy(api="products", client_directives="honour")), held, now), Revalidate
    )

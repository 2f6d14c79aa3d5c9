"""Freshness: RFC 9111 §4.2 (lifetime, heuristics, age), §4.2.4 and RFC 5861 (stale answers)."""

import pytest

from apps.httpcache import Policy, Reason, ResponseHead, dates
from apps.httpcache.directives import response_directives
from apps.httpcache.freshness import Grace, grace, heuristic_lifetime, initial_age, jittered, lifetime, origin_lifetime
from tests.httpcache.build import NOW, pairs


def date(offset):
    return dates.format_date(NOW + offset).decode()


@pytest.mark.parametrize(
    ("fields", "age"),
    [
        ([], 0),
        ([("Age", "30")], 30),
        ([("Age", "30"), ("Age", "7200")], 30),
        ([("Age", "7200, 0")], 7200),
        ([("Age", "abc")], 0),
        ([("Age", "-5")], 0),
        ([("Age", "7200.0")], 0),
        ([("Age", "")], 0),
        ([("Date", date(-40))], 40),
        ([("Date", date(-40)), ("Age", "10")], 40),
        ([("Date", date(-40)), ("Age", "50")], 50),
        ([("Date", date(40))], 0),
        ([("Date", "junk")], 0),
    ],
)
def test_the_age_on_arrival(fields, age):
    assert initial_age(pairs(fields), NOW, NOW) == age


def test_the_time_on_the_way_counts_as_age():
    assert initial_age(pairs({"Age": "10"}), NOW - 3, NOW) == 13
    assert initial_age((), NOW - 3, NOW) == 3
    assert initial_age((), NOW + 3, NOW) == 0, "a clock that went back makes nothing younger than new"


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ([], None),
        ([("Cache-Control", "max-age=60")], 60),
        ([("Cache-Control", "max-age=60, s-maxage=5")], 5),
        ([("Cache-Control", "s-maxage=3600"), ("Cache-Control", "max-age=1")], 3600),
        ([("Cache-Control", "max-age=60"), ("Expires", date(-1000))], 60),
        ([("Cache-Control", "max-age=0"), ("Expires", date(1000))], 0),
        ([("Expires", date(100)), ("Date", date(0))], 100),
        ([("Expires", date(100)), ("Date", date(40))], 60),
        ([("Expires", date(100)), ("Date", "junk")], 100),
        ([("Expires", date(100))], 100),
        ([("Expires", date(-100)), ("Date", date(0))], 0),
        ([("Expires", date(0)), ("Date", date(0))], 0),
        ([("Expires", date(300)), ("Date", date(400))], 0),
        ([("Expires", "0")], 0),
        ([("Expires", "")], 0),
        ([("Expires", date(100)), ("Expires", date(50))], 50),
        ([("Expires", date(100)), ("Expires", "0")], 0),
    ],
)
def test_the_lifetime_that_the_origin_gives(fields, seconds):
    headers = pairs(fields)
    assert origin_lifetime(headers, response_directives(headers), NOW) == seconds


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ([], None),
        ([("Last-Modified", date(-100))], 10),
        ([("Last-Modified", date(-86400))], 60),
        ([("Last-Modified", date(-100)), ("Date", date(-50))], 5),
        ([("Last-Modified", date(10))], None),
        ([("Last-Modified", date(0))], None),
        ([("Last-Modified", "junk")], None),
        ([("Last-Modified", date(-100)), ("Date", "junk")], 10),
    ],
)
def test_the_heuristic_is_a_tenth_and_a_minute_at_most(fields, seconds):
    assert heuristic_lifetime(pairs(fields), NOW) == seconds


def decide(fields, *, status=200, credentialed=False, **policy):
    headers = pairs(fields)
    return lifetime(Policy(**policy), ResponseHead(status, headers), response_directives(headers), credentialed, NOW)


MODIFIED = [("Last-Modified", date(-100))]
MAX_AGE = [("Cache-Control", "max-age=7")]


def test_mode_origin_listens_to_the_origin_then_guesses():
    assert decide(MAX_AGE) == (7, Reason.STORED)
    assert decide(MODIFIED) == (10, Reason.STORED_HEURISTIC)
    assert decide([]) == (None, Reason.NO_LIFETIME)


def test_nothing_is_guessed_where_the_upstream_saw_credentials():
    assert decide(MODIFIED, credentialed=True) == (None, Reason.NO_LIFETIME)


def test_mode_ttl_decides_where_the_origin_gives_no_lifetime():
    assert decide(MAX_AGE, mode="ttl", ttl=30.0) == (7, Reason.STORED)
    assert decide(MODIFIED, mode="ttl", ttl=30.0) == (30, Reason.STORED_TTL)
    assert decide([("Expires", "0")], mode="ttl", ttl=30.0) == (0, Reason.STORED)


def test_mode_override_replaces_every_lifetime():
    assert decide(MAX_AGE, mode="override", ttl=30.0) == (30, Reason.STORED_OVERRIDE)
    assert decide([], mode="override", ttl=30.0) == (30, Reason.STORED_OVERRIDE)
    assert decide([("Cache-Control", "max-age=0")], mode="override", ttl=30.0) == (30, Reason.STORED_OVERRIDE)


@pytest.mark.parametrize("mode", ["origin", "ttl", "override"])
def test_a_status_that_is_not_cacheable_by_default_needs_the_origins_word(mode):
    for status in (201, 302, 403, 500, 503, 599):
        assert decide(MODIFIED, status=status, mode=mode) == (None, Reason.STATUS)
        assert decide(MAX_AGE, status=status, mode=mode)[0] is not None
        assert decide([*MODIFIED, ("Cache-Control", "public")], status=status, mode=mode)[0] is not None
    for status in (203, 204, 300, 301, 308, 404, 405, 410, 414, 501):
        assert decide(MODIFIED, status=status, mode=mode)[0] is not None


def stale(line="", **policy):
    return grace(Policy(**policy), response_directives(pairs({"Cache-Control": line})))


def test_by_default_a_minute_stands_in_for_an_upstream_that_is_away():
    assert stale() == Grace(0, 0, 60, allowed=True)


def test_the_policy_allows_and_the_origin_has_the_last_word():
    assert stale(stale_while_revalidate=30.0, stale_if_error=600.0) == Grace(30, 600, 600)
    assert stale("stale-while-revalidate=5", stale_while_revalidate=30.0) == Grace(5, 0, 60)
    assert stale("stale-if-error=7", stale_if_error=600.0) == Grace(0, 7, 7)
    assert stale("stale-if-error=0, stale-while-revalidate=0", stale_while_revalidate=9.0) == Grace(0, 0, 0)
    assert stale(stale_if_error=0.0) == Grace(0, 0, 0)


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=5"])
def test_the_origin_can_forbid_every_stale_answer(directive):
    line = f"{directive}, stale-while-revalidate=5, stale-if-error=7"
    assert stale(line, stale_while_revalidate=30.0, stale_if_error=600.0) == Grace(allowed=False)


def test_a_policy_may_take_the_origin_at_its_word_beside_s_maxage():
    policy = {"origin_stale_beside_s_maxage": True, "stale_while_revalidate": 30.0, "stale_if_error": 600.0}
    assert stale("s-maxage=5, stale-while-revalidate=3, stale-if-error=4", **policy) == Grace(3, 4, 4, allowed=False)
    assert stale("s-maxage=5", **policy) == Grace(0, 0, 0, allowed=False), "but not its own"
    assert stale("s-maxage=5, must-revalidate, stale-if-error=4", **policy) == Grace(allowed=False)


@pytest.mark.parametrize("status", [404, 405, 410, 414, 501])
@pytest.mark.parametrize("mode", ["origin", "ttl", "override"])
def test_an_error_that_may_be_stored_has_the_lifetime_of_errors(status, mode):
    assert decide((), status=status, mode=mode, negative_ttl=5.0) == (5, Reason.STORED_NEGATIVE)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_passing_error_has_it_only_where_the_policy_s_ttl_counts(status):
    assert decide((), status=status, mode="origin", negative_ttl=5.0) == (None, Reason.STATUS)
    for mode in ("ttl", "override"):
        assert decide((), status=status, mode=mode, negative_ttl=5.0) == (5, Reason.STORED_NEGATIVE)
        assert decide((), status=status, mode=mode) == (None, Reason.STATUS)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 406, 407, 408, 409, 413, 421, 422, 425, 429, 431])
@pytest.mark.parametrize("mode", ["origin", "ttl", "override"])
def test_an_error_that_is_about_the_one_caller_is_never_kept_for_all(status, mode):
    assert decide((), status=status, mode=mode, negative_ttl=5.0) == (None, Reason.STATUS)


def test_the_origin_s_own_lifetime_of_an_error_goes_first_unless_overridden():
    said = {"Cache-Control": "max-age=90"}
    assert decide(said, status=404, negative_ttl=5.0) == (90, Reason.STORED)
    assert decide(said, status=404, mode="ttl", negative_ttl=5.0) == (90, Reason.STORED)
    assert decide(said, status=404, mode="override", negative_ttl=5.0) == (5, Reason.STORED_NEGATIVE)


@pytest.mark.parametrize("status", [200, 204, 301, 308])
def test_what_is_no_error_knows_nothing_of_the_lifetime_of_errors(status):
    assert decide((), status=status, mode="ttl", ttl=30.0, negative_ttl=5.0) == (30, Reason.STORED_TTL)


def test_no_lifetime_for_errors_at_all_keeps_none():
    assert decide(MODIFIED, status=404, mode="ttl", negative_ttl=0.0) == (None, Reason.NO_LIFETIME)


@pytest.mark.parametrize(
    ("left", "jitter", "chance", "stays"),
    [(100, 0.1, 0, 100), (100, 0.1, 1, 90), (100, 0.5, 0.5, 75), (9.9, 0.5, 1, 9.9), (10, 0.5, 1, 5), (-5, 0.5, 1, -5)],
)
def test_a_lifetime_is_cut_short_by_chance_and_never_lengthened(left, jitter, chance, stays):
    assert jittered(left, jitter, chance) == pytest.approx(stays)

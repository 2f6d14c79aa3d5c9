"""Early refresh (XFetch; RFC 9111 §4.2: a cache may always ask sooner). A draw of 1 never refreshes; the smaller, the earlier."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache import Reason, Serve, on_entry
from apps.httpcache.early_refresh import earliest, refreshes
from tests.httpcache.build import NOW, pairs, plan, stored


@pytest.mark.parametrize(
    ("left", "cost", "chance", "expected"),
    [
        (10, 1, 1.0, False),
        (10, 1, 0.5, False),
        (1, 1, 0.3, True),
        (1, 1, 0.5, False),
        (10, 20, 0.5, True),
        (1, 0, 1e-9, False),
    ],
)
def test_who_refreshes(left, cost, chance, expected):
    assert refreshes(NOW + left, cost, NOW, chance) is expected


@given(st.floats(0, 100), st.floats(0, 10), st.floats(0, 1))
def test_nobody_does_before_the_earliest_moment(left, cost, chance):
    if earliest(NOW + left, cost) > NOW and chance > 1e-8:
        assert not refreshes(NOW + left, cost, NOW, chance)


def test_among_many_hits_about_one_fetch_time_before_the_end_somebody_does():
    draw = random.Random(1)
    first = [
        next(left for left in range(1000, 0, -1) if refreshes(NOW + left / 100, 1.0, NOW, 1 - draw.random()))
        for _ in range(200)
    ]
    assert 2 < sum(first) / len(first) / 100 < 8


def held(**how):
    return stored([("Cache-Control", "max-age=60"), ("ETag", '"a"')], requested_at=NOW - 2, **how)


def test_a_hit_near_the_end_is_served_fresh_and_refreshes():
    late = NOW + 57
    found = on_entry(plan(), held(), late, 0.01)
    assert isinstance(found, Serve)
    assert (found.reason, found.stale, found.refresh) == (Reason.REFRESHED_EARLY, False, True)
    assert found.conditional == pairs([("If-None-Match", '"a"')])
    assert on_entry(plan(), held(), late, 1.0).reason is Reason.FRESH
    assert on_entry(plan(), held(), late).reason is Reason.FRESH
    assert on_entry(plan(), held(), NOW, 0.01).reason is Reason.FRESH


def test_a_caller_who_objects_validates_as_ever():
    assert on_entry(plan([("Cache-Control", "max-age=1")]), held(), NOW + 57, 0.01).reason is Reason.REQUEST_MAX_AGE


def test_the_time_of_the_fetch_is_remembered():
    assert held().entry.fetch_seconds == 2
    assert stored([("Cache-Control", "max-age=60")], requested_at=NOW + 5).entry.fetch_seconds == 0

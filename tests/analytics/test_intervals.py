"""Sets of numbers as intervals, against Python's own sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.analytics.intervals import Intervals

pairs = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1])))


def numbers(of):
    return {number for first, last in of for number in range(first, last + 1)}


@given(pairs)
def test_they_hold_what_was_put_in_and_stay_sorted_disjoint_and_apart(some):
    intervals = Intervals(some)
    assert numbers(intervals) == numbers(some)
    assert intervals.count() == len(numbers(some))
    assert intervals.last == max(numbers(some), default=0)
    kept = intervals.pairs()
    assert all(first <= last for first, last in kept)
    assert all(kept[i][1] + 1 < kept[i + 1][0] for i in range(len(kept) - 1))


@given(pairs, pairs)
def test_a_union_does_not_depend_on_the_order(some, more):
    one, other = Intervals(some), Intervals(more)
    one.update(Intervals(more))
    other.update(Intervals(some))
    assert one == other
    assert numbers(one) == numbers(some) | numbers(more)


@given(pairs, st.integers(1, 70), st.integers(0, 20))
def test_what_is_missing_is_what_is_not_in_them(some, first, length):
    last = first + length
    intervals = Intervals(some)
    missing = intervals.missing(first, last)
    assert numbers(missing) == set(range(first, last + 1)) - numbers(some)
    assert intervals.covers(first, last) == (not missing)
    assert (first in intervals) == (first in numbers(some))


@given(pairs)
def test_gaps_are_what_is_missing_below_the_greatest(some):
    assert numbers(Intervals(some).gaps()) == set(range(1, max(numbers(some), default=0) + 1)) - numbers(some)


def test_an_interval_that_ends_before_it_starts_is_refused():
    with pytest.raises(ValueError, match="5 to 4"):
        Intervals().add(5, 4)

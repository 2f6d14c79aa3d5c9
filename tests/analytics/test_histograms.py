"""Latency histograms: how far a quantile may be off, and that merging loses nothing (DDSketch, VLDB 2019)."""

from collections import Counter
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from apps.analytics.histograms import ERROR, LARGEST, SMALLEST, bucket_of, merge, quantiles, value_of

latencies = st.floats(SMALLEST, LARGEST, allow_nan=False)
SHARES = (0.0, 0.5, 0.9, 0.95, 0.99, 1.0)


def histogram(values):
    return dict(Counter(map(bucket_of, values)))


@given(latencies)
def test_a_bucket_stands_for_its_values_within_the_error(value):
    assert abs(value_of(bucket_of(value)) - value) <= value * ERROR * (1 + 1e-9)


@given(st.lists(latencies, min_size=1))
def test_every_quantile_is_within_the_error_of_the_value_at_its_rank(values):
    ordered = sorted(values)
    for share, found in zip(SHARES, quantiles(histogram(values), SHARES), strict=True):
        exact = ordered[floor(share * (len(values) - 1))]
        assert abs(found - exact) <= exact * ERROR * (1 + 1e-9)


@given(st.lists(st.lists(latencies)))
def test_merged_parts_are_the_histogram_of_the_whole(parts):
    merged = {}
    for part in parts:
        merge(merged, histogram(part))
    assert merged == histogram([value for part in parts for value in part])


def test_no_values_have_no_quantiles():
    assert quantiles({}, (0.5, 0.99)) == [None, None]


def test_what_is_out_of_range_counts_at_its_end():
    assert bucket_of(0.0) == bucket_of(SMALLEST)
    assert bucket_of(1e300) == bucket_of(LARGEST)

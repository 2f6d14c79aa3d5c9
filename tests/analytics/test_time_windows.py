"""Spans of time cut into buckets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from apps.analytics.choices import Period
from apps.analytics.time_windows import LONGEST_SERIES, Kept, down, spans, steps, up

NOW = 1_800_000_000.0
KEPT = Kept(NOW - 2 * 86400, NOW - 90 * 86400)
sinces = st.floats(NOW - 400 * 86400, NOW - 60, allow_nan=False)
lengths = st.floats(1, 200 * 86400)


@given(sinces, lengths)
def test_they_cover_the_span_once_with_what_is_kept(since, length):
    until = min(since + length, NOW)
    cut = spans(since, until, KEPT)
    unit = KEPT.unit(since)
    assert cut[0].start == down(since, unit)
    assert cut[-1].end == up(until, unit)
    for one, following in pairwise(cut):
        assert one.end == following.start
    for span in cut:
        assert span.period >= unit
        assert span.start % span.period == span.end % span.period == 0
        assert span.start < span.end


@given(sinces, lengths)
def test_they_are_few(since, length):
    cut = spans(since, min(since + length, NOW), KEPT)
    read = {period: sum((s.end - s.start) // s.period for s in cut if s.period == period) for period in Period}
    assert read[Period.MINUTE] <= 2 * 59 + 60
    assert read[Period.HOUR] <= 2 * 23 + 24


@given(sinces, lengths, st.none() | st.integers(1, 10 * 86400), st.booleans())
def test_a_series_has_whole_steps_of_whole_buckets_around_the_span(since, length, asked, coarse):
    until = min(since + length, NOW)
    span, step = steps(since, until, asked, KEPT, coarse)
    assert span.start <= since < span.start + step
    assert span.end - step < until <= span.end
    assert step % span.period == 0
    assert span.start % step == 0
    assert span.period >= KEPT.unit(since)
    assert asked is None or step >= asked or step >= (until - since) / LONGEST_SERIES
    assert (span.end - span.start) // step <= LONGEST_SERIES + 2


def test_without_a_wish_a_day_has_quarters_of_an_hour_and_an_hour_has_minutes():
    assert steps(NOW - 86400, NOW, None, KEPT)[1] == 900
    assert steps(NOW - 86400, NOW, None, KEPT, coarse=True)[1] == 3600
    assert steps(NOW - 3600, NOW, None, KEPT)[1] == 60

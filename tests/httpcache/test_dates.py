"""HTTP dates: RFC 9110 §5.6.7, RFC 9111 §4.2."""

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache import dates

NOVEMBER_1994 = calendar.timegm((1994, 11, 6, 8, 49, 37))


@pytest.mark.parametrize(
    "text",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"sun, 06 NOV 1994 08:49:37 gmt",
        b"  Sun, 06 Nov 1994 08:49:37 GMT\t",
    ],
)
def test_all_three_forms_are_read_in_any_case(text):
    assert dates.parse(text, 1_800_000_000) == NOVEMBER_1994


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"-1",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Nov 94 08:49:37 GMT",
        b"Sun 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06  Nov  1994 08:49:37 GMT",
        b"Sun, 06-Nov-1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08.49.37 GMT",
        b"Sun, 06 Nov 1994 8:49:37 GMT",
        b"Sun, 32 Nov 1994 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:49:37 GMT",
        b"Sun, 06 Nov 1994 08:60:37 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, 06 Foo 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)
def test_anything_else_is_no_date(text):
    assert dates.parse(text, 1_800_000_000) is None


def test_a_two_digit_year_is_never_more_than_fifty_years_ahead():
    now = calendar.timegm((2026, 6, 1, 0, 0, 0))
    assert dates.parse(b"Friday, 01-Jan-76 00:00:00 GMT", now) == calendar.timegm((2076, 1, 1, 0, 0, 0))
    assert dates.parse(b"Friday, 01-Jan-77 00:00:00 GMT", now) == calendar.timegm((1977, 1, 1, 0, 0, 0))


@given(st.integers(0, 4_000_000_000))
def test_what_is_formatted_is_read_back(second):
    assert dates.parse(dates.format_date(second + 0.9), second) == second

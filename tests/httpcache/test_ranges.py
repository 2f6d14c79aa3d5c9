"""Ranges: RFC 9110 §14.1-14.2, §13.1.5 (If-Range)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache import dates, ranges
from apps.httpcache.ranges import UNSATISFIABLE
from tests.httpcache.build import NOW, stored


@pytest.mark.parametrize(
    ("value", "selected"),
    [
        (b"bytes=0-1", (0, 2)),
        (b"Bytes=0-1", (0, 2)),
        (b" bytes=0-1 ", (0, 2)),
        (b"bytes=3-", (3, 10)),
        (b"bytes=-3", (7, 10)),
        (b"bytes=-99", (0, 10)),
        (b"bytes=5-99", (5, 10)),
        (b"bytes=9-9", (9, 10)),
        (b"bytes=10-", UNSATISFIABLE),
        (b"bytes=10-12", UNSATISFIABLE),
        (b"bytes=-0", UNSATISFIABLE),
        (b"bytes=5-4", None),
        (b"bytes=-", None),
        (b"bytes=", None),
        (b"bytes=a-b", None),
        (b"bytes=1-2,4-5", None),
        (b"items=0-1", None),
        (b"", None),
        (b"bytes=0-" + b"9" * 30, None),
    ],
)
def test_a_single_range_over_ten_bytes(value, selected):
    assert ranges.select(value, 10) == selected


def test_nothing_of_an_empty_body_can_be_selected():
    assert ranges.select(b"bytes=0-", 0) is UNSATISFIABLE
    assert ranges.select(b"bytes=-5", 0) is UNSATISFIABLE


@given(st.binary(max_size=20), st.integers(0, 20))
def test_what_is_selected_lies_within_the_body(value, length):
    for text in (value, b"bytes=" + value):
        selected = ranges.select(text, length)
        if isinstance(selected, tuple):
            assert 0 <= selected[0] < selected[1] <= length


MODIFIED = dates.format_date(NOW - 100)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (b'"a"', True),
        (b'"b"', False),
        (b'W/"a"', False),
        (MODIFIED, True),
        (dates.format_date(NOW - 50), False),
        (b"junk", False),
    ],
)
def test_if_range_needs_a_strong_validator(condition, holds):
    held = stored([("Cache-Control", "max-age=60"), ("ETag", '"a"'), ("Last-Modified", MODIFIED.decode())])
    assert ranges.if_range_holds(condition, held, NOW) is holds


def test_a_weak_or_absent_tag_never_holds():
    weak = stored([("Cache-Control", "max-age=60"), ("ETag", 'W/"a"')])
    assert not ranges.if_range_holds(b'W/"a"', weak, NOW)
    assert not ranges.if_range_holds(b'"a"', stored([("Cache-Control", "max-age=60")]), NOW)
    assert not ranges.if_range_holds(MODIFIED, stored([("Cache-Control", "max-age=60")]), NOW)


@pytest.mark.parametrize("sent", [MODIFIED.decode(), "junk"])
def test_a_date_of_the_same_second_is_a_weak_validator(sent):
    held = stored([("Cache-Control", "max-age=600"), ("Last-Modified", MODIFIED.decode()), ("Date", sent)])
    assert not ranges.if_range_holds(MODIFIED, held, NOW)


def test_a_last_modified_that_is_no_date_never_holds():
    held = stored([("Cache-Control", "max-age=60"), ("Last-Modified", "junk")])
    assert not ranges.if_range_holds(b"junk", held, NOW)

"""What is prepared of a stored answer: its head, its age, its size (RFC 9111 §4.2.3, §5.1; RFC 9110 §8.6)."""

import pytest

from apps.httpcache.stored_response import OVERHEAD, render
from tests.httpcache.build import NOW, stored

HOUR = ("Cache-Control", "max-age=3600")


def test_a_head_is_a_status_line_and_lines_without_the_one_that_ends_it():
    assert render(404, ((b"a", b"1"), (b"a", b"2"))) == b"HTTP/1.1 404 Not Found\r\na: 1\r\na: 2\r\n"
    assert render(299, ()) == b"HTTP/1.1 299 \r\n"


@pytest.mark.parametrize(("status", "told"), [(200, b"5"), (404, b"5"), (204, None), (205, b"0")])
def test_the_length_is_that_of_the_body_where_there_can_be_one(status, told):
    held = stored([HOUR, ("Content-Length", "77")], status=status, body=b"hello" if told == b"5" else b"")
    assert dict(held.headers).get(b"content-length") == told
    assert (b"content-length" in held.head) is (told is not None)


@pytest.mark.parametrize(("age", "after", "told"), [("0", 0, 0), ("30", 0, 30), ("30", 2.9, 32), ("0", -5, 0)])
def test_age_counts_from_when_the_origin_made_the_answer(age, after, told):
    held = stored([HOUR, ("Age", age)])
    assert held.age(NOW + after) == told


def test_validators_are_at_hand():
    held = stored([HOUR, ("ETag", '"a"'), ("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")])
    assert (held.etag, held.last_modified) == (b'"a"', b"Wed, 01 Jan 2020 00:00:00 GMT")
    assert (stored([HOUR]).etag, stored([HOUR]).last_modified) == (None, None)


def test_its_size_counts_more_than_the_body():
    assert stored([HOUR], body=b"x" * 1000).size > OVERHEAD + 1000


def test_its_cache_control_is_among_its_fields_unless_the_policy_says_otherwise():
    held = stored([HOUR])
    assert held.cache_control(NOW, 0) is None
    held.told = (b"", 60)
    assert held.cache_control(NOW, 10) == b"max-age=70"


def test_a_held_answer_says_what_it_is():
    assert repr(stored([HOUR])) == "StoredResponse(200 products/items/1, 5 bytes)"

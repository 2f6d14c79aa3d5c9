"""Answers from what is stored: RFC 9111 §4, §5.1 (Age), §4.3.2; RFC 9110 §13.2.2, §14.2, §15.4.5."""

import pytest

from apps.httpcache import Policy, dates, response_from
from apps.httpcache.stored_response import StoredResponse
from tests.httpcache.build import NOW, plan, stored

FRESH = ("Cache-Control", "max-age=60")
ETAG = ("ETag", '"a"')
MODIFIED = ("Last-Modified", dates.format_date(NOW - 100).decode())


def answer(held, headers=(), *, at=NOW + 7, **how):
    return response_from(held, plan(headers, **how), at)


def test_a_hit_is_the_stored_answer_with_its_age():
    found = answer(stored([FRESH, ("Link", "1"), ("Link", "2")]))
    assert (found.status, found.body) == (200, b"hello")
    assert found.headers[-2:] == ((b"content-length", b"5"), (b"age", b"7"))
    assert [value for name, value in found.headers if name == b"link"] == [b"1", b"2"]


def test_the_rendered_head_says_the_same_as_the_fields():
    found = answer(stored([FRESH, ("Link", "1"), ("Link", "2")]))
    lines = found.head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert lines[-1] == b""
    assert [tuple(line.split(b": ", 1)) for line in lines[1:-1]] == list(found.headers)


@pytest.mark.parametrize(
    ("fields", "age"), [([], b"7"), ([("Age", "30")], b"37"), ([("Date", dates.format_date(NOW - 5).decode())], b"12")]
)
def test_age_is_what_it_was_on_arrival_and_the_time_here(fields, age):
    assert dict(answer(stored([FRESH, *fields])).headers)[b"age"] == age


def test_a_clock_that_went_back_makes_no_negative_age():
    assert dict(answer(stored([FRESH]), at=NOW - 100).headers)[b"age"] == b"0"


def test_the_date_is_the_origins():
    sent = dates.format_date(NOW - 5).decode()
    assert dict(answer(stored([FRESH, ("Date", sent)])).headers)[b"date"] == sent.encode()


def test_head_is_answered_from_get_without_its_body():
    found = answer(stored([FRESH]), method="HEAD")
    assert (found.status, found.body) == (200, b"")
    assert dict(found.headers)[b"content-length"] == b"5"
    conditional = answer(stored([FRESH, ETAG]), [("If-None-Match", '"b"')], method="HEAD")
    assert (conditional.status, conditional.body) == (200, b"")


@pytest.mark.parametrize("status", [404, 301, 204])
def test_other_statuses_keep_theirs_and_know_no_conditions(status):
    held = stored([FRESH, ETAG], status=status, body=b"" if status == 204 else b"gone")
    found = answer(held, [("If-None-Match", '"a"'), ("Range", "bytes=0-1")])
    assert (found.status, found.body) == (status, held.entry.body)
    assert (b"content-length" in dict(found.headers)) is (status != 204)
    assert answer(held, method="HEAD").body == b""


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ([("If-None-Match", '"a"')], 304),
        ([("If-None-Match", '"x", W/"a"')], 304),
        ([("If-None-Match", '"x"'), ("If-None-Match", '"a"')], 304),
        ([("If-None-Match", "*")], 304),
        ([("If-None-Match", '"b"')], 200),
        ([("If-Modified-Since", MODIFIED[1])], 304),
        ([("If-Modified-Since", dates.format_date(NOW - 101).decode())], 200),
        ([("If-None-Match", '"b"'), ("If-Modified-Since", MODIFIED[1])], 200),
        ([("If-None-Match", '"a"'), ("If-Modified-Since", "junk")], 304),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_caller_who_has_it_already_is_told_so(condition, status, method):
    found = answer(stored([FRESH, ETAG, MODIFIED, ("Content-Type", "text/plain")]), condition, method=method)
    assert found.status == status
    if status == 304:
        fields = dict(found.headers)
        assert found.body == b""
        assert fields[b"etag"] == b'"a"'
        assert fields[b"age"] == b"7"
        assert {b"cache-control", b"date", b"last-modified"} <= set(fields)
        assert not {b"content-type", b"content-length"} & set(fields)
        assert found.head.startswith(b"HTTP/1.1 304 Not Modified\r\n")


@pytest.mark.parametrize(
    ("value", "body", "told"),
    [("bytes=0-1", b"he", b"bytes 0-1/5"), ("bytes=-2", b"lo", b"bytes 3-4/5"), ("bytes=1-", b"ello", b"bytes 1-4/5")],
)
def test_a_part_of_a_stored_whole(value, body, told):
    found = answer(stored([FRESH, ETAG]), [("Range", value)])
    fields = dict(found.headers)
    assert (found.status, found.body) == (206, body)
    assert (fields[b"content-range"], fields[b"content-length"]) == (told, b"%d" % len(body))
    assert fields[b"etag"] == b'"a"'
    assert [name for name, _ in found.headers].count(b"content-length") == 1


def test_a_part_that_is_not_there():
    found = answer(stored([FRESH]), [("Range", "bytes=9-")])
    assert (found.status, found.body) == (416, b"")
    assert dict(found.headers)[b"content-range"] == b"bytes */5"
    assert dict(found.headers)[b"content-length"] == b"0"


@pytest.mark.parametrize(
    "fields", [[("Range", "bytes=0-1,3-4")], [("Range", "items=1-2")], [("Range", "bytes=0-1"), ("If-Range", '"b"')]]
)
def test_the_whole_is_sent_where_a_part_is_not_understood_or_not_wanted(fields):
    found = answer(stored([FRESH, ETAG]), fields)
    assert (found.status, found.body) == (200, b"hello")


def test_if_range_with_the_right_tag_gets_the_part():
    assert answer(stored([FRESH, ETAG]), [("Range", "bytes=0-1"), ("If-Range", '"a"')]).status == 206


def test_a_condition_goes_before_a_range():
    assert answer(stored([FRESH, ETAG]), [("Range", "bytes=0-1"), ("If-None-Match", '"a"')]).status == 304


def test_cookies_that_may_be_stored_are_sent():
    held = stored(
        [FRESH, ETAG, ("Set-Cookie", "a=1")], the_plan=plan(policy=Policy(api="products", store_set_cookie=True))
    )
    assert dict(answer(held).headers)[b"set-cookie"] == b"a=1"


def test_answers_and_what_is_held_show_what_they_are():
    held = stored([FRESH])
    assert repr(answer(held)) == "Answer(200, 5 bytes, age 7)"
    assert repr(held) == "StoredResponse(200 products/items/1, 5 bytes)"


def test_an_unknown_status_has_no_phrase():
    assert StoredResponse(stored([FRESH], status=299).entry).head.startswith(b"HTTP/1.1 299 \r\n")


def test_where_the_policy_says_how_long_caches_behind_us_may_keep_it_both_forms_say_so():
    held = stored([FRESH], the_plan=plan(policy=Policy(api="products", downstream="20", open_to_all=True)))
    found = answer(held)
    assert found.headers[-2:] == ((b"cache-control", b"max-age=27"), (b"age", b"7"))
    assert found.head.endswith(b"\r\ncache-control: max-age=27\r\nage: 7\r\n")
    assert repr(found) == "Answer(200, 5 bytes, age 7)"

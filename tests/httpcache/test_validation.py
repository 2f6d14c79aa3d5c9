"""Validation: RFC 9111 §4.3, §3.2; RFC 9110 §8.8.3.2 (comparison), §13 (conditions)."""

import pytest

from apps.httpcache import dates, validation
from tests.httpcache.build import NOW, pairs, plan, stored


def date(offset):
    return dates.format_date(NOW + offset)


@pytest.mark.parametrize(
    ("condition", "etag", "matches"),
    [
        (b'"a"', b'"a"', True),
        (b'"b"', b'"a"', False),
        (b'W/"a"', b'"a"', True),
        (b'"a"', b'W/"a"', True),
        (b'W/"a"', b'W/"a"', True),
        (b'"x", "a", "y"', b'"a"', True),
        (b'"x","y"', b'"a"', False),
        (b'"x, a"', b'"a"', False),
        (b"*", b'"a"', True),
        (b"*", None, True),
        (b'"a"', None, False),
        (b"", b'"a"', False),
        (b"a", b'"a"', False),
        (b"a", b"a", True),
        (b'w/"a"', b'"a"', False),
    ],
)
def test_if_none_match_compares_weakly_over_a_list(condition, etag, matches):
    assert validation.none_match_fails(condition, etag) is matches


@pytest.mark.parametrize(
    ("fields", "since", "unchanged"),
    [
        ([("Last-Modified", date(-100))], date(-100), True),
        ([("Last-Modified", date(-100))], date(-50), True),
        ([("Last-Modified", date(-100))], date(-101), False),
        ([("Date", date(-30))], date(-30), True),
        ([("Date", date(-30))], date(-31), False),
        ([("Last-Modified", b"junk"), ("Date", date(-30))], date(-30), True),
        ([("Date", b"junk")], date(0), True),
        ([("Date", b"junk")], date(-1), False),
        ([("Last-Modified", date(-100))], b"junk", False),
    ],
)
def test_if_modified_since_falls_back_to_the_date_of_the_answer(fields, since, unchanged):
    held = stored(
        [
            ("Cache-Control", "max-age=60"),
            *((name, value.decode() if isinstance(value, bytes) else value) for name, value in fields),
        ]
    )
    assert validation.not_modified_since(since, held, NOW) is unchanged


def held_with(*fields):
    return stored([("Cache-Control", "max-age=60"), *fields])


def test_the_upstream_is_asked_with_every_validator_there_is():
    assert validation.conditional_fields(held_with()) == ()
    both = held_with(("ETag", 'W/"a"'), ("Last-Modified", "then"))
    assert validation.conditional_fields(both) == pairs([("If-None-Match", 'W/"a"'), ("If-Modified-Since", "then")])


@pytest.mark.parametrize(
    ("held", "fresh", "confirms"),
    [
        ([("ETag", '"a"')], [("ETag", '"a"')], True),
        ([("ETag", '"a"')], [("ETag", '"b"')], False),
        ([("ETag", '"a"')], [("ETag", 'W/"a"')], True),
        ([("ETag", 'W/"a"')], [("ETag", '"a"')], True),
        ([("ETag", 'W/"a"')], [("ETag", 'W/"b"')], False),
        ([], [("ETag", '"a"')], False),
        ([("ETag", '"a"')], [], True),
        ([("Last-Modified", "x")], [("Last-Modified", "x")], True),
        ([("Last-Modified", "x")], [("Last-Modified", "y")], False),
        ([("Last-Modified", "x")], [], True),
        ([("ETag", '"a"')], [("Last-Modified", "y")], True),
    ],
)
def test_a_304_confirms_the_answer_whose_validator_it_has(held, fresh, confirms):
    assert validation.confirms(held_with(*held), pairs(fresh)) is confirms


def test_merging_replaces_all_lines_of_a_field_and_keeps_the_rest():
    entry = held_with(("X-A", "1"), ("X-A", "2"), ("X-B", "3")).entry
    fresh = pairs([("X-A", "9"), ("Connection", "x-hop"), ("X-Hop", "1"), ("X-Call-ID", "c"), ("Content-Range", "x")])
    merged = validation.merged_headers(entry, fresh, frozenset({b"x-call-id"}))
    assert [pair for pair in merged if pair[0].startswith(b"x-")] == [(b"x-b", b"3"), (b"x-a", b"9")]
    assert b"content-range" not in dict(merged)


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ([], True),
        ([("ETag", '"a"')], True),
        ([("ETag", '"b"')], False),
        ([("Content-Length", "5")], True),
        ([("Content-Length", "6")], False),
        ([("Last-Modified", "x")], False),
    ],
)
def test_a_head_describes_the_stored_body_or_another(fields, same):
    assert validation.describes_same_body(held_with(("ETag", '"a"')), pairs(fields)) is same


def test_strong_tags():
    assert validation.is_strong(b'"a"')
    assert not validation.is_strong(b'W/"a"')
    assert not validation.is_strong(b'"')
    assert not validation.is_strong(b"a")
    assert plan().plain


@pytest.mark.parametrize(
    ("etag", "key"),
    [
        (b'"a"', b"1"),
        (b'W/"a"', b"1"),
        (b'"c"', b"3"),
        (b'W/"c"', b"3"),
        (b'"d"', None),
        (None, None),
    ],
)
def test_a_304_names_the_variant_that_it_speaks_of(etag, key):
    assert validation.named(((b"1", b'"a"'), (b"2", b'"b"'), (b"3", b'W/"c"')), etag) == key


def test_a_304_without_a_tag_can_only_speak_of_the_one_that_was_asked_about():
    assert validation.named(((b"1", b'"a"'),), None) == b"1"

"""Cache-Control: RFC 9111 §5.2, §1.2.2 (delta-seconds), §4.2.1 (invalid freshness), §5.4 (Pragma)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import ResponseCacheControl
from werkzeug.http import parse_cache_control_header

from apps.httpcache.directives import (
    FOREVER,
    RequestDirectives,
    delta_seconds,
    parse,
    request_directives,
    response_directives,
)
from tests.httpcache.build import pairs


def said(*lines):
    return response_directives(pairs([("Cache-Control", line) for line in lines]))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0),
        (b"60", 60),
        (b"003600", 3600),
        (b"2147483648", FOREVER),
        (b"99999999999", FOREVER),
        (b"9" * 5000, FOREVER),
        (None, None),
        (b"", None),
        (b"-1", None),
        (b"1.0", None),
        (b" 1", None),
        (b"a1", None),
        (b"1a", None),
        ("١".encode(), None),
    ],
)
def test_a_number_of_seconds_is_digits_and_ends_at_forever(value, seconds):
    assert delta_seconds(value) == seconds


def test_no_field_says_nothing():
    nothing = response_directives(())
    assert nothing == response_directives(pairs({"Cache-Control": ""}))
    assert not nothing.no_store
    assert nothing.max_age is None


@pytest.mark.parametrize(
    ("directive", "attribute"),
    [
        ("no-store", "no_store"),
        ("no-cache", "no_cache"),
        ("private", "private"),
        ("public", "public"),
        ("must-revalidate", "must_revalidate"),
        ("proxy-revalidate", "proxy_revalidate"),
        ("must-understand", "must_understand"),
        ("immutable", "immutable"),
    ],
)
def test_flags_are_read_in_any_case_and_company(directive, attribute):
    for text in (directive, directive.upper(), f"x=1, {directive}", f'{directive}, y="a, b"', f"{directive}=junk"):
        if text.endswith("=junk") and directive in ("no-cache", "private"):
            continue
        assert getattr(said(text), attribute), text
    assert not getattr(said(f'x="{directive}"'), attribute)
    assert not getattr(said(f"x-{directive}"), attribute)


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("max-age=60", 60),
        ("MaX-aGe=60", 60),
        ('max-age="60"', 60),
        ("foobar, max-age=60", 60),
        ("max-age=60,", 60),
        ("max-age='60'", 0),
        ("max-age =60", 0),
        ("max-age= 60", 0),
        ("max-age=-60", 0),
        ("max-age=a60", 0),
        ("max-age=60a", 0),
        ("max-age=60.5", 0),
        ("max-age", 0),
        ("max-age=", 0),
        ('x="max-age=3600", max-age=1', 1),
        ('max-age=1, x="max-age=3600"', 1),
        ("max-age=1800, max-age=1", 1),
        ("max-age=1, max-age=1800", 1),
        ("max-age=1800, max-age=junk", 0),
    ],
)
def test_an_invalid_or_contradictory_lifetime_makes_stale(line, seconds):
    assert said(line).max_age == seconds
    assert said(line.replace("max-age", "s-maxage").replace("MaX-aGe", "S-MaXaGe")).s_maxage == seconds


def test_directives_of_several_lines_add_up():
    both = said("max-age=3600", "s-maxage=1, no-cache")
    assert (both.max_age, both.s_maxage, both.no_cache) == (3600, 1, True)


def test_permission_to_serve_stale_counts_only_where_it_is_well_formed():
    assert said("stale-while-revalidate=5, stale-if-error=7").stale_while_revalidate == 5
    assert said("stale-while-revalidate=5, stale-if-error=7").stale_if_error == 7
    assert said("stale-while-revalidate=x, stale-if-error").stale_while_revalidate is None
    assert said("stale-while-revalidate=9, stale-while-revalidate=5").stale_while_revalidate == 5
    assert said("stale-if-error").stale_if_error is None
    assert said("stale-if-error=x, stale-if-error=4").stale_if_error == 4


def test_qualified_no_cache_and_private_name_fields_only():
    some = said('no-cache="Set-Cookie, X-A", private="X-B"', 'no-cache="x-c"')
    assert some.no_cache_fields == {b"set-cookie", b"x-a", b"x-c"}
    assert some.private_fields == {b"x-b"}
    assert not some.no_cache
    assert not some.private


@pytest.mark.parametrize("line", ["no-cache", 'no-cache=""', "no-cache=", 'no-cache="a", no-cache'])
def test_no_cache_without_names_means_the_whole_answer(line):
    assert said(line).no_cache
    assert said(line.replace("no-cache", "private")).private


def test_a_quote_that_is_never_closed_hides_nothing():
    assert said('x="junk, no-store').no_store


def test_a_restriction_is_recognised_even_with_a_stray_space():
    assert parse([b"no-store =x"]) == [(b"no-store", b" x")]
    assert said("no-store =x").no_store


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no-cache", RequestDirectives(no_cache=True)),
        ("No-Store", RequestDirectives(no_store=True)),
        ("only-if-cached", RequestDirectives(only_if_cached=True)),
        ("max-age=5", RequestDirectives(max_age=5)),
        ("max-age=junk", RequestDirectives(max_age=0)),
        ("max-age=5, max-age=3", RequestDirectives(max_age=3)),
        ("min-fresh=7", RequestDirectives(min_fresh=7)),
        ("min-fresh=7, min-fresh=9", RequestDirectives(min_fresh=9)),
        ("min-fresh=junk", RequestDirectives()),
        ("max-stale", RequestDirectives(max_stale=float("inf"))),
        ("max-stale=5", RequestDirectives(max_stale=5)),
        ("max-stale, max-stale=5", RequestDirectives(max_stale=5)),
        ("max-stale=junk", RequestDirectives()),
        ("unknown=1", RequestDirectives()),
        ("x" * 600 + ", no-cache", RequestDirectives(no_cache=True)),
    ],
)
def test_a_callers_directives(line, expected):
    assert request_directives(line.encode(), None) == expected


def test_pragma_counts_only_without_cache_control():
    assert request_directives(None, b"No-Cache").no_cache
    assert request_directives(None, b"x, no-cache").no_cache
    assert not request_directives(None, b"other").no_cache
    assert not request_directives(b"max-age=5", b"no-cache").no_cache
    assert request_directives(None, None) == RequestDirectives()


token = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8)
well_formed = st.dictionaries(token, st.none() | st.text("abcdefghij0123456789", min_size=1, max_size=5), max_size=5)


@given(well_formed)
def test_well_formed_fields_are_read_like_an_independent_parser_reads_them(fields):
    line = ", ".join(name if value is None else f"{name}={value}" for name, value in fields.items())
    theirs = dict(parse_cache_control_header(line, cls=ResponseCacheControl))
    ours = {name.decode(): None if value is None else value.decode() for name, value in parse([line.encode()])}
    assert ours == theirs


@given(st.binary(max_size=60))
def test_no_field_value_breaks_the_parser(value):
    response_directives(((b"cache-control", value),))
    request_directives(value, value)

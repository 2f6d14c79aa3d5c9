"""One form of targets and negotiation fields: RFC 3986 §6.2, RFC 9111 §4.1, RFC 9110 §12.5."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache import normalise
from apps.httpcache.normalise import Target, media_type, normalise_target, select_query, sort_query


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        (b"/", b"/", None),
        (b"/a/b", b"/a/b", None),
        (b"/a?", b"/a", b""),
        (b"/a?x=1?y", b"/a", b"x=1?y"),
        (b"/%61%2E%7e", b"/a.~", None),
        (b"/a%2fb", b"/a%2Fb", None),
        (b"/a%2Fb", b"/a%2Fb", None),
        (b"/%01", b"/%01", None),
        (b"/a%2Fb..%2F...%2F;..", b"/a%2Fb..%2F...%2F;..", None),
        (b"/a?q=%00", b"/a", b"q=%00"),
        (b"/a/./b/../c", b"/a/c", None),
        (b"/a/%2e%2E/c", b"/c", None),
        (b"/..", b"/", None),
        (b"/a/..", b"/", None),
        (b"/a/.", b"/a/", None),
        (b"/../../etc", b"/etc", None),
        (b"//a//b", b"//a//b", None),
        (b"/a//../b", b"/a/b", None),
        (b"/.well-known/x", b"/.well-known/x", None),
        (b"/a.", b"/a.", None),
        (b"/a;x.css", b"/a;x.css", None),
        (b"/{id}|^`", b"/%7Bid%7D%7C%5E%60", None),
        (b"/\xc3\xa9?q=\xc3\xa9", b"/%C3%A9", b"q=%C3%A9"),
        (b"/a?q=%2e%2f..&b=[1]", b"/a", b"q=.%2F..&b=%5B1%5D"),
        (b"/a/../?x=/../", b"/", b"x=/../"),
    ],
)
def test_a_target_has_one_form(raw, path, query):
    assert normalise_target(raw) == Target(path, query)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"*",
        b"a/b",
        b"http://evil/a",
        b"/a b",
        b"/a\tb",
        b"/a\r\nb",
        b"/a\x00",
        b"/%00",
        b"/..%2fb",
        b"/a%2F..",
        b"/a%5c%2e%2e%5Cb",
        b"/a/..;/b",
        b"/a%2f.%2fb",
        b"/a\\b",
        b'/a"b',
        b"/a<b>",
        b"/a#b",
        b"/a%",
        b"/a%zz",
        b"/a?x=%4",
        b"/\x7f",
    ],
)
def test_what_has_no_meaning_is_refused(raw):
    assert normalise_target(raw) is None


def test_a_long_target_is_normalised_too():
    assert normalise_target(b"/" + b"%61" * 1000) == Target(b"/" + b"a" * 1000, None)


@pytest.mark.parametrize(
    ("query", "form"),
    [
        (b"b=2&a=1", b"a=1&b=2"),
        (b"a=2&b=0&a=1", b"a=2&a=1&b=0"),
        (b"b&a&a=", b"a&a=&b"),
        (b"a%5B1%5D=x&a%5B0%5D=y", b"a%5B0%5D=y&a%5B1%5D=x"),
        (b"z=1&%C3%A4=2&a+b=3&a%20b=4", b"a+b=3&a%20b=4&z=1&%C3%A4=2"),
        (b"&&b=1&&a=1&", b"a=1&b=1"),
        (b"", b""),
    ],
)
def test_a_sorted_query_keeps_the_order_of_equal_names(query, form):
    assert sort_query(query) == form


parameters = st.lists(st.sampled_from([b"a=1", b"a=2", b"b=1", b"%61=3", b"a%26=1", b"c"]), max_size=6)


@given(parameters, parameters)
def test_queries_sort_to_one_form_only_if_each_name_has_the_same_values_in_the_same_order(one, other):
    def by_name(parts):
        found = {}
        for part in parts:
            found.setdefault(unquote_to_bytes(part.partition(b"=")[0]), []).append(part)
        return found

    assert (sort_query(b"&".join(one)) == sort_query(b"&".join(other))) == (by_name(one) == by_name(other))


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("text/html", b"text/html"),
        ("Text/HTML;Charset=UTF-8", b"text/html;charset=utf-8"),
        ('text/html; charset="utf-8"', b"text/html;charset=utf-8"),
        ("text/html;b=B ; a=A;", b"text/html;a=A;b=B"),
        ('multipart/mixed;boundary="a b"', b'multipart/mixed;boundary="a b"'),
        ("text/html;a=1;A=2", b"text/html;a=1;A=2"),
        ("text/html;a", b"text/html;a"),
        ('text/html;a="\\""', b'text/html;a="\\""'),
        ("text/html, text/plain", b"text/html, text/plain"),
        ("json", b"json"),
        ("", b""),
    ],
)
def test_a_media_type_has_one_form(said, form):
    assert media_type(said.encode()) == media_type(form) == form


targets = st.lists(
    st.sampled_from(
        [b"a", b"B", b"%2e", b"%2E%2e", b".", b"..", b"%2F", b"%2f", b"/", b"%61", b"%", b"?", b"&", b"=", b"%C3", b"{"]
    ),
    max_size=12,
).map(lambda parts: b"/" + b"".join(parts))


@given(targets)
def test_normalising_twice_changes_nothing_and_leaves_no_dot_segment(raw):
    once = normalise_target(raw)
    if once is None:
        return
    again = normalise_target(once.path + (b"" if once.query is None else b"?" + once.query))
    assert again == once
    assert not {b".", b".."} & set(once.path.split(b"/"))


@given(targets)
def test_only_unreserved_characters_are_decoded(raw):
    found = normalise_target(raw)
    if found is None or b"." in raw or b"%2e" in raw.lower():
        return
    whole = found.path + (b"" if found.query is None else b"?" + found.query)
    assert unquote_to_bytes(whole) == unquote_to_bytes(raw)
    assert whole.count(b"%2F") == raw.upper().count(b"%2F")
    assert whole.count(b"/") == raw.count(b"/")


@pytest.mark.parametrize(
    ("mode", "names", "query", "kept"),
    [
        ("all", (), b"b=2&a=1", b"b=2&a=1"),
        ("all", (), b"", b""),
        ("include", ("a",), b"b=2&a=1&a=3", b"a=1&a=3"),
        ("include", ("a",), b"b=2", None),
        ("include", (), b"b=2", None),
        ("exclude", ("utm_source",), b"a=1&utm_source=x&b=2", b"a=1&b=2"),
        ("exclude", ("utm_source",), b"utm%5Fsource=x&a=1", b"a=1"),
        ("exclude", ("my key",), b"my+key=1&my%20key=2&a", b"a"),
        ("exclude", ("a",), b"a=1", None),
        ("exclude", ("a",), b"a", None),
        ("exclude", ("x",), b"&&a=1&", b"a=1"),
        ("include", ("\udcff",), b"%FF=1&a=2", b"%FF=1"),
    ],
)
def test_what_is_not_keyed_is_not_forwarded(mode, names, query, kept):
    assert select_query(query, mode, names) == kept


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (b"gzip, br", b"br, gzip"),
        (b"br,gzip", b"br, gzip"),
        (b"BR , GZip", b"br, gzip"),
        (b"x-gzip", b"gzip"),
        (b"gzip;q=1.0, br;q=1", b"br, gzip"),
        (b"gzip;q=0.5, br", b"br, gzip;q=0.999"),
        (b"gzip;q=0.5, br;q=0.8, zstd;q=0.5", b"br, gzip;q=0.999, zstd;q=0.999"),
        (b"identity;q=0, *;q=0", b"*;q=0, identity;q=0"),
        (b"gzip; q=junk", b"gzip;q=0"),
        (b"gzip;Q=0.1;x=y", b"gzip"),
        (b"gzip, gzip;q=0", b"gzip"),
        (b"gzip;level=9", b"gzip"),
        (b"", b""),
    ],
)
def test_accept_encoding_is_ordered_by_preference_then_by_name(value, form):
    assert normalise.accept_encoding(value) == form


def test_accept_language_loses_order_among_equals_but_no_preference():
    assert normalise.accept_language(b"en, de") == normalise.accept_language(b"de,en")
    assert normalise.accept_language(b"de, en;q=0.8") != normalise.accept_language(b"en, de;q=0.8")
    assert normalise.accept_language(b"x-klingon") == b"x-klingon"


def test_a_field_is_combined_and_its_spaces_evened_out():
    assert normalise.field_value(b"foo", []) is None
    assert normalise.field_value(b"foo", [b""]) == b""
    assert normalise.field_value(b"foo", [b" 1,2 "]) == b"1,2"
    assert normalise.field_value(b"foo", [b"1", b"2"]) == b"1\n2"
    assert normalise.field_value(b"foo", [b'"a,b"']) == b'"a,b"'
    assert normalise.field_value(b"accept-encoding", [b"gzip", b"br"]) == b"br, gzip"
    assert normalise.field_value(b"accept-language", [b"EN"]) == b"en"


def test_long_queries_are_not_remembered():
    """A caller who makes up queries of 8 KiB must not fill a worker's memory with them."""
    before = [table.cache_info().currsize for table in (normalise._selected, normalise._sorted)]
    query = b"b=1&" + b"a=" + b"x" * 600
    assert select_query(query, "exclude", ("b",)) == query[4:]
    assert sort_query(query) == query[4:] + b"&b=1"
    assert [table.cache_info().currsize for table in (normalise._selected, normalise._sorted)] == before

"""Header fields: RFC 9110 §5.6.1 (lists), §7.6.1 (Connection), RFC 9111 §3.1 (what is stored)."""

import pytest

from apps.httpcache import fields


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"a, b ,c"], [b"a", b"b", b"c"]),
        ([b"a", b"b"], [b"a", b"b"]),
        ([b",, a ,,"], [b"a"]),
        ([b""], []),
        ([], []),
        ([b'x="1, 2", y'], [b'x="1, 2"', b"y"]),
        ([b'x="a\\", b", y'], [b'x="a\\", b"', b"y"]),
        ([b'"never closed, no-store'], [b'"never closed', b"no-store"]),
        ([b"\ta\t,\tb\t"], [b"a", b"b"]),
    ],
)
def test_a_list_is_split_at_commas_outside_quotes(lines, expected):
    assert fields.members(lines) == expected


def test_lines_of_a_field_are_kept_apart_and_the_first_can_be_had():
    headers = ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))
    assert fields.lines_of(headers, b"a") == [b"1", b"3"]
    assert fields.first(headers, b"a") == b"1"
    assert fields.first(headers, b"c") is None


def test_what_connection_lists_is_hop_by_hop_for_this_message():
    headers = ((b"connection", b"close, X-Secret"), (b"x-secret", b"1"), (b"keep-alive", b"5"), (b"etag", b'"a"'))
    assert fields.connection_listed(headers) == {b"close", b"x-secret"}
    assert fields.end_to_end(headers) == ((b"etag", b'"a"'),)


def test_repeated_fields_survive():
    headers = ((b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"te", b"x"))
    assert fields.end_to_end(headers) == headers[:2]
    assert fields.without(headers, {b"set-cookie"}, {b"te"}) == ()
    assert fields.end_to_end(headers, {b"set-cookie"}) == ()


def test_no_connection_field_lists_nothing():
    assert fields.connection_listed(((b"a", b"b"),)) == frozenset()

"""The documented message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.invalidation.messages import LARGEST, MOST, MessageItem, Unreadable, read


def test_one_object_and_a_list_are_messages():
    whole = {"id": "7", "api": "products", "kind": "path", "value": "/a", "soft": True, "at": "2026-11-23T01:00:00Z"}
    (item,) = read(json.dumps(whole).encode())
    assert (item.id, item.api, item.kind, item.value, item.soft) == ("7", "products", "path", "/a", True)
    assert item.at.year == 2026
    assert read(b' [{"kind": "api"}, {"kind": "tag", "value": "x"}]\n') == [MessageItem("api"), MessageItem("tag", "x")]


@pytest.mark.parametrize("body", [b"[", b"[]", b"[1,", b"[" * 100_000, b'[{"kind": "api"}] x'])
def test_a_list_that_is_none_is_unreadable(body):
    with pytest.raises(Unreadable):
        read(body)


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"x", b"\xff", b'{"kind": "api"} x', b"{" * 100_000])
def test_an_object_that_is_none_says_so(body):
    (said,) = read(body)
    assert isinstance(said, str)


def test_it_is_bounded():
    with pytest.raises(Unreadable, match="1 MiB"):
        read(b" " * (LARGEST + 1))
    with pytest.raises(Unreadable, match="1,000"):
        read(json.dumps([{"kind": "api"}] * (MOST + 1)).encode())


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({}, "kind"),
        ({"kind": "all"}, "all"),
        ({"kind": "api", "sotf": True}, "sotf"),
        ({"kind": "tag", "value": 7}, "value"),
        ({"kind": "tag", "soft": "yes"}, "soft"),
        ({"kind": "tag", "at": "yesterday"}, "at"),
        ({"kind": "tag", "id": "x" * 129}, "128"),
        ("tag", "object"),
        (None, "object"),
    ],
)
def test_an_item_that_is_none_says_why_and_the_others_stand(item, said):
    good = {"kind": "api"}
    first, second, third = read(json.dumps([good, item, good]).encode())
    assert first == third == MessageItem("api")
    assert isinstance(second, str)
    assert said in second


@given(
    st.binary(max_size=100)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_nothing_that_comes_is_too_odd(body):
    try:
        items = read(body)
    except Unreadable:
        return
    assert all(isinstance(item, MessageItem | str) for item in items)

"""Variants: RFC 9111 §4.1."""

import pytest

from apps.httpcache import CacheEntry, Variants, placement, vary
from apps.httpcache.keys import variant_key
from tests.httpcache.build import NOW, pairs, plan, stored


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], ()),
        ([""], ()),
        (["Foo"], (b"foo",)),
        (["Foo, BAR ,foo"], (b"bar", b"foo")),
        (["Foo", "Bar"], (b"bar", b"foo")),
        (["*"], None),
        (["*, *"], None),
        (["*", "*"], None),
        ([", *"], None),
        (["", "*"], None),
        (["*, Foo"], None),
        (["Foo, *"], None),
    ],
)
def test_vary_names_fields_or_everything(lines, names):
    assert vary.field_names(pairs([("Vary", line) for line in lines])) == names


@pytest.mark.parametrize(
    ("stored_for", "asked_with", "same"),
    [
        ([("Foo", "1")], [("Foo", "1")], True),
        ([("Foo", "1")], [("Foo", "2")], False),
        ([("Foo", "1")], [], False),
        ([], [("Foo", "1")], False),
        ([], [], True),
        ([], [("Foo", "")], False),
        ([("Foo", "1, 2")], [("Foo", " 1, 2 ")], True),
        ([("Foo", "1,2")], [("Foo", "1, 2")], False),
        ([("Foo", "1")], [("Foo", "1,")], False),
        ([("Foo", "1")], [("Foo", ",1")], False),
        ([("Foo", "1")], [("Foo", "1"), ("Foo", "")], False),
        ([("Foo", "1, 2")], [("Foo", "1"), ("Foo", "2")], False),
        ([("Foo", "1"), ("Foo", "2")], [("Foo", "1"), ("Foo", "2")], True),
        ([("Foo", "1"), ("Bar", "abc")], [("Bar", "abc"), ("Foo", "1")], True),
        ([("Foo", "1"), ("Bar", "abc")], [("Foo", "1")], False),
        ([("Foo", "1"), ("Other", "2")], [("Foo", "1"), ("Other", "3")], True),
    ],
)
def test_a_request_selects_the_answer_whose_fields_it_shares(stored_for, asked_with, same):
    held = stored({"Cache-Control": "max-age=60", "Vary": "Foo, Bar"}, the_plan=plan(stored_for))
    assert vary.matches(held.entry, pairs(asked_with)) is same


def test_negotiation_fields_match_in_one_form():
    held = stored(
        {"Cache-Control": "max-age=60", "Vary": "Accept-Language, Accept-Encoding"},
        the_plan=plan([("Accept-Language", "en, de"), ("Accept-Encoding", "gzip;q=1")]),
    )
    assert vary.matches(held.entry, pairs([("Accept-Language", "DE,en"), ("Accept-Encoding", "x-gzip")]))
    assert not vary.matches(held.entry, pairs([("Accept-Language", "de, en;q=0.5"), ("Accept-Encoding", "gzip")]))


def entry_for(headers, vary_on="Foo"):
    fields = {"Cache-Control": "max-age=60"} | ({"Vary": vary_on} if vary_on else {})
    return stored(fields, the_plan=plan(headers)).entry


def test_without_vary_the_entry_stands_under_the_primary_key():
    entry = entry_for([], vary_on="")
    assert placement(None, entry, 64) == (((entry.key, entry),), ())
    assert placement(entry, entry, 64) == (((entry.key, entry),), ())


def test_with_vary_the_primary_key_tells_which_fields_matter():
    entry = entry_for([("Foo", "1")])
    (primary, index), (key, placed) = placement(None, entry, 64)[0]
    assert primary == entry.key
    assert isinstance(index, Variants)
    assert index.specs == ((b"foo",),)
    assert index.keys == (key,)
    assert index.keep_until == entry.keep_until > NOW
    assert placed is entry
    assert key == variant_key(entry.key, entry.selecting)
    assert vary.candidate_keys(primary, index, pairs({"Foo": "1"})) == (key,)
    assert vary.candidate_keys(primary, index, pairs({"Foo": "2"})) != (key,)


def test_the_newest_list_of_fields_is_preferred_and_none_at_all_comes_last():
    index: object = None
    for entry in (entry_for([]), entry_for([], "Bar"), entry_for([], "")):
        index = placement(index, entry, 64)[0][0][1]
    assert isinstance(index, Variants)
    assert index.specs == ((b"bar",), (b"foo",), ())
    index = placement(index, entry_for([("Foo", "9")]), 64)[0][0][1]
    assert isinstance(index, Variants)
    assert index.specs == ((b"foo",), (b"bar",), ())
    assert len(index.keys) == 4


def test_one_variant_more_than_the_bound_pushes_out_the_oldest():
    index: object = None
    keys: list[bytes] = []
    for number in range(4):
        records, dropped = placement(index, entry_for([("Foo", str(number))]), 3)
        index = records[0][1]
        keys.append(records[1][0])
    assert isinstance(index, Variants)
    assert dropped == (keys[0],)
    assert index.keys == tuple(keys[1:])


def test_storing_a_variant_again_makes_it_the_newest():
    first, second = entry_for([("Foo", "1")]), entry_for([("Foo", "2")])
    index: object = None
    for entry in (first, second, first):
        records, dropped = placement(index, entry, 2)
        index = records[0][1]
        assert dropped == ()
    assert isinstance(index, Variants)
    assert index.keys[-1] == variant_key(first.key, first.selecting)


def test_lists_of_fields_are_bounded_too():
    index: object = None
    for number in range(20):
        index = placement(index, entry_for([], f"f{number}"), 64)[0][0][1]
    assert isinstance(index, Variants)
    assert len(index.specs) == vary.MAX_SPECS
    assert index.specs[0] == (b"f19",)


def test_an_index_lives_as_long_as_the_longest_of_its_variants():
    long = stored({"Cache-Control": "max-age=1000", "Vary": "Foo"}, the_plan=plan([("Foo", "1")])).entry
    index = placement(None, long, 64)[0][0][1]
    after = placement(index, entry_for([("Foo", "2")]), 64)[0][0][1]
    assert isinstance(after, Variants)
    assert isinstance(index, Variants)
    assert not isinstance(after, CacheEntry)
    assert after.keep_until == long.keep_until


def test_the_list_of_variants_knows_their_entity_tags():
    known = None
    for number, tag in enumerate(['"a"', None, '"c"', '"a2"']):
        language = str(0 if tag == '"a2"' else number)
        fields = [("Cache-Control", "max-age=60"), ("Vary", "Abc"), *([("ETag", tag)] if tag else [])]
        entry = stored(fields, the_plan=plan([("Abc", language)])).entry
        records, _ = placement(known, entry, 2)
        known = records[0][1]
    assert [tag for _, tag in known.tags] == [b'"c"', b'"a2"']
    assert {key for key, _ in known.tags} <= set(known.keys)

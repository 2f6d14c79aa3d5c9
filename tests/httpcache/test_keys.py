"""Keys: RFC 9111 §2, §4.1. Two calls share a key only if every part is equal."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache import Identity, Policy, keys, plan_request
from tests.httpcache.build import plan, request

parts = st.lists(st.none() | st.binary(max_size=6), max_size=5)


@given(parts, parts)
def test_packing_is_injective(one, other):
    assert (keys.pack(one) == keys.pack(other)) == (one == other)


@given(parts, parts)
def test_a_part_can_not_reach_into_its_neighbour(one, other):
    assert (keys.digest(one) == keys.digest(other)) == (one == other)


def test_the_version_of_the_form_is_hashed_first():
    assert keys.digest([b"a"]) == hashlib.sha256(b"\x01" + b"\x00\x00\x00\x00\x01a").digest()


def test_none_and_empty_are_two_things():
    assert keys.digest([None]) != keys.digest([b""])
    assert plan(query=None).keys != plan(query="").keys


text = st.sampled_from(["", "a", "b", "a/b", "?", "a?b", "&", "=", "%2F", "1", "\x00"])
calls = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "QUERY"]),
        "scheme": st.sampled_from(["http", "https"]),
        "host": text,
        "path": text,
        "query": st.none() | text,
        "api": text,
        "group": text,
        "header": st.none() | text,
        "tenant": st.sampled_from(["t", "u", "tu"]),
    }
)


def key_of(call):
    policy = Policy(
        api=call["api"],
        group=call["group"],
        headers=("x-key",),
        scope="tenant",
        methods=("GET", "POST", "QUERY"),
    )
    headers = [] if call["header"] is None else [("x-key", call["header"])]
    identity = Identity(tenant=call["tenant"])
    asked = request(call["method"], host=call["host"], path=call["path"], query=call["query"], headers=headers)
    asked.scheme = call["scheme"]
    return plan_request(asked, policy, identity).keys


@given(calls, calls)
def test_different_calls_never_share_a_key(one, other):
    assert (key_of(one) == key_of(other)) == (one == other)


queries = st.lists(st.sampled_from(["a=1", "a=2", "b=1", "%61=1", "a", "a=", ""]), max_size=5).map("&".join)


def sorted_of(query):
    """What a sorted query says: of each name its parameters in their order."""
    found = {}
    for part in query.split("&"):
        if part:
            found.setdefault(part.partition("=")[0].replace("%61", "a"), []).append(part)
    return found


@given(queries, queries)
def test_sorted_queries_share_a_key_only_if_each_name_has_the_same_parameters_in_the_same_order(one, other):
    policy = Policy(query_sorted=True)
    same = sorted_of(one) == sorted_of(other)
    assert (plan(policy=policy, query=one).keys == plan(policy=policy, query=other).keys) == same


@given(queries, queries)
def test_a_query_that_is_not_sorted_is_keyed_as_it_is(one, other):
    assert (plan(query=one).keys == plan(query=other).keys) == (one == other)


def test_a_key_has_a_name_for_records():
    the_plan = plan()
    assert the_plan.keys[0].hex().startswith(the_plan.key_name)
    assert len(the_plan.key_name) == 16
    assert plan(method="PUT").key_name == ""


def test_a_variant_key_depends_on_primary_names_and_values():
    seen = {
        keys.variant_key(primary, selecting)
        for primary in (b"p" * 32, b"q" * 32)
        for selecting in (
            (),
            ((b"a", b"1"),),
            ((b"a", None),),
            ((b"a", b""),),
            ((b"a", b"1"), (b"b", b"")),
            ((b"a1", b""),),
        )
    }
    assert len(seen) == 12


def test_a_long_path_gets_a_key_without_being_remembered():
    before = keys._remembered.cache_info().currsize
    assert plan(path="/" + "a" * 1000).keys != plan(path="/" + "a" * 1001).keys
    assert keys._remembered.cache_info().currsize == before

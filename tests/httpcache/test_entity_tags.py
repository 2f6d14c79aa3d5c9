"""Entity tags: which things an answer shows, from its JSON body (the path language is a small part of RFC 9535)."""

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache import Policy, add_tags, entity_tags, reports_errors
from apps.httpcache.entity_tags import ANY, LARGEST, LONGEST, MOST, Every, entities, parse_path, refusal_of
from tests.httpcache.build import stored

ITEMS = Policy(api="products", entity_tags=(("items[*].id", "item:"),))
GRAPH = Policy(api="products", body="graphql")


def entry(body, kind="application/json", coding="", keys=""):
    fields = [("Cache-Control", "max-age=60"), ("Content-Type", kind)]
    fields += [("Content-Encoding", coding)] if coding else []
    fields += [("Surrogate-Key", keys)] if keys else []
    return stored(fields, body=body if isinstance(body, bytes) else json.dumps(body).encode()).entry


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("id", ("id",)),
        ("items[*].id", ("items", Every(), "id")),
        ("$.items[*].id", ("items", Every(), "id")),
        ("$[*].id", (Every(), "id")),
        ("[0]", (0,)),
        ("$.a.b[2][*]", ("a", "b", 2, Every())),
        ("_embedded.hydra:member[*].@id", ("_embedded", "hydra:member", Every(), "@id")),
        ("$id", ("$id",)),
    ],
)
def test_a_path_is_names_elements_and_every_element(text, steps):
    assert parse_path(text) == steps


@pytest.mark.parametrize(
    "text", ["", "$", ".", "$.", "a..b", "a.", "a[", "a[]", "a[-1]", "a[x]", "a b", "a['b']", "*", "a.*"]
)
def test_what_is_no_path_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match="path"):
        parse_path(text)
    assert "path" in refusal_of(text, "item:")


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("id", "two words"), ("id", "*"), ("id", "a\x7f"), ("x" * 201, ""), ("id", "x" * 65), (7, ""), ("id", None)],
)
def test_a_pair_that_no_policy_can_have_is_refused(path, prefix):
    assert refusal_of(path, prefix)


def test_a_good_pair_is_not_refused():
    assert refusal_of("items[*].id", "item:") is None
    assert refusal_of("sku", "") is None


@pytest.mark.parametrize(
    ("body", "tags"),
    [
        ({"items": [{"id": 7}, {"id": "8"}, {"id": 7}]}, ("item:7", "item:8")),
        ({"items": [{"id": 7.50}, {"id": None}, {"id": True}, {"id": ""}, {"id": {}}, {"no": 1}, 5]}, ("item:7.5",)),
        ({"items": {"id": 7}}, ()),
        ({"items": []}, ()),
        ([{"id": 7}], ()),
        ("items", ()),
        ({"items": [{"id": "a b\n\x7f\u00e9"}]}, ("item:a%20b%0A%7Fé",)),
        (b'{"items": [{"id": "\\ud800"}]}', ("item:\\ud800",)),
        (b'{"items": [{"id": 12345678901234567890123456789}]}', ("item:12345678901234567890123456789",)),
        (b'{"items": [{"id": 7}', ()),
        (b"", ()),
        (b"\xff\xfe\xff", ()),
    ],
)
def test_what_stands_at_the_path_is_a_tag_behind_its_prefix(body, tags):
    assert entities(entry(body), ITEMS) == tags


def test_one_element_and_several_paths():
    policy = Policy(api="products", entity_tags=(("data[1].sku", ""), ("shelf.name", "shelf:"), ("data[9].sku", "")))
    body = {"data": [{"sku": "a"}, {"sku": "b"}], "shelf": {"name": "top"}}
    assert entities(entry(body), policy) == ("b", "shelf:top")


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/hal+json", True),
        ("text/json", True),
        ("text/html", False),
        ("application/jsonl", False),
        ("", False),
    ],
)
def test_only_json_is_read(kind, read):
    assert bool(entities(entry({"items": [{"id": 7}]}, kind), ITEMS)) is read


def test_graphql_names_its_objects_by_type_and_id():
    body = {
        "data": {
            "shop": {
                "__typename": "Shop",
                "id": 1,
                "items": [{"__typename": "Item", "id": "7"}, {"__typename": "Item"}],
            },
            "again": {"__typename": "Item", "id": "7"},
            "none": {"id": "9"},
        },
        "extensions": {"x": {"__typename": "Trace", "id": "1"}},
    }
    assert set(entities(entry(body), GRAPH)) == {"Shop:1", "Item:7"}
    assert entities(entry({"errors": []}), GRAPH) == ()
    assert entities(entry([1]), GRAPH) == ()
    assert entities(entry(body), Policy(api="products")) == ()


@pytest.mark.parametrize(
    ("coding", "encode"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_a_compressed_body_is_read(coding, encode):
    assert entities(entry(encode(b'{"items": [{"id": 7}]}'), coding=coding), ITEMS) == ("item:7",)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(entry(b"...", coding="br"), id="a coding that it doesn't know"),
        pytest.param(entry(b"not gzip", coding="gzip"), id="a coding that it isn't"),
        pytest.param(entry(gzip.compress(b'{"items": []}')[:-9], coding="gzip"), id="cut short"),
        pytest.param(entry(gzip.compress(b"[") * 2, coding="gzip"), id="two members"),
        pytest.param(entry(gzip.compress(b" " * (LARGEST + 1)), coding="gzip"), id="a bomb"),
        pytest.param(entry(b" " * (LARGEST + 1)), id="too large"),
        pytest.param(entry({"items": [{"id": n} for n in range(MOST + 1)]}), id="too many"),
        pytest.param(entry({"items": [{"id": "x" * LONGEST}]}), id="too long"),
        pytest.param(entry(b"[" * 200_000 + b"]" * 200_000), id="too deep"),
    ],
)
def test_an_answer_whose_entities_cannot_be_told_ends_with_each_purge_of_a_tag(body):
    assert entities(body, ITEMS) == (ANY,)


def test_as_many_as_allowed_are_all_told():
    assert len(entities(entry({"items": [{"id": n} for n in range(MOST)]}), ITEMS)) == MOST


def test_a_whole_answer_has_the_origins_keys_its_operation_and_its_entities():
    made = entry({"items": [{"id": 7}]}, keys="item:7 shelf")
    add_tags(made, ITEMS, "GET /items")
    assert made.tags == ("item:7", "shelf", "GET /items")
    add_tags(made, ITEMS, "GET /items")
    assert made.tags == ("item:7", "shelf", "GET /items"), "telling it twice changes nothing"
    bare = entry({"items": []})
    add_tags(bare, Policy(api="products"), "")
    assert bare.tags == ()


@given(st.binary(max_size=200))
def test_no_body_is_too_odd(body):
    for coding in ("", "gzip"):
        assert all(isinstance(tag, str) for tag in entities(entry(body, coding=coding), ITEMS))


@given(st.lists(st.text(min_size=1, max_size=20), max_size=20))
def test_every_tag_can_be_purged_as_it_is_named(names):
    for tag in entities(entry({"items": [{"id": name} for name in names]}), ITEMS):
        assert not any(character <= " " or character == "\x7f" for character in tag)
        tag.encode()


@pytest.mark.parametrize(
    ("body", "policy", "failed"),
    [
        ({"errors": [{"message": "no"}], "data": None}, GRAPH, True),
        ({"errors": [{"message": "partly"}], "data": {"a": 1}}, GRAPH, True),
        ({"errors": [], "data": {"a": 1}}, GRAPH, False),
        ({"errors": None, "data": {"errors": [1]}}, GRAPH, False),
        ({"data": {"errors": [1]}}, GRAPH, False),
        ({"errors": [1]}, ITEMS, False),
        ([{"errors": [1]}], GRAPH, False),
        (b'{"errors": [1]', GRAPH, False),
        (b"", GRAPH, False),
        (b'{"errors":1,"a":"' + b"x" * LARGEST + b'"}', GRAPH, False),
        (b'{"errors":' + b"[" * 100_000, GRAPH, False),
    ],
)
def test_graphql_that_reports_errors_says_so(body, policy, failed):
    assert reports_errors(entry(body), policy) is failed


def test_a_compressed_report_is_read_too():
    text = gzip.compress(b'{"errors":[1]}')
    assert reports_errors(entry(text, coding="gzip"), GRAPH)
    assert not reports_errors(entry(text, coding="br"), GRAPH)


def test_an_answer_with_too_many_values_is_not_looked_through():
    """Half a second of every other caller's time, otherwise."""
    most = entity_tags.MOST_VALUES
    assert entities(entry({"data": {"a": [0] * (most - 2)}}), GRAPH) == ()
    assert entities(entry({"data": {"a": [0] * (most - 1)}}), GRAPH) == (ANY,)

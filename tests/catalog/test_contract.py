"""What a document's schemas become for gateways: the same values are allowed, and what can't be checked safely is said."""

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import Draft202012Validator
from openapi_schema_validator import OAS30WriteValidator

from apps.catalog.openapi.contract import contract_of
from apps.catalog.openapi.describing import describe
from apps.catalog.openapi.findings import Finding
from apps.gateway.validation.validators import Validators
from apps.wire.snapshot import Contract
from tests.gateway.contracts import accepting, contract, document
from tests.support.cost import STEEPEST, steepness
from tests.support.examples import examples

JSON = "application/json"


def allows(made: Contract, value: Any) -> bool:
    """Whether the body of the first operation may be ``value``."""
    [(_, name)] = made.operations[0].content
    return Validators().allows(made, name, value)


def body(schema: Any, version: str = "3.1.0", **schemas: Any) -> Contract:
    return contract({"/x": {"post": accepting(schema)}}, version, **schemas)


def unchecked(schema: Any, **schemas: Any) -> tuple[Contract, list[str]]:
    """The contract, and what of it isn't checked."""
    written = document({"/x": {"post": accepting(schema)}}, **schemas)
    found = contract_of(written, "3.1", describe(written)[0].operations)[1]
    return body(schema, **schemas), [each.message for each in found]


def values_with(*floats: float) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers(-3, 12) | st.sampled_from(floats) | st.text("abAB1", max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=6,
    )


values = values_with(0.5, 2.0, 1e300)
# Whether 2.0 is an integer is where the dialects differ: gateways say yes, as all newer ones do.
values_of_both = values_with(0.5)
types = st.sampled_from(["string", "integer", "number", "boolean", "array", "object"])


def plain(inner: Any, older: bool) -> Any:
    """Schemas, of OpenAPI 3.0 where ``older``."""
    keywords: dict[str, Any] = {
        "type": types,
        "enum": st.lists(values, min_size=1, max_size=3),
        "minimum": st.integers(-2, 8),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(["^a", "[AB]{2}", "1$"]),
        "maxItems": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "required": st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True),
        "maxProperties": st.integers(0, 2),
        "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
        "additionalProperties": st.booleans() | inner,
        "items": inner,
        "allOf": st.lists(inner, min_size=1, max_size=2),
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        "oneOf": st.lists(inner, min_size=1, max_size=2),
        "not": inner,
    }
    if older:
        keywords |= {"exclusiveMinimum": st.booleans()}
    else:
        keywords |= {
            "const": values,
            "exclusiveMaximum": st.integers(0, 9),
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "contains": inner,
            "if": inner,
            "then": inner,
            "dependentRequired": st.just({"a": ["b"]}),
            "unevaluatedProperties": st.booleans(),
        }
    return st.fixed_dictionaries({}, optional=keywords)


newer_schemas = st.recursive(st.just({}) | plain(st.just({}), False), lambda inner: plain(inner, False), max_leaves=4)
older_schemas = st.recursive(st.just({}) | plain(st.just({}), True), lambda inner: plain(inner, True), max_leaves=4)


@settings(max_examples=examples(60))
@given(schema=newer_schemas, instances=st.lists(values, min_size=1, max_size=6))
def test_values_are_allowed_as_another_validator_allows_them(schema: Any, instances: list[Any]):
    made = body(schema)
    if made.operations[0].content[0][1] == "" and schema:
        return  # too many alternatives to be checked, which other tests are about
    for each in instances:
        assert allows(made, each) == Draft202012Validator(schema).is_valid(each), (schema, each)


@settings(max_examples=examples(60))
@given(schema=older_schemas, instances=st.lists(values_of_both, min_size=1, max_size=6))
def test_values_are_allowed_as_an_older_dialect_has_it(schema: Any, instances: list[Any]):
    made = body(schema, "3.0.3")
    if made.operations[0].content[0][1] == "" and schema:
        return
    for each in instances:
        assert allows(made, each) == OAS30WriteValidator(schema).is_valid(each), (schema, each)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string", "nullable": True}, ["a", None], [1]),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": True}, [1.5], [1]),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": False}, [1], [2]),
        ({"nullable": True, "allOf": [{"$ref": "#/components/schemas/S"}]}, ["a", None], [1]),
        ({"$ref": "#/components/schemas/S", "maxLength": 1}, ["long"], [1]),
        ({"type": "integer", "format": "int32"}, [2**31 - 1], [2**31]),
        ({"type": "integer", "format": "int64"}, [2**63 - 1], [2**63, -(2**64)]),
        ({"type": "string", "format": "password"}, ["x"], []),
    ],
)
def test_the_words_of_openapi_3_0_are_understood(schema: Any, good: list[Any], bad: list[Any]):
    made = body(schema, "3.0.3", S={"type": "string"})
    assert [allows(made, each) for each in good + bad] == [True] * len(good) + [False] * len(bad)


FORMATS: dict[str, tuple[str, str]] = {
    "date": ("2024-02-29", "2023-02-29"),
    "date-time": ("2024-02-29T10:00:00Z", "2024-02-29 10:00"),
    "time": ("10:00:00Z", "25:00:00Z"),
    "email": ("a@b.test", "a"),
    "hostname": ("a.test", "-a"),
    "ipv4": ("10.0.0.1", "10.0.0.256"),
    "ipv6": ("::1", ":::1"),
    "uri": ("https://a.test/b", "b"),
    "uuid": ("123e4567-e89b-12d3-a456-426614174000", "123"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_that_say_what_a_text_may_be_are_checked(name: str):
    made = body({"type": "string", "format": name})
    assert [allows(made, each) for each in FORMATS[name]] == [True, False]


def test_properties_of_responses_are_not_required_in_requests():
    base = {"required": ["id", "name"], "properties": {"id": {"readOnly": True}, "name": {}}}
    assert allows(body({"$ref": "#/components/schemas/Base"}, Base=base), {"name": "a"})
    assert not allows(body({"$ref": "#/components/schemas/Base"}, Base=base), {"id": 1})
    over = {"allOf": [{"$ref": "#/components/schemas/Part"}], "required": ["id"]}
    part = {"properties": {"id": {"$ref": "#/components/schemas/Id"}}}
    assert allows(body(over, Part=part, Id={"type": "integer", "readOnly": True}), {})


def test_references_in_circles_are_followed():
    tree = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Tree"}}}
    made = body({"$ref": "#/components/schemas/Tree"}, Tree=tree)
    assert allows(made, {"next": {"next": {}}})
    assert not allows(made, {"next": {"next": 1}})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/components/schemas/Self"},
        {"$ref": "#/components/schemas/One"},
        {"$ref": "#/components/schemas/Power"},
        {"$ref": "#/components/schemas/S0"},
    ],
)
def test_a_schema_that_may_take_time_without_bound_is_not_checked_and_it_is_said(schema: Any):
    ladder = {f"S{n}": {"allOf": [{"$ref": f"#/components/schemas/S{n + 1}"}] * 2} for n in range(30)}
    power = {"properties": {"a": {"$ref": "#/components/schemas/Power"}}}
    made, said = unchecked(
        schema,
        Self={"$ref": "#/components/schemas/Self"},
        One={"anyOf": [{"$ref": "#/components/schemas/Two"}]},
        Two={"allOf": [{"$ref": "#/components/schemas/One"}]},
        Power={"anyOf": [power | {"required": ["b"]}, power]},
        S30={"type": "string"},
        **ladder,
    )
    assert made.operations[0].content == ((JSON, ""),)
    assert any("time without bound" in each for each in said)


@pytest.mark.parametrize("pattern", ["^(?=a)b", r"(a)\1", "(", "(?:(?:a{1,1000}){1,1000}){1,1000}"])
def test_a_pattern_that_needs_backtracking_is_not_checked_and_it_is_said(pattern: str):
    made, said = unchecked({"type": "string", "pattern": pattern, "maxLength": 2})
    assert (allows(made, "x"), allows(made, "xxx")) == (True, False)
    assert "needs backtracking" in said[0]


def test_a_pattern_that_is_slow_elsewhere_is_matched_in_linear_time():
    made = body({"pattern": "^(a+)+$"})
    assert steepness(lambda text: allows(made, text.decode()), lambda size: b"a" * size + b"b") < STEEPEST


@pytest.mark.parametrize(
    "reference", ["https://a.test/s.json", "file:///etc/passwd", "other.yaml#/S", "#/components/x"]
)
def test_a_reference_out_of_the_document_is_never_followed(reference: str):
    made, said = unchecked({"properties": {"a": {"$ref": reference}, "b": {"type": "string"}}})
    assert (allows(made, {"a": 1}), allows(made, {"b": 1})) == (True, False)
    assert "can't be followed" in said[0]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("minLength", "x"), ("type", "file"), ("enum", 5), ("required", True), ("multipleOf", 0), ("maximum", True)],
)
def test_a_keyword_that_makes_no_sense_is_left_out_and_it_is_said(keyword: str, value: Any):
    made, said = unchecked({keyword: value, "not": {"const": 1}})
    assert (allows(made, {}), allows(made, 1)) == (True, False)
    assert keyword in said[0]


def test_only_what_calls_are_checked_by_is_kept():
    made = body({"$ref": "#/components/schemas/Used"}, Used={"type": "string", "description": "long"}, Unused={})
    assert [json.loads(each.schema) for each in made.definitions] == [{"type": "string"}]


def test_a_document_that_is_too_large_has_no_contract():
    large = {"enum": ["x" * 1000] * 300}
    written = document({f"/{n}": {"post": accepting(large)} for n in range(4)})
    made, found = contract_of(written, "3.1", describe(written)[0].operations)
    assert (made, "1,048,576 are possible" in found[-1].message) == (None, True)
    wide = {"properties": {f"p{n}": {} for n in range(50_001)}}
    written = document({"/x": {"post": accepting(wide)}})
    made, found = contract_of(written, "3.1", describe(written)[0].operations)
    assert (made, [type(each) for each in found]) == (None, [Finding])


def test_a_schema_whose_validator_is_too_large_is_not_checked():
    many = {"properties": {f"p{n}": {"pattern": f"^{n}"} for n in range(200)}}
    made, said = unchecked(many)
    assert (made.operations[0].content, "too large" in said[0]) == (((JSON, ""),), True)


def test_swagger_2_is_understood():
    written = {
        "swagger": "2.0",
        "info": {"title": "t", "version": "1"},
        "consumes": ["application/json"],
        "definitions": {"S": {"type": "object", "required": ["a"]}},
        "paths": {
            "/x": {
                "post": {
                    "parameters": [
                        {"in": "body", "name": "b", "required": True, "schema": {"$ref": "#/definitions/S"}},
                        {"in": "query", "name": "ids", "type": "array", "items": {"type": "integer"}},
                        {"in": "query", "name": "all", "type": "array", "collectionFormat": "multi", "items": {}},
                    ]
                },
                "put": {"consumes": [], "parameters": [{"in": "formData", "name": "f", "type": "file"}]},
            }
        },
    }
    made = body_of(written)
    post = next(each for each in made.operations if each.method == "POST")
    put = next(each for each in made.operations if each.method == "PUT")
    assert post.body_required
    assert Validators().allows(made, post.content[0][1], {"a": 1})
    assert not Validators().allows(made, post.content[0][1], {})
    assert [(rule.name, rule.separator, rule.items) for rule in post.parameters] == [
        ("ids", ",", ("integer",)),
        ("all", "", ()),
    ]
    assert [kind for kind, _ in put.content] == ["application/x-www-form-urlencoded", "multipart/form-data"]


def body_of(written: dict[str, Any]) -> Contract:
    made, _ = contract_of(written, "2.0", describe(written)[0].operations)
    return msgspec.convert(made, Contract)


def test_operations_are_tried_the_most_concrete_first():
    made = contract({"/{id}": {"get": {}}, "/mine": {"get": {}}, "/{a}/{b}": {"get": {}}})
    paths = [each.path for each in made.operations]
    assert all(not (first.startswith("/{") and second == "/mine") for first, second in pairwise(paths))

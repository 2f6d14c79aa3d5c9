"""What an OpenAPI document may make of the console that imports it: no more than its own size, and no fault."""

import json
from time import thread_time
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from apps.catalog.openapi import Description, describing, reading

MINIMAL: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "M", "version": "1"}, "paths": {}}
YAML = """openapi: 3.1.0
info: {title: M, version: '1'}
paths: {}
x-a: %s
"""
JSON = '{"openapi": "3.1.0", "info": {"title": "M", "version": "1"}, "paths": {}, "x-a": %s}'


def of(document: dict[str, Any]) -> Description:
    return reading.read(json.dumps(document).encode())


@pytest.mark.parametrize(
    "paths",
    [
        {
            f"/p{number}": {
                "get": {"parameters": [{"$ref": "#/x-large/parameter"}], "responses": {"200": {"description": ""}}}
            }
            for number in range(200)
        },
        {f"/p{number}": {"$ref": "#/x-large/item"} for number in range(200)},
    ],
    ids=["parameters", "path items"],
)
def test_what_references_stand_for_is_bounded(paths: dict[str, Any]):
    """A reference costs thirty bytes, and what it names is in each operation that has it: of 5 MB came 8 GB."""
    text = "x" * 200_000
    schema = {"type": "string", "description": text}
    large = {
        "parameter": {"name": "a", "in": "query", "schema": schema},
        "item": {"get": {"description": text, "responses": {"200": {"description": ""}}}},
    }
    with pytest.raises(ValidationError, match="stand for too much"):
        of(MINIMAL | {"paths": paths, "x-large": large})


def test_a_server_s_address_is_no_longer_than_an_upstream_s():
    variables = {"a": {"default": "y" * 1_000_000}}
    servers = [
        {"url": "http://a.test/" + "{a}" * 100_000, "variables": variables},
        {"url": "http://a.test/{a}", "variables": variables},
        {"url": "http://b.test/{a}", "variables": {"a": {"default": "v1"}}},
    ]
    assert of(MINIMAL | {"servers": servers}).servers == ["http://b.test/v1/"]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1E+400"])
@pytest.mark.parametrize("form", [JSON, YAML])
def test_a_number_that_no_database_holds_is_refused(form: str, number: str):
    with pytest.raises(
        ValidationError, match=r"number larger than JSON's readers know \(line [14], column .*, #/x-a\)"
    ):
        reading.read((form % number).encode())


@pytest.mark.parametrize(
    "value",
    [
        "!!int ''",
        f"!!int 0x{'f' * 50_000}",
        f"!!int '{'1:' * 50_000}1'",
        f"!!int {'9' * 5000}",
        "!!int 1_000",
        "!!int \u0663",
        "!!int [1]",
        "!!bool perhaps",
        "!!bool ''",
        "!!float ''",
        "!!float half",
        "!!float 1:30.5",
    ],
)
def test_a_tag_that_says_what_its_value_is_not_is_refused(value: str):
    with pytest.raises(ValidationError, match="This is not YAML"):
        reading.read((YAML % value).encode())


def test_tags_that_say_what_their_values_are_are_fine():
    assert reading.read((YAML % "[!!int '3', !!bool 'TRUE', !!float '1.5', !!str 3]").encode()).document["x-a"] == [
        3,
        True,
        1.5,
        "3",
    ]


@pytest.mark.parametrize("index", ["0" * 5000, "9" * 5000, "00", "٠", "-1", "1"])
def test_a_reference_into_a_list_names_a_place_that_there_is(index: str):
    get = {"parameters": [{"$ref": f"#/x-list/{index}"}], "responses": {"200": {"description": ""}}}
    described = of(MINIMAL | {"paths": {"/a": {"get": get}}, "x-list": [{"name": "a", "in": "query", "schema": {}}]})
    assert "is not an object in the document" in described.warnings[0]["message"]
    assert described.operations[0]["parameters"] == []


def test_an_error_is_short_however_long_the_names_on_its_way_are():
    [warning] = of(MINIMAL | {"x-" + "a" * 100_000: {"b" * 100_000: {"$ref": "#/nowhere"}}}).warnings
    assert len(str(warning)) < 2000
    with pytest.raises(ValidationError) as caught:
        of(MINIMAL | {"paths": {"/" + "a" * 100_000: 7}})
    assert len("".join(caught.value.messages)) < 2000


@pytest.mark.parametrize(
    "item",
    [
        {"get": {"description": {"a": 1}}},
        {"get": {"summary": 7}},
        {"get": {"operationId": [1]}},
        {"get": {"parameters": 7}},
        {"get": {"parameters": [7]}},
        {"get": {"parameters": [{"name": ["a"], "in": "query"}]}},
        {"parameters": {"a": 1}, "get": {}},
    ],
)
def test_what_a_path_item_elsewhere_has_wrong_is_left_out_and_told(item: dict[str, Any]):
    described = of(MINIMAL | {"paths": {"/a": {"$ref": "#/x-item"}}, "x-item": item})
    [operation] = described.operations
    assert (operation["summary"], operation["description"], operation["parameters"]) == ("", "", [])
    assert described.warnings


def test_an_operation_elsewhere_that_is_none_is_refused():
    with pytest.raises(ValidationError, match="An operation is an object"):
        of(MINIMAL | {"paths": {"/a": {"$ref": "#/x-item"}}, "x-item": {"get": 7}})


def test_a_version_is_as_long_as_versions_are():
    with pytest.raises(ValidationError):
        of(MINIMAL | {"openapi": "3.1." + "0" * 100})


_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
HEAD = '{"openapi":"3.0.3","info":{"title":"M","version":"1"},"paths":{'
REPEATED = {
    "a name that stands there often": (HEAD + "}", ',"$ref":"http://x"', "}"),
    "a path that stands there often": (HEAD, '"/a":{"get":{"x":0}},', '"/b":{}}}'),
    "objects that are merged": (YAML.removesuffix("%s\n") + "{", "<<: {},", "}"),
    "references to a long one": (
        HEAD + '"/a":{"get":{"parameters":[{}',
        ',{"$ref":"#/x"}',
        ']}}},"x":{"$ref":"#/' + "/" * 100_000 + '"}}',
    ),
}
"""Texts before, again and again, and behind."""


@pytest.mark.parametrize("kind", REPEATED)
def test_what_a_document_repeats_takes_time_as_it_is_long(kind: str):
    """A name that stood there 60,000 times took a minute: its line was counted from the document's start each time."""

    before, repeated, behind = REPEATED[kind]

    def seconds(count: int) -> float:
        content = f"{before}{repeated * count}{behind}".encode()
        began = thread_time()
        reading.read(content)
        return thread_time() - began

    seconds(10)  # the schema is read
    assert min(seconds(30_000), seconds(30_000)) < 1.2


def test_one_place_of_a_document_is_told_once():
    """What is wrong with a path's parameters was told, and kept until then, for each of its methods; each name of its path."""
    paths = {"/{a}/{b}/{c}": {"parameters": [0, 0], **{method: {} for method in _METHODS}}}
    operations = describing._Operations(MINIMAL | {"paths": paths})
    assert len(list(operations)) == 8
    assert len(operations.left_out) == 10

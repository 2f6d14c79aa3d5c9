"""Import of OpenAPI documents: good ones become operations, hostile ones do nothing at all."""

import json
import socket
import urllib.request
from contextlib import suppress
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from apps.audit.models import Entry
from apps.catalog.models import API, OpenAPIDocument
from apps.catalog.openapi import reading
from apps.catalog.services import api_create_from_openapi, openapi_import
from tests.support.cast import Cast, make_api

SHOP = b"""
openapi: 3.0.3
info: {title: The Shop, version: 1.0.0, description: "Sells things.\\n\\nAll of them."}
servers:
  - url: https://{stage}.shop.test/v1
    variables: {stage: {default: prod}}
paths:
  /items/{id}:
    parameters:
      - {$ref: '#/components/parameters/id'}
    get:
      operationId: getItem
      summary: One item
      parameters:
        - {name: lang, in: query, schema: {type: string}}
      responses: {200: {description: yes}}
    delete:
      deprecated: true
      responses: {204: {description: off}}
components:
  parameters:
    id: {name: id, in: path, required: true, schema: {$ref: '#/components/schemas/Id'}}
  schemas:
    Id: {type: string, format: date, example: 2020-01-01}
"""

SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "Pets", "version": "1"},
    "host": "pets.test",
    "basePath": "/v2",
    "schemes": ["http", "https"],
    "paths": {
        "/pets": {
            "get": {"summary": "All", "responses": {"200": {"description": "fine"}}},
            "post": {"responses": {"201": {"description": "made"}}},
        }
    },
}

MINIMAL: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "M", "version": "1"}, "paths": {}}


def refusals(content: bytes | dict[str, Any]) -> list[str]:
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    with pytest.raises(ValidationError) as refused:
        reading.read(content)
    assert set(refused.value.message_dict) == {"document"}
    return refused.value.message_dict["document"]


@pytest.fixture
def sealed(monkeypatch):
    """No network, no files: whoever tries fails the test."""

    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"something was fetched: {args}")

    monkeypatch.setattr(urllib.request, "urlopen", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)


def test_each_path_and_method_becomes_an_operation():
    described = reading.read(SHOP)
    assert (described.title, described.summary, described.version) == ("The Shop", "Sells things.", "3.0.3")
    assert described.servers == ["https://prod.shop.test/v1/"]
    assert [(operation["method"], operation["path"]) for operation in described.operations] == [
        ("GET", "/items/{id}"),
        ("DELETE", "/items/{id}"),
    ]
    get, delete = described.operations
    assert (get["operation_id"], get["summary"], delete["deprecated"]) == ("getItem", "One item", True)
    assert [parameter["name"] for parameter in get["parameters"]] == ["id", "lang"]
    assert get["parameters"][0]["schema"] == {"type": "string", "format": "date", "example": "2020-01-01"}


def test_swagger_2_is_read_too():
    described = reading.read(json.dumps(SWAGGER).encode())
    assert described.version == "2.0"
    assert described.servers == ["http://pets.test/v2/", "https://pets.test/v2/"]
    assert [operation["method"] for operation in described.operations] == ["GET", "POST"]


def test_a_path_item_that_is_a_reference_is_followed():
    document = MINIMAL | {
        "paths": {"/a": {"$ref": "#/components/pathItems/a"}},
        "components": {"pathItems": {"a": {"get": {"responses": {"200": {"description": "ok"}}}}}},
    }
    assert [operation["path"] for operation in reading.read(json.dumps(document).encode()).operations] == ["/a"]


def test_yaml_is_read_with_json_s_types():
    content = json.dumps(MINIMAL).encode()[:-1] + b', "x-a": {"k": 1}}'
    assert reading.read(content).document["x-a"] == {"k": 1}
    yaml = b"openapi: 3.1.0\ninfo: {title: M, version: '1'}\npaths: {}\nx-a: [off, no, 1:30, 012, 2020-01-01, true, 3, 1.5, ~]\n"
    assert reading.read(yaml).document["x-a"] == ["off", "no", "1:30", "012", "2020-01-01", True, 3, 1.5, None]


def test_aliases_are_fine_within_the_bounds():
    yaml = b"openapi: 3.1.0\ninfo: {title: M, version: '1'}\npaths: {}\nx-a: &a {k: v}\nx-b: {<<: *a, l: w}\nx-c: *a\n"
    document = reading.read(yaml).document
    assert document["x-b"] == {"k": "v", "l": "w"}
    assert document["x-c"] == {"k": "v"}


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:1/schema.json",
        "https://evil.test/x#/a",
        "file:///etc/passwd",
        "/etc/passwd",
        "other.yaml#/components/schemas/A",
        "//evil.test/x",
        "",
        "#",
        "#anchor",
        "HTTP://evil.test/",
        " #/components/schemas/A",
    ],
)
@pytest.mark.parametrize("version", ["3.0.3", "3.1.0", "2.0"])
def test_a_reference_that_leaves_the_document_is_refused_before_anything_is_checked(
    sealed: None, reference: str, version: str
):
    head = {"swagger": version} if version == "2.0" else {"openapi": version}
    # The rest of the document is broken too: the reference is what is told.
    [sentence] = refusals(head | {"paths": {"/a": {"get": {"parameters": [{"$ref": reference}]}}}})
    assert sentence.startswith("paths./a.get.parameters.0.$ref: ")
    assert "leaves the document" in sentence


def test_references_are_looked_for_everywhere(sealed: None):
    for place in (
        {"components": {"schemas": {"A": {"$dynamicRef": "http://evil.test/"}}}},
        {"components": {"schemas": {"A": {"allOf": [{"$ref": "x.json"}]}}}},
        {"x-anything": [[{"$ref": "x.json"}]]},
        {"components": {"examples": {"a": {"$ref": "x.json"}}}},
    ):
        assert "leaves the document" in refusals(MINIMAL | place)[0]


@pytest.mark.parametrize(
    "schema",
    [
        {"$id": "http://evil.test/x", "$ref": "#/components/schemas/B", "default": 1},
        {"$schema": "http://evil.test/dialect", "default": 1},
        {"$id": "file:///etc/passwd", "properties": {"b": {"$ref": "#/components/schemas/B"}}, "default": {"b": 1}},
    ],
)
def test_a_document_that_renames_itself_fetches_nothing(sealed: None, schema: dict[str, Any]):
    document = MINIMAL | {"components": {"schemas": {"A": schema, "B": {"type": "integer"}}}}
    with suppress(ValidationError):
        reading.read(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not an object"),
        (b"hello", "not an object"),
        (b"[]", "not an object"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"{", "line 1"),
        (b'{\n"a": 1,\n"b": oops}', "line 3, column 6"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b'{"a": "\\ud800"}', "characters"),
        (b'{"a": "\\u0000"}', "characters"),
        (b"a: [1\nb: 2", "line 2"),
        (b"a: !!python/object/apply:os.system [id]", "not YAML"),
        (b"a: !!timestamp 2020-01-01", "JSON doesn't know"),
        (b"a: !!set {x}", "JSON doesn't know"),
        (b"? [a]\n: 1", "not YAML"),
        (b"true: 1\n", "not text"),
        (b"a: 1\n---\nb: 2\n", "not YAML"),
        (b"{}", "has no field openapi"),
        (b"swagger: 2.0", "in quotes"),
        (b"openapi: '4.0.0'", "not known"),
        (b"openapi: '3.0.3'", "info"),
    ],
)
def test_what_is_no_openapi_document_is_told_what_it_lacks(content: bytes, told: str):
    assert told in " ".join(refusals(content))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"paths": {"/a": {"get": {}}}}, "paths./a.get"),
        ({"paths": {"a": {}}}, "paths"),
        ({"info": {"title": "x"}}, "info"),
        ({"paths": {"/a/{id}": {"get": {"responses": {"200": {"description": "x"}}}}}}, "id"),
        ({"components": {"schemas": {"A": {"$ref": "#/components/schemas/Nope"}}}}, "components.schemas.A.$ref"),
    ],
)
def test_an_error_names_its_place_in_the_document(change: dict[str, Any], place: str):
    document = MINIMAL | {"openapi": "3.0.3"} | change
    assert place in " ".join(refusals(document))


def test_two_operations_with_one_id_are_refused():
    operation = {"operationId": "same", "responses": {"200": {"description": "x"}}}
    assert "same" in " ".join(refusals(MINIMAL | {"paths": {"/a": {"get": operation}, "/b": {"get": operation}}}))


def test_references_in_a_circle_are_refused():
    circle = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}
    assert refusals(MINIMAL | {"components": {"schemas": circle}})
    parameters = {"a": {"$ref": "#/components/parameters/b"}, "b": {"$ref": "#/components/parameters/a"}}
    assert refusals(
        MINIMAL
        | {
            "paths": {"/a": {"get": {"parameters": [{"$ref": "#/components/parameters/a"}], "responses": {}}}},
            "components": {"parameters": parameters},
        }
    )


def test_a_schema_that_holds_itself_is_fine():
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    assert reading.read(json.dumps(MINIMAL | {"components": {"schemas": {"Node": node}}}).encode()).operations == []


def test_a_billion_laughs_are_counted_and_not_expanded():
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "aliases stand for too much" in refusals("\n".join(lines).encode())[0]
    long = "x" * 100_000
    many = f"a: &a {long}\nb: [{', '.join(['*a'] * 200)}]"
    assert "aliases stand for too much" in refusals(many.encode())[0]


def test_an_alias_within_itself_and_a_tower_of_aliases_are_refused():
    assert "contains itself" in refusals(b"a: &a [*a]")[0]
    tower = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
    assert "deeper" in refusals("\n".join(tower).encode())[0]


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"{" + b'"a":{' * 100_000, b"- " * 5000, b"a: " + b"[" * 70 + b"]" * 70]
)
def test_a_deep_document_is_refused(content: bytes):
    assert refusals(content)


def test_a_large_document_is_refused():
    assert "5 MiB" in refusals(b" " * (5 * 2**20 + 1))[0]
    assert "parts" in refusals({"a": [1] * 200_001})[0]


def test_an_import_replaces_the_operations_and_keeps_the_document(cast: Cast):
    api = make_api(cast.platform)
    swagger = json.dumps(SWAGGER).encode()
    assert openapi_import(actor=cast.olga, api=api, content=swagger) == (2, 2, 0)
    assert sorted(api.operations.values_list("method", "path")) == [("GET", "/pets"), ("POST", "/pets")]
    row = OpenAPIDocument.objects.get(api=api)
    assert (row.version, row.document) == ("2.0", SWAGGER)
    entry = Entry.objects.order_by("-epoch")[0]
    assert (entry.verb, entry.affects) == ("api.import", [["api", "products"]])
    assert entry.changes["operations added"] == [None, ["GET /pets", "POST /pets"]]
    changed = json.dumps(SWAGGER | {"paths": {"/cats": SWAGGER["paths"]["/pets"]}}).encode()
    assert openapi_import(actor=cast.olga, api=api, content=changed) == (2, 2, 2)
    assert API.objects.get(pk=api.pk).revision == 1


def test_a_bad_document_changes_nothing(cast: Cast):
    api = make_api(cast.platform)
    before = Entry.objects.count()
    with pytest.raises(ValidationError):
        openapi_import(actor=cast.olga, api=api, content=b"{}")
    assert Entry.objects.count() == before
    assert not OpenAPIDocument.objects.exists()


def test_an_api_is_made_of_a_document(cast: Cast):
    api = api_create_from_openapi(actor=cast.olga, tenant=cast.platform, content=json.dumps(SWAGGER).encode())
    assert (api.slug, api.name, api.listen_path, api.state) == ("pets", "Pets", "/pets/", "draft")
    assert [upstream.url for upstream in api.upstreams.all()] == ["http://pets.test/v2/"]
    assert api.operations.count() == 2
    other = api_create_from_openapi(
        actor=cast.olga,
        tenant=cast.platform,
        content=json.dumps(SWAGGER).encode(),
        slug="zoo",
        upstream_url="http://127.0.0.1:9000/",
        name="The Zoo",
    )
    assert (other.name, other.listen_path, other.upstreams.get().url) == ("The Zoo", "/zoo/", "http://127.0.0.1:9000/")


def test_a_document_whose_server_is_a_metadata_service_makes_no_api(cast: Cast):
    content = json.dumps(SWAGGER | {"host": "169.254.169.254"}).encode()
    with pytest.raises(ValidationError) as refused:
        api_create_from_openapi(actor=cast.olga, tenant=cast.platform, content=content)
    assert set(refused.value.message_dict) == {"upstreams.0.url"}
    assert not API.objects.exists()


def test_strangers_and_viewers_import_nothing(cast: Cast):
    api = make_api(cast.acme)
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            openapi_import(actor=actor, api=api, content=SHOP)
        with pytest.raises(PermissionDenied):
            api_create_from_openapi(actor=actor, tenant=cast.acme, content=SHOP)

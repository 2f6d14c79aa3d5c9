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
from apps.catalog.selectors import revision_changes_for
from apps.catalog.services import ImportResult, api_create_from_openapi, api_rollback, api_update, openapi_import
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


def warnings(content: bytes | dict[str, Any]) -> dict[str, str]:
    """What is wrong in a document that is taken all the same, by pointer."""
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    return {warning["pointer"]: warning["message"] for warning in reading.read(content).warnings}


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


@pytest.mark.parametrize(
    ("info", "summary"),
    [
        ({"summary": "Said.", "description": "# Petstore Plus\n\nOther."}, "Said."),
        (
            {"description": "# Petstore Plus\n\nA **sample** of [OpenAPI](https://x.test/). And more.\n"},
            "A sample of OpenAPI.",
        ),
        ({"description": "Petstore\n========\n\n* `One` thing"}, "One thing"),
        ({"description": "# Only a heading"}, "Only a heading"),
        ({"description": "![logo](https://x.test/a.png)\n\n<b>Bold</b> words"}, "Bold words"),
        ({"description": 7}, ""),
        ({}, ""),
    ],
)
def test_the_summary_is_plain_text(info: dict[str, Any], summary: str):
    document = MINIMAL | {"info": {"title": "M", "version": "1"} | info}
    assert reading.read(json.dumps(document).encode()).summary == summary


def test_names_of_fields_are_text_whatever_they_look_like():
    yaml = b"openapi: 3.1.0\ninfo: {title: M, version: '1'}\npaths: {}\nx-a: {true: 1, 1.5: 2, 200: 3, ~: 4, 0x1F: 5}\n"
    assert reading.read(yaml).document["x-a"] == {"true": 1, "1.5": 2, "200": 3, "~": 4, "0x1F": 5}


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
def test_a_path_that_is_elsewhere_is_refused_before_anything_is_checked(sealed: None, reference: str, version: str):
    head = {"swagger": version} if version == "2.0" else {"openapi": version}
    # The rest of the document is broken too: the reference is what is told.
    [sentence] = refusals(head | {"paths": {"/a": {"$ref": reference}}})
    assert "leaves the document" in sentence
    assert "#/paths/~1a/$ref)" in sentence


def test_references_that_no_operation_needs_are_warned_of_everywhere(sealed: None):
    for place in (
        {"components": {"schemas": {"A": {"$dynamicRef": "http://evil.test/"}}}},
        {"components": {"schemas": {"A": {"allOf": [{"$ref": "x.json"}]}}}},
        {"x-anything": [[{"$ref": "x.json"}]]},
        {"paths": {"/a": {"get": {"parameters": [{"$ref": "file:///etc/passwd"}]}}}},
    ):
        assert any("leaves the document" in message for message in warnings(MINIMAL | place).values())


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
        (b"a: !!timestamp 2020-01-01", "not YAML of JSON's types"),
        (b"a: !!set {x}", "line 1, column 4"),
        (b"? [a]\n: 1", "not text"),
        (b"a: 1\n---\nb: 2\n", "not YAML"),
        (b"{}", "has no field openapi"),
        (b"swagger: 2.0", "nothing to import"),
        (b"openapi: '4.0.0'", "not known"),
        (b"openapi: '3.0.3'", "no object paths"),
        (b"openapi: 3.0.3\npaths: []", "line 2, column 1, #/paths"),
        (b'{"openapi": "3.1.0",\n "paths": {"a": {}}}', "line 2, column 12, #/paths/a"),
        (b"openapi: 3.0.3\npaths:\n  /a:\n    get: 7", "line 4, column 5, #/paths/~1a/get"),
    ],
)
def test_what_is_no_openapi_document_is_told_what_it_lacks(content: bytes, told: str):
    assert told in " ".join(refusals(content))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"paths": {"/a": {"get": {}}}}, "#/paths/~1a/get"),
        ({"info": {"title": "x"}}, "#/info"),
        ({"paths": {"/a/{id}": {"get": {"responses": {"200": {"description": "x"}}}}}}, "#/paths/~1a~1{id}/get"),
        ({"paths": {"/a": {"parameters": [{"in": "query"}], "get": {}}}}, "#/paths/~1a/parameters/0"),
        ({"components": {"schemas": {"A": {"$ref": "#/components/schemas/Nope"}}}}, "#/components/schemas/A/$ref"),
        (
            {"components": {"schemas": {"A": {"properties": {"b": {"type": ["string", "null"]}}}}}},
            "#/components/schemas/A/properties/b/type",
        ),
    ],
)
def test_what_no_gateway_needs_is_a_warning_at_its_place(change: dict[str, Any], place: str):
    assert place in warnings(MINIMAL | {"openapi": "3.0.3"} | change)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "default": None},
        {"type": "string", "pattern": r"^\p{L}+$"},
        {"type": "string", "pattern": "(?<year>[0-9]{4})"},
        {"type": "integer", "default": "ten", "example": {"$ref": "https://elsewhere.test/"}},
    ],
)
@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_what_samples_and_patterns_say_refuses_no_document(schema: dict[str, Any], version: str):
    assert warnings(MINIMAL | {"openapi": version, "components": {"schemas": {"A": schema}}}) == {}


FAULTY = """openapi: 3.0.3
info: {title: M, version: '1'}
paths:
  /a:
    get:
      responses: {200: {description: fine}}
      parameters:
        - {name: q, in: query, schema: {type: string}}
        - name: r
components:
  schemas:
    A:
      properties:
        b: {type: [string, "null"]}
"""


def test_a_warning_names_its_line_and_column_in_yaml_and_in_json():
    def where(text: str) -> dict[str, tuple[int, int]]:
        return {each["pointer"]: (each["line"], each["column"]) for each in reading.read(text.encode()).warnings}

    pointers = ["#/paths/~1a/get/parameters/1", "#/components/schemas/A/properties/b/type"]
    assert where(FAULTY) == dict(zip(pointers, [(9, 11), (14, 13)], strict=True))
    as_json = json.dumps(reading.read(FAULTY.encode()).document, indent=1)
    lines = as_json.splitlines()
    for line, column in where(as_json).values():
        assert lines[line - 1][column - 1 :].startswith(('"type": [', "{"))
    assert set(where(as_json)) == set(pointers)


def test_what_an_alias_brings_along_is_told_where_the_alias_is():
    yaml = "openapi: 3.1.0\ninfo: {title: M, version: '1'}\npaths: {}\nx-a: &a {$ref: '#/x'}\nx-b:\n  <<: *a\nx-c: *a\n"
    found = {each["pointer"]: each["line"] for each in reading.read(yaml.encode()).warnings}
    assert found == {"#/x-a/$ref": 4, "#/x-b/$ref": 5, "#/x-c/$ref": 7}


def test_warnings_are_bounded_and_the_last_one_says_so():
    document = MINIMAL | {"components": {"schemas": {f"A{n}": {"$ref": "#/nowhere"} for n in range(500)}}}
    found = reading.read(json.dumps(document).encode()).warnings
    assert len(found) == reading.MOST_WARNINGS + 1
    assert "not listed" in found[-1]["message"]


def test_two_operations_with_one_id_are_warned_of():
    operation = {"operationId": "same", "responses": {"200": {"description": "x"}}}
    document = MINIMAL | {"paths": {"/a": {"get": operation}, "/b": {"get": operation}}}
    assert warnings(document) == {"#/paths/~1b/get/operationId": "GET /a has the operationId 'same' too."}


def test_references_in_a_circle_are_followed_for_a_while():
    circle = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}
    assert reading.read(json.dumps(MINIMAL | {"components": {"schemas": circle}}).encode()).operations == []
    parameters = {"a": {"$ref": "#/components/parameters/b"}, "b": {"$ref": "#/components/parameters/a"}}
    document = MINIMAL | {
        "paths": {"/a": {"get": {"parameters": [{"$ref": "#/components/parameters/a"}], "responses": {}}}},
        "components": {"parameters": parameters},
    }
    assert "refers to itself" in warnings(document)["#/paths/~1a/get/parameters/0/$ref"]
    items = {"a": {"$ref": "#/x-items/b"}, "b": {"$ref": "#/x-items/a"}}
    assert "refers to itself" in refusals(MINIMAL | {"paths": {"/a": {"$ref": "#/x-items/a"}}, "x-items": items})[0]


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
    assert openapi_import(actor=cast.olga, api=api, content=swagger) == ImportResult(2, 2, 0, [])
    assert sorted(api.operations.values_list("method", "path")) == [("GET", "/pets"), ("POST", "/pets")]
    row = OpenAPIDocument.objects.get(api=api)
    assert (row.version, row.document) == ("2.0", SWAGGER)
    entry = Entry.objects.order_by("-epoch")[0]
    assert (entry.verb, entry.affects) == ("api.import", [["api", "products"]])
    assert entry.changes["operations added"] == [None, ["GET /pets", "POST /pets"]]
    changed = json.dumps(SWAGGER | {"paths": {"/cats": SWAGGER["paths"]["/pets"]}}).encode()
    assert openapi_import(actor=cast.olga, api=api, content=changed) == ImportResult(2, 2, 2, [])
    described = {"document": "OpenAPI 2.0, SHA-256 " + OpenAPIDocument.objects.get(api=api).digest[:12]}
    newest, before = api.revisions.all()[:2]
    assert newest.document["described"] == described | {"GET /cats": "All", "POST /cats": "without a summary"}
    changes = revision_changes_for(cast.olga, newest)
    assert changes["described.GET /cats"] == [None, "All"]
    assert changes["described.GET /pets"] == ["All", None]
    assert set(changes) == {
        f"described.{each}" for each in {**newest.document["described"], **before.document["described"]}
    }


def test_a_document_that_differs_makes_a_revision_and_the_same_one_none(cast: Cast):
    api = make_api(cast.platform)
    for content, revision in ((SWAGGER, 2), (SWAGGER, 2), (SWAGGER | {"x-note": 1}, 3)):
        openapi_import(actor=cast.olga, api=api, content=json.dumps(content).encode())
        assert API.objects.get(pk=api.pk).revision == revision
    restored = api_rollback(actor=cast.olga, api=api, number=1)
    assert (restored.revision, restored.operations.count()) == (3, 2)
    api_update(actor=cast.olga, api=restored, summary="Another")
    assert set(revision_changes_for(cast.olga, api.revisions.first())) == {"summary"}


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


def test_warnings_are_kept_with_the_document(cast: Cast):
    api = make_api(cast.platform)
    result = openapi_import(actor=cast.olga, api=api, content=FAULTY.encode())
    assert [each["line"] for each in result.warnings] == [9, 14]
    assert OpenAPIDocument.objects.get(api=api).warnings == result.warnings


@pytest.mark.parametrize(
    "document", [MINIMAL | {"servers": [{"url": "/api/v3"}]}, SWAGGER | {"host": None, "basePath": "/api/v3"}]
)
@pytest.mark.parametrize(
    ("given", "upstream", "said"),
    [
        ("https://petstore3.test", "https://petstore3.test/api/v3/", "at the address that was given"),
        ("https://petstore3.test/other/", "https://petstore3.test/other/", "calls may miss it"),
        ("https://petstore3.test/api/v3/", "https://petstore3.test/api/v3/", None),
        ("", None, "calls may miss it"),
    ],
)
def test_the_path_of_a_server_without_a_host_is_joined_to_the_upstream(
    cast: Cast, document: dict[str, Any], given: str, upstream: str | None, said: str | None
):
    content = json.dumps({key: value for key, value in document.items() if value is not None}).encode()
    api = api_create_from_openapi(actor=cast.olga, tenant=cast.platform, content=content, upstream_url=given)
    assert [row.url for row in api.upstreams.all()] == ([upstream] if upstream else [])
    told = " ".join(each["message"] for each in OpenAPIDocument.objects.get(api=api).warnings)
    assert (said in told) if said else not told


def test_an_import_says_that_no_upstream_has_the_path_of_the_server(cast: Cast):
    api = make_api(cast.platform)
    content = json.dumps(MINIMAL | {"servers": [{"url": "/api/v3"}]}).encode()
    [warning] = openapi_import(actor=cast.olga, api=api, content=content).warnings
    assert "calls may miss it" in warning["message"]


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

"""Documents that other importers refuse, by what users report: each becomes operations, and what is wrong is told at its place.

After issues of wso2/product-apim, gravitee-io/issues, aws-apigateway-importer, Kong/insomnia, postmanlabs/openapi-to-postman,
stoplightio/spectral, getkin/kin-openapi and APIs-guru/openapi-directory.
"""

import pytest

from apps.catalog.models import API
from apps.catalog.openapi import reading
from apps.catalog.services import api_create_from_openapi
from tests.support.cast import Cast

HEAD = "openapi: 3.0.3\ninfo: {title: Shop, version: '1'}\n"
PATHS = "paths:\n  /a:\n    get: {responses: {200: {description: fine}}}\n"
SWAGGER = "swagger: '2.0'\ninfo: {title: Shop, version: '1'}\n"
PLACEHOLDER = "has a placeholder without a value: no upstream is made of it."


def operation(inside: str, path: str = "/a", method: str = "get") -> str:
    """A document with one operation; ``inside`` are fields beside its responses."""
    return f"{HEAD}paths:\n  '{path}':\n    {method}: {{{inside} responses: {{200: {{description: fine}}}}}}\n"


def schema(text: str) -> str:
    """A document with one schema."""
    return f"{HEAD}{PATHS}components:\n  schemas:\n    A: {text}\n"


def in_path(*names: str) -> str:
    """The field of an operation that declares these parameters of its path."""
    return f"parameters: [{', '.join(f'{{name: {name}, in: path, required: true, schema: {{type: string}}}}' for name in names)}],"


_QUERY = "{name: q, in: query, schema: {type: string}}"

WARNED = {
    "a number as the document's version": (HEAD.replace("'1'", "1.0") + PATHS, "#/info/version", "string"),
    "a number as OpenAPI's version": (HEAD.replace("3.0.3", "3.0") + PATHS, "#/openapi", "string"),
    "a number as Swagger's version": (SWAGGER.replace("'2.0'", "2.0") + PATHS, "#/swagger", "string"),
    "no title": ("openapi: 3.0.3\ninfo: {version: '1'}\n" + PATHS, "#/info", "title"),
    "no responses": (f"{HEAD}paths:\n  /a:\n    get: {{}}\n", "#/paths/~1a/get", "responses"),
    "a response without a description": (
        f"{HEAD}paths:\n  /a:\n    get: {{responses: {{200: {{}}}}}}\n",
        "#/paths/~1a/get/responses/200",
        "description",
    ),
    "a path's parameter that is not declared": (
        operation("", "/a/{id}"),
        "#/paths/~1a~1{id}/get",
        "The path's parameter 'id' is not described.",
    ),
    "a path's parameter that is not required": (
        operation(in_path("id").replace("required: true, ", ""), "/a/{id}"),
        "#/paths/~1a~1{id}/get/parameters/0",
        '"required" is a required property.',
    ),
    "a parameter twice": (
        operation(f"parameters: [{_QUERY}, {_QUERY}],"),
        "#/paths/~1a/get/parameters",
        "non-unique",
    ),
    "a parameter without a schema": (
        operation("parameters: [{name: q, in: query}],"),
        "#/paths/~1a/get/parameters/0",
        "schema",
    ),
    "a parameter as Swagger has it": (
        operation("parameters: [{name: q, in: query, type: string}],"),
        "#/paths/~1a/get/parameters/0",
        "type",
    ),
    "an operationId twice": (
        operation("operationId: same,") + "    put: {operationId: same, responses: {200: {description: fine}}}\n",
        "#/paths/~1a/put/operationId",
        "GET /a has the operationId 'same' too.",
    ),
    "an unknown field of the document": (f"{HEAD}extra: 1\n{PATHS}", "#", "extra"),
    "an unknown field of an operation": (operation("extra: 1,"), "#/paths/~1a/get", "extra"),
    "a server's host as a Postman variable": (
        f"{HEAD}servers: [{{url: '{{{{host}}}}/v1'}}]\n{PATHS}",
        "#/servers/0/url",
        PLACEHOLDER,
    ),
    "a server's variable without a default": (
        f"{HEAD}servers: [{{url: 'https://{{host}}/v1'}}]\n{PATHS}",
        "#/servers/0/url",
        PLACEHOLDER,
    ),
    "Swagger's host as a Postman variable": (f"{SWAGGER}host: '{{{{host}}}}'\n{PATHS}", "#/host", PLACEHOLDER),
    "Swagger's host with a scheme": (f"{SWAGGER}host: https://a.test\nbasePath: /v1\n{PATHS}", "#/host", "match"),
    "a list of types in 3.0": (schema("{type: [string, 'null']}"), "#/components/schemas/A/type", "string"),
    "a type that there isn't": (schema("{type: date}"), "#/components/schemas/A/type", "not one of"),
    "required in a property": (schema("{required: true}"), "#/components/schemas/A/required", "array"),
    "a number as exclusiveMinimum in 3.0": (
        schema("{exclusiveMinimum: 3}"),
        "#/components/schemas/A/exclusiveMinimum",
        "boolean",
    ),
    "a reference to nothing": (
        schema("{items: {$ref: '#/components/schemas/B'}}"),
        "#/components/schemas/A/items/$ref",
        "is not in the document",
    ),
    "a reference to another file": (
        schema("{items: {$ref: './b.yaml'}}"),
        "#/components/schemas/A/items/$ref",
        "leaves the document",
    ),
    "OAuth without flows": (
        f"{HEAD}{PATHS}components: {{securitySchemes: {{o: {{type: oauth2}}}}}}\n",
        "#/components/securitySchemes/o",
        '"flows" is a required property.',
    ),
    "tags as words": (f"{HEAD}tags: [shop]\n{PATHS}", "#/tags/0", "object"),
    "an empty description": (HEAD.replace("'1'", "'1', description: null") + PATHS, "#/info/description", "string"),
}
"""What is told: the document, the place and a part of the sentence."""

FINE = {
    "numbers as statuses": HEAD + PATHS,
    "a date as the document's version": HEAD.replace("'1'", "2020-01-01") + PATHS,
    "a pattern with classes of Unicode": schema(r"{type: string, pattern: '^\p{L}+$'}"),
    "a pattern that looks behind": schema(r"{type: string, pattern: '^a(?<!-)$'}"),
    "a pattern that is none": schema("{type: string, pattern: '[a'}"),
    "null as a string's default": schema("{type: string, default: null}"),
    "an example that its schema forbids": schema("{type: integer, example: ten}"),
    "schemas in a circle": schema("{properties: {next: {$ref: '#/components/schemas/A'}}}"),
    "a reference to a reference": operation("parameters: [{$ref: '#/components/parameters/p'}],")
    + f"components: {{parameters: {{p: {{$ref: '#/components/parameters/q'}}, q: {_QUERY}}}}}\n",
    "fields beside a reference": schema("{items: {$ref: '#/components/schemas/A', description: x}}"),
    "a schema without a type": schema("{properties: {a: {}}}"),
    "a list without items": schema("{type: array}"),
    "a type's name with brackets": schema("{}").replace("    A:", "    'List<A>':"),
    "two parameters in a segment": operation(in_path("x", "y"), "/a/{x}.{y}"),
    "a parameter of the path that the path lacks": operation(in_path("id")),
    "a GET with a body": operation("requestBody: {content: {}},"),
    "security that is not declared": f"{HEAD}security: [{{key: []}}]\n{PATHS}",
    "a byte order mark": "\ufeff" + HEAD + PATHS,
}
"""Where nothing has to be told: a gateway needs none of it, or it is as it should be."""


@pytest.mark.parametrize("kind", WARNED)
def test_what_other_importers_refuse_is_taken_with_a_warning_at_its_place(kind: str):
    content, place, said = WARNED[kind]
    described = reading.read(content.encode())
    assert described.operations
    found = {each["pointer"]: each for each in described.warnings}
    assert list(found)[:1] == [place]
    assert said in found[place]["message"]
    assert found[place]["line"] >= 1


@pytest.mark.parametrize("kind", FINE)
def test_what_harms_no_gateway_is_taken_as_it_is(kind: str):
    described = reading.read(FINE[kind].encode())
    assert len(described.operations) == 1
    assert described.warnings == []


@pytest.mark.parametrize(
    "kind",
    [
        "a server's host as a Postman variable",
        "a server's variable without a default",
        "Swagger's host as a Postman variable",
    ],
)
@pytest.mark.parametrize("given", ["", "https://shop.test/v2/"])
def test_a_server_whose_host_nobody_knows_refuses_no_import(cast: Cast, kind: str, given: str):
    content = WARNED[kind][0].encode()
    api = api_create_from_openapi(actor=cast.olga, tenant=cast.platform, content=content, upstream_url=given)
    assert [upstream.url for upstream in API.objects.get(pk=api.pk).upstreams.all()] == ([given] if given else [])

"""What a document says of calls, in the form in which gateways hold it: for each operation its parameters, and the media types and
schemas of its bodies.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from apps.catalog.openapi.findings import Finding, Place, target
from apps.catalog.openapi.json_schema import MOST_PARTS, MOST_VISITS, REQUEST, RESPONSE, Schemas, TooMuch
from apps.httpcache.patterns import precedence
from apps.wire.snapshot import Contract, OperationContract, ParameterRule, memory_of, with_needs

if TYPE_CHECKING:
    from apps.catalog.document import OperationFields

LARGEST = 2**20
"""Bytes of an API's contract: every worker holds it, and every change of the API sends it anew."""

LARGEST_VALIDATOR = 16 * 2**20
"""Bytes of what a worker makes of one schema and of those to which it refers."""

MOST_HOPS = 10

_PLACES = ("path", "query", "header")
_HTTP = frozenset({"accept", "authorization", "content-type"})
"""Header parameters that the specification has ignored (OpenAPI 3.1.1 §4.8.12)."""

_SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
_COLLECTIONS = {"csv": ",", "ssv": " ", "pipes": "|", "tsv": "\t", "multi": ""}
_JSON = "application/json"


def contract_of(
    document: dict[str, Any], version: str, operations: "list[OperationFields]"
) -> tuple[list[Any] | None, list[Finding]]:
    """The contract as JSON, and what of the schemas isn't checked; ``None`` where it is too large. ``version`` is one of
    ``checking.schema_of``'s.
    """
    reader = _Reader(document, version)
    try:
        told = [reader.operation(fields) for fields in operations]
    except TooMuch:
        return None, [
            Finding(f"Calls can't be validated: the schemas have more than {MOST_PARTS:,} parts.", ("paths",))
        ]
    costly = {name for name, count in reader.schemas.visits().items() if count > MOST_VISITS}
    definitions = {each.name: each for each in reader.schemas.definitions()}
    findings = list(reader.schemas.findings)
    for name, place in reader.places.items():
        if name in costly:
            why = "Checking values by this schema could take time without bound"
            findings.append(Finding(f"{why}: they aren't checked.", place))
        elif memory_of(with_needs(name, definitions).values()) > LARGEST_VALIDATOR:
            costly.add(name)
            findings.append(Finding("This schema is too large: values aren't checked by it.", place))
    told = [_without(costly, each) for each in sorted(told, key=lambda each: precedence(each.path))]
    used = {name for name in reader.places if name not in costly}
    needed = {needed for name in used for needed in with_needs(name, definitions)}
    contract = Contract("", tuple(told), tuple(each for each in definitions.values() if each.name in needed))
    size = len(msgspec.msgpack.encode(contract))
    if size > LARGEST:
        what = f"Calls can't be validated: the schemas take {size:,} bytes, and {LARGEST:,} are possible."
        return None, [*findings, Finding(what, ("paths",))]
    made: list[Any] = msgspec.json.decode(msgspec.json.encode(contract))  # plain lists
    return made, findings


class _Reader:
    def __init__(self, document: dict[str, Any], version: str) -> None:
        self._document, self._swagger = document, version == "2.0"
        self.schemas = Schemas(document, older=version in ("2.0", "3.0"))
        self.places: dict[str, Place] = {}
        """Where definitions that operations name stand."""

    def operation(self, fields: "OperationFields") -> OperationContract:
        """One operation. Raises ``TooMuch``."""
        place: Place = ("paths", fields["path"], fields["method"].lower())
        said = self._object(self._object(self._document["paths"].get(fields["path"])).get(place[2]))
        required, content = self._of_swagger(said, fields, place) if self._swagger else self._body(said, place)
        return OperationContract(
            method=fields["method"],
            path=fields["path"],
            parameters=tuple(self._parameters(fields, place)),
            body_required=required,
            content=content,
            responses=tuple(self._responses(said, place)),
        )

    def _body(self, operation: dict[str, Any], place: Place) -> tuple[bool, tuple[tuple[str, str], ...]]:
        body = self._object(operation.get("requestBody"))
        return body.get("required") is True, self._content(body, REQUEST, (*place, "requestBody"))

    def _of_swagger(
        self, operation: dict[str, Any], fields: "OperationFields", place: Place
    ) -> tuple[bool, tuple[tuple[str, str], ...]]:
        consumes = operation.get("consumes", self._document.get("consumes"))
        types = [each for each in consumes if isinstance(each, str)] if isinstance(consumes, list) else []
        for each in fields["parameters"]:
            if each["in"] == "body":
                name = self._schema(each.get("schema"), REQUEST, (*place, "parameters", each["name"], "schema"))
                return each.get("required") is True, tuple((_plain(kind), name) for kind in types or [_JSON])
        if any(each["in"] == "formData" for each in fields["parameters"]):
            usual = ["application/x-www-form-urlencoded", "multipart/form-data"]
            return False, tuple((_plain(kind), "") for kind in types or usual)
        return False, ()

    def _content(self, holder: dict[str, Any], direction: str, place: Place) -> tuple[tuple[str, str], ...]:
        found = []
        for kind, media in _items(holder.get("content")):
            told = self._object(media)
            checked = is_json(_plain(kind)) or kind == "*/*"
            schema = told.get("schema") if checked else None
            found.append((_plain(kind), self._schema(schema, direction, (*place, "content", kind, "schema"))))
        return tuple(found)

    def _responses(self, operation: dict[str, Any], place: Place) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
        for status, given in _items(operation.get("responses")):
            response, where = self._object(given), (*place, "responses", status)
            if self._swagger:
                produces = operation.get("produces", self._document.get("produces"))
                name = self._schema(response.get("schema"), RESPONSE, (*where, "schema"))
                types = produces if isinstance(produces, list) and produces else [_JSON]
                content = tuple((_plain(kind), name) for kind in types if isinstance(kind, str)) if name else ()
            else:
                content = self._content(response, RESPONSE, where)
            yield status.upper() if status != "default" else status, content

    def _parameters(self, fields: "OperationFields", place: Place) -> Iterator[ParameterRule]:
        for each in fields["parameters"]:
            where = each["in"]
            name = each["name"].lower() if where == "header" else each["name"]
            if where not in _PLACES or (where == "header" and name in _HTTP):
                continue
            schema = each if self._swagger else each.get("schema")
            style = each.get("style", "form" if where == "query" else "simple")
            explode = each.get("explode", style == "form")
            separator = _SEPARATORS.get(style) if isinstance(style, str) else None
            if self._swagger:
                separator = _COLLECTIONS.get(each.get("collectionFormat", "csv"))
                explode = separator == ""
            definition = ""
            if separator is not None and isinstance(schema, dict):
                definition = self._schema(schema, REQUEST, (*place, "parameters", each["name"], "schema"))
            types, items = self.schemas.types_of(definition)
            if "object" in types:  # its properties stand side by side in ways that aren't taken apart
                definition, types = "", ()
            required = where == "path" or each.get("required") is True
            in_one = "" if explode and where == "query" else separator or ""
            yield ParameterRule(where, name, required, definition, types, items, in_one)

    def _schema(self, schema: object, direction: str, place: Place) -> str:
        if not isinstance(schema, dict | bool) or schema is True:
            return ""
        name = self.schemas.add(schema, direction, place)
        self.places.setdefault(name, place)
        return name

    def _object(self, value: object) -> dict[str, Any]:
        """The object that ``value`` is or refers to; an empty one where it is none."""
        for _ in range(MOST_HOPS):
            if not isinstance(value, dict):
                return {}
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            value = target(self._document, reference) if reference.startswith("#/") else None
        return {}


def is_json(kind: str) -> bool:
    """Whether a media type (lower case, without parameters) is JSON's (RFC 6839 §3.1)."""
    return kind == _JSON or kind.endswith("+json")


def _plain(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


def _items(value: object) -> list[tuple[str, Any]]:
    return (
        [(name, each) for name, each in value.items() if not name.startswith("x-")] if isinstance(value, dict) else []
    )


def _without(costly: set[str], operation: OperationContract) -> OperationContract:
    """The operation without schemas that could take too long."""

    def kept(content: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((kind, "" if name in costly else name) for kind, name in content)

    return msgspec.structs.replace(
        operation,
        parameters=tuple(
            msgspec.structs.replace(each, schema="") if each.schema in costly else each for each in operation.parameters
        ),
        content=kept(operation.content),
        responses=tuple((status, kept(content)) for status, content in operation.responses),
    )

"""What a checked document says: title, servers, operations."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from apps.catalog.openapi.error_locations import DocumentRefused, short, target
from apps.catalog.openapi.loading import MOST_CHARACTERS, version_of

if TYPE_CHECKING:
    from apps.catalog.document import OperationFields

MOST_HOPS = 10
MOST_SERVERS = 100
LONGEST_URL = 500
_TOO_MUCH = "The parameters and descriptions to which the document's operations refer stand for too much: split it."
_NAMES = {dict: "object", list: "list", str: "text"}
_Kind = TypeVar("_Kind", dict[str, Any], list[Any], str)
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass
class Description:
    """What a document says. ``servers`` are absolute http(s) URLs; ``version`` is like 3.1.0 or 2.0."""

    title: str
    summary: str
    documentation: str
    version: str
    servers: list[str]
    operations: "list[OperationFields]"
    document: dict[str, Any] = field(repr=False)


def describe(document: dict[str, Any]) -> Description:
    info = document["info"]
    documentation = info.get("description") or ""
    first_line = next(iter(documentation.strip().splitlines()), "")
    return Description(
        title=info["title"].strip()[:120],
        summary=(info.get("summary") or first_line).strip()[:200],
        documentation=documentation,
        version=version_of(document),
        servers=_servers(document),
        operations=list(_operations(document)),
        document=document,
    )


def _servers(document: Mapping[str, Any]) -> list[str]:
    if "swagger" in document:
        host = document.get("host")
        schemes = document.get("schemes") or ["https"]
        urls = [f"{scheme}://{host}{document.get('basePath', '/')}" for scheme in schemes] if host else []
    else:
        urls = []
        for server in document.get("servers") or []:
            url = server["url"]
            for name, variable in (server.get("variables") or {}).items():
                default, place = str(variable["default"]), "{" + name + "}"
                if len(url) + url.count(place) * len(default) > MOST_CHARACTERS:
                    break
                url = url.replace(place, default)
            urls.append(url)
    found = [url if url.endswith("/") else f"{url}/" for url in urls if url.startswith(("http://", "https://"))]
    return [url for url in found if len(url) <= LONGEST_URL][:MOST_SERVERS]


def _operations(document: dict[str, Any]) -> "Iterator[OperationFields]":
    characters = 0
    for path, given_item in (document.get("paths") or {}).items():
        if path.startswith("x-"):
            continue
        item = _followed(document, given_item)
        for method in _METHODS:
            if item.get(method) is None:
                continue
            if len(path) > 300:
                raise DocumentRefused(f"paths.{path[:60]}…: at most 300 characters.")
            at = f"paths.{path}.{method}"
            operation = _as(dict, item[method], at)
            parameters = {}
            for given in [
                *_as(list, item.get("parameters", []), f"paths.{path}.parameters"),
                *_as(list, operation.get("parameters", []), f"{at}.parameters"),
            ]:
                parameter = _followed(document, _as(dict, given, f"{at}.parameters"))
                key = tuple(_as(str, parameter.get(name, ""), f"{at}.parameters") for name in ("name", "in"))
                parameters[key] = _with_schema(document, parameter)
            fields: OperationFields = {
                "method": method.upper(),
                "path": path,
                "operation_id": _as(str, operation.get("operationId", ""), f"{at}.operationId")[:120],
                "summary": _as(str, operation.get("summary", ""), f"{at}.summary")[:300],
                "description": _as(str, operation.get("description", ""), f"{at}.description"),
                "deprecated": bool(operation.get("deprecated", False)),
                "parameters": list(parameters.values()),
            }
            # What one reference names is in each operation that has it: 1,900 of them made 8 GB of 5 MB.
            characters += len(json.dumps(fields, ensure_ascii=False))
            if characters > MOST_CHARACTERS:
                raise DocumentRefused(_TOO_MUCH)
            yield fields


def _as(kind: type[_Kind], value: object, at: str) -> _Kind:
    """``value``, which is what the document's format says. What a reference names elsewhere was perhaps never checked."""
    if not isinstance(value, kind):
        raise DocumentRefused(f"{at}: this is no {_NAMES[kind]}.")
    return value


def _with_schema(document: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    """``parameter`` with its own schema in place. References further inside stay: resolving all of them may have no end."""
    schema = parameter.get("schema")
    return parameter | {"schema": _followed(document, schema)} if isinstance(schema, dict) else parameter


def _followed(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    for _ in range(MOST_HOPS):
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        found = target(document, reference)
        if not isinstance(found, dict):
            raise DocumentRefused(f"{short(reference)!r} is not an object in the document.")
        value = found
    raise DocumentRefused(f"{short(str(value.get('$ref')))!r} refers to itself.")

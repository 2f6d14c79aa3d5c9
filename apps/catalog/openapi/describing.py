"""What a checked document says: title, servers, operations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apps.catalog.openapi.checking import version_of
from apps.catalog.openapi.places import Refused, short, target

if TYPE_CHECKING:
    from apps.catalog.document import OperationFields

MOST_HOPS = 10
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
                url = url.replace("{" + name + "}", str(variable["default"]))
            urls.append(url)
    return [url if url.endswith("/") else f"{url}/" for url in urls if url.startswith(("http://", "https://"))]


def _operations(document: dict[str, Any]) -> "Iterator[OperationFields]":
    for path, given_item in (document.get("paths") or {}).items():
        if path.startswith("x-"):
            continue
        item = _followed(document, given_item)
        for method in _METHODS:
            if (operation := item.get(method)) is None:
                continue
            if len(path) > 300:
                raise Refused(f"paths.{path[:60]}…: at most 300 characters.")
            parameters = {}
            for given in [*item.get("parameters", []), *operation.get("parameters", [])]:
                parameter = _followed(document, given)
                parameters[parameter.get("name"), parameter.get("in")] = _with_schema(document, parameter)
            yield {
                "method": method.upper(),
                "path": path,
                "operation_id": operation.get("operationId", "")[:120],
                "summary": operation.get("summary", "")[:300],
                "description": operation.get("description", ""),
                "deprecated": bool(operation.get("deprecated", False)),
                "parameters": list(parameters.values()),
            }


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
            raise Refused(f"{short(reference)!r} is not an object in the document.")
        value = found
    raise Refused(f"{short(str(value.get('$ref')))!r} refers to itself.")

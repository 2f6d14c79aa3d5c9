"""What a document says: title, servers, operations. It is refused only for what has no sense without: paths, methods, references
that lead to them. What else isn't as it should be is left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apps.catalog.openapi.findings import DocumentRefused, Finding, Place, quoted, target
from apps.catalog.openapi.loading import version_of
from apps.catalog.openapi.plain_text import first_sentence
from apps.catalog.openapi.yaml_values import MOST_CHARACTERS

if TYPE_CHECKING:
    from apps.catalog.document import OperationFields

MOST_HOPS = 10
MOST_SERVERS = 100
LONGEST_URL = 500
LONGEST_PATH = 300
_TOO_MUCH = "The parameters and descriptions to which the document's operations refer stand for too much: split it."
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_IN_PATH = re.compile(r"\{([^{}]*)\}")
_UNFILLED = re.compile(r"[{}]")

_Parameters = dict[tuple[str, str], dict[str, Any]]
"""Parameters by name and where they are: an operation's own stands in place of its path's."""


@dataclass
class Description:
    """What a document says. ``servers`` are absolute http(s) URLs; ``base_path`` is the first server's path where that one has no
    host; ``version`` is like 3.1.0 or 2.0. ``warnings`` are findings as JSON. ``contract`` is what calls are validated by
    (``contract.contract_of``); ``None``: they can't be.
    """

    title: str
    summary: str
    documentation: str
    version: str
    servers: list[str]
    base_path: str
    operations: "list[OperationFields]"
    document: dict[str, Any] = field(repr=False)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    contract: list[Any] | None = field(default=None, repr=False)


def describe(document: dict[str, Any]) -> tuple[Description, list[Finding]]:
    """What ``document`` says, and what of its operations had to be left out. Raises ``DocumentRefused``."""
    info = _object(document.get("info"))
    documentation = _text(info.get("description"))
    servers = list(_servers(document))
    urls = [url for url, _ in servers if not _UNFILLED.search(url)]
    operations = _Operations(document)
    description = Description(
        title=_text(info.get("title")).strip()[:120],
        summary=(_text(info.get("summary")).strip() or first_sentence(documentation))[:200],
        documentation=documentation,
        version=version_of(document),
        servers=[url for url in map(_absolute, urls) if url][:MOST_SERVERS],
        base_path=_base_path(urls),
        operations=list(operations),
        document=document,
    )
    unfilled = [
        Finding(f"{quoted(url)} has a placeholder without a value: no upstream is made of it.", place)
        for url, place in servers
        if _UNFILLED.search(url)
    ]
    return description, unfilled + operations.left_out


def _servers(document: Mapping[str, Any]) -> Iterator[tuple[str, Place]]:
    """The address of each server with its variables' defaults in, and where the document says it."""
    if "swagger" in document:
        host, base = _text(document.get("host")), f"/{_text(document.get('basePath')).lstrip('/')}"
        if not host:
            yield base, ("basePath",)
            return
        host = host.rpartition("://")[2].rstrip("/")  # some write a whole address
        for scheme in [each for each in _list(document.get("schemes")) if isinstance(each, str)] or ["https"]:
            yield f"{scheme}://{host}{base}", ("host",) if _UNFILLED.search(host) else ("basePath",)
        return
    for index, server in enumerate(_list(document.get("servers"))):
        url = _text(_object(server).get("url"))
        for name, variable in _object(_object(server).get("variables")).items():
            default, place = str(_object(variable).get("default", "")), "{" + name + "}"
            if len(url) + url.count(place) * len(default) > MOST_CHARACTERS:
                break
            url = url.replace(place, default)
        yield url, ("servers", str(index), "url")


def _absolute(url: str) -> str | None:
    """``url`` as an upstream's, if it is one."""
    url = url if url.endswith("/") else f"{url}/"
    return url if url.startswith(("http://", "https://")) and len(url) <= LONGEST_URL else None


def _base_path(urls: list[str]) -> str:
    first = urls[0] if urls else ""
    if first.startswith("//") or "://" in first or len(first) > LONGEST_URL:
        return ""
    return "/" + urlsplit(first).path.strip("/") if first.strip("./") else ""


class _Operations:
    """The operations of a document, one after the other; ``left_out`` is complete after the last."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._target = cache(partial(target, document))  # thousands of places may refer to one
        self._paths = document.get("paths")
        self._characters = 0
        self._ids: dict[str, str] = {}
        self.left_out: list[Finding] = []

    def __iter__(self) -> "Iterator[OperationFields]":
        paths = self._paths
        if not isinstance(paths, dict):
            raise DocumentRefused(
                "The document has no object paths: there is nothing to import.", ("paths",) if paths is not None else ()
            )
        for path, given in paths.items():
            place: Place = ("paths", path)
            if path.startswith("x-") or given is None:
                continue
            if not path.startswith("/"):
                raise DocumentRefused("A path starts with a slash.", place)
            if len(path) > LONGEST_PATH:
                raise DocumentRefused(f"A path has at most {LONGEST_PATH} characters.", place)
            item = self._followed(given, place)
            methods = [method for method in _METHODS if item.get(method) is not None]
            of_all = self._parameters(item, place) if methods else {}
            for method in methods:
                yield self._operation(path, method, item[method], of_all)

    def _operation(self, path: str, method: str, operation: object, of_all: _Parameters) -> "OperationFields":
        """``of_all`` are the parameters of all of the path's operations."""
        place: Place = ("paths", path, method)
        if not isinstance(operation, dict):
            raise DocumentRefused("An operation is an object.", place)
        parameters = of_all | self._parameters(operation, place)
        fields: OperationFields = {
            "method": method.upper(),
            "path": path,
            "operation_id": self._words(operation, "operationId", place)[:120],
            "summary": self._words(operation, "summary", place)[:300],
            "description": self._words(operation, "description", place),
            "deprecated": bool(operation.get("deprecated", False)),
            "parameters": list(parameters.values()),
        }
        # What one reference names is in each operation that has it: 1,900 of them made 8 GB of 5 MB.
        self._characters += len(json.dumps(fields, ensure_ascii=False))
        if self._characters > MOST_CHARACTERS:
            raise DocumentRefused(_TOO_MUCH, place)
        self._compare(fields, place)
        return fields

    def _compare(self, fields: "OperationFields", place: Place) -> None:
        """The operation with the others, and with its own path."""
        if name := fields["operation_id"]:
            call = f"{fields['method']} {fields['path']}"
            if (first := self._ids.setdefault(name, call)) != call:
                self._leave_out(f"{first[:100]} has the operationId {quoted(name)} too.", (*place, "operationId"))
        declared = {each["name"] for each in fields["parameters"] if each["in"] == "path"}
        undescribed = [name for name in _IN_PATH.findall(fields["path"]) if name not in declared]
        if undescribed:  # one of a place is told
            self._leave_out(f"The path's parameter {quoted(undescribed[0])} is not described.", place)

    def _parameters(self, holder: dict[str, Any], place: Place) -> _Parameters:
        """Those of a path or of an operation."""
        place = (*place, "parameters")
        found: _Parameters = {}
        for index, each in enumerate(self._items(holder.get("parameters"), place)):
            if parameter := self._parameter(each, (*place, str(index))):
                found[parameter["name"], parameter["in"]] = parameter
        return found

    def _parameter(self, given: object, place: Place) -> dict[str, Any] | None:
        """What describes a parameter, with its own schema in place; ``None`` if nothing does.

        References further inside stay: resolving all of them may have no end.
        """
        try:
            parameter = self._followed(given, place)
            schema = parameter.get("schema")
            if isinstance(schema, dict):
                parameter = parameter | {"schema": self._followed(schema, (*place, "schema"))}
        except DocumentRefused as refusal:
            self.left_out.append(refusal.finding)
            return None
        if not all(isinstance(parameter.get(name), str) for name in ("name", "in")):
            self._leave_out("This parameter has no name, or isn't in anything: it is left out.", place)
            return None
        return parameter

    def _followed(self, value: object, place: Place) -> dict[str, Any]:
        """The object that ``value`` is or refers to. Raises ``DocumentRefused``."""
        for _ in range(MOST_HOPS):
            if not isinstance(value, dict):
                raise DocumentRefused("This is no object.", place)
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            if not reference.startswith("#/"):
                raise DocumentRefused(
                    f"{quoted(reference)} leaves the document; only #/… is followed.", (*place, "$ref")
                )
            found = self._target(reference)
            if not isinstance(found, dict):
                raise DocumentRefused(f"{quoted(reference)} is not an object in the document.", (*place, "$ref"))
            value = found
        raise DocumentRefused(f"{quoted(str(reference))} refers to itself.", (*place, "$ref"))

    def _items(self, value: object, place: Place) -> list[Any]:
        if value is not None and not isinstance(value, list):
            self._leave_out("This is no list: it is left out.", place)
        return _list(value)

    def _words(self, operation: dict[str, Any], name: str, place: Place) -> str:
        value = operation.get(name)
        if value is not None and not isinstance(value, str):
            self._leave_out("This is no text: it is left out.", (*place, name))
        return _text(value)

    def _leave_out(self, why: str, place: Place) -> None:
        self.left_out.append(Finding(why, place))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

"""What of a document isn't as OpenAPI has it. Nothing is ever fetched or opened, and nothing of this refuses a document.

``schemas`` are the OpenAPI Initiative's own (https://spec.openapis.org/oas/, Apache-2.0). They say what a document is made of, and
nothing of what is in its samples: patterns are ECMA-262's, and a default that its schema forbids harms no gateway.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from apps.catalog.openapi.findings import DocumentRefused, Finding, Place, quoted, target
from apps.catalog.openapi.loading import version_of

LONGEST_VERSION = 16

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_SAMPLES = frozenset({"example", "examples", "default", "enum", "const"})
_VERSION = re.compile(r"(2\.0|3\.[012])(?![0-9])")
_TAGS = (["in"], ["type"])
_ONE_CHOICE = re.compile(r'This is not one of "[^"]*"')
_NO_REFERENCE = '"$ref" is a required property'


def schema_of(document: dict[str, Any]) -> str:
    """``2.0``, ``3.0``, ``3.1`` or ``3.2``: whose rules are the document's. Raises ``DocumentRefused``."""
    if not document.keys() & {"openapi", "swagger"}:
        raise DocumentRefused('The document has no field openapi: "3.…" or swagger: "2.0".')
    version = version_of(document)
    match = _VERSION.match(version)
    if match is None or len(version) > LONGEST_VERSION:
        place: Place = ("openapi" if "openapi" in document else "swagger",)
        raise DocumentRefused(f"Version {quoted(version)} is not known: OpenAPI 3.0, 3.1, 3.2 or Swagger 2.0.", place)
    return match[1]


def faults(document: dict[str, Any], schema: str) -> Iterator[Finding]:
    """What isn't as ``schema`` (one of ``schema_of``'s) has it, and references that name nothing here."""
    yield from _references(document)
    for error in _validator(schema).iter_errors(document):
        yield from _told(error)


def _references(document: dict[str, Any]) -> list[Finding]:
    """Those that leave the document or find nothing there. Samples may hold anything."""
    found: list[Finding] = []

    def walk(value: Any, place: Place) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in _REFERENCES and isinstance(item, str):
                    if not _stays(key, item):
                        found.append(
                            Finding(f"{quoted(item)} leaves the document; only #/… is followed.", (*place, key))
                        )
                    elif key == "$ref" and target(document, item) is None:
                        found.append(Finding(f"{quoted(item)} is not in the document.", (*place, key)))
                elif key not in _SAMPLES:
                    walk(item, (*place, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, (*place, str(index)))

    walk(document, ())
    return found


def _stays(key: str, reference: str) -> bool:
    return reference.startswith("#/") or (key != "$ref" and reference.startswith("#"))


@cache
def _validator(schema: str) -> Any:
    content = json.loads((Path(__file__).parent / "schemas" / f"{schema}.json").read_text())
    # What is wrong is told by its place: a value may be as large as the document.
    return jsonschema_rs.validator_for(content, validate_formats=False, offline=True, mask="This")


def _told(error: Any) -> Iterator[Finding]:
    """``error``; of alternatives none of which fits, what is wrong with the one that fits best."""
    branches = [branch for branch in getattr(error.kind, "context", ()) if branch]
    if branches:
        for inner in max(branches, key=_fit):
            yield from _told(inner)
    else:
        yield Finding(f"{error.message}.", tuple(str(step) for step in error.instance_path))


def _fit(branch: list[Any]) -> tuple[bool, bool, int]:
    no_reference = any(error.message.startswith(_NO_REFERENCE) for error in branch)
    # Of parameters and security schemes, an alternative for each ``in`` or ``type``: that of another one is not what was meant.
    of_another = any(error.instance_path[-1:] in _TAGS and _ONE_CHOICE.fullmatch(error.message) for error in branch)
    return not no_reference, not of_another, max(len(error.instance_path) for error in branch)

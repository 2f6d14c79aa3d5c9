"""Schemas of a document as JSON Schema 2020-12, which gateways validate by.

Only what decides about values is kept. Each place that a ``$ref`` names becomes a definition of its own, once for requests and once
for responses, because ``readOnly`` and ``writeOnly`` properties are required in one of them only. What can't be checked in linear
time is left out, and said.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jsonschema_rs

from apps.catalog.openapi.findings import Finding, Place, quoted, target
from apps.wire.snapshot import PATTERN_BYTES, Definition

REQUEST, RESPONSE = "request", "response"

MOST_VISITS = 64
"""How often one value may be looked at for a schema, by way of alternatives and of several keywords for the same property."""

DEEPEST_BODY = 64
"""Levels of a body for which that is counted; no API may allow more."""

MOST_PARTS = 50_000
"""Of the schemas that an API's calls are checked by, each counted as often as it is needed."""

FORMATS = frozenset({"date", "date-time", "time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"})
"""Formats that are checked; others say how a text is read, not what it may be."""

_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)  # type: ignore[operator, call-overload]


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_types(value: object) -> bool:
    types = [value] if isinstance(value, str) else value
    return isinstance(types, list) and bool(types) and all(isinstance(each, str) and each in _TYPES for each in types)


def is_linear(pattern: object) -> bool:
    """Whether an engine without backtracking can match it."""
    try:
        jsonschema_rs.Draft202012Validator(
            {"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions(PATTERN_BYTES, PATTERN_BYTES), offline=True
        )
    except ValueError:
        return False
    return True


_VALUES: dict[str, Callable[[object], bool]] = {
    "type": _are_types,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "const": lambda _: True,
    "multipleOf": lambda value: _is_number(value) and value > 0,  # type: ignore[operator]
    **dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), _is_number),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), _is_count),
    **dict.fromkeys(("maxContains", "minContains"), _is_count),
    "uniqueItems": lambda value: isinstance(value, bool),
    "pattern": lambda value: isinstance(value, str) and is_linear(value),
    "required": _are_names,
    "dependentRequired": lambda value: isinstance(value, dict) and all(map(_are_names, value.values())),
}
"""Keywords whose values hold no schemas, and what they may be."""

_ONE = (
    *("additionalProperties", "propertyNames", "unevaluatedProperties", "items", "contains", "unevaluatedItems"),
    *("not", "if", "then", "else"),
)
_SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "dependentSchemas")
_UNSUPPORTED = ("$dynamicRef", "$recursiveRef")


class TooMuch(Exception):
    """The schemas have more than ``MOST_PARTS``."""


@dataclass
class Schemas:
    """The definitions that were made so far of the schemas of ``document``; ``older``: its dialect is that of OpenAPI 3.0 or
    Swagger 2. ``findings`` are what could not be taken over.
    """

    document: dict[str, Any]
    older: bool
    findings: list[Finding] = field(default_factory=list)
    _parts: int = 0
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _made: dict[str, Any] = field(default_factory=dict)
    _waiting: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, schema: object, direction: str, place: Place) -> str:
        """The name of the definition for a schema that stands at ``place``. Raises ``TooMuch``."""
        if (
            isinstance(schema, dict)
            and isinstance(reference := schema.get("$ref"), str)
            and (self.older or len(schema) == 1)
        ):
            name = self._named(reference, direction, (*place, "$ref"))
        else:
            pointer = "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in place)
            name = self._names.setdefault((pointer, direction), f"{direction[2]}{len(self._names)}")
            if name not in self._made:
                self._made[name] = self._converted(schema, direction, place)
        while self._waiting:
            pointer, way, waiting = self._waiting.pop()
            steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))
            self._made[waiting] = self._converted(target(self.document, f"#{pointer}"), way, steps)
        return name or ""

    def types_of(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The types that a value of a definition may have, and those of a list's items; empty: not said."""
        schema = self._followed(name)
        items = schema.get("items")
        if isinstance(items, dict) and "$ref" in items:
            items = self._followed(items["$ref"].removeprefix("#/$defs/"))
        return _types(schema), _types(items if isinstance(items, dict) else {})

    def _followed(self, name: str) -> dict[str, Any]:
        for _ in range(8):
            schema = self._made.get(name)
            if not isinstance(schema, dict):
                return {}
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            name = reference.removeprefix("#/$defs/")
        return {}

    def visits(self) -> dict[str, float]:
        """How often one value may be looked at for each definition; infinity where there is no bound."""
        return visits(self._made)

    def definitions(self) -> Iterator[Definition]:
        """All of them."""
        for name, schema in self._made.items():
            text = json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
            plain = '"anyOf":' not in text and '"oneOf":' not in text and '"not":' not in text
            yield Definition(name, text, tuple(sorted(set(_references(schema)))), _patterns(schema), plain)

    def _named(self, reference: str, direction: str, place: Place) -> str | None:
        """The definition of what ``reference`` names, made later; ``None`` if nothing does."""
        pointer = reference.removeprefix("#")
        if not reference.startswith("#/") or target(self.document, reference) is None:
            self.findings.append(Finding(f"{quoted(reference)} can't be followed: values there aren't checked.", place))
            return None
        key = (pointer, direction)
        if key not in self._names:
            self._names[key] = f"{direction[2]}{len(self._names)}"
            self._waiting.append((pointer, direction, self._names[key]))
        return self._names[key]

    def _converted(self, schema: object, direction: str, place: Place) -> Any:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise TooMuch
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            return True
        reference = schema.get("$ref")
        if isinstance(reference, str) and self.older:  # what stands beside it counts for nothing there
            schema = {"$ref": reference}
        made: dict[str, Any] = {}
        if isinstance(reference, str) and (name := self._named(reference, direction, (*place, "$ref"))):
            made["$ref"] = f"#/$defs/{name}"
        schema = _as_2020_12(schema) if self.older else schema
        for keyword in schema.keys() & _VALUES.keys():
            value = schema[keyword]
            if _VALUES[keyword](value):
                made[keyword] = value
            else:
                why = (
                    "needs backtracking, or is too large"
                    if keyword == "pattern"
                    else "is not what JSON Schema has there"
                )
                self.findings.append(Finding(f"This {keyword} {why}: it isn't checked.", (*place, keyword)))
        for keyword in _UNSUPPORTED:
            if keyword in schema:
                self.findings.append(Finding(f"{keyword} isn't followed: it isn't checked.", (*place, keyword)))
        for keyword in _ONE:
            if isinstance(schema.get(keyword), dict | bool):
                made[keyword] = self._converted(schema[keyword], direction, (*place, keyword))
        for keyword in _SEVERAL:
            if isinstance(several := schema.get(keyword), list) and several:
                made[keyword] = [
                    self._converted(each, direction, (*place, keyword, str(index)))
                    for index, each in enumerate(several)
                ]
        for keyword in _NAMED:
            if isinstance(named := schema.get(keyword), dict):
                made[keyword] = {
                    name: self._converted(each, direction, (*place, keyword, name))
                    for name, each in named.items()
                    if keyword != "patternProperties" or self._takes(name, (*place, keyword, name))
                }
        _add_format(made, schema)
        if "required" in made and (left := self._of_other_way(schema, direction)):
            made["required"] = [name for name in made["required"] if name not in left]
        return made

    def _takes(self, pattern: str, place: Place) -> bool:
        if is_linear(pattern):
            return True
        self.findings.append(Finding("This pattern needs backtracking, or is too large: it isn't checked.", place))
        return False

    def _of_other_way(self, schema: object, direction: str, hops: int = 4) -> set[str]:
        """Properties that are for the other direction only."""
        schema = self._target_of(schema)
        mark = "readOnly" if direction == REQUEST else "writeOnly"
        properties = schema.get("properties")
        found = {
            name
            for name, each in (properties.items() if isinstance(properties, dict) else ())
            if isinstance(each, dict) and (each.get(mark) is True or self._target_of(each).get(mark) is True)
        }
        for part in schema.get("allOf", ()) if hops and isinstance(schema.get("allOf"), list) else ():
            found |= self._of_other_way(part, direction, hops - 1)
        return found

    def _target_of(self, schema: object) -> dict[str, Any]:
        for _ in range(8):
            reference = schema.get("$ref") if isinstance(schema, dict) else None
            if not isinstance(reference, str) or not reference.startswith("#/"):
                break
            schema = target(self.document, reference)
        return schema if isinstance(schema, dict) else {}


def _types(schema: dict[str, Any]) -> tuple[str, ...]:
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else tuple(types)


def _as_2020_12(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of OpenAPI 3.0 (§4.7.24) in the newer words. Where alternatives stand beside ``nullable``, null is one more."""
    schema = dict(schema)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(excludes := schema.get(exclusive), bool):
            del schema[exclusive]
            if excludes and bound in schema:
                schema[exclusive] = schema.pop(bound)
    if schema.get("nullable") is True:
        if isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
        elif any(keyword in schema for keyword in ("allOf", "anyOf", "oneOf")):
            return {"anyOf": [schema | {"nullable": False}, {"type": "null"}]}
    return schema


def _add_format(made: dict[str, Any], schema: dict[str, Any]) -> None:
    name = schema.get("format")
    if not isinstance(name, str):
        return
    if name in FORMATS:
        made["format"] = name
    elif name in _RANGES and "integer" in _types(made):
        least, most = _RANGES[name]
        made["minimum"] = max(made.get("minimum", least), least)
        made["maximum"] = min(made.get("maximum", most), most)


def _inside(schema: Any) -> Iterator[tuple[str, Any]]:
    """The schemas inside of one, each with its keyword."""
    if not isinstance(schema, dict):
        return
    for keyword in _ONE:
        if keyword in schema:
            yield keyword, schema[keyword]
    for keyword in _SEVERAL:
        for each in schema.get(keyword, ()):
            yield keyword, each
    for keyword in _NAMED:
        for each in schema.get(keyword, {}).values():
            yield keyword, each


def _patterns(schema: Any) -> int:
    if not isinstance(schema, dict):
        return 0
    own = ("pattern" in schema) + len(schema.get("patternProperties", ()))
    return own + sum(_patterns(each) for _, each in _inside(schema))


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict) and "$ref" in schema:
        yield schema["$ref"].removeprefix("#/$defs/")
    for _, each in _inside(schema):
        yield from _references(each)


class _Visits(NamedTuple):
    """Upper bounds for a schema: how often it has a validator look at the value that it is given, and at any value inside."""

    own: float = 1
    inside: float = 0


_NO_BOUND = _Visits(math.inf, math.inf)


def visits(definitions: Mapping[str, Any]) -> dict[str, float]:
    """An upper bound, for each of ``definitions``, of how often it has a validator look at one and the same value. What an author
    writes as a short recursion with alternatives takes time that grows with a power of a body's depth.
    """
    inner = dict.fromkeys(definitions, _Visits())
    for _ in range(DEEPEST_BODY):
        known: dict[str, _Visits] = {}
        for name in definitions:
            _of_definition(name, definitions, inner, known)
        if known == inner:
            break
        inner = known
    return {name: max(found) for name, found in inner.items()}


def _of_definition(
    name: str, definitions: Mapping[str, Any], inner: Mapping[str, _Visits], known: dict[str, _Visits]
) -> _Visits:
    if name not in known:
        known[name] = _NO_BOUND  # what it is until it is known: one that needs itself for the same value has no bound
        try:
            found = _of_schema(definitions[name], definitions, inner, known)
        except RecursionError:
            found = _NO_BOUND
        known[name] = found if max(found) <= MOST_VISITS else _NO_BOUND
    return known[name]


def _of_schema(
    schema: Any,
    definitions: Mapping[str, Any],
    inner: Mapping[str, _Visits],
    known: dict[str, _Visits],
    same: bool = True,
) -> _Visits:
    """``same``: it is for the very value of its definition, not for one inside; of those ``inner`` says what is known."""
    own, inside = 1.0, 0.0
    if not isinstance(schema, dict):
        return _Visits()
    counts: dict[str, list[float]] = {}
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        found = _of_definition(name, definitions, inner, known) if same else inner[name]
        own, inside = own + found.own, found.inside
    for keyword, each in _inside(schema):
        if keyword in _IN_PLACE:
            found = _of_schema(each, definitions, inner, known, same)
            own, inside = own + found.own, inside + found.inside
        else:
            counts.setdefault(keyword, []).append(max(_of_schema(each, definitions, inner, known, same=False)))
    most = {keyword: max(each) for keyword, each in counts.items()}
    named = most.get("properties", 0) + sum(counts.get("patternProperties", ()))
    of_object = max(named, most.get("additionalProperties", 0)) + most.get("propertyNames", 0)
    of_object += most.get("unevaluatedProperties", 0)
    of_list = max(most.get("prefixItems", 0), most.get("items", 0)) + most.get("contains", 0)
    of_list += most.get("unevaluatedItems", 0)
    twice = 2 if most.keys() & {"unevaluatedProperties", "unevaluatedItems"} else 1
    return _Visits(twice * own, twice * (inside + max(of_object, of_list)))


_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})

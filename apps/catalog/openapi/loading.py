"""From bytes to plain JSON values: bounded in bytes, parts and depth before anything is built of them."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from apps.catalog.openapi.error_locations import LONGEST_ERROR, DocumentRefused, at

LARGEST = 5 * 2**20
"""Bytes of a document."""
MOST_NODES = 200_000
MOST_CHARACTERS = 2 * LARGEST
"""Of all texts together, aliases counted as what they stand for."""
DEEPEST = 64


def load(content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST:
        raise DocumentRefused(f"The document is larger than {LARGEST // 2**20} MiB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentRefused(f"The document is not UTF-8 text (byte {error.start}).") from None
    loaded = _load_json(text) if text.lstrip().startswith("{") else _load_yaml(text)
    if not isinstance(loaded, dict):
        raise DocumentRefused("The document is not an object with fields like openapi, info and paths.")
    plain: dict[str, Any] = _plain(loaded)
    return plain


def version_of(document: Mapping[str, Any]) -> str:
    return str(document.get("openapi") or document.get("swagger") or "")


def _load_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DocumentRefused(f"This is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise DocumentRefused(f"The document is nested deeper than {DEEPEST} levels.") from None
    except ValueError as error:
        raise DocumentRefused(f"This is not JSON: {error}.") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


class _Loader(yaml.CSafeLoader):
    """YAML with JSON's types: dates, yes and no, sexagesimal and octal numbers stay text (YAML 1.2)."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z", re.IGNORECASE), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"(?:~|null|)\Z", re.IGNORECASE), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9][0-9]*)\Z"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z"),
    list("-0123456789"),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])


def _strictly(type_: str, read: Callable[[str], Any]) -> None:
    """Have a tag that stands in the document mean what JSON has: the library's own readers know bases, sixties and ``.inf``, and
    take what is none of them for a fault of theirs."""
    tag = f"tag:yaml.org,2002:{type_}"

    def construct(loader: Any, node: yaml.Node) -> Any:
        text = loader.construct_scalar(node)
        try:
            return read(text)
        except (ValueError, KeyError):
            told = text[:LONGEST_ERROR]
            raise yaml.constructor.ConstructorError(None, None, f"{told!r} is no {type_}", node.start_mark) from None

    _Loader.add_constructor(tag, construct)


def _decimal(text: str) -> int:
    if not text.isascii() or "_" in text:
        raise ValueError
    return int(text)


_strictly("bool", lambda text: {"true": True, "false": False}[text.lower()])
_strictly("int", _decimal)
_strictly("float", float)


def _load_yaml(text: str) -> Any:
    try:
        _measure(yaml.parse(text, Loader=_Loader))
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader with fewer types
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DocumentRefused(f"This is not YAML: {error.problem or error.context}{place}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentRefused(f"This is not YAML: {str(error).splitlines()[0][:LONGEST_ERROR]}.") from None


def _measure(events: Iterator[yaml.Event]) -> None:
    """Refuse what is too large or too deep before anything is built of it. An alias weighs what its anchor weighs.

    So a "billion laughs" document is found by adding up, not by expanding it.
    """
    sizes: dict[str, tuple[int, int, int]] = {}
    open_nodes: list[tuple[str | None, int, int]] = []  # anchor, and the totals when it began
    nodes = characters = 0
    deepest_below: list[int] = []
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise DocumentRefused(f"The alias *{event.anchor} contains itself{_line(event)}.")
            more_nodes, more_characters, depth = sizes[event.anchor]
            nodes, characters = nodes + more_nodes, characters + more_characters
            if deepest_below:
                deepest_below[-1] = max(deepest_below[-1], depth)
            if len(open_nodes) + depth > DEEPEST:
                raise DocumentRefused(f"The document is nested deeper than {DEEPEST} levels{_line(event)}.")
        elif isinstance(event, yaml.ScalarEvent):
            nodes, characters = nodes + 1, characters + len(event.value)
            if event.anchor:
                sizes[event.anchor] = (1, len(event.value), 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, nodes, characters))
            if event.anchor:
                sizes.pop(event.anchor, None)
            deepest_below.append(0)
            nodes += 1
            if len(open_nodes) > DEEPEST:
                raise DocumentRefused(f"The document is nested deeper than {DEEPEST} levels{_line(event)}.")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, nodes_before, characters_before = open_nodes.pop()
            depth = deepest_below.pop() + 1
            if deepest_below:
                deepest_below[-1] = max(deepest_below[-1], depth)
            if anchor:
                sizes[anchor] = (nodes - nodes_before, characters - characters_before, depth)
        if nodes > MOST_NODES or characters > MOST_CHARACTERS:
            raise DocumentRefused(
                f"The document has more than {MOST_NODES:,} parts, or its aliases stand for too much."
            )


def _line(event: yaml.Event) -> str:
    return f", line {event.start_mark.line + 1}" if event.start_mark else ""


def _plain(document: Any) -> Any:
    """A copy that is JSON: texts as keys, no other types, nothing that a database can't hold. Bounds depth and parts."""
    count = 0

    def copy(value: Any, place: tuple[str, ...]) -> Any:
        nonlocal count
        count += 1
        if count > MOST_NODES:
            raise DocumentRefused(f"The document has more than {MOST_NODES:,} parts.")
        if len(place) > DEEPEST:
            raise DocumentRefused(f"The document is nested deeper than {DEEPEST} levels at {at(place[:6])}….")
        if isinstance(value, dict):
            return {_key(key, place): copy(item, (*place, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [copy(item, (*place, str(index))) for index, item in enumerate(value)]
        if isinstance(value, str):
            return _clean(value, place)
        if isinstance(value, float) and not math.isfinite(value):
            raise DocumentRefused(f"{at(place)} is a number larger than JSON's readers know.")
        if value is None or isinstance(value, bool | int | float):
            return value
        raise DocumentRefused(f"{at(place)} has a type that JSON doesn't know.")

    return copy(document, ())


def _key(key: Any, place: tuple[str, ...]) -> str:
    if isinstance(key, str):
        return _clean(key, place)
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)  # status codes of responses
    raise DocumentRefused(f"{at(place)} has a field whose name is not text: {key!r}.")


def _clean(text: str, place: tuple[str, ...]) -> str:
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise DocumentRefused(f"{at(place)} holds characters that are none (NUL, or half of a pair).")
    return text

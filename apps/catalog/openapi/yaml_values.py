"""YAML as JSON's values, built of the parser's events in one pass that counts.

The library's own loader makes a graph of nodes first and values of that, which takes five times as long, and knows types that JSON
doesn't have. Here dates, yes and no, sexagesimal and octal numbers stay text (YAML 1.2), and a field's name is its text whatever it
looks like. An alias weighs what its anchor weighs, so a "billion laughs" document is found by adding up, not by expanding it.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from apps.catalog.openapi.findings import LONGEST_ERROR, DocumentRefused, Place, quoted, short
from apps.catalog.openapi.positions import position

MOST_NODES = 200_000
MOST_CHARACTERS = 10 * 2**20
"""Of all texts together, aliases counted as what they stand for."""
DEEPEST = 64

NOT_TEXT = re.compile("[\x00\ud800-\udfff]")

_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": lambda text: text,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "null": lambda text: {"null": None, "~": None, "": None}[text.lower()],
    "int": lambda text: int(text) if _INTEGER.match(text) else _no_value(),
    "float": lambda text: float(text) if _NUMBER.match(text) else _no_value(),
}


def load_yaml(text: str) -> Any:
    """The value that ``text``, one document, stands for; ``None`` if it is empty."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise DocumentRefused(f"This is not YAML: {error.problem or error.context}.", (), *position) from None
    except (yaml.YAMLError, ValueError) as error:
        raise DocumentRefused(f"This is not YAML: {str(error).splitlines()[0][:LONGEST_ERROR]}.") from None
    return builder.value


@dataclass(slots=True)
class _Anchored:
    """A value that aliases may name, and what it weighs."""

    value: Any
    nodes: int
    characters: int
    depth: int


@dataclass(slots=True)
class _Open:
    """A list or an object that is being built. ``key`` waits for its value; ``merged`` is what ``<<`` brings along."""

    value: Any
    anchor: str | None
    nodes_before: int
    characters_before: int
    depth: int = 0
    key: str | None = None
    merges: bool = False
    merged: list[dict[str, Any]] = field(default_factory=list)


class _Builder:
    def __init__(self) -> None:
        self.value: Any = None
        self._documents = self._nodes = self._characters = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}

    def take(self, event: yaml.Event) -> None:
        """The parser's next event."""
        if isinstance(event, yaml.ScalarEvent):
            self._weigh(event, 1, len(event.value))
            if NOT_TEXT.search(event.value):
                raise self._refusal(event, "This text holds characters that are none (NUL, or half of a pair).")
            if self._wants_key():
                self._name(event.value, merges=event.value == "<<" and event.implicit[0])
                return
            value = self._scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = _Anchored(value, 1, len(event.value), 0)
            self._put(value, event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._refusal(event, "This is not YAML of one document: a second one begins here.")

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _name(self, key: str, *, merges: bool = False) -> None:
        self._open[-1].key = key
        self._open[-1].merges = merges

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        if self._wants_key():
            raise self._refusal(event, "The name of a field is not text.")
        kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if event.tag not in (None, "!", _TAG + kind):
            raise self._no_json(event)
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        self._open.append(_Open([] if kind == "seq" else {}, event.anchor, self._nodes, self._characters))
        self._weigh(event, 1, 0)
        if len(self._open) > DEEPEST:
            raise self._too_deep(event)

    def _end(self, event: yaml.Event) -> None:
        node = self._open.pop()
        for merged in node.merged:
            for key, value in merged.items():
                node.value.setdefault(key, value)
        depth = node.depth + 1
        if node.anchor:
            nodes, characters = self._nodes - node.nodes_before, self._characters - node.characters_before
            self._anchors[node.anchor] = _Anchored(node.value, nodes, characters, depth)
        if self._open:
            self._open[-1].depth = max(self._open[-1].depth, depth)
        self._put(node.value, event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            inside = any(node.anchor == event.anchor for node in self._open)
            raise self._refusal(event, f"The alias *{event.anchor} {'contains itself' if inside else 'has no anchor'}.")
        self._weigh(event, anchored.nodes, anchored.characters)
        if len(self._open) + anchored.depth > DEEPEST:
            raise self._too_deep(event)
        if self._wants_key():
            if not isinstance(anchored.value, str):
                raise self._refusal(event, "The name of a field is not text.")
            self._name(anchored.value)
            return
        if self._open:
            self._open[-1].depth = max(self._open[-1].depth, anchored.depth)
        self._put(anchored.value, event)

    def _put(self, value: Any, event: yaml.Event) -> None:
        """``value`` is whole: it goes where it belongs."""
        if not self._open:
            self.value = value
            return
        node = self._open[-1]
        if isinstance(node.value, list):
            node.value.append(value)
            return
        if node.merges:
            merged = value if isinstance(value, list) else [value]
            if not all(isinstance(each, dict) for each in merged):
                raise self._refusal(event, "This is not YAML: << merges objects only.")
            node.merged.extend(merged)
        else:
            node.value[node.key] = value
        node.key, node.merges = None, False

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        value: Any
        text = event.value
        tag = event.tag or ""
        if tag in ("", "!"):
            if tag or not event.implicit[0]:
                return text
            value = _CONSTANTS.get(text.lower(), text) if len(text) <= 5 else text
            if value is text and text[0] in "-0123456789":
                value = self._number(event)
        else:
            kind = tag.removeprefix(_TAG)
            read = _SCALARS.get(kind)
            if read is None:
                raise self._no_json(event)
            try:
                value = read(text)
            except (ValueError, KeyError):
                raise self._refusal(event, f"This is not YAML: {quoted(text)} is no {kind}.") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refusal(event, "This is a number larger than JSON's readers know.")
        return value

    def _number(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        if not _INTEGER.match(text):
            return float(text) if _NUMBER.match(text) else text
        try:
            return int(text)
        except ValueError:  # thousands of digits
            raise self._refusal(event, "This is a number larger than JSON's readers know.") from None

    def _weigh(self, event: yaml.Event, nodes: int, characters: int) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > MOST_NODES or self._characters > MOST_CHARACTERS:
            raise self._refusal(
                event, f"The document has more than {MOST_NODES:,} parts, or its aliases stand for too much."
            )

    def _too_deep(self, event: yaml.Event) -> DocumentRefused:
        return self._refusal(event, f"The document is nested deeper than {DEEPEST} levels.")

    def _no_json(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> DocumentRefused:
        return self._refusal(event, f"This is not YAML of JSON's types: {short(event.tag or '')}.")

    def _refusal(self, event: yaml.Event, message: str) -> DocumentRefused:
        place: Place = tuple(
            str(len(node.value)) if isinstance(node.value, list) else node.key or ""
            for node in self._open[:DEEPEST]
            if isinstance(node.value, list) or node.key is not None
        )
        return DocumentRefused(message, place, *position(event))


def _no_value() -> Any:
    raise ValueError

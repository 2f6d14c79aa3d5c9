"""Where in a document's text the value at a place stands, for many places in one pass."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from apps.catalog.openapi.findings import Place

Position = tuple[int, int]
"""Line and column, from 1: of a field its name, of an item its beginning."""

_WHITE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


def positions(text: str, places: Iterable[Place]) -> dict[Place, Position]:
    """Where each of ``places`` is in ``text``, which has been read before; what isn't there (a field that a YAML alias or merge
    brings along) is where the nearest part around it is.
    """
    places = list(places)
    wanted: dict[str, Any] = {}
    for place in places:
        inner = wanted
        for step in place:
            inner = inner.setdefault(step, {})
    found = _in_json(text, wanted) if is_json(text) else _in_yaml(text, wanted)
    return {place: _nearest(found, place) for place in places}


def _nearest(found: dict[Place, Position], place: Place) -> Position:
    while place and place not in found:
        place = place[:-1]
    return found.get(place, (1, 1))


def is_json(text: str) -> bool:
    """Whether ``text`` is read as JSON; else it is YAML."""
    return text.lstrip().startswith("{")


def _in_json(text: str, wanted: dict[str, Any]) -> dict[Place, Position]:
    starts: dict[Place, int] = {}

    def blank(index: int) -> int:
        match = _WHITE.match(text, index)
        return match.end() if match else index

    def walk(index: int, wanted: dict[str, Any], place: Place) -> int:
        """Note what is wanted of the value at ``index``; where it ends."""
        if not wanted or text[index] not in "{[":
            return _decode(text, index)[1]
        is_object = text[index] == "{"
        index = blank(index + 1)
        count = 0
        while text[index] not in "}]":
            start = index
            key = str(count)
            if is_object:
                key, index = _decode(text, index)
                index = blank(blank(index) + 1)  # the colon
            inner = wanted.get(key)
            if inner is not None:
                starts[(*place, key)] = start
            index = blank(walk(index, inner or {}, (*place, key)))
            if text[index] == ",":
                index = blank(index + 1)
            count += 1
        return index + 1

    walk(blank(0), wanted, ())
    return dict(zip(starts, _lines(text, starts.values()), strict=True))


def _lines(text: str, starts: Iterable[int]) -> list[Position]:
    """Lines and columns of these places in ``text``."""
    # A name that stands there often is noted often: lines are counted at the end, once for each place.
    return [(text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)) for start in starts]


@dataclass(slots=True)
class _Collection:
    """A list or an object that the parser is in; ``wanted`` is empty where nothing of it is looked for."""

    place: Place
    wanted: dict[str, Any]
    index: int | None
    """Of a list's next item; ``None`` in an object."""
    key: str | None = None
    """Of an object, while its value is to come."""


def _in_yaml(text: str, wanted: dict[str, Any]) -> dict[Place, Position]:
    found: dict[Place, Position] = {}
    around: list[_Collection] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            around.pop()
        elif isinstance(event, yaml.NodeEvent):
            place: Place = ()
            inner = wanted
            if around:
                collection = around[-1]
                if collection.index is None and collection.key is None:
                    collection.key = event.value if isinstance(event, yaml.ScalarEvent) else ""
                    if collection.key in collection.wanted:
                        found[(*collection.place, collection.key)] = position(event)
                    continue
                place, inner = _next(collection)
                if collection.index is not None and place[-1] in collection.wanted:
                    found[place] = position(event)
            if isinstance(event, yaml.CollectionStartEvent):
                around.append(_Collection(place, inner, 0 if isinstance(event, yaml.SequenceStartEvent) else None))
    return found


def _next(collection: _Collection) -> tuple[Place, dict[str, Any]]:
    """Where the value that comes now is, and what is wanted of it."""
    if collection.index is None:
        step, collection.key = collection.key or "", None
    else:
        step = str(collection.index)
        collection.index += 1
    return (*collection.place, step), collection.wanted.get(step, {})


def position(event: yaml.Event) -> Position:
    """Where what the parser tells of begins."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)

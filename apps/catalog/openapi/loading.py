"""From bytes to plain JSON values: bounded in bytes, parts and depth before anything is built of them."""

import json
import math
from collections.abc import Mapping
from typing import Any

from apps.catalog.openapi.findings import DocumentRefused, Place
from apps.catalog.openapi.positions import is_json
from apps.catalog.openapi.yaml_values import DEEPEST, MOST_NODES, NOT_TEXT, load_yaml

LARGEST = 5 * 2**20
"""Bytes of a document."""


def decode(content: bytes) -> str:
    """The document's text."""
    if len(content) > LARGEST:
        raise DocumentRefused(f"The document is larger than {LARGEST // 2**20} MiB.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentRefused(f"The document is not UTF-8 text (byte {error.start}).") from None


def load(text: str) -> dict[str, Any]:
    """The document in ``text``, JSON or YAML."""
    loaded = _load_json(text) if is_json(text) else load_yaml(text)
    if not isinstance(loaded, dict):
        raise DocumentRefused("The document is not an object with fields like openapi, info and paths.")
    return loaded


def version_of(document: Mapping[str, Any]) -> str:
    """Like 3.1.0 or 2.0; a number is what YAML makes of a version without quotes."""
    found = document.get("openapi", document.get("swagger"))
    return str(found) if isinstance(found, str | float | int) and not isinstance(found, bool) else ""


def _load_json(text: str) -> Any:
    try:
        loaded = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DocumentRefused(f"This is not JSON: {error.msg}.", (), error.lineno, error.colno) from None
    except RecursionError:
        raise DocumentRefused(f"The document is nested deeper than {DEEPEST} levels.") from None
    except ValueError as error:
        raise DocumentRefused(f"This is not JSON: {error}.") from None
    _check(loaded)
    return loaded


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _check(document: Any) -> None:
    """Refuse what a database can't hold, and what is too deep or has too many parts."""
    count = 0

    def check(value: Any, place: Place) -> None:
        nonlocal count
        count += 1
        if count > MOST_NODES:
            raise DocumentRefused(f"The document has more than {MOST_NODES:,} parts.")
        if len(place) > DEEPEST:
            raise DocumentRefused(f"The document is nested deeper than {DEEPEST} levels.", place[:6])
        if isinstance(value, dict):
            for key, item in value.items():
                if NOT_TEXT.search(key):
                    raise DocumentRefused(
                        "The name of a field holds characters that are none (NUL, or half of a pair).", place
                    )
                check(item, (*place, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                check(item, (*place, str(index)))
        elif isinstance(value, str):
            if NOT_TEXT.search(value):
                raise DocumentRefused("This text holds characters that are none (NUL, or half of a pair).", place)
        elif isinstance(value, float) and not math.isfinite(value):
            raise DocumentRefused("This is a number larger than JSON's readers know.", place)

    check(document, ())

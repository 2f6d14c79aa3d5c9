"""Places in a document, for people, and what refuses one."""

import re
from typing import Any
from urllib.parse import unquote

LONGEST_ERROR = 300

_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")


class DocumentRefused(Exception):
    """Why a document can't be imported: one or more sentences."""


def at(place: tuple[str, ...]) -> str:
    """``paths./items.get``: how a place is written."""
    return short(".".join(map(short, place))) or "The document"


def short(text: str) -> str:
    """``text``, cut where a document would fill the page with itself."""
    return text if len(text) <= LONGEST_ERROR else text[:LONGEST_ERROR] + "…"


def target(document: dict[str, Any], reference: str) -> Any:
    """What ``#/a/b`` names (RFC 6901 §6), or ``None``."""
    found: Any = document
    for step in reference[2:].split("/"):
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and _INDEX.match(key) and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict):
            found = found.get(key)
        else:
            return None
    return found

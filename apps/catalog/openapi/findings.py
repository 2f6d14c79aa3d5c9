"""What is wrong in a document, and where: a fault that refuses it, or a warning that is kept with it."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

LONGEST_ERROR = 300
LONGEST_QUOTATION = 100

Place = tuple[str, ...]
"""The names and indexes that lead to a value, from the document down."""

_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")


@dataclass(frozen=True)
class Finding:
    """One sentence about the value at ``place``; ``line`` and ``column`` count from 1 and are ``None`` where there is no text."""

    message: str
    place: Place = ()
    line: int | None = None
    column: int | None = None

    @property
    def pointer(self) -> str:
        """``#/paths/~1items/get``: a JSON Pointer as a fragment's text (RFC 6901), cut where it would fill the page."""
        return short("#" + "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in self.place))

    def __str__(self) -> str:
        where = [] if self.line is None else [f"line {self.line}, column {self.column}"]
        where += [self.pointer] if self.place else []
        sentence = short(self.message)
        return f"{sentence.removesuffix('.')} ({', '.join(where)})." if where else sentence

    def as_json(self) -> dict[str, Any]:
        """As the console and REST clients get it."""
        return {"message": short(self.message), "pointer": self.pointer, "line": self.line, "column": self.column}


class DocumentRefused(Exception):
    """Why a document can't be imported."""

    def __init__(self, message: str, place: Place = (), line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(message, place, line, column)


def short(text: str) -> str:
    """``text``, cut where a document would fill the page with itself."""
    return text if len(text) <= LONGEST_ERROR else text[:LONGEST_ERROR] + "…"


def quoted(text: str) -> str:
    """``text`` of the document's, in a sentence that goes on."""
    return repr(text if len(text) <= LONGEST_QUOTATION else text[:LONGEST_QUOTATION] + "…")


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

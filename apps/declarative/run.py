"""One run over a declarative file: what it changed so far, and what the file named."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError

from apps.catalog.document import differences
from apps.catalog.openapi import Description
from apps.declarative.entries import FileEntry, blaming
from apps.declarative.reader import FileSource
from apps.tenants.services import HashedPassword


@dataclass
class FileRun:
    """One run over a file: the lines so far, and what of each kind the file named. ``passwords`` are those of users, by address,
    that have another now, ``documents`` the OpenAPI documents of APIs, by slug, that have another.
    """

    source: FileSource
    lines: list[str] = field(default_factory=list)
    named: dict[str, set[Any]] = field(default_factory=dict)
    passwords: dict[str, HashedPassword] = field(default_factory=dict)
    documents: dict[str, Description] = field(default_factory=dict)

    def blaming(
        self, entry: FileEntry, rename: Callable[[ValidationError], ValidationError] | None = None
    ) -> AbstractContextManager[None]:
        """Errors of services name this entry's lines."""
        return blaming(self.source, entry.path, rename)

    def read(self, entry: FileEntry, reader: Callable[[object], Any]) -> Any:
        with self.blaming(entry):
            return reader(entry.data)

    def once(self, entry: FileEntry, kind: str, name: Any) -> None:
        """Note that the file names this object. Raises ``FileError`` when it did so before."""
        known = self.named.setdefault(kind, set())
        if name in known:
            raise self.source.refuse(entry.path, f"this {kind} stands in the file twice")
        known.add(name)

    def added(self, kind: str, name: str) -> None:
        self.lines.append(f"+ {kind} {name}")

    def removed(self, kind: str, name: str) -> None:
        self.lines.append(f"- {kind} {name}")

    def changed(self, kind: str, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        pairs = differences(before, after)
        if pairs:
            said = ", ".join(f"{path} {shown(old)} → {shown(new)}" for path, (old, new) in pairs.items())
            self.lines.append(f"~ {kind} {name}: {said}")

    def find(self, entry: FileEntry, word: str, rows: Any, what: str) -> Any:
        """The one row of ``rows``. Raises ``FileError`` at ``word`` when there is none."""
        row = rows.first()
        if row is None:
            raise self.source.refuse((*entry.path, word), f"there is no {what}")
        return row

    def from_environment(self, entry: FileEntry, variable: str | None, word: str) -> str | None:
        """The value of the environment variable that the file names. Raises ``FileError`` when it isn't set."""
        if variable is None:
            return None
        value = os.environ.get(variable)
        if not value:
            raise self.source.refuse((*entry.path, word), f"the environment variable {variable} is not set")
        return value


def shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)
    return " ".join(text.split()) or "empty"

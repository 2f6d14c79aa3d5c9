"""What a setting of a row is: declared once, beside its column. The declarative file, the REST API, the console's form, the
checks and the compiler go by that declaration.

The rooms that have settings (cache policies, APIs) add kinds of their own, and what else a setting says there.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple, TypeVar

from django.db import models

from apps.foundation import field_names

LONGEST = 366 * 86400.0
"""Seconds that a duration may be set to at most, where its setting says nothing else."""

Check = Callable[[Any], Any]
"""Returns a stored value in the form in which it is kept. Raises ``ValueError`` with a sentence, or ``ValidationError`` by path
for what is inside the value.
"""


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, eq=False)
class Kind:
    """A type of setting: how its value is read and written in the file, checked, and compiled for gateways. REST and the
    console have a field for each kind.
    """

    read: field_names.Reader
    write: Callable[[Any], Any] = _same
    check: Check = _same
    compiled: Callable[[Any], Any] = _same


@dataclass(frozen=True)
class Between:
    """A check of a number's bounds, both of them allowed."""

    least: float
    most: float
    refusal: str

    def __call__(self, value: Any) -> Any:
        """The number. Raises ``ValueError``."""
        if isinstance(value, int | float) and self.least <= value <= self.most:
            return value
        raise ValueError(self.refusal)


SWITCH = Kind(field_names.boolean)
CHOICE = Kind(field_names.text, str)
"""One of the column's choices."""
COUNT = Kind(field_names.integer)
DURATION = Kind(field_names.duration, field_names.duration_text, Between(0, LONGEST, "Between 0 and 366 days."))
"""In seconds."""


F = TypeVar("F", bound="models.Field[Any, Any]")


@dataclass(eq=False)
class Setting:
    """A setting. A column that may be null has "none" as a value of its own."""

    kind: Kind
    group: enum.Enum
    """Where in the console it stands."""
    label: str
    """What the form calls it."""
    _: KW_ONLY
    column: "models.Field[Any, Any]" = field(init=False)
    help: str = ""
    """One line beside the form's field."""
    description: str = ""
    """What the REST API's schema says of it."""
    anchor: str = ""
    """Its place on the console's help page."""
    placeholder: str = ""
    word: str = ""
    """Where it stands in the file's object (``limits.size``), where that isn't the column's name."""
    own_check: Check | None = None
    """In place of the kind's."""
    left_out: bool = False
    """Whether documents leave it out where it is empty."""

    @property
    def name(self) -> str:
        """Of the column, of the form's field, and of what gateways get."""
        return self.column.name

    @property
    def path(self) -> str:
        """Where it stands in the file's object."""
        return self.word or self.name

    @property
    def values(self) -> list[str]:
        """What a choice may be."""
        return [str(value) for value, _ in self.column.flatchoices]

    def read(self, value: object) -> Any:
        """A value of the file as it is stored. Raises ``ValueError`` or ``ValidationError``, as readers do."""
        if value is None and self.column.null:
            return None
        return (field_names.one_of(self.values) if self.kind is CHOICE else self.kind.read)(value)

    def write(self, value: Any) -> Any:
        """A stored value as the file has it; ``None`` for none."""
        return None if value is None else self.kind.write(value)

    @property
    def check(self) -> Check:
        """What its values are checked by, other than none."""
        return self.own_check or self.kind.check

    def checked(self, value: Any) -> Any:
        """A stored value in the form in which it is kept. Raises ``ValueError`` or ``ValidationError``."""
        return None if value is None and self.column.null else self.check(value)

    def compiled(self, value: Any) -> Any:
        """A stored value as gateways get it."""
        return None if value is None else self.kind.compiled(value)

    def of(self, column: F) -> F:
        """``column``, which this setting is kept in."""
        self.column = column
        column.setting = self  # type: ignore[attr-defined]
        return column


def settings_in(model: type[models.Model]) -> Mapping[str, Any]:
    """The settings among the columns of ``model``, by name."""
    return {column.name: column.setting for column in model._meta.concrete_fields if hasattr(column, "setting")}


class Word(NamedTuple):
    """Where a field stands in the file (``query.mode``), its reader, its writer, and whether it is left out where it is empty."""

    path: str
    reader: field_names.Reader
    write: Callable[[Any], Any] = _same
    left_out: bool = False


def word_of(setting: Setting) -> Word:
    """How the declarative file names, reads and writes a setting."""
    return Word(setting.path, setting.read, setting.write, setting.left_out)


def readers(words: Mapping[str, Word]) -> dict[str, field_names.Reader]:
    """The readers of an object that has these fields, with one for each object inside it."""
    table: dict[str, field_names.Reader] = {}
    inner: dict[str, dict[str, field_names.Reader]] = {}
    for word in words.values():
        head, dot, tail = word.path.partition(".")
        if dot:
            inner.setdefault(head, {})[tail] = word.reader
        else:
            table[head] = word.reader
    for head, inside in inner.items():
        table[head] = lambda value, inside=inside: field_names.read(value, inside)  # type: ignore[misc]
    return table


def flat(found: Mapping[str, Any], words: Mapping[str, Word]) -> dict[str, Any]:
    """By field what was read by word; objects inside give what they name."""
    fields: dict[str, Any] = {}
    for name, word in words.items():
        head, dot, tail = word.path.partition(".")
        if not dot and head in found:
            fields[name] = found[head]
        elif dot and tail in found.get(head, ()):
            fields[name] = found[head][tail]
    return fields


def nested(values: Mapping[str, Any], words: Mapping[str, Word]) -> dict[str, Any]:
    """By word what stands there by field; ``None`` is left out, as it is what an absent word means."""
    document: dict[str, Any] = {}
    for name, word in words.items():
        if name not in values or (said := word.write(values[name])) is None:
            continue
        head, dot, tail = word.path.partition(".")
        if dot:
            document.setdefault(head, {})[tail] = said
        else:
            document[head] = said
    return document

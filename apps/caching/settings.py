"""What a setting of a cache policy is. Each is declared once, beside its column in ``models``; the declarative file, the REST
API, the console's form, the checks and the compiler go by that declaration.
"""

import enum
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from apps.foundation import field_names
from apps.httpcache.entity_tags import MOST_PATHS, refusal_of
from apps.httpcache.policy import NO_STORE, PASS, PRIVATE

LONGEST = 366 * 86400.0
"""Seconds that a lifetime may be set to at most."""
MOST_NAMES = 64
CACHEABLE = ("GET", "HEAD", "POST", "QUERY")
DEFAULT_METHODS = ("GET", "HEAD")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")

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


class SettingGroup(enum.Enum):
    """Where in the policy editor a setting stands: in the sentences, or below one of these headings."""

    SENTENCES = ""
    KEYS = "Keys"
    LIFETIMES = "Lifetimes"
    LIMITS = "Limits"
    DOWNSTREAM = "Downstream"
    ENTITY_TAGS = "Entity tags"
    CREDENTIALS = "Cookies and credentials"


@dataclass(frozen=True)
class Between:
    """A check of a number's bounds, both of them allowed."""

    least: float
    most: float
    refusal: str

    def __call__(self, value: Any) -> Any:
        """The number. Raises ``ValueError``."""
        if isinstance(value, int | float) and math.isfinite(value) and self.least <= value <= self.most:
            return value
        raise ValueError(self.refusal)


def _read_downstream(value: object) -> str:
    if value in (PASS, PRIVATE, NO_STORE):
        return str(value)
    try:
        seconds = field_names.duration(value)
    except ValueError:
        raise ValueError("Expected pass, private, no-store or a duration like 60s.") from None
    if not seconds.is_integer():
        raise ValueError("Whole seconds: max-age knows no others.")
    return f"{seconds:.0f}"


def _write_downstream(value: str) -> str:
    return field_names.duration_text(float(value)) if value.isdecimal() else value


def _check_downstream(value: str) -> str:
    if value in (PASS, PRIVATE, NO_STORE) or (value.isdecimal() and int(value) <= LONGEST):
        return value
    raise ValueError("pass, private, no-store, or a lifetime up to 366 days.")


_ENTITY_TAG: dict[str, field_names.Reader] = {"json": field_names.text, "tag": field_names.text}


def _read_entity_tag(value: object) -> dict[str, str]:
    found = field_names.read(value, _ENTITY_TAG)
    if missing := _ENTITY_TAG.keys() - found.keys():
        raise ValueError(f"An entity tag has json and tag; {' and '.join(sorted(missing))} is missing.")
    return {word: found[word] for word in _ENTITY_TAG}


def _check_entity_tags(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("A list of objects with json, a path, and tag, a prefix.")
    if len(value) > MOST_PATHS:
        raise ValueError(f"At most {MOST_PATHS} paths.")
    refused = [refusal_of(each.get("json"), each.get("tag")) for each in value]
    if errors := {str(index): [refusal] for index, refusal in enumerate(refused) if refusal is not None}:
        raise ValidationError(dict(errors))
    return value


def _names(value: Any, refusal: str, fits: Callable[[str], object]) -> list[str]:
    """A list of names, each of which ``fits``. Raises ``ValueError``."""
    if not isinstance(value, list) or not all(isinstance(name, str) and fits(name) for name in value):
        raise ValueError(refusal)
    return value


def _not_too_many(names: list[str]) -> list[str]:
    if len(names) > MOST_NAMES:
        raise ValueError(f"At most {MOST_NAMES} names.")
    return names


def check_parameters(value: Any) -> list[str]:
    """Names of query parameters."""
    refusal = "A list of names of query parameters."
    return _not_too_many(_names(value, refusal, lambda name: 0 < len(name) <= 200))


def check_headers(value: Any) -> list[str]:
    """Names of request headers, in the form in which the core reads them."""
    names = _names(value, "A list of names of request headers.", _TOKEN.match)
    return _not_too_many(sorted({name.lower() for name in names}))


def _check_methods(value: Any) -> list[str]:
    methods = _names(value, "A list of methods.", lambda _: True)
    if unknown := [method for method in methods if method not in CACHEABLE]:
        known = f"{', '.join(CACHEABLE[:-1])} and {CACHEABLE[-1]}"
        raise ValueError(f"Only {known} can be cached, not {', '.join(unknown)}.")
    return _not_too_many(methods)


SWITCH = Kind(field_names.boolean)
CHOICE = Kind(field_names.text, str)
"""One of the column's choices."""
COUNT = Kind(field_names.integer)
RATIO = Kind(field_names.number)
"""Between 0 and 1; the console shows percent."""
DURATION = Kind(field_names.duration, field_names.duration_text, Between(0, LONGEST, "Between 0 and 366 days."))
"""In seconds."""
SIZE = Kind(field_names.size, field_names.size_text)
"""In bytes."""
NAMES = Kind(field_names.many(field_names.text), list, compiled=tuple)
METHODS = Kind(
    field_names.many(field_names.text), list, _check_methods, lambda methods: tuple(methods) or DEFAULT_METHODS
)
ENTITY_TAGS = Kind(
    field_names.many(_read_entity_tag),
    list,
    _check_entity_tags,
    lambda listed: tuple((each["json"], each["tag"]) for each in listed),
)
DOWNSTREAM = Kind(_read_downstream, _write_downstream, _check_downstream)


F = TypeVar("F", bound="models.Field[Any, Any]")


@dataclass(eq=False)
class Setting:
    """A setting of a cache policy. A column that may be null has "none" as a value of its own."""

    kind: Kind
    group: SettingGroup
    label: str
    """What the form calls it."""
    _: KW_ONLY
    column: "models.Field[Any, Any]" = field(init=False)
    help: str = ""
    """One line beside the form's field, and in the REST API's schema unless ``description`` has another."""
    description: str = ""
    anchor: str = ""
    """Its place on the console's help page."""
    placeholder: str = ""
    word: str = ""
    """Where it stands in the file's ``cache`` object (``limits.size``), where that isn't the column's name."""
    own_check: Check | None = None
    """In place of the kind's."""
    of_operation: bool = True
    """Whether an operation's policy may have another value than the API's."""
    left_out: bool = False
    """Whether documents leave it out where it is empty."""
    decisive: bool = True
    """Whether it decides what is stored, for how long or for whom: a change then ends what was stored before it."""
    sentence: str = ""
    """What the console says of it where it isn't the default; ``{}`` is its value."""

    @property
    def name(self) -> str:
        """Of the column, of the form's field, and of the compiled policy's."""
        return self.column.name

    @property
    def path(self) -> str:
        """Where it stands in the ``cache`` object."""
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


def settings_in(model: type[models.Model]) -> Mapping[str, Setting]:
    """The settings among the columns of ``model``, by name."""
    return {column.name: column.setting for column in model._meta.concrete_fields if hasattr(column, "setting")}

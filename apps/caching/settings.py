"""What a setting of a cache policy is, beyond what any setting is (``foundation.declared_settings``). Each is declared beside its
column in ``models``.
"""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from apps.foundation import declared_settings, field_names
from apps.foundation.declared_settings import CHOICE, COUNT, DURATION, LONGEST, SWITCH, Between, Kind, settings_in
from apps.httpcache.entity_tags import MOST_PATHS, refusal_of
from apps.httpcache.policy import NO_STORE, PASS, PRIVATE

__all__ = [
    "CHOICE",
    "COUNT",
    "DOWNSTREAM",
    "DURATION",
    "ENTITY_TAGS",
    "METHODS",
    "NAMES",
    "RATIO",
    "SIZE",
    "SWITCH",
    "Between",
    "Kind",
    "PolicySetting",
    "SettingGroup",
    "settings_in",
]

MOST_NAMES = 64
CACHEABLE = ("GET", "HEAD", "POST", "QUERY")
DEFAULT_METHODS = ("GET", "HEAD")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class SettingGroup(enum.Enum):
    """Where in the policy editor a setting stands: in the sentences, or below one of these headings."""

    SENTENCES = ""
    KEYS = "Keys"
    LIFETIMES = "Lifetimes"
    LIMITS = "Limits"
    DOWNSTREAM = "Downstream"
    ENTITY_TAGS = "Entity tags"
    CREDENTIALS = "Cookies and credentials"


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


RATIO = Kind(field_names.number)
"""Between 0 and 1; the console shows percent."""
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


@dataclass(eq=False, kw_only=True)
class PolicySetting(declared_settings.Setting):
    """A setting of a cache policy. The REST API's schema says ``help`` where it has no ``description``; the file's object is
    ``cache``.
    """

    of_operation: bool = True
    """Whether an operation's policy may have another value than the API's."""
    decisive: bool = True
    """Whether it decides what is stored, for how long or for whom: a change then ends what was stored before it."""
    sentence: str = ""
    """What the console says of it where it isn't the default; ``{}`` is its value."""

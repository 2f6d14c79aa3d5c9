"""A cache policy in the declarative file's words, both ways: the settings as they are declared, and policies of operations."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from apps.caching.models import POLICY_FIELDS, SETTINGS, CachePolicy
from apps.caching.settings import DEFAULT_METHODS
from apps.caching.warm_up import read_warm_up
from apps.foundation import field_names
from apps.foundation.declared_settings import Word, flat, nested, readers, word_of

PolicyFields = dict[str, Any]
"""Fields of a cache policy by name (``models.POLICY_FIELDS``); durations in seconds, sizes in bytes."""


sensitivity = SETTINGS["sensitivity"].read

_CACHE_SETTINGS = [setting for setting in SETTINGS.values() if setting.name != "sensitivity"]

#: field -> its word; those that an operation's policy may have, and so not ``operations`` itself
_SHARED: dict[str, Word] = {each.name: word_of(each) for each in _CACHE_SETTINGS if each.of_operation}


def read_operation(data: object) -> dict[str, Any]:
    """One of ``operations``: its ``path``, and by field what it says otherwise than the API's policy."""
    found = field_names.read(data, _OPERATION)
    if "path" not in found:
        raise ValidationError({"path": ["This is needed: a pattern like /items/{id}."]})
    return {"path": found["path"]} | flat(found, _SHARED)


_OF_API: dict[str, Word] = {each.name: word_of(each) for each in _CACHE_SETTINGS if not each.of_operation} | {
    "operations": Word(
        "operations", field_names.many(read_operation), lambda listed: [*map(operation_document, listed)], left_out=True
    ),
    "warm_up": Word("warm_up", read_warm_up, left_out=True),
}
_FIELDS: dict[str, Word] = _SHARED | _OF_API

#: where the field of the model is not the word of the file
WORDS = {field: word.path for field, word in _FIELDS.items() if word.path != field}


OPERATION_FIELDS = frozenset(_SHARED) | {"path"}
"""What one of ``operations`` may have. Sensitivity is the API's alone: an operation can't widen it."""

_CACHE = readers(_FIELDS)
_OPERATION = readers(_SHARED) | {"path": field_names.text}


def operation_document(operation: Mapping[str, Any]) -> dict[str, Any]:
    """One of ``operations`` as it is written. "No value" is said here where the API has one."""
    unset = {field: None for field in _SHARED if operation.get(field, 0) is None}
    return {"path": operation["path"]} | nested(operation, _FIELDS) | unset


def read_policy(data: object) -> PolicyFields:
    """The fields that ``data`` names; an object inside it (``query``, ``limits``, ``downstream``) is meant whole. Raises
    ``ValidationError`` by path; ``sensitivity`` may stand in it too."""
    found = field_names.read(data, _CACHE | {"sensitivity": sensitivity})
    fields = flat(found, _FIELDS)
    fresh = CachePolicy()
    for field, word in _FIELDS.items():
        head, dot, _ = word.path.partition(".")
        if dot and head in found and field not in fields:
            fields[field] = getattr(fresh, field)
    if "sensitivity" in found:
        fields["sensitivity"] = found["sensitivity"]
    return fields


def default_fields() -> PolicyFields:
    """Every field but sensitivity, with its default."""
    fresh = CachePolicy()
    return {name: getattr(fresh, name) for name in POLICY_FIELDS - {"sensitivity"}}


def cache_document(policy: CachePolicy) -> dict[str, Any]:
    """The ``cache`` object of an API's document. Lists and objects that say nothing are left out where they are rare."""
    fields = {name: getattr(policy, name) for name in _FIELDS}
    fields["methods"] = policy.methods or list(DEFAULT_METHODS)
    return nested({name: value for name, value in fields.items() if value or not _FIELDS[name].left_out}, _FIELDS)


def policy_document(policy: CachePolicy) -> dict[str, Any]:
    """A whole policy on its own, its sensitivity too."""
    return cache_document(policy) | {"sensitivity": str(policy.sensitivity)}


def in_words(errors: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Errors by model field, under the words of the file; those of an operation's field (``operations.0.query_mode``) too."""
    renamed: dict[str, list[str]] = {}
    for field, messages in errors.items():
        head, _, last = field.rpartition(".")
        word = WORDS.get(last, last)
        renamed[f"{head}.{word}" if head else word] = messages
    return renamed

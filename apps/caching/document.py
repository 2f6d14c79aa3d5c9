"""A cache policy in the declarative file's words, both ways.

One table says of each field where it stands in the ``cache`` object, how it is read and how it is written.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypedDict, cast

from django.core.exceptions import ValidationError

from apps import words
from apps.caching.choices import (
    BodyKey,
    CacheMode,
    ClientDirectives,
    QueryMode,
    Scope,
    Sensitivity,
    SurrogateControl,
)
from apps.caching.http.policy import NO_STORE, PASS, PRIVATE
from apps.caching.models import CachePolicy
from apps.caching.warm_up import read_warm_up


class PolicyFields(TypedDict, total=False):
    """Fields of a cache policy; durations in seconds, sizes in bytes."""

    mode: str
    ttl: float
    stale_while_revalidate: float
    stale_if_error: float | None
    negative_ttl: float | None
    jitter: float
    methods: list[str]
    body: str
    query_mode: str
    query_names: list[str]
    query_sorted: bool
    headers: list[str]
    scope: str
    share_with_credentials: bool
    client_directives: str
    store_set_cookie: bool
    origin_stale_beside_s_maxage: bool
    max_body: int
    max_variants: int
    max_size: int | None
    entity_tags: list[dict[str, str]]
    collections: bool
    downstream: str
    surrogate_control: str
    operations: list[dict[str, Any]]
    warm_up: dict[str, Any]
    sensitivity: str


class _Word(NamedTuple):
    """Where a field stands (``query.mode``), its reader, and its writer."""

    path: str
    reader: words.Reader
    write: Callable[[Any], Any] = lambda value: value


def _unless_none(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else write(value)


def _downstream(value: object) -> str:
    if value in (PASS, PRIVATE, NO_STORE):
        return str(value)
    try:
        seconds = words.duration(value)
    except ValueError:
        raise ValueError("Expected pass, private, no-store or a duration like 60s.") from None
    if not seconds.is_integer():
        raise ValueError("Whole seconds: max-age knows no others.")
    return f"{seconds:.0f}"


def _downstream_text(value: str) -> str:
    return words.duration_text(float(value)) if value.isdecimal() else value


_ENTITY_TAG: dict[str, words.Reader] = {"json": words.text, "tag": words.text}


def _entity_tag(value: object) -> dict[str, str]:
    found = words.read(value, _ENTITY_TAG)
    if missing := _ENTITY_TAG.keys() - found.keys():
        raise ValueError(f"An entity tag has json and tag; {' and '.join(sorted(missing))} is missing.")
    return {word: found[word] for word in _ENTITY_TAG}


#: field -> its word; those that an operation's policy may have, and so not ``operations`` itself
_SHARED: dict[str, _Word] = {
    "mode": _Word("mode", words.one_of(CacheMode.values), str),
    "ttl": _Word("ttl", words.duration, words.duration_text),
    "stale_while_revalidate": _Word("stale_while_revalidate", words.duration, words.duration_text),
    "stale_if_error": _Word("stale_if_error", words.optional(words.duration), _unless_none(words.duration_text)),
    "negative_ttl": _Word("negative_ttl", words.optional(words.duration), _unless_none(words.duration_text)),
    "jitter": _Word("jitter", words.number),
    "methods": _Word("methods", words.many(words.text), list),
    "body": _Word("body", words.one_of(BodyKey.values), str),
    "query_mode": _Word("query.mode", words.one_of(QueryMode.values), str),
    "query_names": _Word("query.names", words.many(words.text), list),
    "query_sorted": _Word("query.sorted", words.boolean),
    "headers": _Word("headers", words.many(words.text), list),
    "scope": _Word("scope", words.one_of(Scope.values), str),
    "share_with_credentials": _Word("share_with_credentials", words.boolean),
    "client_directives": _Word("client_directives", words.one_of(ClientDirectives.values), str),
    "store_set_cookie": _Word("store_set_cookie", words.boolean),
    "origin_stale_beside_s_maxage": _Word("origin_stale_beside_s_maxage", words.boolean),
    "max_body": _Word("limits.body", words.size, words.size_text),
    "max_variants": _Word("limits.variants", words.integer),
    "entity_tags": _Word("entity_tags", words.many(_entity_tag), list),
    "collections": _Word("collections", words.boolean),
    "downstream": _Word("downstream.cache_control", _downstream, _downstream_text),
    "surrogate_control": _Word("downstream.surrogate_control", words.one_of(SurrogateControl.values), str),
}


def read_operation(data: object) -> dict[str, Any]:
    """One of ``operations``: its ``path``, and by field what it says otherwise than the API's policy."""
    found = words.read(data, _OPERATION)
    if "path" not in found:
        raise ValidationError({"path": ["This is needed: a pattern like /items/{id}."]})
    return {"path": found["path"]} | _flat(found, _SHARED)


_OF_API: dict[str, _Word] = {
    "max_size": _Word("limits.size", words.optional(words.size), _unless_none(words.size_text)),
    "operations": _Word("operations", words.many(read_operation), lambda listed: [*map(operation_document, listed)]),
    "warm_up": _Word("warm_up", read_warm_up),
}
_FIELDS: dict[str, _Word] = _SHARED | _OF_API

#: where the field of the model is not the word of the file
WORDS = {field: word.path for field, word in _FIELDS.items() if word.path != field}

sensitivity = words.one_of(Sensitivity.values)

DEFAULT_METHODS = ["GET", "HEAD"]


def _table(fields: Mapping[str, _Word]) -> dict[str, words.Reader]:
    """The readers of an object that has these fields, with one for each object inside it."""
    table: dict[str, words.Reader] = {}
    inner: dict[str, dict[str, words.Reader]] = {}
    for word in fields.values():
        head, dot, tail = word.path.partition(".")
        if dot:
            inner.setdefault(head, {})[tail] = word.reader
        else:
            table[head] = word.reader
    for head, readers in inner.items():
        table[head] = lambda value, readers=readers: words.read(value, readers)  # type: ignore[misc]
    return table


OPERATION_FIELDS = frozenset(_SHARED) | {"path"}
"""What one of ``operations`` may have. Sensitivity is the API's alone: an operation can't widen it."""

_CACHE = _table(_FIELDS)
_OPERATION = _table(_SHARED) | {"path": words.text}


def _flat(found: dict[str, Any], fields: Mapping[str, _Word]) -> dict[str, Any]:
    """By field what was read by word; objects inside give what they name."""
    flat: dict[str, Any] = {}
    for field, word in fields.items():
        head, dot, tail = word.path.partition(".")
        if not dot and head in found:
            flat[field] = found[head]
        elif dot and tail in found.get(head, ()):
            flat[field] = found[head][tail]
    return flat


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """By word what stands there by field; ``None`` is left out, as it is what an absent word means."""
    document: dict[str, Any] = {}
    for field, word in _FIELDS.items():
        if field not in values or (said := word.write(values[field])) is None:
            continue
        head, dot, tail = word.path.partition(".")
        if dot:
            document.setdefault(head, {})[tail] = said
        else:
            document[head] = said
    return document


def operation_document(operation: Mapping[str, Any]) -> dict[str, Any]:
    """One of ``operations`` as it is written. "No value" is said here where the API has one."""
    unset = {field: None for field in ("stale_if_error", "negative_ttl") if operation.get(field, 0) is None}
    return {"path": operation["path"]} | _nested(operation) | unset


def read_policy(data: object) -> PolicyFields:
    """The fields that ``data`` names; an object inside it (``query``, ``limits``, ``downstream``) is meant whole. Raises
    ``ValidationError`` by path; ``sensitivity`` may stand in it too."""
    found = words.read(data, _CACHE | {"sensitivity": sensitivity})
    flat = _flat(found, _FIELDS)
    fresh = CachePolicy()
    for field, word in _FIELDS.items():
        head, dot, _ = word.path.partition(".")
        if dot and head in found and field not in flat:
            flat[field] = getattr(fresh, field)
    if "sensitivity" in found:
        flat["sensitivity"] = found["sensitivity"]
    return cast(PolicyFields, flat)


def default_fields() -> dict[str, Any]:
    """Every field but sensitivity, with its default."""
    fresh = CachePolicy()
    return {name: getattr(fresh, name) for name in PolicyFields.__annotations__ if name != "sensitivity"}


def cache_document(policy: CachePolicy) -> dict[str, Any]:
    """The ``cache`` object of an API's document. Lists and objects that say nothing are left out where they are rare."""
    document = _nested({field: getattr(policy, field) for field in _FIELDS})
    document["methods"] = policy.methods or list(DEFAULT_METHODS)
    for word in ("entity_tags", "operations", "warm_up"):
        if not document[word]:
            del document[word]
    if not policy.query_names:
        del document["query"]["names"]
    if not policy.query_sorted:
        del document["query"]["sorted"]
    return document


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

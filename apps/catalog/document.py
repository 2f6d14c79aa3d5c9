"""An API in the declarative file's words, both ways: what revisions keep, what export writes, what apply and REST read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

from django.core.exceptions import ValidationError

from apps.caching.document import PolicyFields, cache_document, default_fields, in_words, read_policy, sensitivity
from apps.caching.models import CachePolicy
from apps.catalog.choices import SERVED, APIState
from apps.catalog.models import API, SETTINGS, OpenAPIDocument, Operation, Upstream
from apps.foundation import field_names
from apps.foundation.declared_settings import Word, flat, nested, readers, word_of

T = TypeVar("T")

_RULES = ("request_headers", "response_headers")

#: stands for a value that the reader may not see
HIDDEN = "(hidden)"


class UpstreamFields(TypedDict, total=False):
    """One upstream; ``weight`` is 1 unless said. ``ca``: certificates in PEM that alone vouch for it; absent: the usual ones."""

    url: str
    weight: int
    ca: str


class OperationFields(TypedDict, total=False):
    """One operation, as the model has it."""

    method: str
    path: str
    operation_id: str
    summary: str
    description: str
    deprecated: bool
    parameters: list[dict[str, Any]]


def _parameter(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("Expected an OpenAPI parameter object.")
    return value


_OPERATION: dict[str, field_names.Reader] = {
    "method": field_names.text,
    "path": field_names.text,
    "operation_id": field_names.text,
    "summary": field_names.text,
    "description": field_names.text,
    "deprecated": field_names.boolean,
    "parameters": field_names.many(_parameter),
}


def read_operations(value: object) -> list[OperationFields]:
    """The ``operations`` of an entry of the declarative file. Raises ``ValidationError`` by path, or ``ValueError``."""
    found: list[OperationFields] = field_names.many(lambda each: field_names.read(each, _OPERATION), 2000)(value)
    return found


APIFields = dict[str, Any]
"""Settings of an API by name (``models.SETTINGS``); durations in seconds, sizes in bytes."""


@dataclass
class Parsed:
    """What a document says of an API, as ``api_create`` and ``api_update`` take it; ``None``: it doesn't say."""

    fields: APIFields
    upstreams: list[UpstreamFields] | None = None
    policy: PolicyFields | None = None
    published: bool | None = None
    deprecated: bool | None = None


_UPSTREAM: dict[str, field_names.Reader] = {
    "url": field_names.text,
    "weight": field_names.integer,
    "ca": field_names.text,
}
_HEALTH: dict[str, field_names.Reader] = {"active": field_names.off, "passive": field_names.off}

_WORDS: dict[str, Word] = {name: word_of(setting) for name, setting in SETTINGS.items()}

_BEHIND = {
    "host_header": ("upstreams",),
    "concurrency": ("breaker", "health"),
    "body_limit": ("cache", "sensitivity"),
    "response_headers": ("published", "deprecated"),
}
"""Where in a document stands what is no setting of the API itself."""

#: what a service calls a field -> what the document calls it
WORDS = {name: word.path for name, word in _WORDS.items() if word.path != name}


def _in_place(settings: Mapping[str, T], others: Mapping[str, T]) -> dict[str, T]:
    """What stands in a document by word, in its order."""
    ordered: dict[str, T] = {}
    for word, value in settings.items():
        ordered[word] = value
        ordered |= {other: others[other] for other in _BEHIND.get(word, ()) if other in others}
    return ordered


_API: dict[str, field_names.Reader] = _in_place(
    readers(_WORDS),
    {
        "upstreams": field_names.many(lambda value: field_names.read(value, _UPSTREAM)),
        "breaker": field_names.off,
        "health": lambda value: field_names.read(value, _HEALTH),
        "cache": read_policy,
        "sensitivity": sensitivity,
        "published": field_names.boolean,
        "deprecated": field_names.boolean,
    },
)


def read_document(data: object, *, whole: bool = False) -> Parsed:
    """What ``data`` says of an API. ``slug`` and ``tenant`` are the caller's.

    Only what it names is in the result; with ``whole`` an object that it has (``cache``, ``timeouts``) is complete: what stands not
    in it has its default. Raises ``ValidationError`` by path in the document.
    """
    found = field_names.read(data, _API)
    found.pop("breaker", None)
    found.pop("health", None)
    parsed = Parsed({})
    parsed.upstreams = found.pop("upstreams", None)
    parsed.published = found.pop("published", None)
    parsed.deprecated = found.pop("deprecated", None)
    policy: PolicyFields | None = found.pop("cache", None)
    if policy is not None and whole:
        policy = default_fields() | policy
    if "sensitivity" in found:
        policy = (policy or {}) | {"sensitivity": found.pop("sensitivity")}
    parsed.policy = policy
    parsed.fields = flat(found, _WORDS)
    if whole:
        defaults = API()
        for name, path in WORDS.items():
            if path.partition(".")[0] in found:
                parsed.fields.setdefault(name, getattr(defaults, name))
    return parsed


def younger_defaults() -> APIFields:
    """The settings that some revisions are older than, with the values that every API had then."""
    fresh = API()
    return {name: getattr(fresh, name) for name, setting in SETTINGS.items() if setting.younger}


def upstream_document(row: Upstream) -> UpstreamFields:
    """An upstream as it stands in a document."""
    said = UpstreamFields(url=row.url, weight=row.weight)
    if row.ca:
        said["ca"] = row.ca
    return said


def configuration(api: API) -> dict[str, Any]:
    """What a revision keeps: all of the document that a roll-back restores."""
    return _in_place(
        nested({name: getattr(api, name) for name in SETTINGS}, _WORDS),
        {
            "upstreams": [upstream_document(upstream) for upstream in api.upstreams.all()],
            "cache": cache_document(api.cache_policy),
            "sensitivity": str(api.cache_policy.sensitivity),
        },
    )


DESCRIBED = "described"
"""The key of a revision under which an API's operations are described: for comparing revisions, not restored by a roll-back."""


def described(api: API) -> dict[str, dict[str, str]]:
    """Which OpenAPI document and operations ``api`` has, for its revisions and for plans of ``apply``. Two queries."""
    told: dict[str, str] = {}
    for version, digest in OpenAPIDocument.objects.filter(api=api).values_list("version", "digest"):
        told["document"] = f"OpenAPI {version}, SHA-256 {digest[:12]}"
    for method, path, summary in api.operations.values_list("method", "path", "summary"):
        told[f"{method} {path}"] = summary or "without a summary"
    return {DESCRIBED: told} if told else {}


def operations_document(api: API) -> dict[str, Any]:
    """What export writes of an API's operations: the document that they come from, as text, or else each of them."""
    kept = OpenAPIDocument.objects.filter(api=api).first()
    if kept is not None:
        return {"openapi": json.dumps(kept.document, indent=1, sort_keys=True, ensure_ascii=False)}
    defaults = Operation()
    operations = [
        {
            name: value
            for name in OperationFields.__annotations__
            if (value := getattr(row, name)) != getattr(defaults, name) or name in ("method", "path")
        }
        for row in api.operations.all()
    ]
    return {"operations": operations} if operations else {}


def to_document(api: API) -> dict[str, Any]:
    """The API as it stands in the declarative file. No query when tenant, cache policy and upstreams are loaded."""
    document = {"slug": api.slug, "tenant": api.tenant.slug} | configuration(api) | {"published": api.state in SERVED}
    if api.state == APIState.DEPRECATED:
        document["deprecated"] = True
    return document


def without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """``document`` for users who may read a configuration but not change it: header rules set values that may be credentials."""
    return {word: _rules_without_values(value) if word in _RULES else value for word, value in document.items()}


def changes_without_secrets(changed: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """``differences`` for the same readers and for the audit log: that such values changed, not to what."""
    shown: dict[str, list[Any]] = {}
    for path, pair in changed.items():
        if path in _RULES:  # as a whole: an API's first revision
            shown[path] = [_rules_without_values(rules) for rules in pair]
        elif path.startswith(tuple(f"{word}.set" for word in _RULES)):
            shown[path] = [None if value is None else HIDDEN for value in pair]
        else:
            shown[path] = pair
    return shown


def _rules_without_values(rules: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if rules is None else {**rules, "set": dict.fromkeys(rules.get("set", {}), HIDDEN)}


def in_document_words(error: ValidationError) -> ValidationError:
    """A service's error by model field, by path in the document instead."""
    policy_fields = {field.name for field in CachePolicy._meta.get_fields()} - {"id", "api", "sensitivity"}
    renamed: field_names.Errors = {}
    for field, messages in field_names.by_path(error).items():
        of_policy = field.partition(".")[0] in policy_fields
        path = f"cache.{next(iter(in_words({field: []})))}" if of_policy else WORDS.get(field, field)
        renamed.setdefault(path or "__all__", []).extend(messages)
    return ValidationError(dict(renamed))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """``{path: [before, after]}`` of two documents, objects compared word by word and lists as a whole; but policies of
    the same operations one by one, so that a switch that is thrown in one of them is told by its name."""
    found: dict[str, list[Any]] = {}
    for word in dict.fromkeys([*before, *after]):
        old, new = before.get(word), after.get(word)
        if word == "operations" and old and new and (calls := _calls_of(old)) == _calls_of(new):
            old, new = dict(zip(calls, old, strict=True)), dict(zip(calls, new, strict=True))
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found.update({f"{word}.{inner}": pair for inner, pair in differences(old, new).items()})
        elif old != new:
            found[word] = [old, new]
    return found


def _calls_of(operations: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each of some operations is for, like ``GET,HEAD /items/*``. No policy has two for the same calls."""
    return [f"{','.join(each.get('methods', ()))} {each['path']}".strip() for each in operations]

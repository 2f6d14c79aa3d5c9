"""An API in the declarative file's words, both ways: what revisions keep, what export writes, what apply and REST read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from django.core.exceptions import ValidationError

from apps.caching.document import PolicyFields, cache_document, default_fields, in_words, read_policy, sensitivity
from apps.caching.models import CachePolicy
from apps.catalog.choices import SERVED, APIState, Approval, Authentication, DebugHeaders
from apps.catalog.models import API
from apps.foundation import field_names

_RULES = ("request_headers", "response_headers")

#: stands for a value that the reader may not see
HIDDEN = "(hidden)"


class UpstreamFields(TypedDict, total=False):
    """One upstream; ``weight`` is 1 unless said."""

    url: str
    weight: int


class OperationFields(TypedDict, total=False):
    """One operation, as the model has it."""

    method: str
    path: str
    operation_id: str
    summary: str
    description: str
    deprecated: bool
    parameters: list[dict[str, Any]]


class APIFields(TypedDict, total=False):
    """Fields of an API; durations in seconds, sizes in bytes."""

    name: str
    summary: str
    documentation: str
    tags: list[str]
    listen_path: str
    hosts: list[str]
    strip_listen_path: bool
    authentication: list[str]
    api_key_header: str
    forward_credential: bool
    underscore_headers: list[str]
    credential_headers: list[str]
    approval: str
    connect_timeout: float
    read_timeout: float
    retries: int
    concurrent_calls: int
    queued_calls: int
    queue_wait: float
    body_limit: int
    debug_headers: str
    request_headers: dict[str, Any]
    response_headers: dict[str, Any]


@dataclass
class Parsed:
    """What a document says of an API, as ``api_create`` and ``api_update`` take it; ``None``: it doesn't say."""

    fields: APIFields
    upstreams: list[UpstreamFields] | None = None
    policy: PolicyFields | None = None
    published: bool | None = None
    deprecated: bool | None = None


def _header_rules(value: object) -> dict[str, Any]:
    found = field_names.read(value, {"set": _pairs, "remove": field_names.many(field_names.text)})
    return {"set": found.get("set", {}), "remove": found.get("remove", [])}


def _pairs(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("Expected an object of header names and values.")
    return {field_names.text(name): field_names.text(item) for name, item in value.items()}


_UPSTREAM: dict[str, field_names.Reader] = {"url": field_names.text, "weight": field_names.integer}
_TIMEOUTS: dict[str, field_names.Reader] = {"connect": field_names.duration, "read": field_names.duration}
_CONCURRENCY: dict[str, field_names.Reader] = {
    "calls": field_names.integer,
    "queue": field_names.integer,
    "wait": field_names.duration,
}
_HEALTH: dict[str, field_names.Reader] = {"active": field_names.off, "passive": field_names.off}

#: word -> its reader; the word is the model's field unless it is handled below
_API: dict[str, field_names.Reader] = {
    "name": field_names.text,
    "summary": field_names.text,
    "documentation": field_names.text,
    "tags": field_names.many(field_names.text),
    "listen_path": field_names.text,
    "hosts": field_names.many(field_names.text),
    "strip_listen_path": field_names.boolean,
    "upstreams": field_names.many(lambda value: field_names.read(value, _UPSTREAM)),
    "authentication": field_names.many(field_names.one_of(Authentication.values, not_yet=("jwt", "introspection"))),
    "api_key_header": field_names.text,
    "forward_credential": field_names.boolean,
    "underscore_headers": field_names.many(field_names.text),
    "credential_headers": field_names.many(field_names.text),
    "approval": field_names.one_of(Approval.values),
    "timeouts": lambda value: field_names.read(value, _TIMEOUTS),
    "retries": field_names.integer,
    "concurrency": lambda value: field_names.read(value, _CONCURRENCY),
    "breaker": field_names.off,
    "health": lambda value: field_names.read(value, _HEALTH),
    "body_limit": field_names.integer,
    "cache": read_policy,
    "sensitivity": sensitivity,
    "debug_headers": field_names.one_of(DebugHeaders.values),
    "request_headers": _header_rules,
    "response_headers": _header_rules,
    "published": field_names.boolean,
    "deprecated": field_names.boolean,
}

#: what a service calls a field -> what the document calls it
WORDS = {
    "connect_timeout": "timeouts.connect",
    "read_timeout": "timeouts.read",
    "concurrent_calls": "concurrency.calls",
    "queued_calls": "concurrency.queue",
    "queue_wait": "concurrency.wait",
}


def read_document(data: object, *, whole: bool = False) -> Parsed:
    """What ``data`` says of an API. ``slug`` and ``tenant`` are the caller's.

    Only what it names is in the result; with ``whole`` an object that it has (``cache``, ``timeouts``) is complete: what stands not
    in it has its default. Raises ``ValidationError`` by path in the document.
    """
    found = field_names.read(data, _API)
    found.pop("breaker", None)
    found.pop("health", None)
    parsed = Parsed(APIFields())
    parsed.upstreams = found.pop("upstreams", None)
    parsed.published = found.pop("published", None)
    parsed.deprecated = found.pop("deprecated", None)
    policy: PolicyFields | None = found.pop("cache", None)
    if policy is not None and whole:
        policy = default_fields() | policy
    if "sensitivity" in found:
        policy = (policy or {}) | {"sensitivity": found.pop("sensitivity")}
    parsed.policy = policy
    for word in ("timeouts", "concurrency"):
        if (inside := found.pop(word, None)) is None:
            continue
        for field, path in WORDS.items():
            outer, _, inner = path.partition(".")
            if outer == word and (whole or inner in inside):
                found[field] = inside.get(inner, getattr(API(), field))
    parsed.fields = cast(APIFields, found)
    return parsed


def configuration(api: API) -> dict[str, Any]:
    """What a revision keeps: all of the document that a roll-back restores."""
    return {
        "name": api.name,
        "summary": api.summary,
        "documentation": api.documentation,
        "tags": api.tags,
        "listen_path": api.listen_path,
        "hosts": api.hosts,
        "strip_listen_path": api.strip_listen_path,
        "upstreams": [{"url": upstream.url, "weight": upstream.weight} for upstream in api.upstreams.all()],
        "authentication": api.authentication,
        "api_key_header": api.api_key_header,
        "forward_credential": api.forward_credential,
        "underscore_headers": api.underscore_headers,
        "credential_headers": api.credential_headers,
        "approval": str(api.approval),
        "timeouts": {
            "connect": field_names.duration_text(api.connect_timeout),
            "read": field_names.duration_text(api.read_timeout),
        },
        "retries": api.retries,
        "concurrency": {
            "calls": api.concurrent_calls,
            "queue": api.queued_calls,
            "wait": field_names.duration_text(api.queue_wait),
        },
        "body_limit": api.body_limit,
        "cache": cache_document(api.cache_policy),
        "sensitivity": str(api.cache_policy.sensitivity),
        "debug_headers": str(api.debug_headers),
        "request_headers": api.request_headers,
        "response_headers": api.response_headers,
    }


def to_document(api: API) -> dict[str, Any]:
    """The API as it stands in the declarative file. No query when tenant, cache policy and upstreams are loaded."""
    document = {"slug": api.slug, "tenant": api.tenant.slug} | configuration(api) | {"published": api.state in SERVED}
    if api.state == APIState.DEPRECATED:
        document["deprecated"] = True
    return document


def without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """``document`` for whoever may read a configuration but not change it: header rules set values that may be credentials."""
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

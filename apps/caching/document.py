"""A cache policy in the declarative file's words, both ways."""

from collections.abc import Mapping
from typing import Any, TypedDict, cast

from apps import words
from apps.caching.choices import CacheMode, ClientDirectives, QueryMode, Scope, Sensitivity
from apps.caching.models import CachePolicy


class PolicyFields(TypedDict, total=False):
    """Fields of a cache policy; durations in seconds."""

    mode: str
    ttl: float
    stale_while_revalidate: float
    stale_if_error: float | None
    methods: list[str]
    query_mode: str
    query_names: list[str]
    headers: list[str]
    scope: str
    client_directives: str
    store_set_cookie: bool
    sensitivity: str


#: where the field of the model is not the word of the file
WORDS = {"query_mode": "query.mode", "query_names": "query.names"}

sensitivity = words.one_of(Sensitivity.values, not_yet=("personal",))

_QUERY: dict[str, words.Reader] = {"mode": words.one_of(QueryMode.values), "names": words.many(words.text)}
_CACHE: dict[str, words.Reader] = {
    "mode": words.one_of(CacheMode.values),
    "ttl": words.duration,
    "stale_while_revalidate": words.duration,
    "stale_if_error": words.optional(words.duration),
    "methods": words.many(words.text),
    "query": lambda value: words.read(value, _QUERY),
    "headers": words.many(words.text),
    "scope": words.one_of(Scope.values),
    "client_directives": words.one_of(ClientDirectives.values),
    "store_set_cookie": words.boolean,
}


def read_policy(data: object) -> PolicyFields:
    """The fields that ``data`` names. Raises ``ValidationError`` by path; ``sensitivity`` may stand in it too."""
    found = words.read(data, _CACHE | {"sensitivity": sensitivity})
    if (query := found.pop("query", None)) is not None:
        found["query_mode"] = query.get("mode", QueryMode.ALL.value)
        found["query_names"] = query.get("names", [])
    return cast(PolicyFields, found)


def read_whole_policy(data: object) -> PolicyFields:
    """The ``cache`` object of a file: what it doesn't name has its default. Sensitivity stands elsewhere in a file."""
    return cast(PolicyFields, default_fields() | dict(read_policy(data)))


def default_fields() -> dict[str, Any]:
    """Every field but sensitivity, with its default."""
    fresh = CachePolicy()
    return {name: getattr(fresh, name) for name in PolicyFields.__annotations__ if name != "sensitivity"}


def cache_document(policy: CachePolicy) -> dict[str, Any]:
    """The ``cache`` object of an API's document."""
    document: dict[str, Any] = {
        "mode": str(policy.mode),
        "ttl": words.duration_text(policy.ttl),
        "stale_while_revalidate": words.duration_text(policy.stale_while_revalidate),
        "methods": policy.methods or ["GET", "HEAD"],
        "query": {"mode": str(policy.query_mode)},
        "headers": policy.headers,
        "scope": str(policy.scope),
        "client_directives": str(policy.client_directives),
        "store_set_cookie": policy.store_set_cookie,
    }
    if policy.stale_if_error is not None:
        document["stale_if_error"] = words.duration_text(policy.stale_if_error)
    if policy.query_names:
        document["query"]["names"] = policy.query_names
    return document


def policy_document(policy: CachePolicy) -> dict[str, Any]:
    """A whole policy on its own, its sensitivity too."""
    return cache_document(policy) | {"sensitivity": str(policy.sensitivity)}


def in_words(errors: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Errors by model field, under the words of the file."""
    return {WORDS.get(field, field): messages for field, messages in errors.items()}

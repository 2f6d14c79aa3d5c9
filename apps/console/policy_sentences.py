"""A cache policy in sentences."""

from collections.abc import Iterator
from typing import Any

from apps.caching import settings as kinds
from apps.caching.choices import BodyKey, CacheMode, CacheScope, ClientDirectives, QueryMode, Sensitivity
from apps.caching.models import SETTINGS, CachePolicy
from apps.caching.settings import Kind
from apps.console.number_format import duration, percent, size

NAMED = 3
"""Operations that are named; of more, how many."""

BY_BODY = ("POST", "QUERY")
_BODIES = {
    BodyKey.RAW: "byte by byte",
    BodyKey.JSON: "as JSON",
    BodyKey.GRAPHQL: "as GraphQL",
}
_DOWNSTREAM = {
    "private": "Of caches behind the gateway only the caller's own may keep them.",
    "no-store": "No cache behind the gateway may keep them.",
}

_SCOPES = {
    CacheScope.AUTO: "A response is shared as widely as what the upstream was told allows.",
    CacheScope.SHARED: "A response is shared among every caller.",
    CacheScope.TENANT: "A response is shared within the caller's tenant.",
    CacheScope.APPLICATION: "A response is shared within the caller's application.",
    CacheScope.SUBJECT: "A response belongs to the one caller.",
}
_DIRECTIVES = {
    ClientDirectives.HONOUR: "A caller's Cache-Control is obeyed.",
    ClientDirectives.BOUNDED: "A caller's Cache-Control is obeyed, with at most one revalidation a second per key.",
    ClientDirectives.IGNORE: "A caller's Cache-Control is ignored.",
}


def sentences(policy: CachePolicy) -> list[str]:
    """What ``policy`` means, the most important first; of what is seldom set only what is."""
    if policy.sensitivity == Sensitivity.SECRET:
        return ["Nothing is cached: the responses of this API are secret."]
    operations = _operations(policy)
    if policy.mode == CacheMode.OFF:
        if not operations:
            return ["Nothing is cached: every call goes to the upstream."]
        return ["Nothing is cached but what an operation's policy says.", *operations]
    words = [_lifetime(policy)]
    if policy.stale_while_revalidate:
        words.append(f"Serve them up to {duration(policy.stale_while_revalidate)} longer while one call refreshes.")
    words.append(_on_error(policy))
    if policy.negative_ttl is not None:
        words.append(f"Keep errors for {duration(policy.negative_ttl)}.")
    words.append(_key(policy))
    words.append(_scope(policy))
    words.append(_DIRECTIVES[ClientDirectives(policy.client_directives)])
    return [*words, *_seldom(policy), *operations]


def _scope(policy: CachePolicy) -> str:
    if policy.sensitivity == Sensitivity.PERSONAL:
        return "A response belongs to the one caller, for 5 min at most, and is encrypted at rest."
    return _SCOPES[CacheScope(policy.scope)]


def _seldom(policy: CachePolicy) -> Iterator[str]:
    """What most policies leave as it is."""
    if asked := [method for method in policy.methods if method in BY_BODY]:
        yield f"Responses to {' and '.join(asked)} are kept too, by the call's body ({_BODIES[BodyKey(policy.body)]})."
    for name, setting in SETTINGS.items():
        value = getattr(policy, name)
        if setting.sentence and value != setting.column.get_default():
            yield setting.sentence.format(_shown(setting.kind, value))
    if policy.downstream.isdecimal():
        yield f"Caches behind the gateway keep them for {duration(float(policy.downstream))}."
    elif policy.downstream in _DOWNSTREAM:
        yield _DOWNSTREAM[policy.downstream]


def _shown(kind: Kind, value: Any) -> str:
    if kind is kinds.DURATION:
        return duration(value)
    if kind is kinds.SIZE:
        return size(value)
    if kind is kinds.RATIO:
        return percent(value)
    if kind is kinds.ENTITY_TAGS:
        return ", ".join(f"{each['tag']}…" for each in value)
    return ", ".join(value) if isinstance(value, list) else str(value)


def _operations(policy: CachePolicy) -> list[str]:
    paths = [f"{', '.join(each.get('methods', ())) or 'any method'} {each['path']}" for each in policy.operations]
    if not paths:
        return []
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return [f"Policies of their own have {'; '.join(paths[:NAMED])}{more}."]


def _lifetime(policy: CachePolicy) -> str:
    if policy.mode == CacheMode.ORIGIN:
        return "Keep responses for as long as the origin's headers say."
    if policy.mode == CacheMode.TTL:
        return f"Keep responses for {duration(policy.ttl)} when the origin says nothing."
    return f"Keep responses for {duration(policy.ttl)}, whatever lifetime the origin gives."


def _on_error(policy: CachePolicy) -> str:
    if policy.stale_if_error is None:
        return "When the upstream can't be reached, serve them up to 1 min longer."
    if policy.stale_if_error == 0:
        return "When the upstream fails, don't serve them any longer."
    return f"When the upstream fails or can't be reached, serve them up to {duration(policy.stale_if_error)} longer."


def _key(policy: CachePolicy) -> str:
    names = ", ".join(policy.query_names)
    query = {
        QueryMode.ALL: "all query parameters",
        QueryMode.INCLUDE: f"of the query only {names}",
        QueryMode.EXCLUDE: f"all query parameters but {names}",
    }[QueryMode(policy.query_mode)]
    if policy.query_sorted:
        query += " in any order"
    headers = f", and the request headers {', '.join(policy.headers)}" if policy.headers else ""
    return f"Two calls get the same response when they have the same path, {query}{headers}."

"""A cache policy in sentences."""

from apps.caching.choices import CacheMode, ClientDirectives, QueryMode, Scope, Sensitivity
from apps.caching.models import CachePolicy
from apps.console.figures import duration

_SCOPES = {
    Scope.AUTO: "An answer is shared as widely as what the upstream was told allows.",
    Scope.SHARED: "An answer is shared among every caller.",
    Scope.TENANT: "An answer is shared within the caller's tenant.",
    Scope.APPLICATION: "An answer is shared within the caller's application.",
    Scope.SUBJECT: "An answer belongs to the one caller.",
}
_DIRECTIVES = {
    ClientDirectives.HONOUR: "A caller's Cache-Control is obeyed.",
    ClientDirectives.BOUNDED: "A caller's Cache-Control is obeyed, with at most one revalidation a second per key.",
    ClientDirectives.IGNORE: "A caller's Cache-Control is ignored.",
}


def sentences(policy: CachePolicy) -> list[str]:
    """What ``policy`` means, the most important first."""
    if policy.sensitivity == Sensitivity.SECRET:
        return ["Nothing is cached: the answers of this API are secret."]
    if policy.mode == CacheMode.OFF:
        return ["Nothing is cached: every call goes to the upstream."]
    words = [_lifetime(policy)]
    if policy.stale_while_revalidate:
        words.append(f"Serve them up to {duration(policy.stale_while_revalidate)} longer while one call refreshes.")
    words.append(_on_error(policy))
    words.append(_key(policy))
    words.append(_SCOPES[Scope(policy.scope)])
    words.append(_DIRECTIVES[ClientDirectives(policy.client_directives)])
    if policy.store_set_cookie:
        words.append("Answers that set cookies are stored too.")
    return words


def _lifetime(policy: CachePolicy) -> str:
    if policy.mode == CacheMode.ORIGIN:
        return "Keep answers for as long as the origin's headers say."
    if policy.mode == CacheMode.TTL:
        return f"Keep answers for {duration(policy.ttl)} when the origin says nothing."
    return f"Keep answers for {duration(policy.ttl)}, whatever lifetime the origin gives."


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
    headers = f", and the request headers {', '.join(policy.headers)}" if policy.headers else ""
    return f"Two calls get the same answer when they have the same path, {query}{headers}."

"""What an API wants of tokens, whoever says what they are worth: scopes and claims."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.httpcache.patterns import matches, segments_of
from apps.wire.listen_paths import path_below
from apps.wire.snapshot import API, TokenRules

Plain = str | int | float | bool


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes of a token: ``scope`` (RFC 8693 §4.2) or ``scp``, a list or a text with blanks between them."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        if isinstance(value, str):
            found.update(value.split())
        elif isinstance(value, list):
            found.update(each for each in value if isinstance(each, str))
    return frozenset(found)


def plain_claims(claims: Mapping[str, Any]) -> dict[str, Plain | tuple[Plain, ...]]:
    """The claims that rules can ask for: texts, numbers and truth values, alone or in a list."""
    found: dict[str, Plain | tuple[Plain, ...]] = {}
    for name, value in claims.items():
        if isinstance(value, Plain):
            found[name] = value
        elif isinstance(value, list) and all(isinstance(each, Plain) for each in value):
            found[name] = tuple(value)
    return found


def scopes_needed(rules: TokenRules, method: str, path: bytes) -> tuple[str, ...]:
    """The scopes that a call needs: the API's, and those of each operation that it falls under. ``path`` is normalised and below
    the listen path.
    """
    if not rules.operations:
        return rules.required_scopes
    needed, segments = dict.fromkeys(rules.required_scopes), segments_of(path)
    methods = {method, "GET"} if method == "HEAD" else {method}  # whoever may not get something learns nothing of it
    for each in rules.operations:
        if (not each.methods or not methods.isdisjoint(each.methods)) and matches(each.pattern, segments):
            needed |= dict.fromkeys(each.scopes)
    return tuple(needed)


def missing(
    api: API, scopes: frozenset[str], claims: Mapping[str, Plain | Sequence[Plain]], method: str, path: bytes
) -> tuple[TokenFault, tuple[str, ...]] | None:
    """What a token with these ``scopes`` and ``claims`` lacks for a call to ``path`` (whole and normalised), with the scopes that
    the call needs; ``None``: nothing.
    """
    rules = api.jwt
    needed = scopes_needed(rules, method, path_below(api.listen_path, path))
    if not scopes.issuperset(needed):
        return TokenFault.MISSING_SCOPE, needed
    for name, values in rules.required_claims:
        if name not in claims or not _has_one_of(claims[name], values):
            return TokenFault.MISSING_CLAIM, needed
    return None


def _has_one_of(said: Plain | Sequence[Plain], values: Sequence[Plain]) -> bool:
    """Whether a claim is, or a list of it has, one of the values; no values: whether it is there. ``true`` is not 1."""
    if not values:
        return True
    found = said if isinstance(said, list | tuple) else (said,)
    return any(
        each == value and isinstance(each, bool) is isinstance(value, bool) for each in found for value in values
    )

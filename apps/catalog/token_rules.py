"""What an API demands of tokens: how it is read, checked, and compiled for gateways.

A stored value has ``issuers`` (slugs), ``required_scopes``, ``required_claims`` (by name, the values of which a token has one) and
``operations``, each with ``methods``, ``path`` (a pattern of ``httpcache.patterns``) and ``required_scopes`` of its own.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from apps.catalog.choices import METHODS
from apps.foundation import field_names
from apps.httpcache.patterns import parse_pattern
from apps.wire.snapshot import ScopeRule, TokenRules

MOST = 50
"""Issuers, scopes in one list, claims, values of one claim."""

MOST_OPERATIONS = 200
LONGEST = 128
"""Characters of a scope, a claim's name or its value."""

CHECKED_ANYWAY = frozenset({"exp", "iat", "iss", "nbf"})

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}\Z")  # RFC 6749 §3.3
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def no_token_rules() -> dict[str, Any]:
    """The default of ``API.jwt``."""
    return {"issuers": [], "required_scopes": [], "required_claims": {}, "operations": []}


def _claims(value: object) -> dict[str, list[Any]]:
    if not isinstance(value, Mapping):
        raise ValueError("Expected an object: the name of a claim, and the values of which it has one.")
    return {field_names.text(name): list(said) if isinstance(said, list) else [said] for name, said in value.items()}


_TEXTS = field_names.many(field_names.text)
_OPERATION: dict[str, field_names.Reader] = {"methods": _TEXTS, "path": field_names.text, "required_scopes": _TEXTS}
_RULES: dict[str, field_names.Reader] = {
    "issuers": _TEXTS,
    "required_scopes": _TEXTS,
    "required_claims": _claims,
    "operations": field_names.many(lambda value: {"methods": []} | field_names.read(value, _OPERATION)),
}


def read_token_rules(value: object) -> dict[str, Any]:
    """The word ``jwt`` of an API; what it leaves out is empty. Raises ``ValueError``, or ``ValidationError`` by path."""
    return no_token_rules() | field_names.read(value, _RULES)


def write_token_rules(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The same, without what is empty."""
    return {word: value for word, value in rules.items() if value}


def check_token_rules(value: object) -> dict[str, Any]:
    """Rules that can be compiled. Whether there are such issuers is for the room that has them to say. Raises ``ValueError``, or
    ``ValidationError`` by path.
    """
    rules = read_token_rules({} if value is None else value)
    errors: field_names.Errors = {}
    for word, check in (
        ("issuers", _check_issuers),
        ("required_scopes", _check_scopes),
        ("required_claims", _check_claims),
        ("operations", _check_operations),
    ):
        rules[word] = field_names.attempt(errors, word, check, rules[word])
    if errors:
        raise ValidationError(dict(errors))
    return rules


def compile_token_rules(rules: Mapping[str, Any]) -> TokenRules:
    """The rules as gateways go by them. Where an operation names GET, HEAD is meant too."""
    return TokenRules(
        issuers=tuple(rules["issuers"]),
        required_scopes=tuple(rules["required_scopes"]),
        required_claims=tuple((name, tuple(values)) for name, values in rules["required_claims"].items()),
        operations=tuple(
            ScopeRule(
                methods=_with_head(tuple(each["methods"])),
                pattern=parse_pattern(each["path"]),
                scopes=tuple(each["required_scopes"]),
            )
            for each in rules["operations"]
        ),
    )


def _with_head(methods: tuple[str, ...]) -> tuple[str, ...]:
    return (*methods, "HEAD") if "GET" in methods and "HEAD" not in methods else methods


def _check_issuers(value: Any) -> list[str]:
    slugs = list(dict.fromkeys(value))
    if len(slugs) > MOST or not all(_SLUG.match(slug) for slug in slugs):
        raise ValueError(f"A list of issuers by their short names, at most {MOST}.")
    return slugs


def _check_scopes(value: Any) -> list[str]:
    scopes = list(dict.fromkeys(value))
    if len(scopes) > MOST:
        raise ValueError(f"At most {MOST} scopes.")
    if wrong := [scope for scope in scopes if not _SCOPE.match(scope)]:
        raise ValueError(
            f"{wrong[0]!r} is no scope: each is a text of its own, of up to {LONGEST} visible ASCII characters"
            ' without quotes (") and backslashes.'
        )
    return scopes


def _check_claims(value: Any) -> dict[str, list[Any]]:
    if len(value) > MOST:
        raise ValueError(f"At most {MOST} claims.")
    errors: field_names.Errors = {}
    kept = {name: field_names.attempt(errors, name, _check_values, values) for name, values in value.items()}
    for name in kept:
        if not 0 < len(name) <= LONGEST:
            errors[name] = [f"A claim's name has 1 to {LONGEST} characters."]
        elif name in CHECKED_ANYWAY:
            errors[name] = [f"{name} is checked of every token: leave it out here."]
    if errors:
        raise ValidationError(dict(errors))
    return kept


def _check_values(values: object) -> list[str | int | float | bool]:
    if not isinstance(values, list) or not 0 < len(values) <= MOST:
        raise ValueError(f"Between one and {MOST} values, of which a token has one.")
    for each in values:
        is_number = isinstance(each, int | float) and math.isfinite(each) and abs(each) < 2**53
        if not is_number and not (isinstance(each, str) and len(field_names.text(each)) <= LONGEST):
            raise ValueError(f"A claim's values are texts of up to {LONGEST} characters, numbers, true or false.")
    return list(values)


def _check_operations(value: Any) -> list[dict[str, Any]]:
    if len(value) > MOST_OPERATIONS:
        raise ValueError(f"At most {MOST_OPERATIONS} operations.")
    errors: field_names.Errors = {}
    kept: list[dict[str, Any]] = []
    for index, each in enumerate(value):
        rule = field_names.attempt(errors, str(index), _check_operation, each)
        if rule is not None and any((rule["methods"], rule["path"]) == (k["methods"], k["path"]) for k in kept):
            errors[f"{index}.path"] = ["This is there already: put its scopes together."]
        elif rule is not None:
            kept.append(rule)
    if errors:
        raise ValidationError(dict(errors))
    return kept


def _check_operation(value: Any) -> dict[str, Any]:
    errors: field_names.Errors = {}
    methods = list(dict.fromkeys(method.upper() for method in value["methods"]))
    if any(method not in METHODS for method in methods):
        errors["methods"] = [f"Some of {', '.join(METHODS)}; none: all of them."]
    path = value.get("path", "")
    field_names.attempt(errors, "path", lambda _: parse_pattern(path), path)
    scopes = field_names.attempt(errors, "required_scopes", _check_scopes, value.get("required_scopes", ()))
    if scopes == []:
        errors["required_scopes"] = ["Name the scopes that a token needs for these calls."]
    if errors:
        raise ValidationError(dict(errors))
    return {"methods": methods, "path": path, "required_scopes": scopes}

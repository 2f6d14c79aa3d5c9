"""What narrows a key: the APIs, methods, operations and clients' addresses that it is good for. ``None``: any."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from django.core.exceptions import ValidationError

from apps.catalog.choices import METHODS
from apps.catalog.policies import apis_visible_to
from apps.httpcache.patterns import parse_pattern
from apps.tenants.actors import Actor

MOST_APIS = 100
MOST_OPERATIONS = 50
MOST_ADDRESSES = 50

BOUNDS = ("apis", "methods", "operations", "addresses")
"""The columns of ``Credential`` that hold them."""


class KeyOperation(TypedDict, total=False):
    """Calls that a key is good for: ``path`` is a pattern below the listen path; without ``methods`` all of them."""

    path: str
    methods: list[str]


class Bounds(TypedDict, total=False):
    """Those of a key that are given: slugs, methods, operations, and networks (``10.0.0.0/8``) or addresses."""

    apis: Sequence[str] | None
    methods: Sequence[str] | None
    operations: Sequence[KeyOperation] | None
    addresses: Sequence[str] | None


def checked(actor: Actor, given: Bounds, before: Mapping[str, Any]) -> dict[str, Any]:
    """The given bounds in the form in which they are kept. Only APIs that ``actor`` may see can be named, and those that were
    named ``before``. Raises ``ValidationError`` by bound.
    """
    checks = {
        "apis": lambda value: _apis(actor, value, before.get("apis")),
        "methods": _methods,
        "operations": _operations,
        "addresses": _addresses,
    }
    kept: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, value in given.items():
        try:
            kept[name] = None if value is None else checks[name](value)
        except (ValueError, TypeError, ValidationError) as refusal:
            errors[name] = refusal.messages if isinstance(refusal, ValidationError) else [str(refusal)]
    if errors:
        raise ValidationError(errors)
    return kept


def operation_text(operation: Mapping[str, Any]) -> str:
    """An operation of a key as people read and write it: ``GET,HEAD /items/{id}``, or the path alone."""
    return f"{','.join(operation.get('methods', ()))} {operation['path']}".strip()


def _apis(actor: Actor, value: Any, before: list[str] | None) -> list[str]:
    wanted = sorted(set(_texts(value)))
    if not wanted:
        raise ValueError("Name at least one API; null lets the key call all that its application may.")
    if len(wanted) > MOST_APIS:
        raise ValueError(f"At most {MOST_APIS} APIs.")
    known = {*apis_visible_to(actor).filter(slug__in=wanted).values_list("slug", flat=True), *(before or ())}
    if unknown := [slug for slug in wanted if slug not in known]:
        raise ValueError(f"There is no API {unknown[0]!r}, or you may not see it.")
    return wanted


def _methods(value: Any) -> list[str]:
    wanted = list(dict.fromkeys(method.strip().upper() for method in _texts(value)))
    if not wanted:
        raise ValueError("Name at least one method; null lets the key be used with any.")
    if unknown := [method for method in wanted if method not in METHODS]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(METHODS)}.")
    return wanted


def _operations(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("A list of {path, methods}; null lets the key be used for any operation.")
    if len(value) > MOST_OPERATIONS:
        raise ValueError(f"At most {MOST_OPERATIONS} operations.")
    kept = []
    for each in value:
        if not isinstance(each, Mapping) or not isinstance(each.get("path"), str) or each.keys() - {"path", "methods"}:
            raise ValueError("Each operation is {path, methods}, like {path: /items/{id}, methods: [GET]}.")
        parse_pattern(each["path"])
        methods = {"methods": _methods(each["methods"])} if each.get("methods") else {}
        kept.append({"path": each["path"]} | methods)
    return kept


def _addresses(value: Any) -> list[str]:
    wanted = list(dict.fromkeys(address.strip() for address in _texts(value)))
    if not wanted:
        raise ValueError("Name at least one network; null lets the key be used from anywhere.")
    if len(wanted) > MOST_ADDRESSES:
        raise ValueError(f"At most {MOST_ADDRESSES} networks.")
    for text in wanted:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise ValueError(f"{text!r} is no network: write an address, or one like 10.0.0.0/8.") from None
    return wanted


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError("Expected a list of texts.")
    return list(value)

"""What a cache policy may say, checked field by field. The declarative file, REST and the forms end here alike."""

import math
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from apps.caching.choices import QueryMode
from apps.caching.document import OPERATION_FIELDS, PolicyFields
from apps.caching.http.entity_tags import MOST_PATHS, refusal_of
from apps.caching.http.patterns import parse_pattern
from apps.caching.models import CachePolicy

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_CACHEABLE = ("GET", "HEAD", "POST", "QUERY")
LONGEST = 366 * 86400.0
"""Seconds that a lifetime may be set to at most."""
MOST_NAMES = 64
MOST_OPERATIONS = 100
"""Operations with a policy of their own: each costs a comparison where a call's policy is looked up."""
LARGEST_BODY = 64 * 2**20
MOST_VARIANTS = 1000
MOST_JITTER = 0.5


def policy_errors(policy: CachePolicy) -> dict[str, list[str]]:
    """What is wrong with ``policy``, by field (``ttl``, ``operations.0.ttl``); names are put in the form in which the core
    reads them."""
    return _own_errors(policy) | _operations_errors(policy)


def with_operation(policy: CachePolicy, operation: Mapping[str, Any]) -> CachePolicy:
    """The whole policy of the calls of one of ``policy.operations``: its fields, and the API's for the rest. Not a row."""
    values = {field: getattr(policy, field) for field in PolicyFields.__annotations__}
    values |= {field: value for field, value in operation.items() if field != "path"} | {"operations": []}
    return CachePolicy(**values)


def _own_errors(policy: CachePolicy) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for field in ("ttl", "stale_while_revalidate", "stale_if_error", "negative_ttl"):
        value = getattr(policy, field)
        if value is not None and not _is_between(value, 0, LONGEST):
            errors[field] = ["Between 0 and 366 days."]
    if not _is_between(policy.jitter, 0, MOST_JITTER):
        errors["jitter"] = ["Between 0 (off) and 0.5, the part of a lifetime that may be cut off."]
    if not _are_texts(policy.methods):
        errors["methods"] = ["A list of methods."]
    elif unknown := [method for method in policy.methods if method not in _CACHEABLE]:
        known = f"{', '.join(_CACHEABLE[:-1])} and {_CACHEABLE[-1]}"
        errors["methods"] = [f"Only {known} can be cached, not {', '.join(unknown)}."]
    errors |= _query_errors(policy)
    if not _are_texts(policy.headers) or not all(_TOKEN.match(name) for name in policy.headers):
        errors["headers"] = ["A list of names of request headers."]
    else:
        policy.headers = sorted({name.lower() for name in policy.headers})
    for field in ("methods", "query_names", "headers"):
        if field not in errors and len(getattr(policy, field)) > MOST_NAMES:
            errors[field] = [f"At most {MOST_NAMES} names."]
    return errors | _limit_errors(policy) | _entity_tag_errors(policy) | _downstream_errors(policy)


def _query_errors(policy: CachePolicy) -> dict[str, list[str]]:
    if not _are_texts(policy.query_names) or any(not name or len(name) > 200 for name in policy.query_names):
        return {"query_names": ["A list of names of query parameters."]}
    if policy.query_mode in (QueryMode.INCLUDE, QueryMode.EXCLUDE) and not policy.query_names:
        return {"query_names": ["Name at least one parameter, or choose all."]}
    if policy.query_mode == QueryMode.ALL and policy.query_names:
        return {"query_names": ["Names mean something only with include or exclude."]}
    return {}


def _limit_errors(policy: CachePolicy) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not _is_between(policy.max_body, 0, LARGEST_BODY):
        errors["max_body"] = ["Between 0 bytes and 64 MiB."]
    if not _is_between(policy.max_variants, 1, MOST_VARIANTS):
        errors["max_variants"] = [f"Between 1 and {MOST_VARIANTS:,}."]
    if policy.max_size is not None and not _is_between(policy.max_size, 0, 2**50):
        errors["max_size"] = ["Between 0 bytes and 1 PiB."]
    return errors


def _entity_tag_errors(policy: CachePolicy) -> dict[str, list[str]]:
    if not isinstance(policy.entity_tags, list) or not all(isinstance(each, dict) for each in policy.entity_tags):
        return {"entity_tags": ["A list of objects with json, a path, and tag, a prefix."]}
    if len(policy.entity_tags) > MOST_PATHS:
        return {"entity_tags": [f"At most {MOST_PATHS} paths."]}
    refused = [refusal_of(each.get("json"), each.get("tag")) for each in policy.entity_tags]
    return {f"entity_tags.{index}": [refusal] for index, refusal in enumerate(refused) if refusal is not None}


def _downstream_errors(policy: CachePolicy) -> dict[str, list[str]]:
    said = policy.downstream
    if said in ("pass", "private", "no-store") or (said.isdecimal() and int(said) <= LONGEST):
        return {}
    return {"downstream": ["pass, private, no-store, or a lifetime up to 366 days."]}


def _operations_errors(policy: CachePolicy) -> dict[str, list[str]]:
    """Of each operation what its own fields make wrong: what the API's policy has wrong is said there alone."""
    if not isinstance(policy.operations, list) or not all(isinstance(each, dict) for each in policy.operations):
        return {"operations": ["A list of objects with a path and the fields that differ."]}
    if len(policy.operations) > MOST_OPERATIONS:
        return {"operations": [f"At most {MOST_OPERATIONS}."]}
    errors: dict[str, list[str]] = {}
    known: set[tuple[tuple[str, ...], str]] = set()
    for index, operation in enumerate(policy.operations):
        try:
            calls = (parse_pattern(str(operation.get("path", ""))), repr(operation.get("methods", [])))
            if calls in known:
                errors[f"operations.{index}.path"] = ["An operation before it is for the same calls."]
            known.add(calls)
        except ValueError as error:
            errors[f"operations.{index}.path"] = [str(error)]
        if unknown := sorted(operation.keys() - OPERATION_FIELDS):
            errors |= {f"operations.{index}.{field}": ["An operation's policy has no such field."] for field in unknown}
            continue
        whole = with_operation(policy, operation)
        found = _own_errors(whole)
        try:
            whole.clean_fields(exclude=OPERATION_FIELDS - operation.keys())
        except ValidationError as refusal:
            found = refusal.message_dict | found
        for field, messages in found.items():
            # Names and mode of a query stand or fall together, whichever of them is named.
            named = {"query_names": ("query_names", "query_mode")}.get(field, (field.partition(".")[0],))
            if any(name in operation for name in named):
                errors[f"operations.{index}.{field}"] = messages
        if "headers" in operation:
            operation["headers"] = whole.headers
    return errors


def _is_between(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and least <= value <= most and math.isfinite(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)

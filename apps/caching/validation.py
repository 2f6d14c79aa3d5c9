"""What a cache policy may say, checked field by field. The declarative file, REST and the forms end here alike."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from apps.caching.choices import QueryMode
from apps.caching.document import OPERATION_FIELDS
from apps.caching.models import POLICY_FIELDS, SETTINGS, CachePolicy
from apps.foundation import field_names
from apps.httpcache.patterns import parse_pattern

MOST_OPERATIONS = 100
"""Operations with a policy of their own: each costs a comparison where a call's policy is looked up."""


def policy_errors(policy: CachePolicy) -> dict[str, list[str]]:
    """What is wrong with ``policy``, by field (``ttl``, ``operations.0.ttl``); names are put in the form in which the core
    reads them."""
    return _own_errors(policy) | _operations_errors(policy)


def with_operation(policy: CachePolicy, operation: Mapping[str, Any]) -> CachePolicy:
    """The whole policy of the calls of one of ``policy.operations``: its fields, and the API's for the rest. Not a row."""
    values = {field: getattr(policy, field) for field in POLICY_FIELDS}
    values |= {field: value for field, value in operation.items() if field != "path"} | {"operations": []}
    return CachePolicy(**values)


def _own_errors(policy: CachePolicy) -> field_names.Errors:
    errors: field_names.Errors = {}
    for name, setting in SETTINGS.items():
        wrong: field_names.Errors = {}
        kept = field_names.attempt(wrong, name, setting.checked, getattr(policy, name))
        if not wrong:
            setattr(policy, name, kept)
        errors |= wrong
    return errors if "query_names" in errors else errors | _query_errors(policy)


def _query_errors(policy: CachePolicy) -> field_names.Errors:
    if policy.query_mode in (QueryMode.INCLUDE, QueryMode.EXCLUDE) and not policy.query_names:
        return {"query_names": ["Name at least one parameter, or choose all."]}
    if policy.query_mode == QueryMode.ALL and policy.query_names:
        return {"query_names": ["Names mean something only with include or exclude."]}
    return {}


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
            operation["headers"] = whole.headers  # in the form in which the check leaves it
    return errors

"""Public keys of issuers, as their administrators write them: JWK sets (RFC 7517), checked by what gateways take. Pure."""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from apps.foundation import field_names
from apps.gateway.pipeline.authenticators.jwt.key_sets import ASYMMETRIC, MOST_KEYS, Key, read_key

SIGNATURES = tuple(sorted(ASYMMETRIC))
"""Algorithms that are checked with a public key (RFC 7518 §3.1, RFC 8037, RFC 9864)."""

LARGEST = 256 * 1024
"""Bytes of a set as JSON."""

DEEPEST = 8
"""Levels of objects and lists in it; keys alone have four."""

_LONGEST_ID = 256


def check_jwk_set(value: object, algorithms: Collection[str]) -> dict[str, Any]:
    """A set of public keys, of which one at least verifies signatures by one of ``algorithms``. Keys for encryption may stand
    beside those, as issuers publish them. Raises ``ValueError`` with a sentence, or ``ValidationError`` by path.
    """
    keys = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(keys, list):
        raise ValueError('A JWK set is an object with keys, a list: {"keys": [...]}.')
    if len(json.dumps(value)) > LARGEST:
        raise ValueError(f"At most {LARGEST // 1024} KiB.")
    if not 0 < len(keys) <= MOST_KEYS:
        raise ValueError(f"Between one and {MOST_KEYS} keys.")
    errors: field_names.Errors = {}
    read: list[Key] = []
    for index, key in enumerate(keys):
        if not _is_for_encryption(key) and (found := field_names.attempt(errors, f"keys.{index}", read_key, key)):
            if found.key_id is not None and any(found.key_id == other.key_id for other in read):
                errors[f"keys.{index}"] = [f"There is another key with the kid {found.key_id!r}."]
            if found.key_id is not None and not 0 < len(found.key_id) <= _LONGEST_ID:
                errors[f"keys.{index}"] = [f"Its ID (kid) has 1 to {_LONGEST_ID} characters."]
            read.append(found)
    if errors:
        raise ValidationError(dict(errors))
    if not any(key.algorithms.intersection(algorithms) for key in read):
        raise ValueError(f"None of these keys verifies signatures by {' or '.join(algorithms)}.")
    return dict(value)


def described_keys(jwks: Mapping[str, Any] | None) -> list[str]:
    """Each key for signatures of a checked set by its ID and the beginning of its thumbprint (RFC 7638): for the audit log."""
    listed = jwks["keys"] if jwks else []
    keys = [read_key(key) for key in listed if not _is_for_encryption(key)]
    return [f"{key.key_id or 'without kid'} ({key.thumbprint[:12]})" for key in keys]


def check_values(value: object, deepest: int = DEEPEST) -> None:
    """Raise ``ValueError`` for what a database, or JSON, can't hold, whatever member of a key it is in."""
    if isinstance(value, str):
        field_names.text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number of JSON.")
    elif isinstance(value, Mapping | list | tuple):
        if not deepest:
            raise ValueError(f"At most {DEEPEST} levels.")
        for each in (*value, *value.values()) if isinstance(value, Mapping) else value:
            check_values(each, deepest - 1)


def _is_for_encryption(key: object) -> bool:
    """Whether it is a public key that says so: never used here, and of whatever form."""
    return isinstance(key, Mapping) and key.get("use") == "enc" and key.get("kty") != "oct" and "d" not in key

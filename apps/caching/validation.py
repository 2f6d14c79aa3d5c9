"""What a cache policy may say, checked field by field. The declarative file and the forms end here alike."""

import math
import re

from apps.caching.choices import QueryMode
from apps.caching.models import CachePolicy

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_CACHEABLE = ("GET", "HEAD")
LONGEST = 366 * 86400.0
"""Seconds that a lifetime may be set to at most."""
MOST_NAMES = 64


def policy_errors(policy: CachePolicy) -> dict[str, list[str]]:
    """What is wrong with ``policy``, by field; names are put in the form in which the core reads them."""
    errors: dict[str, list[str]] = {}
    for field in ("ttl", "stale_while_revalidate", "stale_if_error"):
        value = getattr(policy, field)
        if value is not None and not (
            isinstance(value, int | float) and 0 <= value <= LONGEST and math.isfinite(value)
        ):
            errors[field] = ["Between 0 and 366 days."]
    if not _are_texts(policy.methods):
        errors["methods"] = ["A list of methods."]
    elif unknown := [method for method in policy.methods if method not in _CACHEABLE]:
        errors["methods"] = [f"Only GET and HEAD can be cached, not {', '.join(unknown)}."]
    if not _are_texts(policy.query_names) or any(not name or len(name) > 200 for name in policy.query_names):
        errors["query_names"] = ["A list of names of query parameters."]
    elif policy.query_mode in (QueryMode.INCLUDE, QueryMode.EXCLUDE) and not policy.query_names:
        errors["query_names"] = ["Name at least one parameter, or choose all."]
    elif policy.query_mode == QueryMode.ALL and policy.query_names:
        errors["query_names"] = ["Names mean something only with include or exclude."]
    if not _are_texts(policy.headers) or not all(_TOKEN.match(name) for name in policy.headers):
        errors["headers"] = ["A list of names of request headers."]
    else:
        policy.headers = sorted({name.lower() for name in policy.headers})
    for field in ("methods", "query_names", "headers"):
        if field not in errors and len(getattr(policy, field)) > MOST_NAMES:
            errors[field] = [f"At most {MOST_NAMES} names."]
    return errors


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)

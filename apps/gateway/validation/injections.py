"""Strings that look as if they were to be taken for code: of SQL, scripts, paths, templates. A sign and no proof, so it is only
reported.

Each pattern begins with what is rare and looks a bounded number of characters further, not over its own beginning where these are
many, so that a text is read once.
"""

import re
from typing import Any

from apps.gateway.validation.faults import Fault, pointer

PATTERNS = {
    "sql": (
        r"'\s{0,4}(?:or|and)\s{1,4}['\d]|\bunion\s{1,4}(?:all\s{1,4})?select\b"
        r"|;\s{0,4}(?:drop|delete|insert|update|alter)\s|'\s{0,4};?\s{0,4}--"
    ),
    "script": r"<script[\s>/]|javascript:|<(?:img|svg|iframe|body)[^<>]{0,80}\son[a-z]{3,20}\s{0,4}=",
    "path": r"(?:^|[/\\])\.\.[/\\]|/etc/(?:passwd|shadow)|%2e%2e(?:%2f|%5c|/)",
    "template": r"\$\{(?:jndi|[a-z]{2,10}:)|\{\{[^{}]{0,40}(?:__|config|self|\d\*\d)|<%=|#\{",
}
"""By name, which is what reports call them."""

MOST_BYTES = 8192
"""Of a string that are looked at."""

_ANY = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in PATTERNS.items()), re.IGNORECASE)


def injection_in(value: Any) -> Fault | None:
    """The first string in a JSON body's value that looks like one."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        steps, each = waiting.pop()
        if isinstance(each, str):
            if found := _ANY.search(each[:MOST_BYTES]):
                detail = f"It looks like an injection ({found.lastgroup})."
                return Fault("body", pointer("body", *steps), detail, f"injection_{found.lastgroup}")
        elif isinstance(each, dict):
            waiting += [((*steps, name), inner) for name, inner in each.items() if isinstance(inner, str | dict | list)]
        elif isinstance(each, list):
            waiting += [((*steps, at), inner) for at, inner in enumerate(each) if isinstance(inner, str | dict | list)]
    return None

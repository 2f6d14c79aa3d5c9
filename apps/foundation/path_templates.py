"""Paths of operations, like ``/items/{id}``: what stands in them for a value, and what becomes of them with one."""

import re
from collections.abc import Mapping
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\{([^{}/?#]+)\}")


def placeholders(url: str) -> list[str]:
    """The names in the path of a template, each once: ``["id"]`` of ``/items/{id}``. A query has none."""
    return list(dict.fromkeys(_PLACEHOLDER.findall(url.partition("?")[0])))


def filled(url: str, values: Mapping[str, str]) -> str:
    """A template with ``values``, each of them as the text of one segment; ``YOUR_ID`` where there is no value for ``id``."""
    path, mark, query = url.partition("?")
    path = _PLACEHOLDER.sub(lambda found: quote(values.get(found[1]) or f"YOUR_{found[1].upper()}", safe=""), path)
    return f"{path}{mark}{query}"


def refusal_of_template(url: str) -> str:
    """Why a URL can't be called, in a sentence for who wrote it: its path is a template still. Empty: it is none."""
    if not (names := placeholders(url)):
        return ""
    return f"Put a value in place of {{{names[0]}}}. A brace that is part of the path is written %7B or %7D."

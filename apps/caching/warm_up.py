"""What an API's policy says of warm-ups: the ``warm_up`` object of the declarative file's ``cache``, read and understood.

The policy's row keeps the object in the file's own words, so that documents and revisions hold what was written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from apps.foundation import field_names
from apps.foundation.path_templates import refusal_of_template
from apps.httpcache import normalise_target
from apps.httpcache.identity import is_credential

MOST = 10_000
"""URLs of one warm-up."""

FASTEST, SLOWEST = 1000.0, 1 / 3600
"""Calls a second: an origin that takes more needs no warm-up, and one that takes less gets none."""

USUAL_RATE = "10/s"
USUAL_TOP = 100

SHORTEST_EVERY = 60.0
"""Seconds between two warm-ups by the schedule."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")
_NOT_SENT = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "range", "x-apimgr-warm-up"}
)


@dataclass(frozen=True)
class WarmUpSettings:
    """``rate`` is calls a second, ``every`` seconds (``None``: no schedule)."""

    urls: tuple[str, ...] = ()
    top: int = 0
    rate: float = 10.0
    headers: Mapping[str, str] = field(default_factory=dict)
    on_publish: bool = False
    after_purge: bool = False
    every: float | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "WarmUpSettings":
        """Of what ``read_warm_up`` returned. Without URLs and without a number, the usual number of the top."""
        urls = tuple(said.get("urls", ()))
        calls, period = field_names.rate(said.get("rate", USUAL_RATE))
        return cls(
            urls=urls,
            top=said.get("top", 0 if urls else USUAL_TOP),
            rate=calls / period,
            headers=said.get("headers", {}),
            on_publish=said.get("on_publish", False),
            after_purge=said.get("after_purge", False),
            every=field_names.duration(said["every"]) if said.get("every") else None,
        )


def url(value: object) -> str:
    """A whole URL, or a path with its query. Raises ``ValueError``."""
    found = field_names.text(value).strip()
    if not found or len(found) > 2000:
        raise ValueError("Between 1 and 2,000 characters.")
    if refused := refusal_of_template(found):
        raise ValueError(refused)
    try:
        parts = urlsplit(found)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        raise ValueError("This is not a URL.") from None
    if not whole and (parts.scheme or parts.netloc or not found.startswith("/")):
        raise ValueError("Write a path like /items/1?lang=en, or a whole URL.")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("A URL to warm up has no credentials and no fragment.")
    if normalise_target((parts.path or "/").encode() + (f"?{parts.query}".encode() if parts.query else b"")) is None:
        raise ValueError("The gateway refuses this path with 400.")
    return found


def rate(value: object) -> str:
    """A rate like ``10/s``, between one call an hour and 1,000 a second."""
    calls, period = field_names.rate(value)
    if not SLOWEST <= calls / period <= FASTEST:
        raise ValueError("Between 1/h and 1000/s.")
    return field_names.rate_text(calls, period)


def rate_text(a_second: float) -> str:
    """Calls a second as ``rate`` reads them."""
    for unit, seconds in (("s", 1), ("m", 60)):
        calls = a_second * seconds
        if calls >= 1 and abs(calls - round(calls)) < 1e-6:
            return f"{round(calls)}/{unit}"
    return f"{max(1, round(a_second * 3600))}/h"


def top(value: object) -> int:
    """How many of the most called URLs."""
    count = field_names.integer(value)
    if count > MOST:
        raise ValueError(f"At most {MOST:,}.")
    return count


def headers(value: object) -> dict[str, str]:
    """Request headers by name, such as those that ``Vary`` names."""
    if not isinstance(value, Mapping):
        raise ValueError("Expected an object of header names and values.")
    if len(value) > 20:
        raise ValueError("At most 20 headers.")
    found = {}
    for name, item in value.items():
        text = field_names.text(item)
        if not isinstance(name, str) or not _TOKEN.match(name) or name.lower() in _NOT_SENT:
            raise ValueError(f"{name!s} is not a request header that can be set.")
        if is_credential(name.lower().encode()):
            raise ValueError(f"A response to a call with {name} is not for everybody: nothing would be warmed up.")
        if len(text) > 1000 or not text.isprintable() or not text.isascii():
            raise ValueError(f"The value of {name} is too long, or not plain text.")
        found[name.lower()] = text.strip()
    return found


def _every(value: object) -> str:
    seconds = field_names.duration(value)
    if seconds < SHORTEST_EVERY or seconds > 366 * 86400:
        raise ValueError("Between a minute and 366 days.")
    return field_names.duration_text(seconds)


_WORDS: dict[str, field_names.Reader] = {
    "urls": field_names.many(url),
    "top": top,
    "rate": rate,
    "headers": headers,
    "on_publish": field_names.boolean,
    "after_purge": field_names.boolean,
    "every": field_names.optional(_every),
}


def read_warm_up(value: object) -> dict[str, Any]:
    """The object in one form; ``{}``: no warm-ups but those that users start. Raises ``ValidationError`` by path."""
    found = field_names.read(value, _WORDS)
    return {word: said for word, said in found.items() if said is not None}

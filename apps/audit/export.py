"""Entries as JSON lines, from the oldest on, for archives and for who checks the chain elsewhere."""

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from django.db.models import QuerySet

from apps.audit.chain import FIELDS
from apps.audit.models import Entry

COLUMNS = (*FIELDS, "hash", "mac")
CHUNK = 1_000
"""Entries that are read at a time."""


def lines(entries: QuerySet[Entry]) -> Iterator[str]:
    """A line of JSON for each entry, in their order, without the line's end: all that its hash is made of, its hash and its MAC."""
    for row in entries.values(*COLUMNS).iterator(CHUNK):
        yield _line(row)


def _line(row: dict[str, Any]) -> str:
    at = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(row | {"at": at}, separators=(",", ":"))

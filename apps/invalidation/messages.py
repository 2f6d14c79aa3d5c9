"""The message by which an origin's systems end responses. Pure.

JSON, one object or a list of up to 1,000::

    {"id": "order-4711-7", "api": "products", "kind": "path", "value": "/items/7", "soft": false, "at": "2026-11-23T01:00:00Z"}

``kind`` is ``path``, ``prefix``, ``tag``, ``operation``, ``tenant``, ``application`` (what is its own) or ``api``
(everything; no ``value``). ``id`` is the sender's: a message
with an id that was taken before is not taken again. ``at`` is when it was made, for people. ``api`` may be missing where
the way that it came by names the API already.
"""

from datetime import datetime
from typing import Literal

import msgspec

MOST = 1000
"""Items of a message."""

LARGEST = 2**20
"""Bytes of a message."""


class Unreadable(Exception):
    """It is no message at all. The text says why."""


class MessageItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a message ends."""

    kind: Literal["path", "prefix", "tag", "operation", "tenant", "application", "api"]
    value: str = ""
    api: str = ""
    id: str = ""
    soft: bool = False
    at: datetime | None = None


def read(body: bytes) -> list[MessageItem | str]:
    """The items of a message, or why one of them is none, in their order. Raises ``Unreadable``."""
    if len(body) > LARGEST:
        raise Unreadable("A message has 1 MiB at most.")
    try:
        whole = body.strip()
        items = msgspec.json.decode(whole, type=list[msgspec.Raw]) if whole[:1] == b"[" else [msgspec.Raw(whole)]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unreadable(f"A message is JSON: {error}") from None
    if not 1 <= len(items) <= MOST:
        raise Unreadable(f"A message has between 1 and {MOST:,} items.")
    return [_item(each) for each in items]


def _item(raw: msgspec.Raw) -> MessageItem | str:
    try:
        item = msgspec.json.decode(raw, type=MessageItem)
    except (msgspec.MsgspecError, RecursionError) as error:
        return str(error)
    if len(item.id) > 128:
        return "An id has 128 characters at most."
    return item

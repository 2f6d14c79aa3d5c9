"""The event stream: what changed, in order, for every subscriber. Pure: no Redis client, no ORM.

An event's id in the stream is ``incarnation-seq``, and ``seq`` grows by one with each event. So a subscriber that
reads on from the id where it stopped either gets the next number, or knows that something was trimmed and starts
over. Each event also names the time of the one before it (``after``): a Redis that came back older and went on from
there is noticed even when its numbers fit.
"""

from typing import NamedTuple

import msgspec

from apps.wire.lua_scripts import read_script

LONGEST = 10_000
"""Events kept, about: a subscriber that missed more reads everything anew."""

MOST_DIGESTS = 2_000
"""Credentials one event names at most; a larger change has subscribers drop all they hold and look them up again."""

APPEND = read_script(__file__, "events_append", LONGEST=LONGEST)
"""Lua: the function ``append``, which adds an event."""


class Position(NamedTuple):
    """A place in the stream: the last event's incarnation, number and time (Redis's clock, microseconds), and the
    epoch."""

    incarnation: int
    seq: int
    at: int
    n: int


class Event(msgspec.Struct, frozen=True):
    """One event. ``kind`` is ``change``, ``purge`` or ``refill`` (the first of an incarnation: everything was
    written anew).

    A change brings the epoch to ``n``; ``parts`` are to be read anew (one that isn't there any more is gone),
    records of the keys ``digests`` are to be dropped, and all of them if ``all_keys``. A purge of ``tags`` brought
    the purge clock to ``clock``.
    """

    incarnation: int
    seq: int
    at: int
    after: int
    kind: str
    n: int = 0
    parts: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    all_keys: bool = False
    clock: int = 0
    soft: bool = False
    tags: tuple[str, ...] = ()


def parse(identifier: bytes, fields: dict[bytes, bytes]) -> Event:
    """An entry of the stream as an ``Event``. Raises ``ValueError`` when it is none."""
    incarnation, seq = identifier.split(b"-")
    kind = fields.get(b"kind", b"").decode()
    if kind not in ("change", "purge", "refill"):
        raise ValueError(f"Event {identifier!r} is of an unknown kind {kind!r}.")
    tags = fields.get(b"tags", b"").decode("utf-8", "surrogateescape")
    return Event(
        incarnation=int(incarnation),
        seq=int(seq),
        at=int(fields.get(b"at", 0)),
        after=int(fields.get(b"after", 0)),
        kind=kind,
        n=int(fields.get(b"n", 0)),
        parts=tuple(fields.get(b"parts", b"").decode().split()),
        digests=tuple(fields.get(b"digests", b"").decode().split()),
        all_keys=fields.get(b"all_keys") == b"1",
        clock=int(fields.get(b"clock", 0)),
        soft=fields.get(b"soft") == b"1",
        tags=tuple(tags.split("\n")) if tags else (),
    )


def change_fields(n: int, parts: tuple[str, ...], digests: tuple[str, ...]) -> list[str]:
    """The fields of a change, flat, as ``XADD`` takes them."""
    fields = ["kind", "change", "n", str(n), "parts", " ".join(parts)]
    if len(digests) > MOST_DIGESTS:
        return [*fields, "all_keys", "1"]
    return [*fields, "digests", " ".join(digests)]

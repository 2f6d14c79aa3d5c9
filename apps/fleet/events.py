"""The event stream: what changed, in order, for every follower. Pure: no Redis client, no ORM.

An event's id in the stream is ``incarnation-seq``, and ``seq`` grows by one with each event. So a follower that
reads from the id it stopped at either gets the next number, or knows that something was trimmed and starts over; and
a Redis whose last id is lower than the follower's came back older than it was.
"""

import msgspec

LONGEST = 10_000
"""Events kept, about: a follower that missed more reads everything anew."""

MOST_DIGESTS = 2_000
"""Credentials one event names at most; a larger change has followers drop all they hold and look them up again."""

APPEND = f"""
local function append(epoch, events, fields)
  local incarnation = redis.call('HGET', epoch, 'incarnation')
  if not incarnation then return nil end
  local id = incarnation .. '-' .. redis.call('HINCRBY', epoch, 'seq', 1)
  return redis.call('XADD', events, 'MAXLEN', '~', '{LONGEST}', id, unpack(fields))
end
"""
"""Lua: ``append(KEYS[epoch], KEYS[events], fields)`` adds an event and returns its id; ``nil`` when Redis holds no
epoch."""


class Event(msgspec.Struct, frozen=True):
    """One event. ``kind`` is ``change``, ``purge`` or ``refill`` (the first of an incarnation: everything was
    written anew).

    A change brings the epoch to ``n``; ``parts`` are to be read anew (one that isn't there any more is gone),
    records of the keys ``digests`` are to be dropped, and all of them if ``all_keys``. A purge of ``tags`` brought
    the purge clock to ``clock``.
    """

    incarnation: int
    seq: int
    kind: str
    n: int = 0
    parts: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    all_keys: bool = False
    clock: int = 0
    soft: bool = False
    tags: tuple[str, ...] = ()


def position(identifier: bytes) -> tuple[int, int]:
    """``(incarnation, seq)`` of an id in the stream. Raises ``ValueError`` for anything else."""
    incarnation, seq = identifier.split(b"-")
    return int(incarnation), int(seq)


def parse(identifier: bytes, fields: dict[bytes, bytes]) -> Event:
    """An entry of the stream as an ``Event``. Raises ``ValueError`` when it is none."""
    incarnation, seq = position(identifier)
    kind = fields.get(b"kind", b"").decode()
    if kind not in ("change", "purge", "refill"):
        raise ValueError(f"Event {identifier!r} has an unknown kind {kind!r}.")
    return Event(
        incarnation=incarnation,
        seq=seq,
        kind=kind,
        n=int(fields.get(b"n", 0)),
        parts=tuple(fields.get(b"parts", b"").decode().split()),
        digests=tuple(fields.get(b"digests", b"").decode().split()),
        all_keys=fields.get(b"all_keys") == b"1",
        clock=int(fields.get(b"clock", 0)),
        soft=fields.get(b"soft") == b"1",
        tags=tuple(fields.get(b"tags", b"").decode("utf-8", "surrogateescape").split("\n"))
        if fields.get(b"tags")
        else (),
    )


def change_fields(n: int, parts: tuple[str, ...], digests: tuple[str, ...]) -> list[str]:
    """The fields of a change, flat, as ``XADD`` takes them."""
    fields = ["kind", "change", "n", str(n), "parts", " ".join(parts)]
    if len(digests) > MOST_DIGESTS:
        return [*fields, "all_keys", "1"]
    return [*fields, "digests", " ".join(digests)]

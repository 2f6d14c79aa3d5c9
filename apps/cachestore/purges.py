"""Purges: one clock for the installation, a table of purged tags in each worker, and the script that advances both.

A purge takes the next number of the purge clock and writes it beside its tags. An entry remembers the number its
worker knew when its fetch *began*; it is dead if any of its tags was purged later. So a purge costs the same whether
a tag has ten entries or a million, and a response that was on its way when the purge came is dead as well.
"""

import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from sys import getsizeof
from typing import Any

from apps.httpcache import CacheEntry, PurgeClock, StoredResponse, tag_of_api, tags_of
from apps.httpcache.entry import MAX_LIFE
from apps.wire import redis_names
from apps.wire.events import APPEND
from apps.wire.lua_scripts import read_script

NOT_LOADED: PurgeClock = (-1, -1)
"""The purge clock of what is fetched before the table was loaded: of no incarnation, and so dead."""

FLOOR = "*"
"""The row that stands for everything folded: entries born before its clock are dead. No tag looks like it."""

MAX_BYTES = 64 * 2**20
"""Bytes of purged tags that a worker keeps: as many rows as it may have, where tags are of the usual length."""

FEWEST = 1000
"""Rows that are kept whatever their length."""

MAX_ROWS = 100_000
"""Purged tags that are remembered one by one; beyond it, those of the APIs that have most fold."""

NOTE = read_script(__file__, "purges_note")
"""Lua: the function ``purge``; it stands after ``APPEND``."""

PURGE = APPEND + NOTE + read_script(__file__, "purges_purge")

FOLD = read_script(__file__, "purges_fold")


class StateIsEmpty(Exception):
    """The state Redis lost its contents and is about to be written anew; until then nothing can be purged, and
    nothing stored before that will ever be served again.
    """


def _arguments(tags: Iterable[str], soft: bool, now: float) -> list[bytes]:
    encoded = [tag.encode("utf-8", "surrogateescape") for tag in dict.fromkeys(tags)]
    if not encoded or len(encoded) > 5000:
        raise ValueError("A purge names between 1 and 5,000 tags.")
    if any(b"\n" in tag or not tag for tag in encoded):
        raise ValueError("A tag is not empty and holds no line break.")
    return [b"1" if soft else b"0", b"%d" % int(now), *encoded]


_KEYS = [redis_names.EPOCH, redis_names.EVENTS, redis_names.PURGE_CLOCK, redis_names.PURGES]


def purge(client: Any, tags: Iterable[str], *, soft: bool = False, now: float | None = None) -> int:
    """Purges tags on the whole installation and returns the purge clock after it. ``client`` is a ``redis.Redis`` of
    the state.

    A soft purge makes entries stale instead of dead. Purging the same tags twice is harmless. Raises ``ValueError``
    for tags that are none, ``StateIsEmpty``, and redis-py's errors when the state can't be reached.
    """
    now = time.time() if now is None else now
    arguments = _arguments(tags, soft, now)
    try:
        clock, rows = client.register_script(PURGE)(keys=_KEYS, args=arguments)
    except Exception as error:
        raise _explained(error) from error
    if rows > MAX_ROWS and clock % 100 == 0:
        fold(client, now)
    return int(clock)


async def purge_async(client: Any, tags: Iterable[str], *, soft: bool = False, now: float | None = None) -> int:
    """``purge`` for gateways: ``client`` is a ``redis.asyncio.Redis`` of the state. Rows are folded by the control
    plane.
    """
    arguments = _arguments(tags, soft, time.time() if now is None else now)
    try:
        clock, _ = await client.register_script(PURGE)(keys=_KEYS, args=arguments)
    except Exception as error:
        raise _explained(error) from error
    return int(clock)


def _explained(error: Exception) -> Exception:
    return StateIsEmpty(str(error)) if "NOEPOCH" in str(error) else error


def fold(client: Any, now: float, *, max_rows: int = MAX_ROWS) -> int:
    """Folds rows older than the longest life of an entry into the floor, and where there are too many (``_surplus``), others
    into the row of their API.

    Returns the floor. It is for a periodic task: it reads the whole table.
    """
    rows = {
        tag.decode("utf-8", "surrogateescape"): _row(row) for tag, row in client.hgetall(redis_names.PURGES).items()
    }
    present = max(rows.pop(FLOOR, (0, 0, 0.0))[:2])
    newest = {tag: max(hard, soft) for tag, (hard, soft, _) in rows.items()}
    floor = max((newest[tag] for tag, (_, _, at) in rows.items() if at < now - MAX_LIFE), default=present)
    floor = max(floor, present)
    folded = [(FLOOR, floor, [tag for tag, clock in newest.items() if clock <= floor])]
    if len(rows) - len(folded[0][2]) > max_rows:
        left = {tag: clock for tag, clock in newest.items() if clock > floor}
        surplus = _surplus(left, len(left) - max_rows * 3 // 4)
        floor = max([floor, *(clock for row, clock, _ in surplus if row == FLOOR)])
        # The floor's row comes last and is written in any case: by a change of it, copies of the table see that rows are gone.
        folded = [
            *(each for each in surplus if each[0] != FLOOR),
            (FLOOR, floor, [t for t in newest if newest[t] <= floor]),
        ]
    elif floor <= present:
        return present
    script = client.register_script(FOLD)
    for row, clock, tags in folded:
        encoded = [tag.encode("utf-8", "surrogateescape") for tag in tags]
        for start in range(0, max(1, len(encoded)), 5000):
            script(keys=[redis_names.PURGES], args=[row, clock, int(now), *encoded[start : start + 5000]])
    return floor


def _surplus(newest: Mapping[str, int], goal: int) -> list[tuple[str, int, list[str]]]:
    """What to fold so that ``goal`` rows are free: (the row to fold into, the clock, the rows that go). ``newest`` are the clocks
    of the rows.

    Every API may keep equally many, the newest; the others fold into the row of the whole API. So who has everything of an
    API purged, row by row, ends that API's older responses and no other's. What goes across APIs folds into the floor.
    """
    by_api: dict[str, list[tuple[int, str]]] = {}
    for tag, clock in newest.items():
        if tag != tag_of_api(about := _about(tag)):
            by_api.setdefault(about, []).append((clock, tag))
    sizes = [len(own) for own in by_api.values()]
    room = max(0, sum(sizes) - goal)
    share = bisect_right(
        range(1, max(sizes, default=0) + 1), room, key=lambda most: sum(min(size, most) for size in sizes)
    )
    found = []
    for about, own in by_api.items():
        if len(own) > share:
            own.sort()
            gone = own[: len(own) - share]
            found.append((tag_of_api(about) if about else FLOOR, gone[-1][0], [tag for _, tag in gone]))
            goal -= len(gone)
    if goal > 0:  # there are that many APIs
        clocks = sorted(newest.values())
        floor = clocks[min(goal, len(clocks)) - 1]
        found.append((FLOOR, floor, [tag for tag, clock in newest.items() if clock <= floor]))
    return found


def _size_of(tag: str) -> int:
    """The bytes of a row here: the tag, its clock, their places in the tables."""
    return 240 + getsizeof(tag)


def _about(tag: str) -> str:
    """The API that a tag is of; empty for tags that go across (tenant, application, subject)."""
    kind, _, rest = tag.partition(":")
    return rest.partition(":")[0] if kind in _OF_AN_API else ""


_OF_AN_API = frozenset("apxkge")
"""Kinds of tags that name their API first: see ``apps.httpcache.invalidation``."""


def _row(row: bytes) -> tuple[int, int, float]:
    """``(hard clock, soft clock, Unix seconds of the last purge)`` of a row."""
    hard, soft, at = row.split()
    return int(hard), int(soft), float(at)


class PurgedTags:
    """The purges a worker knows. Fed by the subscriber to the event stream; asked on every hit.

    ``clock`` is the newest purge known, ``version`` changes with whatever is learned. A hit costs one comparison while
    nothing was purged since the entry was last looked at. Before ``load`` was called, every entry is dead: it isn't known yet
    what was purged.
    """

    def __init__(self, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        self.incarnation: int | None = None
        self.clock = 0
        self._floor = 0
        self._hard: dict[str, int] = {}
        self._soft: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._bytes = 0
        self.version = 0

    def load(self, incarnation: int, clock: int, rows: Mapping[bytes, bytes]) -> None:
        """Takes the whole table as it stands in Redis. Entries born in another incarnation are dead from now on."""
        self.incarnation = incarnation
        self.clock = clock
        self._floor = 0
        self._hard, self._soft, self._newest = {}, {}, {}
        self._bytes = 0
        for name, row in rows.items():
            hard, soft, _ = _row(row)
            tag = name.decode("utf-8", "surrogateescape")
            if tag == FLOOR:
                self._floor = max(hard, soft)
                continue
            if hard:
                self._set(self._hard, tag, hard)
            if soft:
                self._set(self._soft, tag, soft)
        self._make_room()
        self.version += 1

    def apply(self, tags: Iterable[str], clock: int, soft: bool) -> None:
        """Records one purge; recording it twice, or late, changes nothing."""
        known = self._soft if soft else self._hard
        for tag in tags:
            if clock > known.get(tag, 0):
                self._set(known, tag, clock)
        self.clock = max(self.clock, clock)
        self._make_room()
        self.version += 1

    def note(self, tags: Iterable[str]) -> None:
        """Ends here what was stored before now, while Redis is away and the purge can't be numbered.

        Births stay where they are: were the clock moved, an entry could be born with the number that the next real
        purge gets, and survive it. So what is fetched before that purge is dead too if it carries one of these tags.
        """
        for tag in tags:
            self._set(self._hard, tag, max(self._hard.get(tag, 0), self.clock + 1))
        self._make_room()
        self.version += 1

    def _set(self, known: dict[str, int], tag: str, clock: int) -> None:
        if tag not in known:
            self._bytes += _size_of(tag)
        known[tag] = clock
        about = _about(tag)
        self._newest[about] = max(self._newest.get(about, 0), clock)

    def _make_room(self) -> None:
        while len(self) > self._max_rows or (self._bytes > self._max_bytes and len(self) > FEWEST):
            rows = len(self)
            self._fold()
            if len(self) >= rows:
                return

    def _fold(self) -> None:
        """Forgets a quarter of the rows, and knows less exactly what they ended (``_surplus``)."""
        tags = self._hard.keys() | self._soft.keys()
        newest = {tag: max(self._hard.get(tag, 0), self._soft.get(tag, 0)) for tag in tags}
        for row, clock, gone in _surplus(newest, (len(newest) + 3) // 4):
            for tag in gone:
                for known in (self._hard, self._soft):
                    if known.pop(tag, None) is not None:
                        self._bytes -= _size_of(tag)
            if row == FLOOR:
                self._floor = max(self._floor, clock)
            else:
                self._set(self._hard, row, max(self._hard.get(row, 0), clock))

    def purge_clock(self) -> PurgeClock:
        """What a fetch that begins now is born with."""
        return NOT_LOADED if self.incarnation is None else (self.incarnation, self.clock)

    def is_alive(self, stored: StoredResponse) -> bool:
        """Whether a stored response may still be used. Sets its ``soft`` when a soft purge made it stale."""
        if stored.purges_seen == self.version and self.incarnation is not None:
            return True
        entry = stored.entry
        if self.is_dead(entry):
            return False
        stored.soft = self._names(self._soft, entry)
        stored.purges_seen = self.version
        return True

    def is_dead(self, entry: CacheEntry) -> bool:
        """Whether a purge ended an entry: it was born in another incarnation, before the floor, or before a purge of
        one of its tags.
        """
        incarnation, born = entry.birth
        if incarnation != self.incarnation or born < self._floor:
            return True
        return self._names(self._hard, entry)

    def _names(self, purged: dict[str, int], entry: CacheEntry) -> bool:
        """Whether one of an entry's tags was purged since its fetch began. Purges of other APIs, which are most of them, cost
        two look-ups; a response may have a thousand tags.
        """
        newest, born = self._newest, entry.birth[1]
        if not purged or (newest.get(entry.api, 0) <= born and newest.get("", 0) <= born):
            return False
        return any(purged.get(tag, 0) > born for tag in tags_of(entry))

    def __len__(self) -> int:
        return len(self._hard) + len(self._soft)

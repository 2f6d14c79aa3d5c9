"""The books of the shared tier: what each account takes there, and who gives first.

Redis and Valkey evict what is used least on the whole server; they know no tenants, so that one tenant's flood is the
others' loss. Therefore every write goes through one script, which stores the entry, charges it to its account
(``fair_share``) and, where a bound is passed, evicts: the oldest of the account that takes most. What was read lately is
spared once, where the server can tell (an LFU policy). The server's own eviction remains as the last resort.

In Redis, all under ``apimgr:books:``

- ``tenants`` (sorted set): the bytes of each owner of APIs; ``apis:T``: of each API of tenant T; ``callers:T/A``: of
  each account of API A, by the account's number;
- ``of:N`` (sorted set): the names of the entries (and of the sets of their siblings) that are charged to account N, the
  oldest first. A score is the second of the write and the size: ``seconds * 2**21 + size in units of 256 bytes``;
- ``accounts`` (hash): tenant, API and caller of each number; ``sums`` (hash): all bytes, and all evictions;
- ``evictions`` (hash): those of each tenant and API.

An entry's value begins with the number of its account, so that an entry that another account stores anew changes accounts.
What Redis forgot by itself (at the end of its time, or for lack of memory) is still in the books until it is the oldest,
or is met by chance: each write looks at four entries of its own account. As it adds one, no more than about a quarter of
what the books say of an account that is written to is no longer there. Nothing depends on the books but evictions: where
they are lost, they begin anew.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from apps.cachestore.fair_share import Account
from apps.wire.lua_scripts import read_script

PREFIX = "apimgr:books:"

UNIT = 256
"""Bytes in which the books count one entry."""

OVERHEAD = 512
"""Bytes that an entry takes besides its value: its name, the server's own bookkeeping and ours; measured."""

BASE = 2 * 2**20
"""Bytes that a server needs for itself and its connections."""

FILL = 0.85
"""The part of the rest of a cache server's memory up to which entries may fill it by the books. Measured with bodies
of 0 to 60,000 bytes, they take 1.00 to 1.07 of what the books say.
"""

FILL_BESIDE_STATE = 0.6
"""The same where state is on that server too, which must not run full: the shared tier stops writing at 70 %."""

MOST_EVICTIONS = 200
"""Evictions made for one write, so that none keeps the server busy for longer than about a millisecond. What is still
too much goes with the next ones.
"""

SPARED = 5
"""Entries in a row that are spared because they were read lately."""

SIBLINGS = 32
"""Rows of one path in the index; one more forgets the oldest."""

_MARK = b"\x01"
_DIGITS = 16
HEADER = len(_MARK) + _DIGITS

SHIFT = 2**21

_CONSTANTS = {"HEADER": HEADER, "SIBLINGS": SIBLINGS, "MOST_EVICTIONS": MOST_EVICTIONS, "SPARED": SPARED}

SCRIPT = read_script(__file__, "eviction", UNIT=UNIT, SHIFT=SHIFT, **_CONSTANTS)
"""What does all of it."""

SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

FENCED = -1
"""What a write comes to when its fetch lock has gone to another worker."""


class Bounds(NamedTuple):
    """Bytes that an API, its tenant, and all together may take by the books; 0: no bound."""

    api: int = 0
    tenant: int = 0
    all: int = 0


class EvictionItem(NamedTuple):
    """A record on its way: its name in Redis, its value (``marked``; empty: to be deleted) and its life in seconds.
    With a ``score`` the value is a row of siblings.
    """

    name: str
    value: bytes = b""
    seconds: float = 0.0
    score: float | None = None


def number_of(account: Account) -> str:
    """The account's number in the books: 16 hexadecimal digits."""
    return hashlib.blake2b("\n".join(account).encode(), digest_size=_DIGITS // 2).hexdigest()


def marked(value: bytes, account: Account) -> bytes:
    """A value with the number of its account in front."""
    return _MARK + number_of(account).encode() + value


def unmarked(value: bytes) -> bytes:
    """A value without the number of its account, if it has one."""
    return value[HEADER:] if value.startswith(_MARK) else value


def size_of(value: bytes) -> int:
    """The bytes that an entry with this value takes by the books; nothing, without one."""
    return -(-(len(value) + OVERHEAD) // UNIT) * UNIT if value else 0


def bounds(maximum: int, max_size: int | None, *, fill: float, tenant_share: float) -> Bounds:
    """The bounds on a server with ``maximum`` bytes of memory (0: not bounded). ``max_size`` is the API's."""
    # A server with next to no memory keeps nothing, which isn't the same as having no bound.
    everything = max(int((maximum - BASE) * fill), min(maximum, 1))
    return Bounds(
        api=0 if max_size is None else max(1, max_size),
        tenant=int(everything * tenant_share) if tenant_share < 1.0 else 0,
        all=everything,
    )


def command(
    items: Sequence[EvictionItem], account: Account, within: Bounds, now: float, guard: tuple[str, str] | None = None
) -> tuple[Any, ...]:
    """The arguments of ``EVALSHA`` after the script's name (``SHA``), or of ``EVAL`` after the script (``SCRIPT``).

    ``guard`` is the name of a fetch lock and the token under which it must be held; the lock is freed.
    """
    lock, token = guard or (PREFIX, "")
    largest = min(filter(None, within), default=math.inf)
    parts: list[Any] = []
    for item in items:
        # One that fits under no circumstances takes the place of its predecessor, and of no other entry.
        value = b"" if size_of(item.value) > largest else item.value
        score = "" if item.score is None else item.score
        parts += (value, max(1, int(item.seconds * 1000)), size_of(value) // UNIT, score)
    names = [item.name for item in items]
    books = (PREFIX, int(now), number_of(account), *account, *within)
    return (1 + len(names), lock, *names, *books, token, *parts)

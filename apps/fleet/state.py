"""The state Redis as the publisher sees it: what it holds, and the scripts that change it. No rows here.

Everything that could be done by two publishers at once is conditional on what was read before: incarnation, epoch
and *step*. A change too large for one script is pushed in steps; another process that comes between makes the first start over,
so that nothing compiled earlier ever overwrites what was compiled later.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings

from apps.cachestore.purges import NOTE
from apps.wire import redis_names
from apps.wire.events import APPEND, change_fields
from apps.wire.lua_scripts import read_script
from apps.wire.redis_client import Client, connect
from apps.wire.sealing import BrokenSeal, seal, unseal
from apps.wire.snapshot import EDITION, Credential, Incarnation, Part

TIMEOUT = 0.8
"""Seconds that any one exchange may take: a person waits behind it."""

REFILL_LOCK = 15_000
"""Milliseconds without progress after which a refill counts as dead, and another process may begin one."""

LONGEST_NUMBER = 12
"""Digits of an incarnation that is believed when a worker names it: gateways can write there, and numbers end."""

_WRITE = read_script(__file__, "state_write")

PUSH = APPEND + NOTE + _WRITE + read_script(__file__, "state_push")

FILL = _WRITE + read_script(__file__, "state_fill")

SWITCH = APPEND + read_script(__file__, "state_switch")


class RedisState(NamedTuple):
    """What Redis holds. ``genuine``: its proof is this installation's. ``highest`` is the highest incarnation that any process knew
    of; ``mistrusted``: a worker knew more than Redis does. ``outdated``: an older version wrote it.
    """

    incarnation: int
    n: int
    step: int
    genuine: bool
    highest: int
    mistrusted: bool
    outdated: bool = False


@lru_cache(maxsize=4)
def _client(url: str) -> Client:
    return connect(url, timeout=TIMEOUT)


def client() -> Client:
    """The control plane's client of the state Redis, one per process."""
    return _client(settings.REDIS_URL)


def proof_of(incarnation: int) -> bytes:
    """What shows subscribers that an incarnation was begun by this installation's control plane."""
    return seal(settings.SNAPSHOT_MAC_KEY, incarnation, "incarnation", Incarnation(incarnation))


def redis_state(redis: Client) -> RedisState | None:
    """What Redis holds; ``None``: nothing."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.hmget(redis_names.EPOCH, "incarnation", "n", "step", "proof", "edition")
    pipeline.get(redis_names.MISTRUST)
    (incarnation, n, step, proof, edition), mistrust = pipeline.execute()
    if incarnation is None:
        return None
    try:
        unseal(settings.SNAPSHOT_MAC_KEY, int(incarnation), "incarnation", proof or b"", Incarnation)
        genuine = True
    except (BrokenSeal, ValueError, OverflowError):
        return RedisState(0, 0, 0, genuine=False, highest=0, mistrusted=False)
    known = int(mistrust) if mistrust is not None and mistrust.isdigit() and len(mistrust) <= LONGEST_NUMBER else 0
    return RedisState(
        int(incarnation),
        int(n or 0),
        int(step or 0),
        genuine,
        highest=max(int(incarnation), known),
        mistrusted=known >= int(incarnation),
        outdated=not (edition or b"").isdigit() or int(edition) < EDITION,
    )


def push(
    redis: Client,
    at: RedisState,
    parts: Mapping[str, Part | None],
    records: Mapping[str, Credential | None],
    *,
    n: int | None = None,
    names_of: tuple[Sequence[str], Sequence[str]] = ((), ()),
    purged: Sequence[str] = (),
) -> bool:
    """Write parts and records, if Redis still is ``at``. With ``n``, the epoch becomes ``n``, workers are notified
    of the parts and digests in ``names_of``, and what is stored under the tags ``purged`` has ended; without, it is a
    step of many. False: another process was there first."""
    event = change_fields(n, tuple(names_of[0]), tuple(names_of[1])) if n is not None else []
    keys, values = _values(at.incarnation, parts, records)
    head = [at.incarnation, at.n, at.step, "" if n is None else n, len(parts), len(purged)]
    arguments = [*head, *values, *purged, *event]
    stable = [
        redis_names.EPOCH,
        redis_names.EVENTS,
        redis_names.parts(at.incarnation),
        redis_names.PURGE_CLOCK,
        redis_names.PURGES,
    ]
    return bool(redis.register_script(PUSH)(keys=[*stable, *keys], args=arguments))


def fill(
    redis: Client,
    token: str,
    incarnation: int,
    parts: Mapping[str, Part],
    records: Mapping[str, Credential | None],
) -> bool:
    """Write parts and records of an incarnation that no worker reads yet. False: another process refills now."""
    keys, values = _values(incarnation, parts, records)
    arguments = [token, REFILL_LOCK, len(parts), *values]
    return bool(
        redis.register_script(FILL)(keys=[redis_names.REFILLER, redis_names.parts(incarnation), *keys], args=arguments)
    )


def switch(redis: Client, token: str, incarnation: int, n: int, purge_clock: int) -> bool:
    """Have everybody read ``incarnation``, which is complete up to epoch ``n``. The purge clock goes on from
    ``purge_clock`` if it was lost. False: another process refills now."""
    keys = [
        redis_names.REFILLER,
        redis_names.EPOCH,
        redis_names.EVENTS,
        redis_names.PURGES,
        redis_names.MISTRUST,
        redis_names.PURGE_CLOCK,
    ]
    arguments = [token, incarnation, n, proof_of(incarnation), purge_clock, EDITION]
    return bool(redis.register_script(SWITCH)(keys=keys, args=arguments))


def sweep(redis: Client) -> int:
    """Delete what is left of earlier incarnations, once per incarnation; how many names went."""
    incarnation, swept = (int(value or 0) for value in redis.hmget(redis_names.EPOCH, "incarnation", "swept"))
    if not incarnation or swept == incarnation:
        return 0
    gone = 0
    for pattern in (f"{redis_names.PARTS}:*", f"{redis_names.CREDENTIAL}*"):
        for name in redis.scan_iter(match=pattern, count=1000):
            number = name.split(b":")[2]
            # A higher one is being written.
            if number.isdigit() and int(number) < incarnation:
                gone += redis.unlink(name)
    redis.hset(redis_names.EPOCH, "swept", incarnation)
    return gone


def _values(
    incarnation: int, parts: Mapping[str, Part | None], records: Mapping[str, Credential | None]
) -> tuple[list[str], list[bytes | str]]:
    """Keys of the records, and the scripts' values: names and sealed parts, then sealed records."""
    key = settings.SNAPSHOT_MAC_KEY
    values: list[bytes | str] = []
    for name, part in parts.items():
        values += [name, b"" if part is None else seal(key, incarnation, name, part)]
    for digest, record in records.items():
        values.append(b"" if record is None else seal(key, incarnation, f"key:{digest}", record))
    return [redis_names.credential(incarnation, digest) for digest in records], values

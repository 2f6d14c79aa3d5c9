"""What a gateway worker says of itself: one field of a hash in Redis, written with each heartbeat. No ORM: both
planes read it.

All times are Redis's own clock, so that machines whose clocks differ can be compared.
"""

import socket
from typing import NamedTuple

import msgspec

from apps.fleet import names
from apps.fleet.connections import Client

BEAT = """
if ARGV[1] ~= '' then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', now[1] * 1000 + math.floor(now[2] / 1000)) .. ' ' .. ARGV[2])
end
local at = redis.call('HMGET', KEYS[2], 'incarnation', 'seq', 'at', 'n', 'proof')
at[6] = redis.call('HLEN', KEYS[1])
return at
"""
"""Lua, for KEYS workers and epoch: note what the worker ``ARGV[1]`` says (none: nothing) and answer where the event
stream is."""


class L1(msgspec.Struct, frozen=True, array_like=True):
    """What a worker's own tier of cached responses holds; evictions since it started."""

    bytes: int = 0
    capacity: int = 0
    entries: int = 0
    evictions: int = 0


NO_L1 = L1()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says. ``lease`` is its trust lease's length in seconds, counted from when Redis heard this at
    the latest; ``clock`` is the purge clock; ``refused`` counts values whose seal is broken; ``troubled`` names
    upstreams that fail now; ``l1`` is its tier of cached responses."""

    node: str
    number: int
    pid: int
    incarnation: int
    n: int
    clock: int
    lease: float
    in_flight: int
    version: str
    since: float
    refused: int = 0
    troubled: tuple[str, ...] = ()
    l1: L1 = NO_L1

    @property
    def worker(self) -> str:
        """Its id: a restarted worker is another one."""
        return worker_id(self.node, self.number, self.pid)


class Heard(NamedTuple):
    """A worker's report and when Redis heard it, in Unix seconds of Redis's clock."""

    worker: str
    report: Report
    at: float

    @property
    def lease_until(self) -> float:
        """When it stops to answer for credentials at the latest, unless Redis hears of it again."""
        return self.at + self.report.lease


def node_name() -> str:
    """This machine's name."""
    return socket.gethostname()


def worker_id(node: str, number: int, pid: int) -> str:
    """The field of a worker in ``names.WORKERS``."""
    return f"{node}-{number}-{pid}"


LATELY = 3.0
"""Seconds without a heartbeat, which comes each second, after which nobody waits for a worker."""

_decoder = msgspec.msgpack.Decoder(Report)


def read(client: Client) -> tuple[float, list[Heard]]:
    """Redis's time in Unix seconds, and all workers that neither said goodbye nor were reaped, by id."""
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.hgetall(names.WORKERS)
    (seconds, microseconds), rows = pipeline.execute()
    heard = []
    for name in sorted(rows):
        milliseconds, _, packed = rows[name].partition(b" ")
        try:
            heard.append(Heard(name.decode(), _decoder.decode(packed), int(milliseconds) / 1000))
        except (msgspec.DecodeError, ValueError):
            continue  # nothing of ours wrote it
    return seconds + microseconds / 1e6, heard


async def all_know(client: Client, clock: int, *, but: str) -> bool:
    """Whether every worker that was heard of lately, ``but`` one, says that it knows the purge with this number.
    ``client`` is an asynchronous one. Raises redis-py's errors.
    """
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.hgetall(names.WORKERS)
    (seconds, _), rows = await pipeline.execute()
    for name, row in rows.items():
        milliseconds, _, packed = row.partition(b" ")
        if name.decode() == but or int(milliseconds) / 1000 < seconds - LATELY:
            continue
        try:
            if _decoder.decode(packed).clock < clock:
                return False
        except msgspec.DecodeError:
            continue
    return True


def worker_reaped(client: Client, *, pid: int, node: str | None = None) -> None:
    """A worker's process has ended without goodbye: it no longer counts. Raises redis-py's errors."""
    prefix, suffix = f"{node or node_name()}-".encode(), f"-{pid}".encode()
    gone = [name for name in client.hkeys(names.WORKERS) if name.startswith(prefix) and name.endswith(suffix)]
    if gone:
        client.hdel(names.WORKERS, *gone)

"""What gateway workers, and the disk copies that they may start from, say of themselves: one field of a hash in Redis
each, written with each heartbeat. No ORM: both planes read it.

All times are Redis's own clock, so that machines whose clocks differ can be compared.

**Why a worker that starts serves nothing older than what a receipt named.** A receipt looks at these rows after its
change is in Redis. Whatever configuration a worker serves first, it has it from one of two places:

- *Redis.* It serves nothing until a heartbeat found the event stream at no later place than the worker is
  (``ConfigSubscriber.confirm``). That heartbeat writes the worker's row and reads the stream's place in one script. A receipt
  that looked before it had its change in the stream by then, so the worker has it too; a receipt that looks after it finds the
  row, and counts the worker.
- *The disk copy*, while it can't reach Redis, and so can't say anything. It takes a shared lock on the copy, and only then
  reads it. The agent, after it has written a change to the copy and before it says so, looks whether any worker holds that lock,
  and says that too. So a worker that locked the copy after the agent's look has read the change; for one that locked it before, the
  receipt finds a copy that is ``in_use``, and is not complete. The worker lets go of the lock when it has a row of its own. What it
  may answer meanwhile ends with the copy's trust lease, which is what ``everywhere_by`` names; calls without credentials go on, as
  they do in every worker that is cut off.
"""

import socket
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import msgspec

from apps.wire import redis_names
from apps.wire.lua_scripts import read_script
from apps.wire.redis_client import Client

BEAT = read_script(__file__, "worker_reports_beat")
"""Lua: a heartbeat."""


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
    upstreams that fail now; ``l1`` is its tier of cached responses. One that is ``starting`` serves nothing yet."""

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
    starting: bool = False

    @property
    def worker(self) -> str:
        """Its id: a restarted worker is another one."""
        return worker_id(self.node, self.number, self.pid)


class ReceivedReport(NamedTuple):
    """A worker's report and when Redis heard it, in Unix seconds of Redis's clock."""

    worker: str
    report: Report
    at: float

    @property
    def lease_until(self) -> float:
        """When it stops to answer for credentials at the latest, unless it sends another heartbeat."""
        return self.at + self.report.lease


class CopyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a node agent says of its disk copy: how far it is, and for how many seconds from when Redis heard this it may
    be trusted at most. ``in_use``: a worker that started from it, and has no row of its own yet, may know less.
    ``workers`` is how many gateway workers are kept running on this machine; ``None``: the agent doesn't know.
    """

    node: str
    incarnation: int
    n: int
    clock: int
    lease: float
    in_use: bool
    workers: int | None = None


class ReceivedCopyReport(NamedTuple):
    """A disk copy's report and when Redis heard it, in Unix seconds of Redis's clock."""

    report: CopyReport
    at: float

    @property
    def lease_until(self) -> float:
        """When it may be trusted no more at the latest, unless it sends another heartbeat."""
        return self.at + self.report.lease


class Fleet(NamedTuple):
    """All that is known at ``now``: workers that serve, how many more are starting, and disk copies that one may start
    from."""

    now: float
    workers: list[ReceivedReport]
    starting: int
    copies: list[ReceivedCopyReport]


def node_name() -> str:
    """This machine's name."""
    return socket.gethostname()


def worker_id(node: str, number: int, pid: int) -> str:
    """The field of a worker in ``redis_names.WORKERS``."""
    return f"{node}-{number}-{pid}"


LATELY = 3.0
"""Seconds without a heartbeat, which comes each second, after which no receipt waits for a worker."""

STARTING = 30.0
"""Seconds without a heartbeat for which a starting worker is still believed to be one: reading a large configuration takes
some."""

_decoder = msgspec.msgpack.Decoder(Report)
_copy_decoder = msgspec.msgpack.Decoder(CopyReport)

R = TypeVar("R")


def read(client: Client) -> tuple[float, list[ReceivedReport]]:
    """Redis's time in Unix seconds, and all workers that serve and neither said goodbye nor were reaped, by id."""
    fleet = read_fleet(client)
    return fleet.now, fleet.workers


def read_fleet(client: Client) -> Fleet:
    """All that workers and agents said. Raises redis-py's errors."""
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.hgetall(redis_names.WORKERS)
    pipeline.hgetall(redis_names.COPIES)
    (seconds, microseconds), workers, copies = pipeline.execute()
    now = seconds + microseconds / 1e6
    heard = [ReceivedReport(name, report, at) for name, report, at in _rows(workers, _decoder)]
    copied = [ReceivedCopyReport(report, at) for _, report, at in _rows(copies, _copy_decoder)]
    serving = [each for each in heard if not each.report.starting]
    return Fleet(now, serving, _starting(now, heard, copied), copied)


def _rows(rows: dict[bytes, bytes], decoder: msgspec.msgpack.Decoder[R]) -> Iterator[tuple[str, R, float]]:
    for name in sorted(rows):
        milliseconds, _, packed = rows[name].partition(b" ")
        try:
            yield name.decode(), decoder.decode(packed), int(milliseconds) / 1000
        except (msgspec.DecodeError, ValueError):
            continue  # nothing of ours wrote it


def _starting(now: float, heard: list[ReceivedReport], copies: list[ReceivedCopyReport]) -> int:
    """Workers that said that they start, or, where an agent knows how many there should be, that are missing there."""
    serving = Counter(each.report.node for each in heard if not each.report.starting and each.lease_until > now)
    starting = Counter(each.report.node for each in heard if each.report.starting and each.at > now - STARTING)
    for report, at in copies:
        if report.workers is not None and at > now - LATELY:
            starting[report.node] = max(starting[report.node], report.workers - serving[report.node])
    return starting.total()


async def all_know(client: Client, clock: int, *, but: str) -> bool:
    """Whether every worker that sent a heartbeat lately, ``but`` one, says that it knows the purge with this number.
    ``client`` is an asynchronous one. Raises redis-py's errors.
    """
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.hgetall(redis_names.WORKERS)
    (seconds, _), rows = await pipeline.execute()
    for name, row in rows.items():
        milliseconds, _, packed = row.partition(b" ")
        if name.decode() == but or int(milliseconds) / 1000 < seconds - LATELY:
            continue
        try:
            report = _decoder.decode(packed)
            if report.clock < clock and not report.starting:
                return False
        except msgspec.DecodeError:
            continue
    return True


def long_silent(client: Client, seconds: float) -> dict[str, list[str]]:
    """Fields of ``redis_names.WORKERS`` and ``redis_names.COPIES`` whose lease ended more than ``seconds`` ago. Raises
    redis-py's errors."""
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.hgetall(redis_names.WORKERS)
    pipeline.hgetall(redis_names.COPIES)
    (now, _), workers, copies = pipeline.execute()
    return {
        redis_names.WORKERS: [name for name, row, at in _rows(workers, _decoder) if at + row.lease + seconds < now],
        redis_names.COPIES: [name for name, row, at in _rows(copies, _copy_decoder) if at + row.lease + seconds < now],
    }


def worker_reaped(client: Client, *, pid: int, node: str | None = None) -> None:
    """A worker's process has ended without goodbye: it no longer counts. Raises redis-py's errors."""
    prefix, suffix = f"{node or node_name()}-".encode(), f"-{pid}".encode()
    gone = [name for name in client.hkeys(redis_names.WORKERS) if name.startswith(prefix) and name.endswith(suffix)]
    if gone:
        client.hdel(redis_names.WORKERS, *gone)

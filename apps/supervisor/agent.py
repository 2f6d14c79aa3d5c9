"""The node agent: one per machine. Ships call records, makes them safe against a power cut, keeps the gateways' disk copy.

Three loops that don't wait for each other: a slow disk doesn't delay shipping, a frozen Redis doesn't delay the fsync.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from apps.gateway.config.disk_copy import DiskCopyWriter
from apps.supervisor.shipper import Shipper
from apps.wire.redis_client import connect

#: What a power cut can take away, and how long a record waits here.
PERIOD = 0.1
_PATIENCE = 0.5  # between tries while Redis is away
_log = logging.getLogger(__name__)


class AnotherAgent(Exception):
    """This node's spool has an agent already."""


class Syncer:
    """Has the kernel write to the disk what workers appended: they don't wait for it themselves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced: dict[str, tuple[int, int]] = {}

    def work(self) -> int:
        """Sync every segment that grew and every tally that changed. How many did. Raises ``OSError`` when the disk has a fault."""
        sizes = {}
        if self._folder.is_dir():
            with os.scandir(self._folder) as entries:
                found = [(entry.path, entry.stat()) for entry in entries if entry.name.endswith((".spool", ".tally"))]
                sizes = {path: (stat.st_size, stat.st_mtime_ns) for path, stat in found}
        grown = [path for path, size in sizes.items() if size != self._synced.get(path)]
        appeared = sizes.keys() - self._synced.keys()
        for path in grown:
            _sync(path)
        if appeared:
            _sync(str(self._folder))
        self._synced = sizes
        return len(grown)


def run(
    *,
    spool: Path,
    budget: int,
    redis_url: str,
    node: str,
    disk_copy: Path,
    mac_key: bytes,
    trust_lease: float,
    workers: int | None = None,
    stop: threading.Event,
    on_ready: Callable[[], None],
) -> None:
    """Be the agent until ``stop`` is set; ``on_ready`` is called once everything works. Ends within about a second.

    ``workers`` is how many gateway workers are kept running here, where that is known.

    Raises ``AnotherAgent`` when there is one.
    """
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(spool / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AnotherAgent(f"an agent ships {spool} already") from None
    syncing = threading.Thread(target=_sync_until, args=(Syncer(spool), stop), name="sync")
    make_writer = partial(
        DiskCopyWriter,
        path=disk_copy,
        redis_url=redis_url,
        mac_key=mac_key,
        trust_lease=trust_lease,
        node=node,
        workers=workers,
    )
    copying = threading.Thread(target=_copy_until, args=(make_writer, stop), name="disk copy")
    client = connect(redis_url)
    shipper = Shipper(spool, client, node, budget)
    syncing.start()
    copying.start()
    try:
        on_ready()
        well = True
        while not stop.wait(PERIOD if well else _PATIENCE):
            well = shipper.work()
        shipper.work()  # what the workers wrote last: they were stopped before
    finally:
        stop.set()
        copying.join()
        syncing.join()
        shipper.close()
        client.close()
        os.close(lock)


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_until(syncer: Syncer, stop: threading.Event) -> None:
    while not stop.wait(PERIOD):
        try:
            syncer.work()
        except OSError:
            _log.exception("Call records could not be synced to the disk")
            stop.wait(1.0)


def _copy_until(make_writer: Callable[[], DiskCopyWriter], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            make_writer().serve(stop)
        except Exception:
            _log.exception("The disk copy stopped; it starts again")
            stop.wait(1.0)

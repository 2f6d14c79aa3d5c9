"""Tells the fleet of gateway workers that have ended, so that receipts stop counting them."""

import asyncio

from django.conf import settings

from apps.supervisor.child_process import Child
from apps.supervisor.log_stream import LogStream
from apps.wire.redis_client import AWAY, connect
from apps.wire.worker_reports import worker_reaped

PAUSE = 1.0  # seconds between two tries while Redis is away


class Reaper:
    """Keeps telling until Redis has heard it: without that, a receipt would wait for the dead one until its trust lease ends."""

    def __init__(self, log: LogStream) -> None:
        self._log = log
        self.waiting: set[int] = set()  # processes that the fleet has not heard of yet
        self._task: asyncio.Task[None] | None = None

    def note(self, child: Child, pid: int) -> None:
        """The process ``pid`` of ``child`` has ended, in whatever way; for one that said goodbye itself this changes nothing."""
        if child.plan.name.split()[0] != "gateway":
            return
        self.waiting.add(pid)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        silent = True
        while self.waiting:
            pid = next(iter(self.waiting))
            try:
                await asyncio.to_thread(_reap, pid)
            except AWAY as error:
                if silent:
                    self._log.line("up", f"a gateway worker ended and the fleet can't be told yet: {error}")
                    silent = False
                await asyncio.sleep(PAUSE)
            else:
                self.waiting.discard(pid)


def _reap(pid: int) -> None:
    with connect(settings.REDIS_URL) as client:
        worker_reaped(client, pid=pid)

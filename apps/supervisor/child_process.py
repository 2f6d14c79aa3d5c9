"""A child of the supervisor: one command that is started, watched, started again when it ends, and stopped."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apps.foundation.child_command import Command
from apps.foundation.ready import VARIABLE as READY_VARIABLE
from apps.supervisor.log_stream import LogStream

LONGEST_LINE = 64 * 2**10
FIRST_PAUSE = 0.1  # seconds before a restart; doubles with every child that lived shorter than STEADY
LONGEST_PAUSE = 10.0
STEADY = 10.0
KILLED = 1.0  # seconds that the kernel may take to end what was sent SIGKILL


@dataclass(frozen=True)
class ChildPlan:
    """What the supervisor runs and how.

    ``grace`` is how long it may take to stop, in seconds; ``inherited`` are descriptors that it keeps; ``once`` marks a command
    that ends by itself and isn't started again; ``says_ready`` one that tells through ``READY_FD`` (``foundation.ready``).
    Lines that hold one of ``muted`` are not shown.
    """

    name: str
    command: Command
    grace: float = 1.0
    inherited: Sequence[int] = ()
    once: bool = False
    says_ready: bool = False
    muted: Sequence[str] = ()


class Child:
    """One running ``ChildPlan``.

    ``on_group`` hears of every process group made (``+``) and gone (``-``), for the guard; ``on_end`` of each process's end.
    """

    def __init__(
        self,
        plan: ChildPlan,
        log: LogStream,
        *,
        on_group: Callable[[str, int], None] = lambda sign, group: None,
        on_end: Callable[["Child", int], None] = lambda child, pid: None,
    ) -> None:
        self.plan = plan
        self.restarts = 0
        self.ready = asyncio.Event()
        self._log = log
        self._on_group = on_group
        self._on_end = on_end
        self._stopping = False
        self._turn = asyncio.Lock()  # a stop that comes while it is being started must find what to stop
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it, and keep it running from now on. Raises ``OSError`` when the program can't be run at all."""
        async with self._turn:
            self._stopping = False
            self._woken.clear()
            await self._spawn()
            self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.plan.name}")

    async def stop(self) -> None:
        """End it within its grace, and whatever it started; return when nothing of it is left."""
        async with self._turn:
            self._stopping = True
            self._woken.set()
            self._signal(signal.SIGCONT)  # a frozen process can't hear
            self._signal(signal.SIGTERM)
            if self._watcher is None:
                return
            _, waiting = await asyncio.wait([self._watcher], timeout=self.plan.grace)
            if waiting:
                self._log.line("up", f"{self.plan.name} did not stop within {self.plan.grace:g} s and is killed")
                self.abandon()
                await asyncio.wait([self._watcher], timeout=KILLED)
            self._watcher = None

    def abandon(self) -> None:
        """End it and its whole group at once, without grace and without another start."""
        self._stopping = True
        self._woken.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number in (signal.SIGKILL, signal.SIGCONT):
                os.killpg(self._process.pid, number)
            else:
                os.kill(self._process.pid, number)

    def _stop_asked(self) -> bool:
        return self._stopping

    async def _spawn(self) -> None:
        environment = self.plan.command.full_environment()
        inherited = [*self.plan.inherited]
        reader = writer = -1
        self.ready.clear()
        if self.plan.says_ready:
            reader, writer = os.pipe()
            inherited.append(writer)
            environment[READY_VARIABLE] = str(writer)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.plan.command.leashed(),
                cwd=self.plan.command.cwd,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=LONGEST_LINE,
                process_group=0,
                pass_fds=inherited,
            )
        except BaseException:
            if reader >= 0:
                os.close(reader)
            raise
        finally:
            if writer >= 0:
                os.close(writer)
        self._on_group("+", self._process.pid)
        if reader >= 0:
            self._listen(reader)
        else:
            self.ready.set()

    def _listen(self, reader: int) -> None:
        loop = asyncio.get_running_loop()

        def said() -> None:
            loop.remove_reader(reader)
            if os.read(reader, 16):  # nothing: it ended, or closed the pipe, without having been ready
                self.ready.set()
            os.close(reader)

        loop.add_reader(reader, said)

    async def _watch(self) -> None:
        """Follow one process after the other: read its lines, wait for its end, start the next."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            if self._process is not None:
                status = await self._follow(self._process)
                if self._stop_asked() or (self.plan.once and status == 0):
                    return
                said = _ending(status)
            else:
                said = "could not be started"
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            self._log.line("up", f"{self.plan.name} {said}; it is started again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)
            if self._stop_asked():
                return
            self.restarts += 1
            with contextlib.suppress(OSError):  # too many processes or open files: tried again like any other end
                await self._spawn()
            if self._stop_asked():  # while it was being started
                self._signal(signal.SIGTERM)

    async def _follow(self, process: asyncio.subprocess.Process) -> int:
        """Write the lines of one process until it has ended with everything that it started. Its exit status."""
        pump = asyncio.create_task(self._pump(process))
        status = await process.wait()
        self._process = None
        self.ready.clear()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._on_group("-", process.pid)
        self._on_end(self, process.pid)
        await asyncio.wait([pump], timeout=KILLED)  # only with the whole group gone does its output end for certain
        pump.cancel()
        return status

    async def _pump(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for in _spawn
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than LONGEST_LINE: what was read is thrown away
                self._log.line(self.plan.name, "(a line too long to show)")
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if not any(muted in text for muted in self.plan.muted):
                self._log.line(self.plan.name, text)


def _ending(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"

"""Starts, watches, restarts and stops the processes of an installation. What they are is in ``installation.py``."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from apps.supervisor.child_process import Child, ChildPlan
from apps.supervisor.installation import STOP_ORDER, in_stop_order
from apps.supervisor.log_stream import LogStream

ROLL_PATIENCE = 15.0  # seconds that a rolled worker may take until it is ready; then the roll stops there
IMPATIENT = 1.0  # seconds after the first Ctrl-C
GUARD = Path(__file__).with_name("orphan_guard.py")


class Supervisor:
    """The running children of one ``up``. Everything happens in one event loop, on the main thread (see ``up.py``)."""

    def __init__(self, log: LogStream, *, on_end: Callable[[Child, int], None] = lambda child, pid: None) -> None:
        self.children: dict[str, Child] = {}
        self.stopping = asyncio.Event()
        self._interrupted_at: float | None = None
        self._log = log
        self._on_end = on_end
        self._rolling = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD)], stdin=subprocess.PIPE, text=True, process_group=0
        )

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self._log.line("up", text)

    def watch_signals(self) -> None:
        """SIGTERM and Ctrl-C stop; Ctrl-C once more kills. SIGUSR1 rolls the gateways.

        SIGHUP is what a terminal sends when it is closed: then it stops. Without a terminal it rolls, as servers do.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stopping.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGUSR1, self._asked_to_roll)
        on_hangup = self.stopping.set if os.isatty(0) else self._asked_to_roll
        loop.add_signal_handler(signal.SIGHUP, on_hangup)

    def _interrupted(self) -> None:
        """Stop; from a person who has waited for a while, kill. `make` and terminals may send one signal twice at once."""
        now = asyncio.get_running_loop().time()
        if self._interrupted_at is None:
            self._interrupted_at = now
        elif now - self._interrupted_at > IMPATIENT:
            for child in self.children.values():
                child.abandon()
        self.stopping.set()

    def _asked_to_roll(self) -> None:
        task = asyncio.create_task(self.roll("gateway"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def start(self, plans: Sequence[ChildPlan]) -> None:
        """Start children; nothing is started any more once the stop has begun."""
        for plan in plans:
            if self.stopping.is_set():
                return
            child = Child(plan, self._log, on_group=self._tell_guard, on_end=self._on_end)
            self.children[plan.name] = child
            await child.start()

    async def until(self, ready: Callable[[], Awaitable[bool]], *, what: str, remind: float = 15.0) -> bool:
        """Wait until ``ready`` says so; ``False`` when it is to stop instead. Says ``what`` is missing every ``remind`` seconds."""
        loop = asyncio.get_running_loop()
        reminded = loop.time()
        while not self.stopping.is_set():
            if await ready():
                return True
            if loop.time() - reminded > remind:
                reminded = loop.time()
                self.say(f"still waiting for {what}")
            try:
                await asyncio.wait_for(self.stopping.wait(), 0.1)
            except TimeoutError:
                continue
        return False

    async def roll(self, kind: str) -> None:
        """Restart the children of a kind one by one, each when the one before is ready again, so that no call fails."""
        async with self._rolling:
            rolled = [child for name, child in self.children.items() if name.split()[0] == kind]
            for child in rolled:
                if self.stopping.is_set():
                    return
                self.say(f"rolling {child.plan.name}")
                await child.stop()
                if self.stopping.is_set():
                    return
                await child.start()
                try:
                    await asyncio.wait_for(child.ready.wait(), ROLL_PATIENCE)
                except TimeoutError:
                    self.say(f"{child.plan.name} is not ready {ROLL_PATIENCE:g} s after its start: the roll ends here")
                    return
            self.say(f"rolled {len(rolled)} of kind {kind}")

    async def stop(self) -> None:
        """Stop everything in order; return when nothing is left."""
        self.stopping.set()
        for group in in_stop_order(STOP_ORDER, list(self.children)):
            await asyncio.gather(*(self.children[name].stop() for name in group))
        self.children.clear()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        await asyncio.to_thread(self._guard.wait)

    def _tell_guard(self, sign: str, group: int) -> None:
        if self._guard.stdin is None or self._guard.poll() is not None:
            return
        try:
            self._guard.stdin.write(f"{sign}{group}\n")
            self._guard.stdin.flush()
        except BrokenPipeError:
            self.say("the guard has ended; should `up` be killed now, its children's own children may stay")

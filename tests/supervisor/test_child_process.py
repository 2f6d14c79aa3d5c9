"""One child of the supervisor: its lines, its end, its restarts, and what it leaves behind (nothing)."""

import asyncio
import io
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apps.foundation.child_command import Command
from apps.supervisor import child_process as children_module
from apps.supervisor.child_process import Child, ChildPlan
from apps.supervisor.log_stream import LogStream
from tests.support.waiting import until, wait_until

IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
FOREVER = "import time; print('here', flush=True); time.sleep(60)"


def python(script: str) -> Command:
    return Command(executable=sys.executable, argv=[sys.executable, "-c", script], cwd=Path.cwd())


class Watched:
    """A log to read, and children that are gone after the test."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.log = LogStream(self.out)
        self.children: list[Child] = []
        self.groups: list[tuple[str, int]] = []
        self.ends: list[int] = []

    def child(self, script: str, **options) -> Child:
        child = Child(
            ChildPlan(name=options.pop("name", "child"), command=python(script), **options),
            self.log,
            on_group=lambda sign, group: self.groups.append((sign, group)),
            on_end=lambda child, pid: self.ends.append(pid),
        )
        self.children.append(child)
        return child

    def said(self, text: str) -> bool:
        return text in self.out.getvalue()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    yield watched
    for child in watched.children:
        await child.stop()
    watched.log.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_its_lines_carry_its_name(watched):
    await watched.child("print('hello'); import sys; print('trouble', file=sys.stderr)", name="one", once=True).start()
    await until(lambda: watched.said("one        | hello\n"))
    await until(lambda: watched.said("one        | trouble\n"))


async def test_muted_lines_are_not_shown(watched):
    await watched.child("print('advice: buy more'); print('news')", once=True, muted=["advice"]).start()
    await until(lambda: watched.said("news"))
    assert not watched.said("advice")


async def test_it_is_started_again_when_it_was_killed(watched):
    child = watched.child(FOREVER)
    await child.start()
    first = child.pid
    await until(lambda: watched.said("here"))
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.pid not in (None, first))
    assert child.restarts == 1
    assert watched.ends == [first]
    assert watched.said("child was ended by SIGKILL; it is started again in")


async def test_restarts_come_slower_and_slower(watched, monkeypatch):
    pauses: list[float] = []

    async def note(awaitable, pause):
        pauses.append(pause)
        awaitable.close()
        raise TimeoutError

    monkeypatch.setattr(children_module.asyncio, "wait_for", note)
    child = watched.child("raise SystemExit(3)")
    await child.start()
    await until(lambda: len(pauses) >= 4)
    assert pauses[:4] == [0.2, 0.4, 0.8, 1.6]
    assert watched.said("child ended with status 3")


async def test_a_command_that_ends_by_itself_is_not_started_again(watched):
    child = watched.child("print('done')", once=True)
    await child.start()
    await until(lambda: child.pid is None)
    await child.stop()
    assert child.restarts == 0


async def test_stopping_ends_it_and_says_so(watched):
    child = watched.child(FOREVER)
    await child.start()
    await until(lambda: watched.said("here"))
    pid = child.pid
    await child.stop()
    assert not alive(pid)
    assert child.restarts == 0
    assert watched.ends == [pid]
    assert watched.groups == [("+", pid), ("-", pid)]


async def test_one_that_ignores_the_signal_is_killed_after_its_grace(watched):
    child = watched.child(IGNORES_SIGTERM, grace=0.1)
    await child.start()
    await until(lambda: watched.said("deaf"))
    pid = child.pid
    await child.stop()
    assert not alive(pid)
    assert watched.said("did not stop within 0.1 s and is killed")


async def test_a_frozen_one_can_be_stopped(watched):
    child = watched.child(FOREVER, grace=5.0)
    await child.start()
    await until(lambda: watched.said("here"))
    pid = child.pid
    os.kill(pid, signal.SIGSTOP)
    await child.stop()
    assert not alive(pid)
    assert not watched.said("is killed")


async def test_what_it_started_ends_with_it(watched):
    script = (
        "import subprocess, sys, time\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('grandchild', grandchild.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    child = watched.child(script)
    await child.start()
    await until(lambda: watched.said("grandchild"))
    grandchild = int(watched.out.getvalue().split("grandchild ")[1].split()[0])
    assert alive(grandchild)
    await child.stop()
    await until(lambda: not alive(grandchild))


async def test_it_runs_in_a_process_group_of_its_own_in_our_session(watched):
    child = watched.child(FOREVER)
    await child.start()
    assert os.getpgid(child.pid) == child.pid
    assert os.getsid(child.pid) == os.getsid(0)


async def test_it_says_when_it_is_ready(watched):
    script = (
        "from apps.foundation.ready import say_ready\n"
        "import time\n"
        "print('not yet', flush=True)\n"
        "say_ready(); say_ready()\n"
        "time.sleep(60)\n"
    )
    child = watched.child(script, says_ready=True)
    await child.start()
    assert not child.ready.is_set()
    await asyncio.wait_for(child.ready.wait(), 30)


async def test_one_that_ends_without_a_word_was_never_ready(watched):
    child = watched.child("pass", says_ready=True, once=True)
    await child.start()
    await until(lambda: child.pid is None)
    assert not child.ready.is_set()


async def test_it_inherits_the_sockets_that_it_is_given(watched):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = (
            "import socket, sys\n"
            f"served = socket.socket(fileno={listener.fileno()})\n"
            "peer, _ = served.accept()\n"
            "peer.sendall(b'from the child')\n"
        )
        await watched.child(script, inherited=[listener.fileno()], once=True).start()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        assert await asyncio.wait_for(reader.read(), 30) == b"from the child"
        writer.close()
        await writer.wait_closed()


async def test_a_line_without_end_does_not_stop_the_log(watched):
    script = "print('x' * 300_000); print('after', flush=True)"
    await watched.child(script, once=True).start()
    await until(lambda: watched.said("after"))
    assert watched.said("a line too long to show")


async def test_a_program_that_does_not_exist_is_an_error_in_the_log_not_a_silence(watched, monkeypatch):
    child = watched.child(FOREVER)
    await child.start()
    pid = child.pid

    async def refuse(*args, **options):
        raise OSError("no more processes")

    monkeypatch.setattr(children_module.asyncio, "create_subprocess_exec", refuse)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: watched.said("could not be started"))
    monkeypatch.undo()
    await until(lambda: child.pid is not None)


async def test_a_stop_that_comes_while_it_starts_leaves_nothing(watched):
    child = watched.child(FOREVER)
    starting = asyncio.create_task(child.start())
    await asyncio.sleep(0)
    await child.stop()
    await starting
    await child.stop()
    assert child.pid is None


def test_a_log_that_nobody_reads_loses_lines_and_says_so():
    gate = threading.Event()

    class Stuck(io.StringIO):
        """Blocks until it may go on, like a full pipe."""

        def write(self, text: str) -> int:
            gate.wait(10)
            return super().write(text)

    out = Stuck()
    log = LogStream(out)
    for number in range(10_050):
        log.line("child", str(number))
    gate.set()
    wait_until(lambda: "10000" in out.getvalue() or "9999" in out.getvalue())
    log.line("child", "last")
    log.close()
    assert "lines dropped" in out.getvalue()
    assert out.getvalue().endswith("child      | last\n")


def test_a_log_whose_reader_has_gone_goes_on():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        log = LogStream(out)
        for number in range(100):
            log.line("child", f"{number}" * 100)
        log.close()
        assert os.readlink(f"/proc/self/fd/{writer}") == os.devnull

"""A loop that stands still is seen while it does: by the thread that listens, and without the GIL where that is kept."""

import asyncio
import ctypes
import logging
import os
import threading
from collections.abc import Iterator

import pytest

from apps.gateway.server import watchdog
from apps.gateway.server.watchdog import Watchdog, stack_of


class Heard(logging.Handler):
    """Lets the loop go on once something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.written.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    watchdog.log.addHandler(handler)
    yield handler
    watchdog.log.removeHandler(handler)


class Stalls:
    """The stalls that were told, and the next one."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.next = asyncio.Event()

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.next.set()

    async def one(self) -> float:
        await asyncio.wait_for(self.next.wait(), 30)
        self.next.clear()
        return self.seconds[-1]


def stand_still(until: threading.Event, secret: str) -> bool:
    """What holds the loop, with something in a variable that is nobody's business."""
    return until.wait(20) and bool(secret)


async def test_a_loop_that_stands_still_is_written_down_while_it_does(heard: Heard) -> None:
    stalls = Stalls()
    watching = Watchdog(stalls, patience=0.2, period=0.02)
    watching.start()
    try:
        assert stand_still(heard.written, "amk_a-secret")  # goes on only because it was seen
        assert await stalls.one() >= 0.2
    finally:
        watching.stop()
    (said,) = heard.lines
    assert "the event loop has stood still for" in said
    assert "in stand_still" in said
    assert __file__ in said
    assert "amk_a-secret" not in said
    assert "until.wait" not in said


async def test_a_loop_that_stutters_is_counted_each_time_and_written_down_once(heard: Heard) -> None:
    stalls = Stalls()
    watching = Watchdog(stalls, patience=0.2, period=0.02)
    watching.start()
    try:
        stand_still(heard.written, "")
        await stalls.one()
        threading.Event().wait(0.3)
        await stalls.one()
    finally:
        watching.stop()
    assert len(stalls.seconds) == 2
    assert len(heard.lines) == 1


async def test_work_that_keeps_the_gil_is_written_down_while_it_does(heard: Heard) -> None:
    stalls = Stalls()
    reader, writer = os.pipe()
    watching = Watchdog(stalls, patience=0.5, period=0.02, output=writer)
    watching.start()
    try:
        # No other thread of Python runs until the stack is in the pipe: what is read here is its first byte.
        ctypes.PyDLL(None).read(reader, ctypes.create_string_buffer(1), 1)
        assert await stalls.one() >= 0.2
        await asyncio.to_thread(heard.written.wait, 20)
    finally:
        watching.stop()
    told = os.read(reader, 65536).decode()
    os.close(reader)
    os.close(writer)
    assert "in test_work_that_keeps_the_gil_is_written_down_while_it_does" in told
    assert "nothing ran in this process for" in heard.lines[0]


async def test_a_loop_that_goes_on_is_not_written_down(heard: Heard) -> None:
    stalls = Stalls()
    watching = Watchdog(stalls, patience=20, period=0.005)
    watching.start()
    try:
        for _ in range(20):
            await asyncio.sleep(0)
    finally:
        watching.stop()
    assert stalls.seconds == []
    assert heard.lines == []


def test_a_stack_is_cut_to_its_innermost_frames() -> None:
    def deeper(left: int) -> list[str]:
        return deeper(left - 1) if left else stack_of(__import__("sys")._getframe())

    told = deeper(watchdog.DEEPEST + 10)
    assert len(told) == watchdog.DEEPEST
    assert told[-1].endswith("in deeper")
    assert stack_of(None) == []

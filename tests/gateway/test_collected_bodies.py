"""Large answers that come slowly, many at a time: a worker's memory is bounded, and everybody gets his answer."""

import asyncio
from typing import Any

import pytest

from apps.gateway.fetch import collected_bodies
from tests.gateway.house import Door, Origin
from tests.support.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncache-control: max-age=60\r\n\r\n"


async def test_who_gathers_most_gives_up_storing_and_is_answered_all_the_same(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collected_bodies, "MOST", 3000)
    go_on = asyncio.Event()

    def answer(first: int, rest: int) -> Any:
        async def handler(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
            writer.write(HEAD % (first + rest) + b"x" * first)
            await go_on.wait()
            writer.write(b"y" * rest)

        return handler

    origin.paths |= {"/large": answer(2500, 100), "/small": answer(800, 200)}
    gathered = lane.gateway.coalescer.collected_bodies
    large = asyncio.create_task(lane.call("/products/large"))
    await until(lambda: gathered.bytes == 2500)
    small = asyncio.create_task(lane.call("/products/small"))
    await until(lambda: gathered.bytes == 800)
    go_on.set()
    assert [len((await each).body) for each in (large, small)] == [2600, 1000]
    await until(lambda: gathered.bytes == 0)
    assert (await lane.call("/products/small")).cache == "HIT"
    assert (await lane.call("/products/large")).cache == "MISS"

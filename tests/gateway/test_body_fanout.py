"""One body for many readers: each part goes when all have it, and what that costs grows with the readers and no faster."""

import asyncio

import pytest

from apps.gateway.fetch.body_fanout import BodyFanout
from apps.gateway.upstream.errors import Broken
from apps.wire.failure_causes import FailureCause
from tests.support.cost import STEEPEST, steepness

PARTS = 8


async def given_to(readers: int) -> None:
    body = BodyFanout()
    reading = [body.reader() for _ in range(readers)]
    body.stop_keeping()
    for number in range(PARTS):
        body.put(b"%d" % number)
        for each in reading:
            assert await each.read() == b"%d" % number
        assert not body._parts
    for each in reading:
        each.leave()


def test_a_part_for_four_times_as_many_readers_costs_four_times_as_much() -> None:
    assert steepness(lambda text: asyncio.run(given_to(len(text))), lambda size: b"x" * size, size=256) < STEEPEST


async def test_a_part_stays_until_the_slowest_has_it_or_leaves() -> None:
    body = BodyFanout()
    fast, slow = body.reader(), body.reader()
    body.stop_keeping()
    for part in (b"a", b"b", b"c"):
        body.put(part)
    assert [await fast.read() for _ in range(3)] == [b"a", b"b", b"c"]
    assert list(body._parts) == [b"a", b"b", b"c"]
    assert await slow.read() == b"a"
    assert list(body._parts) == [b"b", b"c"]
    slow.leave()
    slow.leave()  # as often as it likes
    assert not body._parts
    with pytest.raises(Broken) as gone:
        await slow.read()
    assert gone.value.cause is FailureCause.CLIENT_TOO_SLOW
    body.put(b"d")
    assert await fast.read() == b"d"
    assert dict(body._places) == {4: 1}


async def test_a_body_that_nobody_reads_is_let_go() -> None:
    body = BodyFanout()
    body.put(b"a")
    body.stop_keeping()
    assert not body._parts

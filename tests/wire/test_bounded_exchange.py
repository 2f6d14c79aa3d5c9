"""Exchanges with a server that may be late: what counts against it, and what doesn't."""

import asyncio
import gc

import pytest

from apps.wire.bounded_exchange import Exchanges, ExchangeStats
from apps.wire.bounded_wait import bounded
from apps.wire.circuit_breaker import Breaker
from tests.support.waiting import until


class Server:
    """A server that answers, or fails, when the test says so."""

    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    async def __call__(self):
        return await asyncio.shield(self.answer)


@pytest.fixture
def run():
    """Exchanges whose breaker opens at the first failure."""
    made = Exchanges(ExchangeStats())
    made.breaker = Breaker(threshold=1)
    return made


async def test_a_look_that_is_late_is_a_failure_at_once(run):
    server = Server()
    assert await run.run(server, 0.2) is None
    assert run.breaker.is_open
    server.answer.set_result("late")
    await run.close()
    assert run.breaker.is_open, "and stays one, however it ends"


async def test_a_write_that_is_late_counts_by_how_it_ends(run):
    server = Server()
    assert await run.run(server, 0.001, late=60.0) is None
    assert not run.breaker.is_open
    server.answer.set_result("late")
    await until(lambda: not run._late)
    assert run.breaker.is_calm


@pytest.mark.parametrize(("error", "late"), [(ConnectionResetError(), 60.0), (None, 0.0)])
async def test_a_write_that_fails_late_or_ends_too_late_is_a_failure(run, error, late):
    server = Server()
    assert await run.run(server, 0.001, late=late) is None
    if error is None:
        server.answer.set_result("very late")
    else:
        server.answer.set_exception(error)
    await until(lambda: not run._late)
    assert run.breaker.is_open


async def test_what_fails_after_its_client_left_is_a_failure_and_no_error_in_the_log(run, unheard):
    server = Server()
    call = asyncio.create_task(run.run(server, 60.0))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    server.answer.set_exception(ConnectionResetError())
    await until(lambda: not run._late)
    assert run.breaker.is_open
    assert unheard() == []


async def test_an_exchange_whose_client_left_goes_on_unheard(unheard):
    server = Server()
    call = asyncio.create_task(bounded(server(), 60.0))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    server.answer.set_exception(ConnectionResetError())
    del call
    for _ in range(4):
        await asyncio.sleep(0)  # until the exchange has ended
    assert unheard() == []


@pytest.fixture
async def unheard():
    """What the event loop says of exceptions that nobody asked for, once what is left over is gone."""
    heard = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context["message"]))

    def look():
        gc.collect()
        return heard

    yield look
    loop.set_exception_handler(None)


async def test_behind_an_open_breaker_nothing_is_begun(run):
    run.breaker.failed(asyncio.get_running_loop().time())

    def never():
        raise AssertionError("begun")

    assert await run.run(never, 1.0) is None
    assert run._stats.shared_skipped == 1

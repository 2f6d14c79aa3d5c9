"""The fleet hears of every gateway worker that ended, also when Redis was away at that moment."""

import io
import signal

import pytest

from apps.foundation.child_command import manage
from apps.supervisor.child_process import Child, ChildPlan
from apps.supervisor.dead_workers import Reaper
from apps.supervisor.log_stream import LogStream
from apps.wire import redis_names
from apps.wire.worker_reports import node_name
from tests.support.waiting import until


@pytest.fixture
def child(settings) -> Child:
    log = LogStream(io.StringIO())
    return Child(ChildPlan(name="gateway 0", command=manage("gateway", root=settings.BASE_DIR)), log)


async def test_it_tells_when_the_frozen_server_goes_on(extra_valkey, settings, child):
    server = extra_valkey("state")
    settings.REDIS_URL = server.url
    out = io.StringIO()
    log = LogStream(out)
    with server.client() as client:
        client.hset(redis_names.WORKERS, mapping={f"{node_name()}-0-4711": "dead", f"{node_name()}-1-4712": "alive"})
        server.send(signal.SIGSTOP)
        Reaper(log).note(child, 4711)
        await until(lambda: "can't be told yet" in out.getvalue())
        server.send(signal.SIGCONT)
        await until(lambda: client.hkeys(redis_names.WORKERS) == [f"{node_name()}-1-4712".encode()])
    log.close()


async def test_only_gateway_workers_are_told_of(settings, child, state_redis):
    state_redis.hset(redis_names.WORKERS, f"{node_name()}-0-4711", "alive")
    reaper = Reaper(LogStream(io.StringIO()))
    reaper.note(Child(ChildPlan(name="console", command=child.plan.command), LogStream(io.StringIO())), 4711)
    reaper.note(child, 4713)
    await until(lambda: not reaper.waiting)
    assert state_redis.hlen(redis_names.WORKERS) == 1

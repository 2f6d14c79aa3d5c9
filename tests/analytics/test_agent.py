"""The node agent as a process: it ships, it is alone, it dies and another goes on."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from apps.analytics.ingestion import ingest_from
from apps.analytics.models import CallRecord
from apps.foundation.child_command import manage
from apps.gateway.records.spool import SpoolWriter
from apps.supervisor.agent import Syncer
from apps.wire import redis_names
from apps.wire.redis_client import connect
from tests.analytics.records import write
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

Start = Callable[[], subprocess.Popen]


@pytest.fixture
def redis_url(extra_valkey) -> str:
    """A state server of the test's own."""
    return extra_valkey().url


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Start]:
    """Starts an agent on the data directory of the test."""
    running: list[subprocess.Popen] = []

    def run() -> subprocess.Popen:
        command = manage("agent", root=settings.BASE_DIR)
        environment = command.full_environment() | {
            "DJANGO_SETTINGS_MODULE": "apimgr.settings",
            "APIMGR_DATA": str(tmp_path),
            "REDIS_URL": redis_url,
            "NODE_NAME": "n",
        }
        process = subprocess.Popen(command.leashed(), cwd=command.cwd, env=environment, stderr=subprocess.PIPE)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def test_it_ships_what_is_written_and_after_a_kill_another_goes_on(start: Start, tmp_path: Path, redis_url: str):
    client = connect(redis_url)
    spool = SpoolWriter(tmp_path / "spool", "n", 0)
    agent = start()
    write(spool, 3)
    wait_until(lambda: client.xlen(redis_names.CALLS) == 1, 20, what="the agent ships")
    agent.kill()
    agent.wait()
    write(spool, 2)
    start()
    wait_until(lambda: client.xlen(redis_names.CALLS) >= 2, 20, what="the next agent ships")
    wait_until(lambda: ingest_from(client) == 0 and CallRecord.objects.count() == 5, what="all of it comes")
    spool.close()
    wait_until(lambda: not list((tmp_path / "spool").glob("*.spool")), what="what has come is deleted")
    client.close()


def test_there_is_one_on_a_node_and_it_ends_at_once_when_told(start: Start, tmp_path: Path, redis_url: str):
    client = connect(redis_url)
    first = start()
    wait_until(lambda: client.hexists(redis_names.AGENTS, "n"), 20, what="the agent works")
    _, said = start().communicate(timeout=20)
    assert b"an agent ships" in said
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=15) == 0
    client.close()


def test_it_ships_before_it_ends_what_was_written_last(start: Start, tmp_path: Path, redis_url: str):
    client = connect(redis_url)
    agent = start()
    wait_until(lambda: client.hexists(redis_names.AGENTS, "n"), 20, what="the agent works")
    spool = SpoolWriter(tmp_path / "spool", "n", 0)
    write(spool, 1)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(timeout=15) == 0
    assert client.xlen(redis_names.CALLS) == 1
    spool.close()
    client.close()


def test_what_grew_is_synced_to_the_disk_and_what_did_not_is_left_alone(folder: Path, spool: SpoolWriter):
    syncer = Syncer(folder)
    write(spool, 1)
    assert syncer.work() == 1
    assert syncer.work() == 0
    write(spool, 1)
    assert syncer.work() == 1

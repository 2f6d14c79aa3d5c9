"""A task goes through the broker that ``CELERY_BROKER_URL`` names: the state Valkey, or RabbitMQ where the suite is run on it."""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from apimgr.celery import app
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
from apimgr.celery import app

@app.task(name="tests.note")
def note(path, text):
    with open(path, "w") as file:
        file.write(text)

app.conf.task_default_queue = sys.argv[1]
app.Worker(pool="solo", loglevel="ERROR", queues=[sys.argv[1]], without_gossip=True, without_mingle=True).start()
"""


@contextlib.contextmanager
def worker(queue: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, queue],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "apimgr.settings"},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def test_a_task_reaches_a_worker_through_the_broker(tmp_path, state_redis):
    queue, path, text = f"tests-{uuid.uuid4().hex}", tmp_path / "note", uuid.uuid4().hex
    with worker(queue) as process, app.connection_for_write() as connection:
        app.send_task("tests.note", args=[str(path), text], queue=queue, connection=connection)
        wait_until(lambda: path.exists() or process.poll() is not None, timeout=60)
        wait_until(lambda: path.read_text() == text, timeout=1)
        with contextlib.closing(connection.channel()) as channel:
            channel.queue_delete(queue)


def test_the_broker_is_the_state_server_unless_named():
    named = os.environ.get("CELERY_BROKER_URL")
    assert (named or f"redis+socket://{settings.STATE_SOCKET}") == settings.CELERY_BROKER_URL

"""The process: it starts without help, says when it is ready, and stops without failing a call."""

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from apps.foundation.child_command import Command, manage
from tests.gateway.house import KEY, Origin, Published, ok, read_answer
from tests.support.ports import free_port
from tests.support.waiting import until


def spawn(command: Command, environment: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a worker that ends with this process."""
    return subprocess.Popen(command.leashed(), cwd=command.cwd, env=environment, process_group=0, **options)


class Workers:
    """Worker processes on one listening socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.running: list[subprocess.Popen[bytes]] = []
        self._readers: list[int] = []

    async def start(self, number: int) -> subprocess.Popen[bytes]:
        command = manage("gateway", "--worker", str(number), root=settings.BASE_DIR)
        reader, writer = os.pipe()
        self._readers.append(reader)
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "apimgr.settings",
            "APIMGR_DATA": str(settings.DATA_DIR),
            "GATEWAY_FD": str(self.listener.fileno()),
            "READY_FD": str(writer),
            "LOG_LEVEL": "WARNING",
        }
        with (self.folder / f"worker{number}.log").open("ab") as log:
            process = spawn(command, environment, pass_fds=(self.listener.fileno(), writer), stdout=log, stderr=log)
        os.close(writer)
        self.running.append(process)
        os.set_blocking(reader, False)

        def ready() -> bool:
            assert process.poll() is None, (self.folder / f"worker{number}.log").read_text()
            try:
                return os.read(reader, 16) == b"ready\n"
            except BlockingIOError:
                return False

        await until(ready, within=60)
        return process

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self._readers:
            os.close(reader)
        self.listener.close()


@pytest.fixture
def workers(published: Published, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path)
    yield made
    made.stop()


async def test_a_rolling_restart_under_load_fails_no_call(workers: Workers, origin: Origin) -> None:
    origin.paths["/fast"] = ok(b"fast", "cache-control: max-age=600")
    origin.paths["/live"] = ok(b"live", "cache-control: no-store")
    first, second = await workers.start(0), await workers.start(1)
    stop = asyncio.Event()
    calls = 0

    async def caller(number: int) -> None:
        nonlocal calls
        target = "/products/live" if number % 2 else "/products/fast"
        request = f"GET {target} HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", workers.port)
        while not stop.is_set():
            writer.write(request)
            answer = await read_answer(reader)
            assert answer.status == 200
            calls += 1
            if answer["connection"] == "close":
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", workers.port)
        writer.close()

    callers = [asyncio.create_task(caller(number)) for number in range(16)]
    await until(lambda: calls > 200)
    for old, number in ((first, 0), (second, 1)):
        old.send_signal(signal.SIGTERM)
        await until(lambda old=old: old.poll() is not None)
        assert old.returncode == 0
        before = calls
        await workers.start(number)
        await until(lambda before=before: calls > before + 200)
    stop.set()
    await asyncio.gather(*callers)


async def test_a_worker_that_is_idle_stops_soon_and_says_goodbye(workers: Workers, state_redis: redis.Redis) -> None:
    from apps.wire import redis_names

    process = await workers.start(0)
    await until(lambda: state_redis.hlen(redis_names.WORKERS) == 1)
    process.terminate()
    await until(lambda: process.poll() is not None, within=30)
    assert process.returncode == 0
    assert state_redis.hlen(redis_names.WORKERS) == 0


async def test_a_worker_without_anything_to_load_starts_and_is_not_ready(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with tempfile.TemporaryDirectory(prefix="apimgr-") as data, log.open("wb") as errors:
        command = manage("gateway", "--worker", "0", root=settings.BASE_DIR)
        environment = {
            **{name: value for name, value in os.environ.items() if name != "REDIS_URL"},
            "DJANGO_SETTINGS_MODULE": "apimgr.settings",
            "APIMGR_DATA": data,
            "GATEWAY_PORT": str(port),
        }
        process = spawn(command, environment, stderr=errors)
        try:

            async def answers() -> int:
                assert process.poll() is None, log.read_text()
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    return 0
                writer.write(b"GET /_gateway/readyz HTTP/1.1\r\nhost: a\r\n\r\n")
                answer = await read_answer(reader)
                writer.close()
                return answer.status

            assert await until(answers, within=60) == 503
        finally:
            process.terminate()
            process.wait(10)


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = manage("gateway", "--worker", "0", root=settings.BASE_DIR)
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "apimgr.settings", "APIMGR_DATA": str(tmp_path)}
        environment["GATEWAY_PORT"] = str(taken.getsockname()[1])
        process = spawn(command, environment, stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.decode().count("\n") == 1
    assert environment["GATEWAY_PORT"] in said.decode()

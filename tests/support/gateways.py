"""Gateways of a second machine: workers on a port of their own, with their own data, that share the two servers."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
from django.conf import settings

from apimgr.environment import socket_path
from tests.support.installation import Installation
from tests.support.waiting import wait_until


class Machine:
    """``workers`` gateway workers behind one port. Nobody starts a killed one again."""

    def __init__(self, running: Installation, folder: Path, workers: int) -> None:
        self.data = folder
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = int(self._listener.getsockname()[1])
        environment = {
            **running.environment,
            "APIMGR_DATA": str(folder),
            "NODE_NAME": "second",
            "REDIS_URL": f"unix://{socket_path(running.data, 'state')}",
            "CACHE_REDIS_URL": running.environment.get("CACHE_REDIS_URL")
            or f"unix://{socket_path(running.data, 'cache')}",
            "GATEWAY_FD": str(self._listener.fileno()),
            **{
                f"{name}_FILE": str(running.data / "secrets" / name.lower())
                for name in ("SECRET_KEY", "KEY_PEPPER", "FIELD_KEYS")
            },
        }
        self._processes = [
            subprocess.Popen(
                [sys.executable, "manage.py", "gateway", "--worker", str(number)],
                cwd=settings.BASE_DIR,
                env=environment,
                pass_fds=[self._listener.fileno()],
                stdin=subprocess.DEVNULL,
            )
            for number in range(workers)
        ]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """Its workers."""
        return [process.pid for process in self._processes if process.poll() is None]

    def is_ready(self) -> bool:
        """Whether a worker says so, each time it is asked a few times over."""
        with contextlib.suppress(httpx.TransportError):
            return all(
                httpx.get(f"{self.url}/_gateway/readyz", timeout=2, trust_env=False).status_code == 200
                for _ in range(2 * len(self._processes))
            )
        return False

    def stop(self) -> None:
        """End all."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(8)
            process.kill()
            process.wait()
        self._listener.close()


@contextlib.contextmanager
def second_machine(running: Installation, folder: Path, workers: int = 2) -> Iterator[Machine]:
    """A second machine's gateways, for as long as the block lasts."""
    machine = Machine(running, folder, workers)
    try:
        wait_until(machine.is_ready, 30, what="the second machine to be ready")
        yield machine
    finally:
        machine.stop()


def connections_of(pid: int) -> set[tuple[int, int]]:
    """The TCP connections of a process: its own port and the other end's."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {(_port(row[1]), _port(row[2])) for row in rows if row[9] in inodes}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def calls_in_flight(*folders: Path) -> int:
    """Calls being answered by all workers whose data directories these are."""
    return metric("apimgr_calls_in_flight", *folders)


def metric(name: str, *folders: Path) -> int:
    """The sum of a metric over all workers whose data directories these are, as they last wrote it: once a second."""
    total = 0.0
    for folder in folders:
        for file in (folder / "gateway" / "metrics").glob("*.metrics"):
            with contextlib.suppress(FileNotFoundError):
                samples = json.loads(file.read_bytes())
                total += sum(value for each, _, value in samples if each == name)
    return int(total)

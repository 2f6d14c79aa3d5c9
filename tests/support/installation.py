"""A whole installation for tests: the real ``manage.py up``, as a person starts it, with its own data and ports."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings

from apimgr.environment import socket_path
from apps.wire.redis_client import AWAY, connect
from apps.wire.worker_reports import read_fleet
from tests.support.ports import free_port
from tests.support.waiting import wait_until

EMAIL, PASSWORD, TOKEN = "ada@platform.test", "correct horse battery staple", "amt_test-token-that-is-long-enough-0001"

_OURS = (
    *(
        "APIMGR_DATA",
        "APIMGR_ADMIN_EMAIL",
        "APIMGR_ADMIN_PASSWORD",
        "APIMGR_ADMIN_TOKEN",
        "DEMO",
        "L1_BYTES",
        "EGRESS_ALLOW",
    ),
    *("REDIS_URL", "CACHE_REDIS_URL", "CELERY_BROKER_URL", "DATABASE_URL", "SECRET_KEY", "KEY_PEPPER", "FIELD_KEYS"),
)


class Installation:
    """An installation with the data directory ``data`` and free ports; further variables of its environment by name."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in _OURS},
            "DJANGO_SETTINGS_MODULE": "apimgr.settings",
            "APIMGR_DATA": str(data),
            "CONSOLE_PORT": str(free_port()),
            "GATEWAY_PORT": str(free_port()),
            "GATEWAY_WORKERS": "2",
            **environment,
        }
        self.console = f"http://127.0.0.1:{self.environment['CONSOLE_PORT']}"
        self.gateway = f"http://127.0.0.1:{self.environment['GATEWAY_PORT']}"
        self._log = Path(tempfile.mkstemp(prefix="apimgr-up-", suffix=".log")[1])
        self._process: subprocess.Popen[bytes] | None = None

    # Running it

    def launch(self, *arguments: str) -> None:
        """Start ``manage.py up`` and return at once."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "up", *arguments],
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self, *arguments: str) -> "Installation":
        """Start it and wait until it said what to do."""
        self.launch(*arguments)
        wait_until(self._started, 90, what="the installation to be ready")
        return self

    def wait(self, timeout: float = 30) -> int:
        """Its exit status, once it ended."""
        return self._up.wait(timeout)

    def send(self, number: signal.Signals) -> None:
        """A signal to ``up`` itself."""
        self._up.send_signal(number)

    def stop(self) -> None:
        """End it, and whatever it left behind."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.send(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(15)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)

    @property
    def _up(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("it was never launched")
        return self._process

    def _started(self) -> bool:
        if self._up.poll() is not None:
            raise AssertionError(f"up ended with status {self._up.returncode}:\n{self.output[-8000:]}")
        return "Ctrl-C stops it all" in self.output and self.is_ready()

    # What it is like

    @property
    def pid(self) -> int:
        """The process of ``up``, which is also its session."""
        return self._up.pid

    @property
    def output(self) -> str:
        """Everything that ``up`` and its children said since the last launch."""
        return self._log.read_text(errors="replace")

    def is_ready(self) -> bool:
        """Whether gateway and console say that they are, and receipts count every worker that was asked for and runs."""
        try:
            return all(
                httpx.get(url, timeout=2, trust_env=False).status_code == 200
                for url in (f"{self.gateway}/_gateway/readyz", f"{self.console}/readyz")
            ) and self.counted() == set(self.pids("gateway --worker"))
        except httpx.TransportError:
            return False

    def counted(self) -> set[int]:
        """The workers of this installation that receipts count; none while there are fewer than asked for."""
        with connect(self.environment.get("REDIS_URL") or f"unix://{socket_path(self.data, 'state')}") as client:
            try:
                fleet = read_fleet(client)
            except AWAY:
                return set()
        mine = {each.report.pid for each in fleet.workers} & set(self.pids("gateway --worker"))
        return mine if len(mine) == int(self.environment["GATEWAY_WORKERS"]) else set()

    def processes(self) -> dict[int, str]:
        """Command lines of all living processes of its session, by pid."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if os.getsid(int(entry.name)) == self.pid and state != "Z":
                    line = (entry / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
                    found[int(entry.name)] = line.decode(errors="replace")
        return found

    def pids(self, text: str) -> list[int]:
        """Its processes whose command line has ``text`` in it, in the order of their numbers."""
        return sorted(pid for pid, line in self.processes().items() if text in line)

    # Using it

    def api(self, method: str, path: str, token: str = TOKEN, **options: Any) -> httpx.Response:
        """A call to the REST API as the administrator, or with another token."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.request(
            method, f"{self.console}/api/v1/{path}", headers=headers, timeout=30, trust_env=False, **options
        )

    def call(self, path: str, key: str | None = None, method: str = "GET", **options: Any) -> httpx.Response:
        """A call through the gateway, on a connection of its own: any worker may answer it."""
        headers = {**options.pop("headers", {}), **({"X-API-Key": key} if key else {})}
        return httpx.request(method, f"{self.gateway}{path}", headers=headers, timeout=30, trust_env=False, **options)

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A management command of this installation."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )


@contextlib.contextmanager
def installation(*, demo: bool = False, **environment: str) -> Iterator[Installation]:
    """A running installation, without the demo unless asked for, whose administrator is EMAIL with PASSWORD and TOKEN."""
    with tempfile.TemporaryDirectory(prefix="apimgr-system-") as folder:
        administrator = {
            "APIMGR_ADMIN_EMAIL": EMAIL,
            "APIMGR_ADMIN_PASSWORD": PASSWORD,
            "APIMGR_ADMIN_TOKEN": TOKEN,
        }
        running = Installation(Path(folder) / "data", **{**administrator, **environment})
        try:
            yield running.start(*([] if demo else ["--no-demo"]))
        except BaseException:
            sys.stderr.write(running.output[-8000:])
            raise
        finally:
            running.stop()

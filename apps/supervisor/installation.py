"""The processes of a one-machine installation, in the order in which they start, and what each is given."""

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from apps.foundation.child_command import Command, manage
from apps.supervisor.child_process import ChildPlan
from apps.supervisor.valkey import ValkeyRole, ValkeySettings

# Seconds that each may take to stop. They stop one group after the other, and all of it takes less than ten.
GATEWAY_GRACE = 3.5
AGENT_GRACE = 2.0
CELERY_GRACE = 2.5  # an idle worker looks up once a second
CONSOLE_GRACE = 2.5
VALKEY_GRACE = 1.2


@dataclass(frozen=True)
class Listeners:
    """The sockets that ``up`` binds once and hands to its children."""

    console: socket.socket
    gateway: socket.socket

    def close(self) -> None:
        """Let the ports go."""
        self.console.close()
        self.gateway.close()


def valkeys() -> list[ValkeySettings]:
    """The embedded servers that this installation needs: none for what ``REDIS_URL`` and ``CACHE_REDIS_URL`` name."""
    wanted: list[tuple[ValkeyRole, Path]] = []
    if settings.REDIS_IS_EMBEDDED:
        wanted.append((ValkeyRole.STATE, settings.STATE_SOCKET))
    if settings.CACHE_REDIS_IS_EMBEDDED:
        wanted.append((ValkeyRole.CACHE, settings.CACHE_SOCKET))
    return [ValkeySettings(role=role, folder=settings.DATA_DIR / role, socket=path) for role, path in wanted]


# Advice for a machine that serves nothing else; our servers hold little and are never copied in memory.
_VALKEY_ADVICE = ("Memory overcommit must be enabled", "Transparent Huge Pages", "TCP backlog setting")


def valkey_plan(server: ValkeySettings) -> ChildPlan:
    """How the supervisor runs an embedded server."""
    return ChildPlan(name=server.role.value, command=server.prepare(), grace=VALKEY_GRACE, muted=_VALKEY_ADVICE)


def gateways(listener: socket.socket) -> list[ChildPlan]:
    """The gateway's workers, all on one socket: a connection goes to whichever is free."""
    return [
        ChildPlan(
            name=f"gateway {number}",
            command=manage(
                "gateway",
                "--worker",
                str(number),
                root=settings.BASE_DIR,
                environment={"GATEWAY_FD": str(listener.fileno())},
            ),
            grace=GATEWAY_GRACE,
            inherited=[listener.fileno()],
            says_ready=True,
        )
        for number in range(settings.GATEWAY_WORKERS)
    ]


def agent() -> ChildPlan:
    """The node agent, which ships call records and says how many workers there should be."""
    command = manage("agent", "--workers", str(settings.GATEWAY_WORKERS), root=settings.BASE_DIR)
    return ChildPlan(name="agent", command=command, grace=AGENT_GRACE, says_ready=True)


# It is about pickle, which nothing here accepts.
_CELERY_ADVICE = "ignore:You're running the worker with superuser privileges"


def celery() -> list[ChildPlan]:
    """The worker and the clock. Threads: the work waits for the database, and a thread can't be orphaned. Three tasks wait for
    others' servers (CDNs, name servers, upstreams), each by one thread at a time: two threads are left for records and changes.
    """
    return [
        ChildPlan(
            name="worker",
            command=_celery("worker", "--pool=threads", "--concurrency=5", "--without-gossip", "--without-mingle"),
            grace=CELERY_GRACE,
        ),
        ChildPlan(
            name="beat",
            command=_celery("beat", f"--schedule={settings.DATA_DIR / 'beat'}", "--pidfile="),
            grace=CELERY_GRACE,
        ),
    ]


def _celery(*arguments: str) -> Command:
    return Command(
        executable=sys.executable,
        argv=[sys.executable, "-m", "celery", "--app=apimgr", "--quiet", *arguments, "--loglevel=WARNING"],
        cwd=settings.BASE_DIR,
        environment={"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": _CELERY_ADVICE},
        nice=5,  # a backlog of records keeps a core busy, and calls come first
    )


def events() -> list[ChildPlan]:
    """The consumer of invalidation messages, where there is a broker to consume from."""
    if not settings.INVALIDATION_URL:
        return []
    return [ChildPlan(name="events", command=manage("events", root=settings.BASE_DIR), grace=CELERY_GRACE)]


def console(listener: socket.socket) -> ChildPlan:
    """The console with the REST API."""
    return ChildPlan(
        name="console",
        command=manage("console", root=settings.BASE_DIR, environment={"CONSOLE_FD": str(listener.fileno())}),
        grace=CONSOLE_GRACE,
        inherited=[listener.fileno()],
    )


def in_stop_order(groups: Sequence[Sequence[str]], names: Sequence[str]) -> list[list[str]]:
    """``names`` sorted into ``groups`` of name prefixes that stop together; what no group names stops first."""
    sorted_names: list[list[str]] = [[] for _ in range(len(groups) + 1)]
    for name in names:
        place = next((i for i, prefixes in enumerate(groups, 1) if name.split()[0] in prefixes), 0)
        sorted_names[place].append(name)
    return [group for group in sorted_names if group]


STOP_ORDER: Sequence[Sequence[str]] = (
    ("gateway",),
    ("agent",),
    ("worker", "beat", "events", "console", "origin"),
    ("state", "cache"),
)

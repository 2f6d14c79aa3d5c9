"""How a change came in, and from where. The audit log records both; what lets changes in sets them: the console, the REST API,
commands, queues.
"""

import os
import pwd
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

LONGEST_AGENT = 200
"""Characters that are kept of what a client or a command says of itself."""


class Origin(NamedTuple):
    """Where a change came from: network address, User-Agent or command, and the id of the request. Empty: not known."""

    address: str = ""
    agent: str = ""
    request_id: str = ""


#: How the present change came in: console, api, command, queue, webhook or system. Doors of the control plane set it.
via: ContextVar[str] = ContextVar("via", default="system")

#: Where the present change came from. The console's middleware sets it, and ``coming_by`` for commands.
origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039


@contextmanager
def coming_by(door: str) -> Iterator[None]:
    """Have changes in the block (or in the function that this decorates) recorded as having come in by ``door``."""
    token = via.set(door)
    whence = origin.set(Origin(agent=present_command())) if door == "command" else None
    try:
        yield
    finally:
        via.reset(token)
        if whence is not None:
            origin.reset(whence)


def present_command() -> str:
    """The command that this process runs, without its arguments, which may be secrets; and the machine's user who runs it."""
    words = [Path(sys.argv[0]).name, *(sys.argv[1:2] if sys.argv[0].endswith("manage.py") else ())]
    return f"{' '.join(words)} by {_machine_user()} on {socket.gethostname()}"[:LONGEST_AGENT]


def _machine_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user often has no name
        return f"user {os.getuid()}"

"""Fails a test in which the code under test does anything but SQL while it holds a transaction.

Whoever holds one keeps others from writing: with SQLite everybody, with PostgreSQL whoever changes something too (the number of
each change is a row that stays locked until the commit). So nothing may be waited for in there, and nothing slow be worked out:
files, sockets, Redis, other programs, sleeping, password hashes, and long computations of any kind belong before the transaction,
or behind its commit.

Only blocks of ``transaction.atomic`` that modules of ``apps`` open count: not those of pytest-django around a test.
"""

import contextlib
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.password_validation import get_default_password_validators
from django.db import connections, transaction
from redis.connection import AbstractConnection

ROOT = Path(__file__).parents[2]
APPS = str(ROOT / "apps") + "/"

LONGEST = 1.0
"""Seconds of processor time that one transaction of a test may take besides SQL: what a test makes is small."""

WAITING = {
    "socket.connect": "connects to {1}",
    "socket.getaddrinfo": "looks up {0}",
    "socket.gethostbyname": "looks up {0}",
    "subprocess.Popen": "runs {0}",
    "os.system": "runs {0}",
    "open": "opens {0}",
    "os.rename": "renames {0}",
    "os.remove": "removes {0}",
    "shutil.rmtree": "removes {0}",
}
"""Audit events of Python's own (PEP 578) that nobody may cause while a transaction is held."""

CODE = (".py", ".pyc", ".so", ".html", ".txt")
"""Endings of files that are read once: modules and templates."""


class Watch(threading.local):
    """What this thread is doing."""

    began = 0.0
    in_sql = 0.0
    looking = False

    def __init__(self) -> None:
        self.blocks: list[bool] = []  # open ones, from the outermost on: whether ``apps`` opened them

    @property
    def held(self) -> bool:
        """Whether code of ours holds a transaction."""
        return True in self.blocks


_watch = Watch()
_found: list[str] = []
_installed = False


def found(what: str) -> None:
    """Note it with the place in our own code, unless it is Python that reads a module."""
    if _watch.looking:
        return
    _watch.looking = True
    try:
        frames = traceback.extract_stack()
        if any(frame.filename.startswith("<frozen importlib") for frame in frames):
            return
        ours = [f"{frame.filename.removeprefix(str(ROOT))}:{frame.lineno} {frame.name}" for frame in frames]
        place = next((place for place in reversed(ours) if place.startswith("/apps/")), ours[-1])
        _found.append(f"{what}, in a transaction: {place}")
    finally:
        _watch.looking = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in WAITING or not _watch.held or _watch.looking:
        return
    if event == "open" and (isinstance(arguments[0], int) or str(arguments[0]).endswith(CODE)):
        return
    if event == "socket.connect" and arguments[0].type == socket.SOCK_DGRAM:
        return  # waits for nobody, and sends nothing: it asks the kernel which way leads there
    found(WAITING[event].format(*arguments))


def _refused_inside(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    def watched(*arguments: Any, **options: Any) -> Any:
        if _watch.held:
            found(what)
        return function(*arguments, **options)

    return watched


def _opened_by_apps() -> bool:
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.endswith(("/contextlib.py", "/django/db/transaction.py")):
            return name.startswith(APPS)
        frame = frame.f_back
    return False


def _timed(execute: Callable[..., Any], *arguments: Any) -> Any:
    began = time.thread_time()
    try:
        return execute(*arguments)
    finally:
        _watch.in_sql += time.thread_time() - began


def install() -> None:
    """Watch this process from now on. An audit hook can't be taken away again, so this is done once."""
    global _installed
    if _installed:
        return
    _installed = True
    sys.addaudithook(_audit)
    enter, leave = transaction.Atomic.__enter__, transaction.Atomic.__exit__

    def __enter__(self: Any) -> None:
        enter(self)
        by_apps = _opened_by_apps()
        if by_apps and not _watch.held:
            _watch.began, _watch.in_sql = time.thread_time(), 0.0
            connections[self.using or "default"].execute_wrappers.append(_timed)
        _watch.blocks.append(by_apps)

    def __exit__(self: Any, *error: Any) -> None:
        by_apps = bool(_watch.blocks) and _watch.blocks.pop()
        if by_apps and not _watch.held:
            with contextlib.suppress(ValueError):
                connections[self.using or "default"].execute_wrappers.remove(_timed)
            if (took := time.thread_time() - _watch.began - _watch.in_sql) > LONGEST:
                found(f"works for {took:.1f} s")
        leave(self, *error)  # what waits for the commit runs in here

    transaction.Atomic.__enter__ = __enter__
    transaction.Atomic.__exit__ = __exit__
    AbstractConnection.send_packed_command = _refused_inside(AbstractConnection.send_packed_command, "asks Redis")
    time.sleep = _refused_inside(time.sleep, "sleeps")
    for hasher in {hashers.PBKDF2PasswordHasher, hashers.MD5PasswordHasher}:
        hasher.encode = _refused_inside(hasher.encode, "hashes a password")


install()  # with the first import, before any test's own transaction begins


@pytest.fixture(autouse=True)
def only_sql_in_transactions() -> Iterator[None]:
    """Every test: see the module."""
    get_default_password_validators()  # reads its list of common passwords once in a process, whoever asks first
    _found.clear()
    yield
    seen = list(dict.fromkeys(_found))
    _found.clear()
    assert not seen, "\n".join(seen)

"""Reads a document in a process of its own, which ends when it takes too long or too much.

Checking is work of the validator's, in proportion to what the document's references make of it: no bound on bytes or parts
bounds its time. A process can be ended at any moment, has its own memory, and leaves the console its processor.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError

from apps.catalog.openapi.describing import Description
from apps.foundation.child_command import Command
from apps.foundation.errors import Unavailable

SECONDS = 60
"""Of processor time that a document may take."""

PATIENCE = 120.0
"""Seconds after which it is no longer waited for, on a machine that has other work."""

MEMORY = 2 * 2**30
"""Bytes of address space."""

AT_ONCE = 2
"""Documents that one process of the console has read at the same time, one of each tenant; another one is asked to come again."""

NICE = 5

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONWARNINGS", "LANG")
"""Of the environment: a program that reads hostile documents needs no secrets."""

_ROOT = Path(__file__).resolve().parents[3]
_lock = threading.Lock()
_reading: set[str] = set()
_log = logging.getLogger(__name__)


def read_aside(content: bytes, tenant: str) -> Description:
    """The document in ``content``, JSON or YAML, for ``tenant`` (its slug). Not in a transaction: it may take a minute.

    Raises ``ValidationError`` on the field ``document``, naming the place, and ``Unavailable`` while others are being read
    or when the process was ended from outside.
    """
    with _lock:
        if tenant in _reading:
            raise Unavailable("A document of this tenant is being checked just now: try again in a minute.")
        if len(_reading) >= AT_ONCE:
            raise Unavailable("Other documents are being checked just now: try again in a minute.")
        _reading.add(tenant)
    try:
        answer = _answer(content)
    finally:
        with _lock:
            _reading.discard(tenant)
    if refused := answer.get("refused"):
        raise ValidationError({"document": refused})
    return Description(**answer["description"])


def _answer(content: bytes) -> dict[str, Any]:
    argv = [sys.executable, "-m", "apps.catalog.openapi", str(SECONDS), str(MEMORY)]
    # On a leash: it ends with a console that is killed, instead of reading on for a minute. The thread that starts it waits for it.
    command = Command(sys.executable, argv, _ROOT, nice=NICE)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command.leashed(),
            input=content,
            stdout=subprocess.PIPE,
            cwd=command.cwd,
            env=environment,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"refused": [f"The document isn't checked after {PATIENCE:g} s: split it."]}
    if done.returncode == -signal.SIGXCPU:
        return {"refused": [f"The document takes more than {SECONDS} s to be checked: split it."]}
    if done.returncode == -signal.SIGABRT:  # the validator, which is Rust, ends so where it is given no more memory
        return {"refused": ["The document takes too much memory to be checked: split it."]}
    if done.returncode < 0:  # an operator's, or the system's for want of memory
        _log.error("Reading a document of %d bytes was ended by signal %d", len(content), -done.returncode)
        raise Unavailable("Checking the document was interrupted: try again, and if it happens again split it.")
    if done.returncode:
        raise RuntimeError(f"Reading a document ended with status {done.returncode}.")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer

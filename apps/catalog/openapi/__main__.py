"""The process in which ``aside`` has a document read: ``SECONDS MEMORY NICE``, the document on standard input.

Answers with JSON on standard output: ``{"description": …}`` or ``{"refused": [sentences]}``.
"""

import contextlib
import json
import os
import resource
import sys
from typing import Any, BinaryIO

from apps.catalog.openapi import understood
from apps.catalog.openapi.places import Refused


def answer(stream: BinaryIO) -> dict[str, Any]:
    """What is written to standard output."""
    try:
        description = understood(stream.read())
    except Refused as refusal:
        return {"refused": list(refusal.args)}
    except MemoryError:
        return {"refused": ["The document takes too much memory to be checked: split it."]}
    return {"description": vars(description)}


if __name__ == "__main__":
    seconds, memory, nice = (int(argument) for argument in sys.argv[1:4])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    # macOS knows no such limit: time and the document's size bound it there.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    os.nice(nice)
    json.dump(answer(sys.stdin.buffer), sys.stdout)

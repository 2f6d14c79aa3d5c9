"""The process in which ``reader_process`` has a document read: ``SECONDS MEMORY``, the document on standard input.

Responses with JSON on standard output: ``{"description": …}`` or ``{"refused": [sentences]}``.
"""

import contextlib
import json
import resource
import sys
from typing import BinaryIO

from apps.catalog.openapi.findings import DocumentRefused
from apps.catalog.openapi.reading import understood

LARGEST_ANSWER = 128 * 2**20
"""Characters that the console is handed: document and operations at their bounds, each letter escaped."""


def answer(stream: BinaryIO) -> str:
    """What is written to standard output."""
    try:
        text = json.dumps({"description": vars(understood(stream.read()))})
    except DocumentRefused as refusal:
        return json.dumps({"refused": [str(refusal.finding)]})
    except MemoryError:
        return json.dumps({"refused": ["The document takes too much memory to be checked: split it."]})
    if len(text) > LARGEST_ANSWER:
        return json.dumps({"refused": ["The document says more than can be taken: split it."]})
    return text


if __name__ == "__main__":
    seconds, memory = (int(argument) for argument in sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    # macOS knows no such limit: time and the document's size bound it there.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    sys.stdout.write(answer(sys.stdin.buffer))

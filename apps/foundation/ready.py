"""How a child tells the supervisor that it is ready: it writes to the pipe that READY_FD names."""

import contextlib
import os

VARIABLE = "READY_FD"


def say_ready() -> None:
    """Say it, once. Does nothing outside the supervisor, and nothing when it is said again."""
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor.isdigit():
        with contextlib.suppress(OSError):  # the supervisor has gone; then so will this process
            os.write(int(descriptor), b"ready\n")
            os.close(int(descriptor))

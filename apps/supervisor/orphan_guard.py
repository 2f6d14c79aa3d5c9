"""Ends the supervisor's children when the supervisor itself was killed and could not.

A process of its own that reads process groups from its standard input, which the supervisor holds open: ``+1234`` when group
1234 starts, ``-1234`` when it has ended. At the end of input it kills every group that is left. ``foundation/parent_death.py``
is faster, but works on Linux alone and only for the children themselves, not for processes that they started.

Run as a script, ``python -I -S orphan_guard.py``, so that it costs little: it imports nothing of the project.
"""

import os
import signal
import sys
from collections.abc import Iterable


def left_over(lines: Iterable[str]) -> set[int]:
    """The groups that were started and not ended, when the lines end."""
    groups: set[int] = set()
    for line in lines:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        elif line.startswith("-"):
            groups.discard(int(line[1:]))
    return groups


def main() -> None:
    """Wait for the supervisor's end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever sends these to the whole session stops the supervisor, not us
    for group in left_over(sys.stdin):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()

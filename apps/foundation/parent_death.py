"""Become another program that ends when its parent ends, however the parent ends.

Run as a script, so that no Python code runs between fork and exec in a process that has threads::

    python -I -S parent_death.py PARENT_PID NICE EXECUTABLE ARGV0 ARG...

Linux alone has such a signal (prctl(2), PR_SET_PDEATHSIG); it survives the exec. Elsewhere ``supervisor/orphan_guard.py`` does
the work.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, lower its priority, and become the program that the arguments name."""
    parent, nice, executable, *argv = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):  # it ended before the line above
        sys.exit(1)
    os.nice(int(nice))
    os.execv(executable, argv)


if __name__ == "__main__":
    main()

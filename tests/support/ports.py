"""Free ports."""

import os
import random
import socket

# Below the ports that the kernel gives to outgoing connections (from 32768 on): one of those may take a port that was free when a
# test chose it, before its server listens. Each of several pytest processes chooses from a range of its own.
_FIRST, _RANGE = 12_000, 2_500
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_base = _FIRST + _RANGE * _process
_next = random.randrange(_RANGE)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago; not given out again soon."""
    global _next
    for _ in range(_RANGE):
        _next = (_next + 1) % _RANGE
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", _base + _next))
            except OSError:
                continue
            return _base + _next
    raise AssertionError("no port is free")

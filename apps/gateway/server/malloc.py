"""How the C library hands out memory to a worker."""

import ctypes

M_MMAP_THRESHOLD = -3  # <malloc.h>
APART = 128 * 1024
"""Bytes from which a block is mapped by itself: glibc's own first value."""


def keep_large_blocks_apart() -> bool:
    """Have each large block given back to the system when it is freed; whether the C library can.

    glibc raises its threshold to the size of whatever large block was freed last, up to 32 MiB. Bodies of megabytes then
    lie among small ones, and leave holes: with bodies of 10 B to 8 MB a worker's tier of cached responses takes up to
    20 % more of the machine than its bound, and with a fixed threshold 2 % (``python -m benchmarks.memory``).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, APART))

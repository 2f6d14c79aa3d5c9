"""``python -m benchmarks.memory [MIX MEBIBYTES]``: what a worker's tier of 64 MiB takes of the machine's memory, with several
mixes of sizes.

Each mix is filled in a process of its own, with three times as much as fits, so that memory is given back and taken again;
then the process's resident memory is compared with what the tier says of itself.
"""

import gc
import os
import random
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apimgr.settings")

from apps.caching.http import ANONYMOUS, Held, Policy, Request, ResponseHead, Store, on_response, plan_request
from apps.caching.local import Local
from apps.caching.shares import Account
from apps.gateway.malloc import keep_large_blocks_apart

MEBIBYTES = 64
MIXES = {
    "nothing but heads": (lambda draw: 0, 1),
    "1 kB": (lambda draw: 1000, 1),
    "1 kB, every caller another": (lambda draw: 1000, 10**9),
    "0 to 50 kB": (lambda draw: draw.randint(0, 50_000), 20),
    "10 B to 5 MB, log-uniform": (lambda draw: int(10 ** draw.uniform(1, 6.7)), 20),
    "1 to 8 MB": (lambda draw: draw.randint(10**6, 8 * 10**6), 3),
}


def resident() -> int:
    """This process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def entry(number: int, body: bytes) -> Held:
    """A stored answer with a few fields of its own."""
    path = b"/items/%d" % number
    request = Request("GET", "http", b"api.test", path, b"page=%d" % number, (), False)
    head = ResponseHead(
        200,
        (
            (b"cache-control", b"public, max-age=3600"),
            (b"content-type", b"application/json; charset=utf-8"),
            (b"etag", b'"%032x"' % number),
            (b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT"),
            (b"surrogate-key", b"items item:%d" % number),
        ),
    )
    now = time.time()
    decision = on_response(plan_request(request, Policy(api="items"), ANONYMOUS), None, head, now, now, (1, 0))
    if not isinstance(decision, Store):
        raise TypeError(decision)
    decision.entry.body = body
    return Held(decision.entry)


def measure(name: str, capacity: int) -> None:
    """Fill with one mix, print a line; ``capacity`` is in bytes."""
    size, callers = MIXES[name]
    keep_large_blocks_apart()
    draw = random.Random(1)
    entry(0, b"")
    gc.collect()
    before = resident()
    local = Local(capacity)
    number = stored = peak = 0
    while stored < 3 * capacity:
        number += 1
        held = entry(number, os.urandom(size(draw)))
        stored += held.size
        account = Account("tenant", "items", f"caller{number % callers}")
        local.put(held.entry.key, held, account)
        del held
        if number % 10 == 0:
            peak = max(peak, resident() - before)
    peak = max(peak, resident() - before)
    said = local.stats.bytes
    print(
        f"{name:<28}{local.stats.entries:>8,}{local.stats.evictions:>10,}{said / 2**20:>10.1f}{peak / 2**20:>10.1f}"
        f"{peak / capacity:>9.2f}",
        flush=True,
    )


def main() -> None:
    """Each mix in a process of its own."""
    print(f"{'MiB':<28}{'entries':>8}{'evicted':>10}{'booked':>10}{'resident':>10}{'÷ bound':>9}", flush=True)
    for name in MIXES:
        subprocess.run([sys.executable, "-m", "benchmarks.memory", name, str(MEBIBYTES)], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]) * 2**20)
    else:
        main()

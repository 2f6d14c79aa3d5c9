"""``python -m benchmarks.revocations``: what a million revoked tokens take of a worker's memory, and what they cost each call."""

import gc
import random
import statistics
import time
from collections.abc import Callable

from apps.gateway.config.revoked import MEMORY, MOST, RevokedTable
from apps.wire.revocations import BUCKETS, FOR_GOOD, pack, revocation_hash
from benchmarks.memory import resident

CALLS, ROUNDS = 50_000, 9
NUMBERED = list(enumerate(BUCKETS))
IN_ONE = MOST // len(BUCKETS)


def main() -> int:
    """Print a line for each; 1 where the bound of memory, or a microsecond, is exceeded."""
    draw = random.Random(1)
    parts = [
        pack(bucket, ((number << 56 | draw.getrandbits(56), FOR_GOOD) for _ in range(IN_ONE)))
        for number, bucket in NUMBERED
    ]
    sizes = [len(part.hashes) + len(part.marks) for part in parts]
    hashes = [int.from_bytes(draw.choice(parts).hashes[:8], "little") for _ in range(CALLS)]
    gc.collect()
    before = resident()
    table = RevokedTable()
    for part in parts:
        table.put(part)
    took = resident() - before
    print(f"{len(table):,} revocations: {took / 2**20:.1f} MiB; while they are read anew at most {MEMORY / 2**20:.1f}")
    print(f"one more moves a part of {max(sizes) / 1024:.0f} KiB")
    good = [draw.getrandbits(64) for _ in range(CALLS)]
    asked = [per_call(lambda each: table.is_over(each, 1_800_000_000), some) for some in (hashes, good)]
    print(f"a revoked token: {asked[0]:.0f} ns, a good one: {asked[1]:.0f} ns")
    new = per_call(lambda each: revocation_hash(b"pepper", "jti", "corp", f"token-{each}"), good)
    print(f"a token that comes for the first time is hashed in {new:.0f} ns")
    return 0 if took <= MEMORY and max(asked) < 1000 else 1


def per_call(work: Callable[[int], object], given: list[int]) -> float:
    """Nanoseconds, the median of some rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for each in given:
            work(each)
        found.append((time.process_time() - began) / len(given) * 1e9)
    return statistics.median(found)


if __name__ == "__main__":
    raise SystemExit(main())

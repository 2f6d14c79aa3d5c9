"""``python -m benchmarks.compare TREE [ROUNDS]``: this tree and another checkout of it, side by side in one run.

Each runs an installation of its own with one worker on the same core. They are measured in turns, so that a machine that is
busy for a while is so for both. Printed per kind of call: processor time per call, and how much of the other tree's rate this
one keeps: the median of the rounds with the interval in which the true median lies (95 %, by order statistics). About four
minutes; loopback only.
"""

import contextlib
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from math import comb
from pathlib import Path

from benchmarks.__main__ import (
    CLIENT_CORE,
    FILE,
    ROOT,
    SECONDS,
    calls_per_second,
    free_port,
    paused,
    pids_of,
    pin_workers,
    processor_seconds,
    running,
    wait_for,
)

ROUNDS = 9
KINDS = {"hit": "/bench/cached/1", "forward": "/bench/passed/1"}


def interval(values: list[float]) -> tuple[float, float]:
    """The narrowest pair of order statistics that holds the true median with at least 95 % (all values, where too few)."""
    ordered, count = sorted(values), len(values)
    outside, low = 0.0, 0
    for rank in range(count // 2):
        outside += 2 * comb(count, rank) / 2**count
        if outside > 0.05:
            break
        low = rank
    return ordered[low], ordered[count - 1 - low]


def microseconds_per_call(pids: list[int], port: int, path: str, key: str) -> float:
    """Processor time of the processes for one call, over one round."""
    before = processor_seconds(pids)
    rate = calls_per_second(port, path, key)
    return (processor_seconds(pids) - before) / (rate * SECONDS) * 1e6


def main() -> int:
    """Set both up, measure in turns, take both down."""
    other = Path(sys.argv[1]).resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    key, origin = secrets.token_urlsafe(32), free_port()
    with tempfile.TemporaryDirectory(prefix="apimgr-compare-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "bench.yaml").write_text(FILE.format(origin=origin))
        python = sys.executable
        stack.enter_context(
            running([python, "-m", "benchmarks.origin", str(origin)], CLIENT_CORE, folder / "origin.log")
        )
        workers: dict[int, list[int]] = {}
        rest: list[int] = []
        for number, tree in enumerate((ROOT, other)):
            port = free_port()
            environment = {
                "APIMGR_DATA": str(folder / f"var{number}"),
                "CONSOLE_PORT": str(free_port()),
                "GATEWAY_PORT": str(port),
                "GATEWAY_WORKERS": "1",
                "BENCH_KEY": key,
            }
            log = folder / f"up{number}.log"
            up = stack.enter_context(
                running([python, "manage.py", "up", "--no-demo"], CLIENT_CORE, log, environment, tree)
            )
            try:
                wait_for(f"http://127.0.0.1:{port}/_gateway/readyz")
                subprocess.run(
                    [python, "manage.py", "apply", str(folder / "bench.yaml")],
                    cwd=tree, env={**os.environ, **environment}, check=True, capture_output=True, timeout=60,
                )  # fmt: skip
                wait_for(f"http://127.0.0.1:{port}/bench/cached/1", {"X-API-Key": key})
            except (TimeoutError, subprocess.CalledProcessError) as error:
                said = getattr(error, "stderr", b"") or b""
                print(f"{tree}: {error}\n{said.decode()}\n{log.read_text()[-4000:]}", file=sys.stderr)
                return 1
            pin_workers(up.pid)
            workers[port] = pids_of(up.pid, "gateway")
            rest += pids_of(up.pid, "agent") + pids_of(up.pid, "celery")
        print(f"{rounds} rounds of {SECONDS} s in turns, processor time per call; kept: the other tree's time ÷ ours\n")
        print(f"{'':<10}{'this tree':>12}{'the other':>12}{'kept':>8}   interval")
        with paused(rest):
            for kind, path in KINDS.items():
                times: dict[int, list[float]] = {port: [] for port in workers}
                for _ in range(rounds):
                    for port, measured in times.items():
                        measured.append(microseconds_per_call(workers[port], port, path, key))
                ours, theirs = times.values()
                kept = [b / a for a, b in zip(ours, theirs, strict=True)]
                low, high = interval(kept)
                print(
                    f"{kind:<10}{statistics.median(ours):>9.2f} µs{statistics.median(theirs):>9.2f} µs"
                    f"{statistics.median(kept):>8.3f}   {low:.3f} to {high:.3f}   rounds "
                    + " ".join(f"{ratio:.2f}" for ratio in kept)
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``make bench``: cached hits and forwarded calls on one core, apimgr and Debian's nginx in turns.

The server under test has one core to itself, wrk the other. Five rounds of each, in turns; the
medians and their ratio are printed, and the processor time of the server per call: it tells the same where others use the cores
too. Takes about three minutes, ends by itself, and talks to loopback only.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
SECONDS = 4
CONNECTIONS = 32
SERVER_CORE, CLIENT_CORE = 0, 1
DEBIAN_NGINX = "/usr/sbin/nginx"

FILE = """
version: 1
tenants: [{{slug: bench, name: Benchmark}}]
plans: [{{slug: bench, name: Benchmark, rate_limit: 1000000/s, burst: 1000000, quota: 1000000000/month}}]
apis:
  - slug: bench
    name: Benchmark
    tenant: bench
    listen_path: /bench/
    upstreams: [{{url: "http://127.0.0.1:{origin}/"}}]
    cache: {{mode: origin}}
    published: true
applications:
  - {{tenant: bench, slug: wrk, name: wrk, keys: [{{name: wrk, secret_env: BENCH_KEY}}]}}
subscriptions:
  - {{application: bench/wrk, api: bench, plan: bench}}
"""


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def needs() -> list[str]:
    """What is missing to run, as sentences."""
    missing = []
    if not shutil.which("wrk"):
        missing.append("wrk is missing: install Debian's package wrk.")
    if not Path(DEBIAN_NGINX).exists():
        missing.append("nginx is missing: install Debian's package nginx-light.")
    if len(os.sched_getaffinity(0)) < 2:
        missing.append("Two cores are needed: one for the server, one for the client.")
    return missing


def wait_for(url: str, headers: dict[str, str] | None = None, seconds: float = 60) -> None:
    """Return when ``url`` answers 200. Raises ``TimeoutError``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            request = urllib.request.Request(url, headers=headers or {})
            if urllib.request.urlopen(request, timeout=2).status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer 200 within {seconds:g} s")


@contextlib.contextmanager
def running(
    argv: list[str], core: int, log: Path, environment: dict[str, str] | None = None, tree: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one core, started in ``tree``, for as long as the block lasts."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *argv],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tree,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def paused(pids: list[int]) -> Iterator[None]:
    """Processes stand still for as long as the block lasts."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def pids_of(session: int, word: str) -> list[int]:
    """The processes of ``up``, the leader of ``session``, that have ``word`` among those of their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if word.encode() in words and os.getsid(int(entry.name)) == session:
                found.append(int(entry.name))
    return found


def pin_workers(session: int) -> None:
    """Put the gateway workers of ``up``, the leader of ``session``, on the server's core."""
    for pid in pids_of(session, "gateway"):
        os.sched_setaffinity(pid, {SERVER_CORE})
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {SERVER_CORE})


def calls_per_second(port: int, path: str, key: str) -> float:
    """One round of wrk. Raises ``RuntimeError`` when an answer was no 2xx."""
    said = subprocess.run(
        [
            "taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", "-H", f"X-API-Key: {key}",
            f"http://127.0.0.1:{port}{path}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS + 30,
    ).stdout  # fmt: skip
    if "Non-2xx" in said:
        raise RuntimeError(said)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if found is None:
        raise RuntimeError(said)
    return float(found[1])


def processor_seconds(pids: list[int]) -> float:
    """User and system time that these processes used so far."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):  # nginx's cache loader ends by itself
            ticks += sum(int(word) for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def measure(servers: dict[int, list[int]], followers: list[int], key: str) -> None:
    """Print calls/s and processor time per call of both, and their ratios.

    ``servers``: the processes that answer at a port, apimgr first. ``followers`` ship and ingest call records, on the client's
    core: "alone" is without them, as nginx's log isn't read by anybody here either. Their work waits in the spool meanwhile.
    """
    print(
        f"{ROUNDS} rounds of {SECONDS} s in turns, {CONNECTIONS} connections, 1 KB answers, one core for the server\n"
    )
    print(f"{'':<16}{'apimgr':>12}{'nginx':>12}{'ratio':>8}")
    for name, path, alone in (
        ("hit", "/bench/cached/1", False),
        ("hit, alone", "/bench/cached/1", True),
        ("forward, alone", "/bench/passed/1", True),
    ):
        with paused(followers) if alone else contextlib.nullcontext():
            compare(name, path, servers, key)


def compare(name: str, path: str, servers: dict[int, list[int]], key: str) -> None:
    """One kind of call, both servers in turns."""
    rates: dict[int, list[float]] = {port: [] for port in servers}
    used = dict.fromkeys(servers, 0.0)
    for _ in range(ROUNDS):
        for port, measured in rates.items():
            before = processor_seconds(servers[port])
            measured.append(calls_per_second(port, path, key))
            used[port] += processor_seconds(servers[port]) - before
    ours, theirs = (statistics.median(measured) for measured in rates.values())
    print(f"{name:<16}{ours:>10,.0f}/s{theirs:>10,.0f}/s{ours / theirs:>8.2f}")
    our_time, their_time = (used[port] / (sum(rates[port]) * SECONDS) * 1e6 for port in servers)
    print(f"{'':<16}{our_time:>9.1f} µs{their_time:>9.1f} µs{their_time / our_time:>8.2f}  processor time per call")
    spread = ", ".join(f"{ours / theirs:.2f}" for ours, theirs in zip(*rates.values(), strict=True))
    print(f"{'':<16}ratio of each round: {spread}")


def main() -> int:
    """Set both up, measure, take both down."""
    if missing := needs():
        print("\n".join(missing), file=sys.stderr)
        return 2
    key = secrets.token_urlsafe(32)
    origin, apimgr, nginx, console = (free_port() for _ in range(4))
    with tempfile.TemporaryDirectory(prefix="apimgr-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        os.chmod(folder, 0o755)  # nginx's worker is another user when root runs this
        environment = {
            "APIMGR_DATA": str(folder / "var"),
            "CONSOLE_PORT": str(console),
            "GATEWAY_PORT": str(apimgr),
            "GATEWAY_WORKERS": "1",
            "BENCH_KEY": key,
        }
        keys = "\n".join(f'        "{secrets.token_urlsafe(32)}" "app{number}";' for number in range(999))
        configuration = (ROOT / "benchmarks" / "nginx.conf").read_text()
        (folder / "nginx.conf").write_text(
            configuration.format(folder=folder, origin=origin, port=nginx, keys=f'{keys}\n        "{key}" "wrk";')
        )
        (folder / "bench.yaml").write_text(FILE.format(origin=origin))
        python = sys.executable
        stack.enter_context(
            running([python, "-m", "benchmarks.origin", str(origin)], CLIENT_CORE, folder / "origin.log")
        )
        peer = [
            DEBIAN_NGINX,
            "-c",
            str(folder / "nginx.conf"),
            "-p",
            str(folder),
            "-e",
            str(folder / "nginx.error.log"),
        ]
        server = stack.enter_context(running(peer, SERVER_CORE, folder / "nginx.log"))
        up = stack.enter_context(
            running([python, "manage.py", "up", "--no-demo"], CLIENT_CORE, folder / "up.log", environment)
        )
        try:
            wait_for(f"http://127.0.0.1:{apimgr}/_gateway/readyz")
            pin_workers(up.pid)
            subprocess.run(
                [python, "manage.py", "apply", str(folder / "bench.yaml")],
                cwd=ROOT, env={**os.environ, **environment}, check=True, capture_output=True, timeout=60,
            )  # fmt: skip
            for port in (apimgr, nginx):
                wait_for(f"http://127.0.0.1:{port}/bench/cached/1", {"X-API-Key": key})
            servers = {apimgr: pids_of(up.pid, "gateway"), nginx: children(server.pid)}
            measure(servers, pids_of(up.pid, "agent") + pids_of(up.pid, "celery"), key)
        except (TimeoutError, subprocess.CalledProcessError, urllib.error.URLError) as error:
            said = getattr(error, "stderr", b"") or b""
            print(f"{error}\n{said.decode()}\n{(folder / 'up.log').read_text()[-4000:]}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

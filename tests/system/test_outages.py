"""The state Redis frozen, and away, under load: calls with known keys are served, and no call record is lost.

``APIMGR_OUTAGE`` says for how many seconds it is gone (3 unless set).
"""

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.installation import Installation, installation
from tests.support.waiting import wait_until

OUTAGE = float(os.environ.get("APIMGR_OUTAGE", "3"))
KEY = "a-key-of-another-form-0001"

FILE = """
version: 1
tenants: [{{slug: acme, name: Acme}}]
plans: [{{slug: wide, name: Wide, rate_limit: 10000/s, burst: 20000, quota: 100000000/month}}]
apis:
  - {{slug: {slug}, name: Bin, tenant: acme, listen_path: /{slug}/, upstreams: [{{url: "{upstream}/"}}], published: true}}
applications: [{{tenant: acme, slug: bot, name: Bot, keys: [{{name: ci, secret_env: BOT_KEY}}]}}]
subscriptions: [{{application: acme/bot, api: {slug}, plan: wide}}]
"""


class Load:
    """Calls from a few threads, half of them cached, each thread on a connection that it keeps."""

    def __init__(self, running: Installation, slug: str) -> None:
        self.running, self.slug = running, slug
        self.statuses: Counter[int | str] = Counter()
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def work(self) -> None:
        with httpx.Client(
            base_url=self.running.gateway, headers={"X-API-Key": KEY}, timeout=10, trust_env=False
        ) as client:
            while not self.stopped.is_set():
                for path in ("cache/3600", "get"):
                    try:
                        status: int | str = client.get(f"/{self.slug}/{path}").status_code
                    except httpx.TransportError as error:
                        status = type(error).__name__
                    with self.lock:
                        self.statuses[status] += 1


@contextlib.contextmanager
def load(running: Installation, slug: str) -> Iterator[Load]:
    """Load for as long as the block lasts."""
    calls = Load(running, slug)
    threads = [threading.Thread(target=calls.work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        calls.stopped.set()
        for thread in threads:
            thread.join()


def prepared(running: Installation, slug: str, upstream: str) -> int:
    """The API is there and every worker knows the key; the calls that this took."""
    file = running.data / f"{slug}.yaml"
    file.write_text(FILE.format(slug=slug, upstream=upstream))
    done = running.manage("apply", str(file), BOT_KEY=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    warm = [running.call(f"/{slug}/cache/3600", KEY).status_code for _ in range(40)]
    assert set(warm) == {200}
    return len(warm)


def every_call_is_in_the_log(running: Installation, slug: str, expected: int) -> bool:
    summary = running.api("GET", f"analytics/summary/?api={slug}").json()
    return summary["calls"] == expected and summary["completeness"]["received"] == summary["completeness"]["expected"]


def served_throughout(calls: Load) -> bool:
    """Whether calls went on during the outage."""
    before = sum(calls.statuses.values())
    until = time.monotonic() + OUTAGE
    wait_until(lambda: time.monotonic() > until, OUTAGE + 5)
    return sum(calls.statuses.values()) > before + 10


def test_a_frozen_state_redis_fails_no_call_and_loses_no_record(running, upstream):
    warm = prepared(running, "frozen", upstream)
    (pid,) = running.pids("state.conf")
    with load(running, "frozen") as calls:
        wait_until(lambda: calls.statuses[200] > 20)
        os.kill(pid, signal.SIGSTOP)
        try:
            assert served_throughout(calls)
        finally:
            os.kill(pid, signal.SIGCONT)
        after = calls.statuses[200]
        wait_until(lambda: calls.statuses[200] > after + 20)
    assert set(calls.statuses) == {200}
    made = warm + sum(calls.statuses.values())
    wait_until(lambda: every_call_is_in_the_log(running, "frozen", made), 60)


def test_a_state_redis_that_is_down_fails_no_call_and_loses_no_record(extra_valkey, upstream):
    state, cache = extra_valkey("state"), extra_valkey("cache")
    with installation(REDIS_URL=state.url, CACHE_REDIS_URL=cache.url) as running:
        warm = prepared(running, "down", upstream)
        with load(running, "down") as calls:
            wait_until(lambda: calls.statuses[200] > 20)
            state.kill()
            try:
                assert served_throughout(calls)
            finally:
                state.start()
            after = calls.statuses[200]
            wait_until(lambda: calls.statuses[200] > after + 20)
        assert set(calls.statuses) == {200}
        made = warm + sum(calls.statuses.values())
        wait_until(lambda: every_call_is_in_the_log(running, "down", made), 60)


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
def test_a_gateway_worker_that_ends_is_replaced_and_its_records_arrive(running, upstream, signal_name):
    slug = f"worker-{signal_name.lower()}"
    warm = prepared(running, slug, upstream)
    victim = running.pids("gateway --worker")[0]
    os.kill(victim, getattr(signal, signal_name))
    wait_until(
        lambda: victim not in running.pids("gateway --worker") and len(running.pids("gateway --worker")) == 2, 30
    )
    wait_until(lambda: every_call_is_in_the_log(running, slug, warm), 30)


def settled(counted: Callable[[], tuple[int, bool]]) -> int:
    """How many calls were counted, once that hasn't changed for three seconds: what others made has arrived."""
    last, since = counted(), time.monotonic()

    def is_still() -> bool:
        nonlocal last, since
        if (now := counted()) != last:
            last, since = now, time.monotonic()
        return last[1] and time.monotonic() > since + 3

    wait_until(is_still, 60)
    return last[0]


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
def test_calls_to_unknown_paths_are_all_counted_though_their_worker_dies(running, signal_name):
    def counted() -> tuple[int, bool]:
        summary = running.api("GET", "analytics/summary/").json()
        return summary["calls"], summary["completeness"]["received"] == summary["completeness"]["expected"]

    before = settled(counted)
    victim = running.pids("gateway --worker")[0]
    for number in range(200):  # each on a connection of its own: whichever worker takes it
        assert running.call(f"/nothing/{number}").status_code == 404
    os.kill(victim, getattr(signal, signal_name))
    wait_until(
        lambda: victim not in running.pids("gateway --worker") and len(running.pids("gateway --worker")) == 2, 30
    )
    wait_until(lambda: counted() == (before + 200, True), 60)
    rows = running.api("GET", "calls/?path=/nothing/&page_size=1000").json()["results"]
    assert rows
    assert {flag for row in rows for flag in row["flags"]} == {"sampled"}

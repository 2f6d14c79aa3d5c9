"""What a worker counts, as Prometheus text. Counting is a dictionary entry, so that it can be done on every call.

Workers share a port, so that a scrape reaches any one of them. Each writes its numbers to a file once a second, and
the worker that is scraped shows those of all, with the worker as a label.
"""

import contextlib
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic

import msgspec

BUCKETS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 10000.0)
"""Upper bounds in milliseconds."""

MOST_SERIES = 20_000
"""Combinations of API, status and cache result that are counted each; further ones are counted together, by class of status:
an upstream may answer with any of 500 statuses.
"""

MOST_TROUBLED = 1000
"""Upstreams that may be said to be in trouble at a time."""

TROUBLE = 10.0
"""Seconds after which an upstream that wasn't called again is no longer said to be in trouble."""

_HELP = {
    "apimgr_calls_total": ("counter", "Calls answered."),
    "apimgr_call_seconds": ("histogram", "Time from the parsed head to the last byte."),
    "apimgr_upstream_failures_total": ("counter", "Upstream calls without a whole response."),
    "apimgr_upstream_calls_in_flight": ("gauge", "Calls to upstreams under way, streamed responses among them."),
    "apimgr_upstream_calls_queued": ("gauge", "Calls that wait because as many as their API allows are under way."),
    "apimgr_upstream_calls_refused_total": ("counter", "Calls for which there was no place, in the queue neither."),
    "apimgr_introspections_total": ("counter", "Questions to introspection servers about opaque tokens."),
    "apimgr_local_share_calls_total": ("counter", "Calls limited by the local share because Redis was away."),
    "apimgr_collapsed_calls_total": ("counter", "Calls that waited for an upstream call made for another."),
    "apimgr_fetches_led_total": ("counter", "Upstream calls made while holding the fetch lock."),
    "apimgr_fetch_lock_waits_total": ("counter", "Waits for another worker that held the fetch lock."),
    "apimgr_fetch_lock_takeovers_total": ("counter", "Waits that ended in asking the upstream after all."),
    "apimgr_fetch_lock_fenced_total": (
        "counter",
        "Answers not kept because the fetch lock had gone to another worker.",
    ),
    "apimgr_clients_left_total": ("counter", "Calls whose caller left before the end."),
    "apimgr_calls_in_flight": ("gauge", "Calls being answered."),
    "apimgr_connections": ("gauge", "Open connections, without those of trusted proxies."),
    "apimgr_connections_refused_total": ("counter", "Connections refused because their client had too many."),
    "apimgr_cache_bytes": ("gauge", "Bytes in the in-process tier."),
    "apimgr_cache_entries": ("gauge", "Entries in the in-process tier."),
    "apimgr_cache_evictions_total": ("counter", "Entries pushed out of the in-process tier."),
    "apimgr_cache_alarms_total": (
        "counter",
        "Stored responses that were found under another caller's key and not served.",
    ),
    "apimgr_cache_server_failures_total": ("counter", "Exchanges with the cache server that failed or came too late."),
    "apimgr_cache_server_skipped_total": ("counter", "Exchanges left out because the last ones had failed."),
    "apimgr_records_written_total": ("counter", "Call records written to the spool."),
    "apimgr_records_lost_total": ("counter", "Call records that could not be written."),
    "apimgr_loop_stalls_total": (
        "counter",
        "Times that the worker's event loop stood still for two seconds or longer.",
    ),
    "apimgr_loop_stalled_seconds_total": ("counter", "Seconds that it stood still in these."),
    "apimgr_lease_seconds": ("gauge", "What is left of the trust lease."),
    "apimgr_epoch": ("gauge", "Last change of configuration that is in force here."),
}

Sample = tuple[str, tuple[tuple[str, str], ...], float]


class Metrics:
    """One worker's numbers. ``folder`` is where all workers of this machine leave theirs; ``measure`` gives what other parts of
    the worker count (at a monotonic time), without the worker's label.
    """

    def __init__(self, folder: Path, worker: int, measure: Callable[[float], Iterable[Sample]]) -> None:
        self._folder = folder
        self._worker = worker
        self._measure = measure
        self._path = folder / f"{worker}.metrics"
        self.in_flight = 0
        self._calls: dict[tuple[str, int, bytes], int] = {}
        self._seconds: dict[bytes, list[float]] = {}
        self._troubled: dict[str, float] = {}
        self._failures: Counter[tuple[str, str, str]] = Counter()
        self._local_share = 0
        self._left = 0
        self._collapsed = 0
        self._stalls = 0
        self._stalled_seconds = 0.0

    def called(self, api: str, status: int, cache: bytes, ms: float, flags: tuple[str, ...]) -> None:
        """A call of the API named ``api`` has ended, after ``ms`` milliseconds; ``cache`` and ``flags`` are as in its record."""
        try:
            self._calls[api, status, cache] += 1
        except KeyError:
            known = len(self._calls) < MOST_SERIES
            series = (api, status, cache) if known else ("", status // 100 * 100, cache)
            self._calls[series] = self._calls.get(series, 0) + 1
        times = self._seconds.get(cache)
        if times is None:
            times = self._seconds[cache] = [0.0] * (len(BUCKETS) + 2)
        times[bisect_left(BUCKETS, ms)] += 1
        times[-1] += ms / 1000
        if flags:
            self._local_share += "local_share" in flags
            self._left += "client_left" in flags
            self._collapsed += "collapsed" in flags

    def stalled(self, seconds: float) -> None:
        """The event loop stood still for so long."""
        self._stalls += 1
        self._stalled_seconds += seconds

    def upstream_answered(self, upstream: str) -> None:
        """An upstream call was answered: it is in no trouble."""
        if self._troubled:
            self._troubled.pop(upstream, None)

    def troubled(self, now: float) -> tuple[str, ...]:
        """Upstreams whose last call failed, lately; ``now`` is monotonic."""
        self._troubled = {name: at for name, at in self._troubled.items() if now - at < TROUBLE}
        return tuple(sorted(self._troubled))

    def upstream_failed(self, api: str, upstream: str, kind: str, cause: str) -> None:
        """An upstream call failed; ``kind`` as ``UpstreamError`` has it, ``cause`` is the code of a ``FailureCause``."""
        if len(self._troubled) < MOST_TROUBLED:
            self._troubled[upstream] = monotonic()
        self._failures[api, kind, cause] += 1

    def samples(self, now: float) -> list[Sample]:
        """This worker's numbers; ``now`` is monotonic."""
        mine = ("worker", str(self._worker))
        found: list[Sample] = []
        for (api, status, cache), count in self._calls.items():
            labels = (("api", api), ("status", str(status)), ("cache", cache.decode()), mine)
            found.append(("apimgr_calls_total", labels, count))
        for cache, times in self._seconds.items():
            running = 0.0
            bounds = (*(f"{bound / 1000:g}" for bound in BUCKETS), "+Inf")
            for bound, within in zip(bounds, times[:-1], strict=True):
                running += within
                found.append(("apimgr_call_seconds_bucket", (("cache", cache.decode()), ("le", bound), mine), running))
            found.append(("apimgr_call_seconds_sum", (("cache", cache.decode()), mine), times[-1]))
            found.append(("apimgr_call_seconds_count", (("cache", cache.decode()), mine), running))
        for (api, kind, cause), count in self._failures.items():
            labels = (("api", api), ("kind", kind), ("cause", cause), mine)
            found.append(("apimgr_upstream_failures_total", labels, count))
        for name, value in (
            ("apimgr_local_share_calls_total", self._local_share),
            ("apimgr_collapsed_calls_total", self._collapsed),
            ("apimgr_clients_left_total", self._left),
            ("apimgr_calls_in_flight", self.in_flight),
            ("apimgr_loop_stalls_total", self._stalls),
            ("apimgr_loop_stalled_seconds_total", self._stalled_seconds),
        ):
            found.append((name, (mine,), value))
        found += [(name, (*labels, mine), value) for name, labels, value in self._measure(now)]
        return found

    def publish(self, now: float) -> None:
        """Leave the numbers where the other workers find them."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._path.with_suffix(".draft")
            draft.write_bytes(msgspec.json.encode(self.samples(now)))
            draft.replace(self._path)

    def withdraw(self) -> None:
        """This worker ends: its numbers are no more."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def text(self, now: float) -> bytes:
        """Everybody's numbers."""
        found = self.samples(now)
        for path in sorted(self._folder.glob("*.metrics")) if self._folder.is_dir() else ():
            if path != self._path:
                with contextlib.suppress(OSError, msgspec.DecodeError):
                    found += msgspec.json.decode(path.read_bytes(), type=list[Sample])
        lines: list[str] = []
        for name, (kind, words) in _HELP.items():
            lines += (f"# HELP {name} {words}", f"# TYPE {name} {kind}")
            for sample, labels, value in found:
                if sample == name or (kind == "histogram" and sample.rpartition("_")[0] == name):
                    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
                    lines.append(f"{sample}{{{shown}}} {value:g}" if value % 1 else f"{sample}{{{shown}}} {int(value)}")
        return "\n".join([*lines, ""]).encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

"""What the parts of a worker count, as samples for its metrics."""

from collections.abc import Mapping

from apps.cachestore.store import ResponseStore
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.limits.client_limits import ClientConnections
from apps.gateway.records.metrics import Sample
from apps.gateway.records.spool import SpoolWriter
from apps.gateway.upstream.concurrency import ConcurrencyLimits


def samples_of(
    store: ResponseStore,
    concurrency: ConcurrencyLimits,
    connections: ClientConnections,
    spool: SpoolWriter,
    config: WorkerConfig,
    introspections: Mapping[tuple[str, str], int],
    now: float,
) -> list[Sample]:
    """The present numbers. ``introspections`` are questions about tokens, by server and outcome; ``now`` is monotonic."""
    found: list[Sample] = []
    for api, running, waiting in concurrency.counts():
        found.append(("apimgr_upstream_calls_in_flight", (("api", api),), running))
        found.append(("apimgr_upstream_calls_queued", (("api", api),), waiting))
    for api, count in concurrency.refused.items():
        found.append(("apimgr_upstream_calls_refused_total", (("api", api),), count))
    for (server, outcome), count in introspections.items():
        found.append(("apimgr_introspections_total", (("server", server), ("outcome", outcome)), count))
    local, stats, locks = store.local_stats, store.stats, store.locks.stats
    for name, value in (
        ("apimgr_fetches_led_total", locks.led),
        ("apimgr_fetch_lock_waits_total", locks.waits),
        ("apimgr_fetch_lock_takeovers_total", locks.takeovers),
        ("apimgr_fetch_lock_fenced_total", locks.fenced),
        ("apimgr_connections", connections.open),
        ("apimgr_connections_refused_total", connections.refused),
        ("apimgr_cache_bytes", local.bytes),
        ("apimgr_cache_entries", local.entries),
        ("apimgr_cache_evictions_total", local.evictions),
        ("apimgr_cache_alarms_total", stats.alarms),
        ("apimgr_cache_server_failures_total", stats.shared_failures),
        ("apimgr_cache_server_skipped_total", stats.shared_skipped),
        ("apimgr_records_written_total", spool.written),
        ("apimgr_records_lost_total", spool.lost),
        ("apimgr_lease_seconds", config.trust_lease.left(now)),
        ("apimgr_epoch", config.epoch),
    ):
        found.append((name, (), value))
    return found

"""Call records for tests, and the whole way that they take."""

import time
from pathlib import Path
from typing import Any

import redis

from apps.analytics.ingestion import ingest_from
from apps.gateway.records.spool import SpoolWriter
from apps.supervisor.shipper import Shipper
from apps.wire.call_records import SpooledCallRecord, encode
from tests.support.calls import make_record

NODE = "node-1"
BUDGET = 2**30

STRANGER: dict[str, Any] = {
    "api": "",
    "revision": 0,
    "operation": "",
    "tenant": "",
    "application": "",
    "plan": "",
    "path": "/nothing",
    "status": 404,
    "code": "unknown_api",
    "cache": "BYPASS",
    "reason": "unknown_api",
    "duration": 0.1,
    "upstream_duration": 0.0,
    "upstream_status": 0,
    "upstream": "",
    "attempts": 0,
    "request_bytes": 0,
    "response_bytes": 200,
}
"""A call that no API was found for."""


def record(call_id: str, **changes: Any) -> SpooledCallRecord:
    """A call that MISSed, now, unless told otherwise."""
    return make_record(call_id, **{"at": time.time(), "trace": (), **changes})


def write(spool: SpoolWriter, count: int = 1, **changes: Any) -> list[str]:
    """Append ``count`` records; their call ids."""
    ids = [spool.next_call_id() for _ in range(count)]
    for call_id in ids:
        assert spool.append(encode(record(call_id, **changes)))
    return ids


def shipper(folder: Path, client: redis.Redis, budget: int = BUDGET) -> Shipper:
    """A shipper that asks and tells each time it works."""
    made = Shipper(folder, client, NODE, budget)
    made.look_seconds = made.tell_seconds = made.patience = 0.0
    return made


def deliver(folder: Path, client: redis.Redis) -> int:
    """Ship everything and ingest it, as a fresh agent and a fresh Celery worker would. The number of new calls."""
    agent = shipper(folder, client)
    try:
        agent.work()
        calls = ingest_from(client)
        agent.work()
        return calls + ingest_from(client)
    finally:
        agent.close()

"""Calls in the log, with their figures: taken as the ingestion takes what gateways wrote."""

import time
from typing import Any

from apps.analytics.batch_ingestion import ingest_batch
from apps.analytics.stream import Batch
from apps.gateway.records.spool import frame, new_incarnation
from apps.wire.call_records import CALL, SpooledCallRecord, encode

NODE = "node-1"


def make_calls(*changes: dict[str, Any], lost: int = 0) -> list[str]:
    """One call for each of ``changes`` to a MISS of acme/bot to products, a moment ago; their call ids, in that order.

    ``lost``: so many records were written between the first call and the others, and never came.
    """
    life = new_incarnation(NODE, 0, time.time())
    ids, frames = [], b""
    for number, change in enumerate(changes, start=1):
        ids.append(f"{life}{number:08d}")
        frames += frame(number if number == 1 else number + lost, encode(make_record(ids[-1], **change)))
    ingest_batch([Batch(life, NODE, frames)])
    return ids


def make_record(call_id: str, **changes: Any) -> SpooledCallRecord:
    """A call that MISSed, a moment ago, unless told otherwise."""
    values: dict[str, Any] = {
        "kind": CALL,
        "call_id": call_id,
        "request_id": f"request-{call_id}",
        "at": time.time() - 1,
        "api": "products",
        "revision": 1,
        "operation": "GET /items/{id}",
        "tenant": "acme",
        "application": "acme/bot",
        "key_id": 0,
        "plan": "standard",
        "method": "GET",
        "host": "127.0.0.1",
        "path": "/products/items/1",
        "status": 200,
        "code": "",
        "cache": "MISS",
        "reason": "not_found",
        "duration": 20.0,
        "upstream_duration": 18.0,
        "upstream_status": 200,
        "upstream": "127.0.0.1:9000",
        "request_bytes": 100,
        "response_bytes": 1000,
        "attempts": 1,
        "trace": (("route", "products", 0.01), ("authenticate", "acme/bot", 0.05), ("cache", "not_found", 0.2)),
    }
    return SpooledCallRecord(**values | changes)


#: A call that the cache answered.
HIT: dict[str, Any] = {
    "cache": "HIT",
    "reason": "fresh",
    "duration": 0.5,
    "upstream_duration": 0.0,
    "upstream_status": 0,
    "upstream": "",
    "attempts": 0,
}

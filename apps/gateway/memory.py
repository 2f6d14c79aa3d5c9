"""What a worker's tables may take of its memory: each with its bound in bytes, in this one place.

A bound is the number of entries times the largest entry, Python's overhead included, or the number of bytes that the table
itself keeps to. Some tables have an entry for each thing that administrators made, for each connection or for each call under
way: of these it says how much one of them takes. ``benchmarks.memory`` holds the sum against a worker under attack, and a test
finds every table in the source of what a worker loads, so that a new one must be entered here.
"""

from typing import NamedTuple

from apps.cachestore import purges, store
from apps.gateway import gateway
from apps.gateway.call import head_limits
from apps.gateway.call.keyed_body import KEYED_BYTES
from apps.gateway.config import revoked, worker_config
from apps.gateway.fetch import body_fanout, collected_bodies, owed_purges
from apps.gateway.pipeline import graphql, pipeline
from apps.gateway.pipeline.authenticators import used_nonces
from apps.gateway.pipeline.authenticators.introspection import asking, failed_tokens
from apps.gateway.pipeline.authenticators.jwt import verified_tokens
from apps.gateway.pipeline.stages import addresses
from apps.gateway.records import metrics
from apps.gateway.upstream import (
    client,
    connection,
    connection_attempts,
    failure_log,
    headers,
    loop_detection,
    resolver,
)
from apps.gateway.validation import validators
from apps.httpcache import normalise, patterns
from apps.httpcache.keys import _MEMO_LIMIT as KEY_BYTES
from apps.wire import api_keys

KIB, MIB = 2**10, 2**20

ENTRY = 256
"""Bytes that a small entry's place in a table needs: the hash table's slot, the objects around key and value."""

WORKER, CONFIGURATION, CONNECTION, CALL, FETCH = "worker", "configuration", "connection", "call", "fetch"


class MemoryUse(NamedTuple):
    """``size`` is in bytes: of the whole table (``per`` a worker), or of what one thing of the kind adds to it."""

    size: int
    per: str = WORKER


def _of(entries: int, largest: int) -> MemoryUse:
    return MemoryUse(entries * (largest + ENTRY))


TABLES: dict[str, MemoryUse] = {
    # What is remembered of requests.
    "apps.gateway.pipeline.pipeline:Pipeline._entries": MemoryUse(pipeline.MEMORY),
    "apps.gateway.pipeline.pipeline:Pipeline.heads": MemoryUse(pipeline.MEMORY),
    "apps.gateway.validation.validators:Validators._table": MemoryUse(validators.MEMORY),
    "apps.gateway.gateway:Gateway._digest": _of(gateway.DIGESTS_KEPT, api_keys.LONGEST + 256),
    "apps.gateway.gateway:Gateway._digest_of_identifier": _of(gateway.IDENTIFIERS_KEPT, 1024),
    "apps.wire.api_keys:_identifier_key": _of(16, 256),
    "apps.gateway.gateway:Gateway.trusts": _of(4096, 128),
    "apps.gateway.pipeline.authenticators.introspection.asking:Introspector._good": MemoryUse(asking.GOOD_BYTES),
    "apps.gateway.pipeline.authenticators.introspection.asking:Introspector._failed": MemoryUse(asking.FAILED_BYTES),
    "apps.gateway.pipeline.authenticators.introspection.failed_tokens:FailedTokens._owed": MemoryUse(
        failed_tokens.MEMORY
    ),
    "apps.gateway.pipeline.authenticators.jwt.verified_tokens:VerifiedTokens._tokens": MemoryUse(verified_tokens.BYTES),
    "apps.gateway.upstream.headers:_remembered_node": _of(4096, 4 * headers.LONGEST_ADDRESS),
    "apps.httpcache.normalise:_remembered": _of(4096, 6 * normalise._REMEMBERED),
    "apps.httpcache.normalise:_selected": _of(2048, 3 * normalise._REMEMBERED),
    "apps.httpcache.normalise:_sorted": _of(2048, 3 * normalise._REMEMBERED),
    "apps.httpcache.normalise:_preferences": _of(512, 8 * normalise._REMEMBERED),
    "apps.httpcache.keys:_remembered": _of(4096, KEY_BYTES + 1024),
    "apps.gateway.pipeline.authenticators.used_nonces:UsedNonces._calls": MemoryUse(used_nonces.NONCES_BYTES),
    "apps.gateway.pipeline.authenticators.table:_secret_fields": _of(256, 2 * KIB),
    "apps.gateway.pipeline.stages.addresses:_networks": _of(addresses.REMEMBERED, 48 * KIB),
    "apps.httpcache.directives:_request_directives": _of(256, 1024),
    "apps.httpcache.dates:_imf_fixdate": _of(4, 256),
    "apps.gateway.pipeline.graphql:_read": MemoryUse(graphql.DOCUMENTS_BYTES),
    "apps.gateway.records.unknown_calls:UnknownCallTally._counts": _of(1000, 256),
    # What is stored of responses. The tier's own books are in what it counts.
    "apps.cachestore.local:Local._unchecked": MemoryUse(1 * MIB),
    "apps.cachestore.store:ResponseStore._hit_for_miss": _of(store.MAX_HIT_FOR_MISS, 128),
    "apps.gateway.fetch.collected_bodies:CollectedBodies._sizes": MemoryUse(collected_bodies.MOST),
    "apps.cachestore.purges:PurgedTags._hard": MemoryUse(purges.MAX_BYTES),
    "apps.cachestore.purges:PurgedTags._soft": MemoryUse(0),  # in the same bytes
    "apps.gateway.fetch.owed_purges:OwedPurges._by_api": _of(owed_purges.MOST, 1024),
    # What is remembered of the configuration.
    "apps.gateway.config.worker_config:WorkerConfig.credentials": MemoryUse(worker_config.CREDENTIALS_BYTES),
    "apps.gateway.config.worker_config:WorkerConfig.unknown": MemoryUse(worker_config.UNKNOWN_BYTES),
    "apps.gateway.config.revoked:RevokedTable._buckets": MemoryUse(revoked.MEMORY),
    "apps.wire.revocations:_key": _of(4, 1 * KIB),
    "apps.httpcache.patterns:template": MemoryUse(patterns.TEMPLATES_BYTES),
    "apps.httpcache.entity_tags:parse_path": _of(1024, 8 * KIB),
    "apps.gateway.upstream.client:_origin_of": _of(4096, 4 * KIB),
    "apps.gateway.upstream.loop_detection:LoopDetection._member": _of(loop_detection.NAMES_KEPT, 256),
    "apps.egress.rules:rule_of": _of(4096, 2 * KIB),
    "apps.wire.api_keys:_hmac_key": _of(4, 1 * KIB),
    "apps.cachestore.path_index:_secrets": _of(1, 1 * KIB),
    "apps.wire.sealing:_cipher": _of(4, 1 * KIB),
    "apps.wire.sealing:_decoders": _of(16, 64 * KIB),
    "apps.cachestore.backend:_sync_clients": _of(4, 64 * KIB),
    "apps.cachestore.backend:_maxima": _of(4, 1 * KIB),
    "apps.gateway.config.disk_copy:DiskCopyReader._tables": _of(16, 1 * KIB),
    # What is counted.
    "apps.gateway.records.metrics:Metrics._calls": _of(metrics.MOST_SERIES, 256),
    "apps.gateway.records.metrics:Metrics._seconds": _of(8, 2 * KIB),
    "apps.gateway.records.metrics:Metrics._troubled": _of(metrics.MOST_TROUBLED, 1 * KIB),
    # Upstreams: the addresses of their names, and idle connections with their TLS.
    "apps.gateway.upstream.resolver:Resolver._known": _of(resolver.NAMES_KEPT, 2 * KIB),
    "apps.gateway.upstream.resolver:Resolver._running": _of(resolver.ALTOGETHER, 64),
    "apps.gateway.upstream.connection_attempts:AddressOrder._good": _of(connection_attempts.PLACES_KEPT, KIB),
    "apps.gateway.upstream.connection_attempts:AddressOrder._bad": _of(connection_attempts.PLACES_KEPT, KIB),
    "apps.gateway.upstream.failure_log:FailureLog._lately": _of(failure_log.MOST, 256),
    "apps.gateway.upstream.client:HTTP1Client._idle": _of(client.IDLE_IN_ALL, 64 * KIB),
    # As many entries as administrators made things.
    "apps.cachestore.purges:PurgedTags._newest": MemoryUse(512, CONFIGURATION),
    "apps.gateway.limits.allowances:Allowances._table": MemoryUse(2 * KIB, CONFIGURATION),
    "apps.gateway.config.egress:EgressTable._parts": MemoryUse(64 * KIB, CONFIGURATION),
    "apps.gateway.config.egress:EgressTable._guards": MemoryUse(64 * KIB, CONFIGURATION),
    "apps.egress.rules:Guard._own": MemoryUse(8 * KIB, CONFIGURATION),
    "apps.gateway.records.metrics:Metrics._failures": MemoryUse(8 * KIB, CONFIGURATION),  # by cause
    "apps.gateway.upstream.client:HTTP1Client._own_tls": MemoryUse(256 * KIB, CONFIGURATION),
    "apps.gateway.upstream.concurrency:ConcurrencyLimits.refused": MemoryUse(512, CONFIGURATION),
    "apps.gateway.config.worker_config:Routes._apis": MemoryUse(1 * MIB, CONFIGURATION),
    "apps.gateway.config.worker_config:Routes._owners": MemoryUse(1 * KIB, CONFIGURATION),
    "apps.gateway.config.worker_config:Routes._paths": MemoryUse(4 * KIB, CONFIGURATION),
    "apps.gateway.config.worker_config:Routes._wildcards": MemoryUse(1 * KIB, CONFIGURATION),
    "apps.gateway.config.worker_config:Snapshot.plans": MemoryUse(1 * KIB, CONFIGURATION),
    "apps.gateway.config.worker_config:Snapshot.issuers": MemoryUse(64 * KIB, CONFIGURATION),
    "apps.gateway.config.worker_config:Snapshot.contracts": MemoryUse(4 * MIB, CONFIGURATION),
    "apps.gateway.config.worker_config:Snapshot.introspections": MemoryUse(16 * KIB, CONFIGURATION),
    "apps.gateway.pipeline.authenticators.introspection.asking:Introspector._servers": MemoryUse(
        32 * KIB, CONFIGURATION
    ),
    "apps.gateway.pipeline.authenticators.jwt.issuer_keys:IssuerKeys._held": MemoryUse(512 * KIB, CONFIGURATION),
    "apps.gateway.pipeline.authenticators.sources:Sources._parts": _of(16, 1 * KIB),
    "apps.gateway.pipeline.authenticators.introspection.asking:Introspector.outcomes": MemoryUse(KIB, CONFIGURATION),
    "apps.gateway.config.worker_config:WorkerConfig.refused": MemoryUse(512, CONFIGURATION),
    # For each connection, each call and each fetch under way.
    "apps.gateway.limits.client_limits:ClientConnections._held": MemoryUse(512, CONNECTION),
    "apps.gateway.server.http1:HTTP1Connection.headers": MemoryUse(8 * head_limits.HEAD_BYTES, CONNECTION),
    "apps.gateway.server.http1:HTTP1Connection._under_way": MemoryUse(4 * KIB, CALL),
    "apps.gateway.call.keyed_body:ReadAhead._parts": MemoryUse(KEYED_BYTES + 256 * KIB, CALL),
    "apps.gateway.gateway:Gateway._tasks": MemoryUse(4 * KIB, CALL),
    "apps.gateway.pipeline.authenticators.introspection.asking:Introspector._under_way": MemoryUse(4 * KIB, CALL),
    "apps.gateway.limits.allowances:Allowances._tasks": MemoryUse(4 * KIB, CALL),
    "apps.gateway.config.subscriber:ConfigSubscriber._flights": MemoryUse(4 * KIB, CALL),
    "apps.gateway.fetch.lookups:SharedLookups._by_key": MemoryUse(1 * KIB, CALL),
    "apps.wire.bounded_exchange:Exchanges._late": MemoryUse(8 * KIB, CALL),
    "apps.gateway.upstream.concurrency:ConcurrencyLimits._queues": MemoryUse(1 * KIB, CALL),
    "apps.gateway.upstream.resolver:Resolver._asked": MemoryUse(2 * KIB, CALL),
    "apps.gateway.upstream.resolver:Resolver._queued": MemoryUse(1 * KIB, CALL),
    "apps.gateway.upstream.concurrency:_Queue.waiting": MemoryUse(1 * KIB, CALL),
    "apps.gateway.upstream.concurrency:_Queue.places": MemoryUse(1 * KIB, CALL),
    "apps.gateway.fetch.coalescer:Coalescer._by_key": MemoryUse(4 * KIB, FETCH),
    "apps.gateway.fetch.coalescer:Coalescer._running": MemoryUse(4 * KIB, FETCH),
    "apps.gateway.fetch.fetch:UpstreamFetch._parts": MemoryUse(0, FETCH),  # counted as gathered
    "apps.gateway.fetch.body_fanout:BodyFanout._parts": MemoryUse(body_fanout.BACKLOG + 256 * KIB, FETCH),
    "apps.gateway.fetch.body_fanout:BodyFanout._readers": MemoryUse(1 * KIB, CALL),
    "apps.gateway.fetch.body_fanout:BodyFanout._places": MemoryUse(1 * KIB, CALL),
    "apps.cachestore.fetch_lock:FetchLocks._leases": MemoryUse(1 * KIB, FETCH),
    "apps.cachestore.fetch_lock:FetchLocks._waiting": MemoryUse(1 * KIB, FETCH),
    "apps.cachestore.fetch_lock:FetchLocks._loops": _of(2, 4 * KIB),
    "apps.cachestore.fetch_lock:FetchLocks._errands": MemoryUse(8 * KIB, FETCH),
    "apps.gateway.upstream.connection:Connection.fields": MemoryUse(4 * connection.HEAD_LIMIT, FETCH),
    "apps.gateway.upstream.connection:Connection._chunks": MemoryUse(connection.HIGH_WATER + 256 * KIB, FETCH),
    # The building blocks of others, which are entered where they are used.
    "apps.httpcache.bounded_table:Recent._young": MemoryUse(0),
    "apps.httpcache.bounded_table:Recent._old": MemoryUse(0),
    "apps.httpcache.bounded_table:Remembered._table": MemoryUse(0),
    "apps.cachestore.local:Local._nodes": MemoryUse(0),
    "apps.cachestore.fair_share:Share._children": MemoryUse(0),
    "apps.cachestore.fair_share:Share._classes": MemoryUse(0),
}
"""By module and name, ``module:Class.attribute``."""


OTHERS = {
    "re:_cache": _of(512 + 256, 48 * KIB),  # Python's own, which templates pass through
}
"""What isn't a table in our source."""


def bound(l1_bytes: int) -> int:
    """Bytes that all tables of a worker take at most, whatever its clients send: its tier of cached responses among them;
    without what grows with the configuration and with connections and calls under way.
    """
    return l1_bytes + sum(table.size for table in (*TABLES.values(), *OTHERS.values()) if table.per == WORKER)

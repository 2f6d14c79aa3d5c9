"""Write-through: an origin's fresh representation, stored ahead of demand.

It goes the way of an upstream's response: the same plan, the same judgement, the same tags. So nothing can be pushed that the
gateway would not have stored, and everything that ends a stored response ends a pushed one. What stood in its place is purged
first, so that no worker goes on serving its own older copy.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ValidationError
from django_redis.exceptions import ConnectionInterrupted

from apps import httpcache
from apps.audit.services import change
from apps.cachestore import purges
from apps.cachestore.backend import ResponsesCache
from apps.cachestore.path_index import index_row
from apps.cachestore.store import ROOM, account_of
from apps.catalog.models import API
from apps.fleet.receipts import ReceiptCount, wait_for_receipt
from apps.foundation.errors import Conflict, Unavailable
from apps.gateway.call.header_rules import ruled
from apps.gateway.pipeline.cache_plan import plan_call
from apps.gateway.pipeline.stages.route import operation_of, relative_path
from apps.httpcache.entry import CacheEntry, PurgeClock, Variants
from apps.tenants.actors import Actor
from apps.tenants.services import allow
from apps.warming.policies import can_push
from apps.warming.targets import Targets, WarmUpCall
from apps.wire import redis_names, snapshot
from apps.wire.redis_client import AWAY, connect

TIMEOUT = 2.0
"""Seconds that a push waits for the state Redis."""

_UNBORN: PurgeClock = (0, 0)
_AWAY = (*AWAY, ConnectionInterrupted)
_CALLER = snapshot.Credential(0, "", "active", "", "", {})
"""Any caller with a key: what may be stored for it is stored for all of them."""


@dataclass(frozen=True)
class Pushed:
    """What became of a push: ``urls`` as callers write them, why it is stored so (``reason``), when it ends (Unix seconds),
    what ends it before (``tags``), and on how many workers older copies are gone (``receipt``).
    """

    urls: tuple[str, ...]
    keys: tuple[str, ...]
    reason: httpcache.Reason
    fresh_until: float
    keep_until: float
    tags: tuple[str, ...]
    receipt: ReceiptCount


class _Judged(NamedTuple):
    call: WarmUpCall
    plan: httpcache.RequestPlan
    entry: CacheEntry
    reason: httpcache.Reason


def entry_push(
    *,
    actor: Actor,
    api: API,
    url: str,
    status: int = 200,
    headers: httpcache.Headers = (),
    body: bytes = b"",
    request_headers: httpcache.Headers = (),
) -> Pushed:
    """Store a representation for every caller of ``url`` (a path for each of the API's hosts, or a whole URL).

    ``request_headers`` are those of the call that it answers, as far as ``Vary`` or the policy's key name them; names in
    lower case. It counts as of the moment of the call: a purge that comes later ends it.

    Raises ``ValidationError`` (``url``; ``headers``; ``answer``: what forbids storing it, in words), ``PermissionDenied``,
    ``Conflict`` (a purge came in between), ``Unavailable``. Nothing is stored then.
    """
    allow(can_push(actor, api), "Only owners and developers of the API's tenant may push entries for it.")
    now = time.time()
    cache = cast(ResponsesCache, caches["responses"])
    try:
        with connect(settings.REDIS_URL, timeout=TIMEOUT) as state:
            before = _clock(state)
            judged = _judge(api, url, httpcache.ResponseHead(status, headers), body, request_headers, now)
            clock = purges.purge(state, _replaced(judged, _known(cache, judged)))
            if clock - before[1] > 1 and _purged_since(state, judged, before):
                raise Conflict(
                    "A purge ended this response while it was being pushed: nothing is stored. Push it again."
                )
        receipt = wait_for_receipt(purge_clock=clock)
        known = _known(cache, judged)  # by now, perhaps with further variants
        for each in judged:
            entry = replace(each.entry, birth=(before[0], clock))
            _write(cache, each.plan, entry, known[entry.key], now)
    except (*_AWAY, purges.StateIsEmpty) as error:
        raise Unavailable("Redis can't be reached: nothing is stored. Try again in a moment.") from error
    urls = tuple(each.call.url for each in judged)
    with change(
        actor=actor, verb="cache.push", target_type="api", target=api.slug, tenant=api.tenant.slug
    ) as audit_entry:
        audit_entry.field("pushed", None, f"{', '.join(urls)[:1000]} ({status}, {len(body):,} bytes)")
    return Pushed(
        urls=urls,
        keys=tuple(each.entry.key.hex() for each in judged),
        reason=judged[0].reason,
        fresh_until=entry.fresh_until,
        keep_until=entry.keep_until,
        tags=entry.tags,
        receipt=receipt,
    )


def _judge(
    api: API, url: str, head: httpcache.ResponseHead, body: bytes, request_headers: httpcache.Headers, now: float
) -> list[_Judged]:
    """What the caching core makes of it, for each place in which it may be asked for."""
    targets = Targets(api)
    try:
        calls = targets.of(url)
    except ValueError as refusal:
        raise ValidationError({"url": str(refusal)}) from None
    compiled = cast(snapshot.API, targets.compiled)
    _check_length(head, body)
    return [_judge_call(compiled, call, head, body, request_headers, now) for call in calls]


def _judge_call(
    api: snapshot.API,
    call: WarmUpCall,
    head: httpcache.ResponseHead,
    body: bytes,
    request_headers: httpcache.Headers,
    now: float,
) -> _Judged:
    target = cast(httpcache.Target, httpcache.normalise_target(call.target.encode()))
    path = relative_path(api, target.path)
    request = httpcache.Request("GET", call.scheme, call.host.encode(), path, target.query, request_headers)
    plan = plan_call(api, request, _CALLER)
    if plan.bypass is not None:
        raise ValidationError({"url": _in_words(plan.bypass)})
    if plan.base is not httpcache.SharingScope.SHARED or plan.credentialed:
        raise ValidationError(
            {"url": "Responses to this URL belong to one caller each: an origin can push only what is for all."}
        )
    # By chance a little shorter than said, so that a catalogue that was pushed at once doesn't end at once.
    chance = random.random()  # noqa: S311  not a secret
    decision = httpcache.on_response(plan, None, head, now, now, _UNBORN, chance)
    if not isinstance(decision, httpcache.Store):
        raise ValidationError({"answer": _in_words(decision.reason)})
    if len(body) > plan.policy.max_body:
        raise ValidationError({"answer": _in_words(httpcache.Reason.TOO_LARGE)})
    entry = replace(decision.entry, headers=ruled(decision.entry.headers, api.response_headers), body=body)
    if httpcache.reports_errors(entry, plan.policy):
        raise ValidationError({"answer": "A GraphQL response that reports errors is never stored."})
    httpcache.add_tags(entry, plan.policy, operation_of(api, "GET", path))
    return _Judged(call, plan, entry, decision.reason)


def _check_length(head: httpcache.ResponseHead, body: bytes) -> None:
    """A head that tells of another body than this one is what a broken origin sends."""
    for name, value in head.headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"%d" % len(body)):
            raise ValidationError({"headers": f"{name.decode()} contradicts the body, which has {len(body):,} bytes."})


def _in_words(reason: httpcache.Reason) -> str:
    return f"{reason.sentence} ({reason.code})"


def _clock(state: Any) -> PurgeClock:
    """The incarnation of the state, and the purge clock."""
    incarnation = state.hget(redis_names.EPOCH, "incarnation")
    if incarnation is None:
        raise purges.StateIsEmpty("the state is empty: it is about to be written anew")
    return int(incarnation), int(state.get(redis_names.PURGE_CLOCK) or 0)


def _known(cache: ResponsesCache, judged: Sequence[_Judged]) -> dict[bytes, object]:
    """What stands under each primary key. Asked first, so that a cache that is away has nothing purged."""
    if settings.CACHE_REDIS_URL == settings.REDIS_URL:
        memory = cache.client.get_client(write=True).info("memory")
        if memory.get("maxmemory") and memory["used_memory"] >= ROOM * memory["maxmemory"]:
            raise Unavailable("The cache's server has no room to spare: nothing is stored.")
    found = cache.get_many([each.entry.key.hex() for each in judged])
    return {each.entry.key: found.get(each.entry.key.hex()) for each in judged}


def _replaced(judged: Sequence[_Judged], known: dict[bytes, object]) -> list[str]:
    """The tags of what a push takes the place of, and of nothing beside it: the same variant of the same URL, and what was stored
    there when responses didn't vary. A response that doesn't vary takes the place of all variants.
    """
    tags = []
    for each in judged:
        key, selecting, api = each.entry.key, each.entry.selecting, each.entry.api
        tags += [httpcache.tag_of_representation(api, key, ()), httpcache.tag_of_representation(api, key, selecting)]
        variants = known[key]
        if not selecting and isinstance(variants, Variants):
            tags += [httpcache.tag_of_representation(api, variant, ()) for variant in variants.keys]
    return list(dict.fromkeys(tags))


def _purged_since(state: Any, judged: Sequence[_Judged], before: PurgeClock) -> bool:
    """Whether another purge ended one of them since the clock was ``before``."""
    tags = {tag for each in judged for tag in httpcache.tags_of(each.entry) if not tag.startswith("e:")}
    rows = state.hmget(redis_names.PURGES, [tag.encode("utf-8", "surrogateescape") for tag in tags])
    return any(int(row.split()[0]) > before[1] for row in rows if row is not None)


def _write(cache: ResponsesCache, plan: httpcache.RequestPlan, entry: CacheEntry, known: object, now: float) -> None:
    records, dropped = httpcache.placement(known, entry, plan.policy.max_variants)
    if not entry.selecting and isinstance(known, Variants):
        # They are purged: without them, nothing has to be looked up twice.
        records, dropped = ((entry.key, entry),), known.keys
    cache.write(
        [(key.hex(), record, record.keep_until - now) for key, record in records],
        [key.hex() for key in dropped],
        account=account_of(plan),
        max_size=plan.policy.max_size,
        note=index_row(plan, entry, records[-1][0]),
    )
    if not cache.has_key(records[-1][0].hex()):  # the bounds of the API or its tenant pushed it out at once
        raise Unavailable("The shared tier has no room for it: nothing is stored.")

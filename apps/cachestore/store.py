"""The two tiers of stored responses as one gateway worker uses them.

The in-process tier answers at once and never awaits. The shared tier is asked with a short bound on the wait, behind
a breaker: while the cache server is away, slow or frozen, a worker goes on with its own tier and the upstream.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from apps.cachestore.backend import ResponsesCache
from apps.cachestore.eviction import FENCED, EvictionItem
from apps.cachestore.fair_share import Account
from apps.cachestore.fetch_lock import FetchLease, FetchLocks, LockAttempt, LockState
from apps.cachestore.local import Local, LocalStats
from apps.cachestore.path_index import index_row
from apps.cachestore.purges import PurgedTags
from apps.cachestore.serializer import Rejections
from apps.httpcache import CacheEntry, PurgeClock, Reason, RequestPlan, StoredResponse, Variants, placement
from apps.httpcache.keys import variant_key
from apps.httpcache.lookup import find, find_with
from apps.wire.bounded_exchange import Exchanges, ExchangeStats
from apps.wire.circuit_breaker import Breaker

READ_WAIT = 0.05
"""Seconds that a call waits for the shared tier to say what it has."""

PATIENCE = 0.25
"""The same as long as the last exchange went well: that the processor is taken away for a moment, from the server or
from the worker, is no dead server. After one that failed it is ``READ_WAIT``, after some more the breaker opens.
"""

WRITE_WAIT = 0.02
"""Seconds that a response's last byte waits for the shared tier to have the entry."""

ROOM = 0.7
"""Where cache and state are one server: the part of its memory above which the shared tier stops writing."""

TIDIED = 500
"""Entries looked at in a second whether they are still of use: well below a millisecond's work."""

MAX_HIT_FOR_MISS = 10_000
"""Keys remembered as not cacheable (hit-for-miss)."""

T = TypeVar("T")


@dataclass(slots=True)
class StoreStats(ExchangeStats):
    """Counters since the worker started. ``rejected`` and ``alarms`` must stay 0."""

    local_hits: int = 0
    shared_hits: int = 0
    misses: int = 0
    shared_writes: int = 0
    purged: int = 0
    alarms: int = 0

    @property
    def rejected(self) -> int:
        """Values in the shared tier that this installation didn't write."""
        return Rejections.count


class ResponseStore:
    """What one worker remembers. Methods without ``await`` touch memory only.

    ``shares_server`` says that the cache server is the state server too, so that filling it would stop the platform.
    ``tenant_share`` is the part of the in-process tier that one tenant's APIs may take at most.
    """

    def __init__(
        self,
        l1_bytes: int,
        backend: ResponsesCache | None,
        *,
        shares_server: bool = False,
        tenant_share: float = 1.0,
    ) -> None:
        self.purges = PurgedTags()
        self.local = Local(l1_bytes, tenant_share)
        self.stats = StoreStats()
        self._backend = backend
        self._shares_server = shares_server
        self._has_room = True
        self._room_known_until = 0.0
        self._hit_for_miss: dict[bytes, float] = {}
        self._exchanges = Exchanges(self.stats)
        self.locks = FetchLocks(backend, self._bounded)

    @property
    def local_stats(self) -> LocalStats:
        """Size and evictions of the in-process tier."""
        return self.local.stats

    @property
    def breaker(self) -> Breaker:
        """Whether the shared tier is asked at all."""
        return self._exchanges.breaker

    def purge_clock(self) -> PurgeClock:
        """What the worker knows of purges now: take it before a request leaves for the upstream."""
        return self.purges.purge_clock()

    # Looking up

    def find_local(self, plan: RequestPlan, now: float) -> StoredResponse | None:
        """The stored response that this call selects, from this worker's own memory."""
        keys = plan.keys
        if len(keys) == 1:
            record = self.local.get(keys[0])
            if record is None:
                return None
            if isinstance(record, StoredResponse) and not record.entry.selecting:
                # The common case without the generator: one key, no variants. ``on_entry`` makes the same checks as ``find``.
                if record.purges_seen == self.purges.version and now < record.entry.keep_until:
                    return record
                return record if self._usable(keys[0], record, plan, now) else None
        return find_with(plan, lambda key: self._known(key, plan, now))

    async def find(self, plan: RequestPlan, now: float) -> StoredResponse | None:
        """The same from both tiers; what the shared one has is kept here too.

        A stale response in this worker's memory is compared with the shared tier's: another worker may have refreshed
        it.
        """
        stored, _ = await self._search(plan, now)
        return stored

    async def look(self, plan: RequestPlan, now: float) -> tuple[StoredResponse | None, LockAttempt | None]:
        """``find`` for a call that this worker's memory can't serve, and that may wait for others.

        Where nothing is stored, the same exchange takes the fetch lock, or says who has it. A fresh response in this
        worker's memory is compared too: another worker may have validated it since.
        """
        if plan.fetch_key is None or plan.directives.only_if_cached:
            return await self.find(plan, now), None
        return await self._search(plan, now, plan.fetch_key)

    async def take_lock(self, plan: RequestPlan, now: float) -> tuple[StoredResponse | None, LockAttempt | None]:
        """What the shared tier has now, and in the same exchange the fetch lock, whatever is stored. Only for calls with
        a fetch key. No attempt: go on without a lock.
        """
        return await self._search(plan, now, plan.fetch_key, although_there=True)

    async def _search(
        self, plan: RequestPlan, now: float, fetch_key: bytes | None = None, *, although_there: bool = False
    ) -> tuple[StoredResponse | None, LockAttempt | None]:
        lock_attempt: LockAttempt | None = None
        local_hit = False
        finding = find(plan)
        wanted = next(finding)
        first = True
        indexes: dict[bytes, Variants] = {}
        while True:
            found = [self._known(key, plan, now) for key in wanted]
            if first and not although_there:
                indexes = {
                    key: record for key, record in zip(wanted, found, strict=True) if isinstance(record, Variants)
                }
            missing = [
                index
                for index, record in enumerate(found)
                if record is None
                or (first and although_there)
                or (
                    isinstance(record, StoredResponse)
                    and (fetch_key is not None or record.soft or now >= record.fresh_until)
                )
            ]
            if missing:
                keys = [wanted[index] for index in missing]
                if first and fetch_key is not None and len(missing) == len(wanted):
                    lock_attempt, values = await self.locks.look(fetch_key, keys, although_there=although_there)
                    fetched = self._records(keys, values, plan, now)
                else:
                    fetched = await self._fetch(keys, plan, now)
                for index, record in zip(missing, fetched, strict=True):
                    if record is not None and _is_newer(record, found[index]):
                        found[index] = record
                        self.local.put(wanted[index], record, account_of(plan), plan.policy.max_size)
            local_hit = not missing
            first = False
            try:
                wanted = finding.send(found)
            except StopIteration as end:
                stored: StoredResponse | None = end.value
                if stored is None and indexes and await self._learn(indexes, plan, now):
                    finding, indexes = find(plan), {}
                    wanted = next(finding)
                    continue
                self._count(stored, local_hit)
                if lock_attempt is not None and lock_attempt.state is LockState.HIT_FOR_MISS:
                    self.remember_hit_for_miss(fetch_key, now + lock_attempt.seconds)
                return stored, lock_attempt

    async def _learn(self, indexes: Mapping[bytes, Variants], plan: RequestPlan, now: float) -> bool:
        """Whether the shared tier has something else where this worker knows lists of variants: another worker may
        have met a new one, or a response that doesn't vary any more.
        """
        fetched = await self._fetch(list(indexes), plan, now)
        learned = {
            key: record for key, record in zip(indexes, fetched, strict=True) if record not in (None, indexes[key])
        }
        for key, record in learned.items():
            if record is not None:
                self.local.put(key, record, account_of(plan), plan.policy.max_size)
        return bool(learned)

    def _count(self, stored: StoredResponse | None, local_hit: bool) -> None:
        if stored is None:
            self.stats.misses += 1
        elif local_hit:
            self.stats.local_hits += 1
        else:
            self.stats.shared_hits += 1

    def _known(self, key: bytes, plan: RequestPlan, now: float) -> StoredResponse | Variants | None:
        record = self.local.get(key)
        if isinstance(record, StoredResponse) and not self._usable(key, record, plan, now):
            return None
        return record

    def _usable(self, key: bytes, stored: StoredResponse, plan: RequestPlan, now: float) -> bool:
        if now < stored.entry.keep_until and self.purges.is_alive(stored):
            return True
        if now < stored.entry.keep_until:
            plan.missed = Reason.PURGED
            self.stats.purged += 1
        self.local.drop(key)
        return False

    async def one(self, key: bytes, plan: RequestPlan, now: float) -> StoredResponse | None:
        """What stands under this very key, in either tier."""
        record = self._known(key, plan, now)
        if record is None:
            (record,) = await self._fetch([key], plan, now)
        return record if isinstance(record, StoredResponse) else None

    async def _fetch(
        self, keys: Sequence[bytes], plan: RequestPlan, now: float
    ) -> list[StoredResponse | Variants | None]:
        """What the shared tier has under these keys; nothing, at once, while it is away."""
        backend = self._backend
        if backend is None:
            return [None] * len(keys)
        values = await self._bounded(lambda: backend.aget_many([key.hex() for key in keys]), READ_WAIT)
        return self._records(keys, {bytes.fromhex(key): value for key, value in (values or {}).items()}, plan, now)

    def _records(
        self, keys: Sequence[bytes], values: Mapping[bytes, Any], plan: RequestPlan, now: float
    ) -> list[StoredResponse | Variants | None]:
        found: list[StoredResponse | Variants | None] = []
        for key in keys:
            record = values.get(key)
            if isinstance(record, CacheEntry):
                stored = StoredResponse(record)
                found.append(stored if self._usable(key, stored, plan, now) else None)
            else:
                found.append(record if isinstance(record, Variants) else None)
        return found

    # Storing

    async def put(self, plan: RequestPlan, entry: CacheEntry, lease: FetchLease | None = None) -> StoredResponse:
        """Stores a complete entry in both tiers, and returns it as held here.

        Waits for the shared tier, ``WRITE_WAIT`` at most, and never fails: what could not be written there will be
        fetched again by another worker. An entry that was purged while it was fetched is stored nowhere; nor is that of
        a ``lease`` which has gone to another worker meanwhile. The lease is over afterwards.
        """
        stored = StoredResponse(entry)
        now = entry.validated_at
        if not self.purges.is_alive(stored):
            self.stats.purged += 1
            if lease is not None:
                self.locks.leave(lease, LockState.BESIDE)
            return stored
        known: object = self.local.get(entry.key)
        if entry.selecting and not isinstance(known, Variants):
            (known,) = await self._fetch([entry.key], plan, now)
        records, dropped = placement(known, entry, plan.policy.max_variants)
        self._hit_for_miss.pop(plan.fetch_key or b"", None)
        account = account_of(plan)
        if not await self._write(records, dropped, now, plan, lease, index_row(plan, entry, records[-1][0])):
            return stored
        for key, record in records:
            self.local.put(key, stored if isinstance(record, CacheEntry) else record, account, plan.policy.max_size)
        for key in dropped:
            self.local.drop(key)
        return stored

    async def _write(
        self,
        records: Sequence[tuple[bytes, CacheEntry | Variants]],
        dropped: Sequence[bytes],
        now: float,
        plan: RequestPlan,
        lease: FetchLease | None = None,
        row: EvictionItem | None = None,
    ) -> bool:
        """Whether the entry may be kept: not if another worker has the ``lease`` by now."""
        backend = self._backend
        if backend is None:
            return True
        if self._shares_server and not await self._room(backend):
            self.stats.shared_skipped += 1
            if lease is not None:
                self.locks.leave(lease, LockState.BESIDE)
            return True
        values = [(key.hex(), record, record.keep_until - now) for key, record in records]
        written = await self._bounded(
            lambda: backend.awrite(
                values,
                [key.hex() for key in dropped],
                account=account_of(plan),
                max_size=plan.policy.max_size,
                guard=(lease.name, lease.token) if lease is not None else None,
                note=row,
            ),
            WRITE_WAIT,
        )
        if written is not None:
            self.stats.shared_writes += 1
        if lease is not None:
            self.locks.written(lease, written != FENCED)
        return written != FENCED

    async def drop(self, plan: RequestPlan, stored: StoredResponse | None = None) -> None:
        """Forgets the stored response ``stored``, or all that stands under the plan's keys, in both tiers."""
        if stored is not None:
            keys = [stored.entry.key]
            if stored.entry.selecting:
                keys = [variant_key(stored.entry.key, stored.entry.selecting)]
        else:
            keys = list(plan.keys)
        for key in keys:
            self.local.drop(key)
        backend = self._backend
        if backend is not None:
            account = account_of(plan)
            await self._bounded(lambda: backend.awrite((), [key.hex() for key in keys], account=account), WRITE_WAIT)

    # Hit-for-miss

    def remember_hit_for_miss(self, fetch_key: bytes | None, until: float) -> None:
        """Calls with this fetch key don't wait for each other before ``until`` (Unix seconds)."""
        if fetch_key is None:
            return
        if len(self._hit_for_miss) >= MAX_HIT_FOR_MISS:
            self._hit_for_miss.pop(next(iter(self._hit_for_miss)))
        self._hit_for_miss[fetch_key] = until

    def is_hit_for_miss(self, fetch_key: bytes | None, now: float) -> bool:
        """Whether a recent response under this key turned out not to be cacheable."""
        until = self._hit_for_miss.get(fetch_key) if fetch_key is not None else None
        if until is None:
            return False
        if now >= until:
            del self._hit_for_miss[fetch_key or b""]
            return False
        return True

    # The shared tier's presence

    async def _bounded(self, operation: Callable[[], Awaitable[T]], wait: float) -> T | None:
        """Runs an exchange with the shared tier, waiting ``wait`` seconds at most (``PATIENCE`` for a look while all is
        well) and not at all while the breaker is open. ``None`` where there is no result.
        """
        if wait < READ_WAIT:
            return await self._exchanges.run(operation, wait, PATIENCE)
        return await self._exchanges.run(operation, max(wait, PATIENCE) if self.breaker.is_calm else wait)

    async def _room(self, backend: ResponsesCache) -> bool:
        """Whether the one server has memory to spare; asked once a second."""
        now = time.monotonic()
        if now >= self._room_known_until:
            self._room_known_until = now + 1.0
            memory = await self._bounded(lambda: backend.redis.info("memory"), READ_WAIT)
            if memory is not None:
                limit = memory.get("maxmemory", 0)
                self._has_room = not limit or memory["used_memory"] < ROOM * limit
        return self._has_room

    def tidy(self, now: float) -> None:
        """Forgets some of what is over or was purged in this worker's memory; for a tick once a second."""
        self.local.sweep(
            lambda record: (
                now >= record.entry.keep_until or self.purges.is_dead(record.entry)
                if isinstance(record, StoredResponse)
                else now >= record.keep_until
            ),
            TIDIED,
        )

    async def close(self) -> None:
        """Frees locks and waits for exchanges under way, a second at most."""
        await self.locks.close()
        await self._exchanges.close()


def account_of(plan: RequestPlan) -> Account:
    """To whom the response to a call is charged."""
    return Account(plan.policy.tenant, plan.policy.api, plan.identity.tenant)


def _is_newer(fetched: StoredResponse | Variants, known: StoredResponse | Variants | None) -> bool:
    if isinstance(known, StoredResponse) and isinstance(fetched, StoredResponse):
        return fetched.entry.validated_at > known.entry.validated_at
    return True

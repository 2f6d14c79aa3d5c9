"""Seeded faults in request collapsing: each is caught by the check that is there for it."""

from collections.abc import Callable
from typing import Any

import pytest

from apps import httpcache
from apps.cachestore.backend import ResponsesCache
from apps.cachestore.fetch_lock import FetchLocks
from apps.gateway.fetch.coalescer import Coalescer
from tests.gateway import test_coalescer, test_collapsing
from tests.gateway.house import Door, Origin, Published
from tests.gateway.test_collapsing import short_lease, two, unhurried

__all__ = ["short_lease", "two", "unhurried"]

Patch = Callable[[pytest.MonkeyPatch], None]


def waiters_of_all_variants_share(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(httpcache, "may_share", lambda plan, decision: True)


def purges_in_flight_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Coalescer, "_is_over", lambda self, outcome: False)


def whoever_lost_the_lock_writes_all_the_same(patch: pytest.MonkeyPatch) -> None:
    write = ResponsesCache.awrite

    async def unguarded(self: ResponsesCache, *values: Any, guard: Any = None, **how: Any) -> int:
        return await write(self, *values, **how)

    patch.setattr(ResponsesCache, "awrite", unguarded)


def nobody_asks_who_has_the_lock(patch: pytest.MonkeyPatch) -> None:
    async def free(self: FetchLocks, *what: Any, **how: Any) -> tuple[None, dict[bytes, Any]]:
        return None, {}

    patch.setattr(FetchLocks, "look", free)


async def test_sharing_among_variants_is_caught(lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    waiters_of_all_variants_share(monkeypatch)
    with pytest.raises(AssertionError):
        await test_coalescer.test_callers_who_negotiate_differently_get_their_own_variant(lane, origin)


async def test_an_answer_purged_on_its_way_is_caught(
    two: tuple[Door, Door], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    purges_in_flight_are_not_looked_at(monkeypatch)
    with pytest.raises(AssertionError):
        await test_collapsing.test_a_call_after_a_purge_does_not_get_what_was_fetched_before_it(two, origin)


@pytest.mark.usefixtures("short_lease")
async def test_a_leader_that_overwrites_its_successor_is_caught(
    two: tuple[Door, Door], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    whoever_lost_the_lock_writes_all_the_same(monkeypatch)
    with pytest.raises(AssertionError):
        await test_collapsing.test_a_leader_whose_lock_went_to_another_keeps_its_answer_out_of_the_cache(two, origin)


async def test_gateways_that_know_nothing_of_each_other_are_caught(
    two: tuple[Door, Door], published: Published, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_asks_who_has_the_lock(monkeypatch)
    with pytest.raises(AssertionError):
        await test_collapsing.test_nobody_waits_twice_for_an_upstream_that_is_too_slow(two, published, origin)

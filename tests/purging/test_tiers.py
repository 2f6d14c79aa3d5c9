"""What the two tiers hold, for those who may know it."""

import msgspec
import pytest
from django.core.cache import caches
from redis import ConnectionError

from apps.cachestore.eviction import BASE, FILL
from apps.cachestore.fair_share import Account
from apps.purging import tiers
from apps.purging.selectors import cache_tiers
from apps.wire import redis_names
from apps.wire.worker_reports import L1, Report
from tests.httpcache.build import stored

BODY = b"x" * 1000


def fill(account, first, count, body=BODY):
    cache = caches["responses"]
    for number in range(first, first + count):
        entry = stored([("Cache-Control", "max-age=60")], body=body).entry
        assert cache.write([(f"{number:064x}", entry, 60.0)], account=account) == 1


def test_an_administrator_sees_the_workers_the_server_and_who_takes_what(cast, cache_redis, state_redis):
    said = Report(
        node="here", number=1, pid=42, incarnation=1, n=7, clock=3, lease=900.0, in_flight=3, version="0.1", since=1.7e9,
        l1=L1(bytes=1000, capacity=64 * 2**20, entries=3, evictions=2),
    )  # fmt: skip
    seconds, _ = state_redis.time()
    state_redis.hset(redis_names.WORKERS, said.worker, b"%d " % (seconds * 1000) + msgspec.msgpack.encode(said))
    fill(Account("acme", "products", "acme"), 0, 3)
    fill(Account("acme", "products", "globex"), 10, 2)
    fill(Account("acme", "orders", ""), 20, 1)
    fill(Account("globex", "rates", ""), 30, 1)

    found = cache_tiers(cast.ada)
    (local,) = found.local
    assert (local.node, local.number, local.bytes, local.capacity) == ("here", 1, 1000, 64 * 2**20)
    assert (local.entries, local.evictions, local.alive) == (3, 2, True)
    assert [(size.api, size.entries) for size in found.apis] == [("products", 5), ("orders", 1), ("rates", 1)]
    assert [(size.tenant, size.api, size.entries) for size in found.tenants] == [("acme", "", 6), ("globex", "", 1)]
    assert found.tenants[0].bytes == found.apis[0].bytes + found.apis[1].bytes
    assert found.shared is not None
    assert found.shared.booked == sum(size.bytes for size in found.tenants)
    assert found.shared.entries == 7
    assert found.shared.keys >= 7
    assert found.shared.maximum > 0
    assert found.shared.bound == int((found.shared.maximum - BASE) * FILL)
    assert found.shared.used > 0
    assert found.shared.policy == "allkeys-lfu"
    assert len(cache_tiers(cast.ada, most=1).apis) == 1


def test_others_see_the_sizes_of_their_own_tenants_apis_and_no_servers(cast, cache_redis, state_redis):
    fill(Account("acme", "products", "globex"), 0, 2)
    fill(Account("globex", "rates", "acme"), 10, 1)
    found = cache_tiers(cast.vera)
    assert (found.local, found.shared) == ((), None)
    assert [size.api for size in found.apis] == ["products"]
    assert [size.tenant for size in found.tenants] == ["acme"]
    assert cache_tiers(None) == tiers.CacheTiers((), None, (), ())


def test_evictions_are_told_by_api(cast, cache_redis, settings, state_redis):
    cache = caches["responses"]
    entry = stored([("Cache-Control", "max-age=60")], body=BODY).entry
    for number in range(5):
        cache.write([(f"{number:064x}", entry, 60.0)], account=Account("acme", "products", ""), max_size=5000)
    found = cache_tiers(cast.ada)
    (products,) = found.apis
    assert products.bytes <= 5000
    assert products.evictions == found.shared.evictions == 5 - products.entries > 0


@pytest.mark.django_db
def test_a_server_that_is_away_is_no_error(cast, monkeypatch, state_redis):
    class Away:
        def __getattr__(self, name):
            raise ConnectionError

    monkeypatch.setattr(tiers, "_client", lambda url: Away())
    monkeypatch.setattr(tiers.state, "client", Away)
    assert cache_tiers(cast.ada) == tiers.CacheTiers((), None, (), ())

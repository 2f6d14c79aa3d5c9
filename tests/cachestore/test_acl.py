"""The rights that docs/operations.md names for the cache server are enough."""

import re
from pathlib import Path

import pytest
import redis

from apps.cachestore import eviction
from apps.cachestore.eviction import Bounds, EvictionItem
from apps.cachestore.fair_share import Account

ACCOUNT = Account("platform", "products", "acme")


@pytest.fixture
def limited(cache_redis):
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    rights = re.search(r"ACL user for it needs `([^`]+)` on `([^`]+)`", page)
    assert rights is not None
    cache_redis.execute_command(
        "ACL", "SETUSER", "limited", "on", ">secret", "resetkeys", rights[2], "-@all", *rights[1].split()
    )
    pool = cache_redis.connection_pool.connection_kwargs
    client = redis.Redis(unix_socket_path=pool["path"], username="limited", password="secret")
    yield client
    client.close()
    cache_redis.execute_command("ACL", "DELUSER", "limited")


def write(client, number, within):
    item = EvictionItem(f"apimgr:r:1:{number}", eviction.marked(b"x" * 1000, ACCOUNT), 60.0)
    row = EvictionItem("apimgr:r:1:siblings:a", b"row%d" % number, 60.0, float(number))
    return client.eval(eviction.SCRIPT, *eviction.command([item, row], ACCOUNT, within, 1.8e9 + number))


def test_a_user_with_these_rights_and_no_others_writes_reads_and_evicts(limited, cache_redis):
    for number in range(20):
        assert write(limited, number, Bounds(api=10_000)) == 1
    assert int(cache_redis.hget(eviction.PREFIX + "sums", "evictions")) > 0
    assert limited.get("apimgr:r:1:19") is not None
    assert limited.info("memory")["used_memory"] > 0
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.flushall()
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.get("other")

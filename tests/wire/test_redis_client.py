"""One way to connect, and what it does while a master fails."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import caches

from apps.gateway.gateway import Gateway
from apps.supervisor.valkey import EmbeddedValkey
from apps.wire import redis_names
from apps.wire.redis_client import AWAY, connect, connect_async
from tests.gateway.house import UNLIMITED, Published, api, gateway_options
from tests.support.sentinel import Watched
from tests.support.waiting import until, wait_until

MAKE_CLIENTS = {
    "from_url",
    "Redis",
    "StrictRedis",
    "Sentinel",
    "ConnectionPool",
    "AsyncRedis",
    "AsyncSentinel",
    "Valkey",
}
DOOR = "apps/wire/redis_client.py"


@pytest.fixture
def watched(tmp_path: Path, extra_valkey: Callable[..., EmbeddedValkey]) -> Iterator[Watched]:
    made = Watched(tmp_path, extra_valkey)
    yield made
    made.stop()


def called(source: str) -> set[str]:
    """The names that a module calls, without what they hang on; httpcore's pool connects to others than Redis."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    calls = (node for node in calls if not ast.unparse(node).startswith("httpcore."))
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in calls
        if isinstance(node, ast.Attribute | ast.Name)
    }


def test_nobody_makes_a_client_of_redis_in_another_way():
    sources = [path for room in ("apps", "apimgr") for path in (settings.BASE_DIR / room).rglob("*.py")]
    assert len(sources) > 300
    found = {
        str(path.relative_to(settings.BASE_DIR)): found
        for path in sources
        if (found := called(path.read_text()) & MAKE_CLIENTS)
    }
    assert set(found) == {DOOR}, found
    assert found[DOOR] >= {"from_url", "Sentinel", "AsyncSentinel"}, "the test sees them"


def test_every_cache_connects_by_that_way(settings):
    """django-redis makes clients by itself where it isn't told otherwise, and knows no such address."""
    for alias, cache in settings.CACHES.items():
        assert type(caches[alias].client.connection_factory).__module__ == "apps.cachestore.backend", (alias, cache)


def test_a_client_goes_on_with_the_new_master(watched):
    with connect(watched.url) as client:
        client.set("kept", "yes")
        assert client.wait(1, 5000) == 1
        watched.master.kill()
        wait_until(watched.promoted, 30)
        wait_until(lambda: read(client) == b"yes", 10)


def read(client):
    try:
        return client.get("kept")
    except AWAY:
        return None


async def test_a_coroutines_client_goes_on_when_a_living_master_is_demoted(watched):
    client = connect_async(watched.url, max_connections=2)
    await client.set("kept", "yes")
    with connect(f"redis://127.0.0.1:{watched.port}") as sentinel:
        sentinel.execute_command("SENTINEL", "FAILOVER", "main")
    await until(watched.promoted, 30)

    async def reaches_the_new_master() -> bool:
        # What goes to the old one in the moment before it hears that it is none is lost.
        try:
            await client.set("after", "yes")
        except AWAY:
            return False
        with connect(watched.replica.url) as promoted:
            return promoted.get("after") == b"yes"

    await until(reaches_the_new_master, 20)
    await client.aclose()


async def test_a_gateway_follows_borrows_and_purges_through_sentinel(watched, tmp_path):
    with connect(watched.url) as client:
        Published(client).everything(UNLIMITED, api())
        assert client.wait(1, 5000) == 1
    gateway = Gateway(gateway_options(tmp_path / "worker", watched.url, cache=None))
    assert await gateway.start()
    assert gateway.subscriber.connected
    assert await gateway.allowances._client.ping()
    assert await gateway.invalidation.purge(("api:products",))
    with connect(watched.url) as client:
        assert client.wait(1, 5000) == 1
    watched.master.kill()
    await until(watched.promoted, 30)
    await until(lambda: gateway.invalidation.purge(("api:products",)), 20)
    await until(lambda: gateway.subscriber.connected, 20)
    clock = gateway.config.purges.clock
    with connect(watched.replica.url) as promoted:
        assert int(promoted.get(redis_names.PURGE_CLOCK)) == clock
    await until(lambda: not gateway.allowances.away)
    assert await gateway.allowances._client.ping()
    await gateway.stop()

"""What the gateway's tests stand on: a published world, an origin, and the three doors."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.cache import caches

from apps.cachestore.backend import close_clients
from apps.gateway.gateway import Gateway
from apps.supervisor.valkey import EmbeddedValkey
from apps.wire.snapshot import Grant
from tests.gateway.house import (
    KEY,
    OTHER_KEY,
    STRANGER_KEY,
    UNLIMITED,
    Door,
    Origin,
    Published,
    api,
    credential,
    gateway_options,
    serving,
)
from tests.support.waiting import until

DOORS = ("lane", "asgi", "view")


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin of the test's own."""
    async with Origin() as running:
        yield running


@pytest.fixture
def published(state_redis: redis.Redis, cache_redis: redis.Redis, origin: Origin) -> Published:
    """The API ``products`` with two subscribers and a stranger; everything empty otherwise."""
    config = Published(state_redis)
    grants = {"products": Grant(1, "unlimited", "active")}
    config.everything(
        UNLIMITED,
        api("products", upstreams=origin.url),
        credential(KEY, grants),
        credential(OTHER_KEY, {"products": Grant(2, "unlimited", "active")}, key_id=2, tenant="zenith"),
        credential(STRANGER_KEY, {}, key_id=3, tenant="zenith"),
    )
    return config


@pytest.fixture
async def gateways(published: Published, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Gateway]]]:
    """Makes running gateways, which share state, cache and nothing else."""
    made: list[Gateway] = []

    async def make(redis_url: str = settings.REDIS_URL, **changes: Any) -> Gateway:
        number = len(made)
        changes.setdefault("cache", caches["responses"])
        options = gateway_options(tmp_path / f"worker{number}", redis_url, worker=number, **changes)
        gateway = Gateway(options)
        made.append(gateway)
        assert await gateway.start()
        return gateway

    yield make
    for gateway in made:
        await gateway.stop()
        # Whatever a test did to its calls, each gave its place back.
        await until(lambda gateway=gateway: not gateway.concurrency.counts())
    await close_clients()


@pytest.fixture
async def gateway(gateways: Callable[..., Awaitable[Gateway]]) -> Gateway:
    """One running gateway."""
    return await gateways()


@pytest.fixture(params=DOORS)
async def door(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[Door]:
    """The gateway behind each of its doors."""
    async with serving(gateway, request.param) as running:
        yield running


@pytest.fixture(params=("lane", "asgi"))
async def seeing(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[Door]:
    """The doors whose server tells them the request as it was sent; what Django's is told has lost some of it."""
    async with serving(gateway, request.param) as running:
        yield running


@pytest.fixture
async def lane(gateway: Gateway) -> AsyncIterator[Door]:
    """The gateway behind the fast lane."""
    async with serving(gateway, "lane") as running:
        yield running


@pytest.fixture
def own_state(extra_valkey: Callable[..., EmbeddedValkey]) -> EmbeddedValkey:
    """A state server of this test alone, which it may freeze and kill."""
    return extra_valkey("state")

"""A spool folder and its writer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings

from apps.gateway.records.spool import SpoolWriter
from apps.wire.redis_client import connect
from tests.analytics.records import NODE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the spool of the test is."""
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Iterator[SpoolWriter]:
    """A worker's spool."""
    writer = SpoolWriter(folder, NODE, 0)
    yield writer
    writer.close()


@pytest.fixture
def state(state_redis: redis.Redis) -> Iterator[redis.Redis]:
    """The state server as the agent and Celery see it."""
    client = connect(settings.REDIS_URL)
    yield client
    client.close()

"""A whole installation whose Redis is the master that a Sentinel names, and that master's death."""

import pytest

from apps.wire import redis_names
from apps.wire.redis_client import AWAY, connect
from tests.support.installation import installation
from tests.support.sentinel import Watched
from tests.support.waiting import wait_until
from tests.system.test_first_day import made


@pytest.fixture
def watched(tmp_path, extra_valkey):
    made = Watched(tmp_path, extra_valkey)
    yield made
    made.stop()


def test_gateway_control_plane_and_celery_go_on_when_the_master_dies(watched, upstream):
    with installation(REDIS_URL=watched.url) as running:
        made(running.api("POST", "tenants/", json={"slug": "acme", "name": "Acme"}))
        document = {
            "slug": "bin",
            "name": "Bin",
            "tenant": "acme",
            "listen_path": "/bin/",
            "authentication": ["none"],
            "upstreams": [{"url": f"{upstream}/"}],
        }
        made(running.api("POST", "apis/", json=document))
        published = made(running.api("POST", "apis/bin/publish/"))
        assert published["receipt"]["in_force"] == published["receipt"]["workers"] == 2
        assert running.call("/bin/get").status_code == 200
        ticked = wait_until(lambda: tick(watched), what="Celery to tick")

        watched.master.kill()
        assert running.call("/bin/get").status_code == 200
        wait_until(watched.promoted, 30)
        wait_until(running.is_ready, 60)
        wait_until(lambda: tick(watched) > ticked, 60, what="Celery to tick on the new master")

        def purged() -> bool:
            answer = running.api("POST", "purges/", json={"api": "bin"})
            return answer.status_code == 201 and answer.json()["receipt"]["in_force"] == 2

        wait_until(purged, 30)
        assert running.call("/bin/get").status_code == 200


def tick(watched: Watched) -> float:
    """When Celery last ran a tick, Unix seconds; 0: unknown."""
    with connect(watched.url) as client:
        try:
            return float(client.get(redis_names.CELERY) or 0)
        except AWAY:
            return 0.0

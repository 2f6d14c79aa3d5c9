"""What Celery runs for analytics."""

import time

import pytest
import redis
from django.conf import settings

from apimgr.celery import app
from apps.analytics import tasks
from apps.analytics.models import CallRecord
from apps.wire import redis_names
from tests.analytics.records import deliver, shipper, write

pytestmark = pytest.mark.django_db


def test_a_tick_takes_what_came_and_shows_that_celery_works(folder, spool, state: redis.Redis):
    write(spool, 2)
    agent = shipper(folder, state)
    agent.work()
    agent.close()
    tasks.ingest()
    assert CallRecord.objects.count() == 2
    assert state.exists(redis_names.CELERY)


def test_the_schedule_names_tasks_that_exist():
    app.autodiscover_tasks(force=True)
    wanted = {
        entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values() if entry["task"].startswith("analytics")
    }
    assert wanted == {"analytics.ingest", "analytics.retention"}
    assert wanted <= set(app.tasks)


def test_old_calls_go_with_the_other_tick(folder, spool, state: redis.Redis):
    write(spool, 1)
    write(spool, 2, at=time.time() - 30 * 86400)
    assert deliver(folder, state) == 3
    tasks.retain()
    assert CallRecord.objects.count() == 1

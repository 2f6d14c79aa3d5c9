"""What Celery does: one task of the installation works on warm-ups, and parts that are away only make them wait."""

from concurrent.futures import Future

import pytest
from django.conf import settings as configured
from django.db import OperationalError

from apps.tenants.actors import PLATFORM
from apps.warming import tasks
from apps.warming.gateway_calls import STORED, CallOutcome
from apps.warming.models import WarmUp
from apps.warming.services import warm_up_start
from apps.wire import redis_names
from apps.wire.redis_client import connect
from tests.support.cast import make_api


class Answering:
    """In the fetcher's place: every call is stored at once."""

    made = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def submit(self, api, call, headers):
        Answering.made += 1
        future: Future[CallOutcome] = Future()
        future.set_result(CallOutcome(STORED))
        return future


@pytest.fixture(autouse=True)
def fetcher(monkeypatch, state_redis):
    monkeypatch.setattr(tasks, "Fetcher", Answering)
    Answering.made = 0


def start(api, count=3, rate="1000/s") -> WarmUp:
    return warm_up_start(actor=PLATFORM, api=api, urls=[f"/{number}" for number in range(count)], rate=rate)


def test_a_tick_works_on_what_is_unfinished_and_frees_its_lock(cast, state_redis):
    products, orders = make_api(cast.platform), make_api(cast.platform, "orders")
    first, second, queued = start(products), start(orders), start(products)
    tasks.go_on()
    for warm_up in (first, second, queued):
        warm_up.refresh_from_db()
        assert (warm_up.state, warm_up.stored) == ("done", 3)
    assert not state_redis.exists(redis_names.WARMING)


def test_while_another_works_a_tick_does_nothing(cast, state_redis):
    start(make_api(cast.platform))
    with connect(configured.REDIS_URL) as client, client.lock(redis_names.WARMING, timeout=5, thread_local=False):
        tasks.go_on()
    assert Answering.made == 0
    tasks.go_on()
    assert Answering.made == 3


def test_the_lock_of_a_killed_task_ends_within_seconds(cast, state_redis, monkeypatch):
    def killed(alive):
        assert 0 < state_redis.pttl(redis_names.WARMING) <= tasks.HELD * 1000
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks, "work_a_turn", killed)
    with pytest.raises(KeyboardInterrupt):
        tasks.go_on()


def test_a_task_that_was_taken_over_leaves_it_to_the_other(cast, state_redis, monkeypatch, caplog):
    def slow(alive):
        state_redis.set(redis_names.WARMING, "another")
        alive()

    monkeypatch.setattr(tasks, "work_a_turn", slow)
    with caplog.at_level("INFO"):
        tasks.go_on()
    assert state_redis.get(redis_names.WARMING) == b"another"
    assert "Another works on warm-ups now" in caplog.text


def test_while_redis_is_away_warm_ups_wait(cast, extra_valkey, settings, caplog):
    start(make_api(cast.platform))
    away = extra_valkey("state")
    away.stop()
    settings.REDIS_URL = away.url
    tasks.go_on()
    assert "Redis is away" in caplog.text
    assert WarmUp.objects.get().state == "queued"


def test_while_the_database_is_away_warm_ups_wait(cast, monkeypatch, caplog):
    def away(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(tasks, "claim", away)
    monkeypatch.setattr(tasks, "begin_due", away)
    tasks.go_on()
    tasks.begin()
    assert caplog.text.count("the database is away") == 2


def test_what_is_due_is_begun(cast, monkeypatch):
    seen = []
    monkeypatch.setattr(tasks, "begin_due", seen.append)
    tasks.begin()
    assert len(seen) == 1


def test_both_tasks_are_on_the_schedule():
    named = {entry["task"] for entry in configured.CELERY_BEAT_SCHEDULE.values()}
    assert {"warming.begin", "warming.work"} <= named

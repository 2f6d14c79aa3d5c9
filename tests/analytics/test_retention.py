"""What is older than it is kept goes, in small steps; the account of what was lost stays."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.core.management import call_command

from apps.analytics import retention, selectors
from apps.analytics.batch_ingestion import ingest_batch
from apps.analytics.choices import Period
from apps.analytics.models import CallRecord, Incarnation, Interval, Loss, RollUp, SetAside
from apps.analytics.retention import delete_old
from apps.analytics.stream import Batch
from apps.gateway.records.spool import frame, new_incarnation
from apps.wire import redis_names
from apps.wire.call_records import encode
from tests.analytics.records import NODE, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_redis")]

NOW = datetime.now(UTC)
LIFE = new_incarnation(NODE, 0, 1_800_000_000.0)


def log(*days: float, first: int = 1) -> None:
    """A call of each age."""
    frames = [
        frame(number, encode(record(f"{LIFE}{number:08d}", at=(NOW - timedelta(days=age)).timestamp())))
        for number, age in enumerate(days, first)
    ]
    ingest_batch([Batch(LIFE, NODE, b"".join(frames))])


def test_calls_and_figures_are_kept_as_long_as_the_settings_say(settings):
    settings.CALL_LOG_DAYS = 7
    settings.MINUTE_FIGURES_DAYS, settings.HOUR_FIGURES_DAYS, settings.DAY_FIGURES_DAYS = 2, 90, 1000
    log(0.5, 3, 8, 100, 2000)
    delete_old(now=NOW)
    assert CallRecord.objects.count() == 2
    kept = {
        period: set(RollUp.objects.filter(period=period, level="all").values_list("bucket", flat=True))
        for period in Period
    }
    assert [len(kept[period]) for period in (Period.MINUTE, Period.HOUR, Period.DAY)] == [1, 3, 4]


def test_a_long_span_is_told_from_what_is_kept():
    log(0.5, 3, 30)
    delete_old(now=NOW)
    assert selectors.summary(selectors.Question.asked(selectors.ALL, since=NOW - timedelta(days=80)))["calls"] == 3
    assert selectors.summary(selectors.Question.asked(selectors.ALL, since=NOW - timedelta(days=20)))["calls"] == 2


def test_it_goes_in_steps_and_stops_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "STEP", 2)
    log(8, 9, 10, 11, 12)
    assert delete_old(now=NOW, seconds=0)["calls"] == 0
    assert CallRecord.objects.count() == 5
    assert delete_old(now=NOW)["calls"] == 5


def test_a_second_time_nothing_is_left_to_delete():
    log(8, 0)
    delete_old(now=NOW)
    assert set(delete_old(now=NOW).values()) == {0}


def test_gaps_of_a_worker_long_gone_stay_on_the_books(monkeypatch: pytest.MonkeyPatch):
    log(0.1, 0.1, first=1)
    log(0.1, first=6)
    before = selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"]
    assert before == {"received": 3, "expected": 6}
    Incarnation.objects.update(last_at=NOW - timedelta(days=31))
    assert delete_old(now=NOW)["incarnations"] == 1
    assert not Interval.objects.exists()
    assert list(Loss.objects.values_list("first", "last", "count", "cause")) == [(3, 5, 3, "never_came")]
    assert selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"] == before


def test_what_lies_in_the_spool_of_a_machine_that_is_gone_is_lost_after_a_month(state: redis.Redis):
    log(0.1, 0.1)
    other = new_incarnation(NODE, 1, 1_800_000_000.0)
    for days, written in ((29, 0), (31, 3)):
        told = (NOW - timedelta(days=days)).timestamp()
        state.hset(redis_names.CALLS_WRITTEN, LIFE, json.dumps([5, told, told]))
        state.hset(redis_names.CALLS_WRITTEN, other, json.dumps([7, told, told]))
        state.hset(redis_names.AGENTS, NODE, json.dumps({"at": told}))
        delete_old(now=NOW)
        assert sum(Loss.objects.filter(incarnation=LIFE).values_list("count", flat=True)) == written
    assert Loss.objects.get(incarnation=other).count == 7
    assert state.hlen(redis_names.CALLS_WRITTEN) == state.hlen(redis_names.AGENTS) == 0


def test_while_redis_is_away_old_calls_go_all_the_same(settings):
    settings.REDIS_URL = "unix:///nowhere.sock"
    log(8)
    assert delete_old(now=NOW)["calls"] == 1


def test_what_was_set_aside_goes_with_the_log():
    SetAside.objects.create(error="old", record=b"")
    SetAside.objects.update(at=NOW - timedelta(days=8))
    SetAside.objects.create(error="new", record=b"")
    delete_old(now=NOW)
    assert SetAside.objects.get().error == "new"


def test_the_command_says_what_went(capsys: pytest.CaptureFixture[str]):
    log(8)
    call_command("retention")
    assert "calls: 1 deleted" in capsys.readouterr().out

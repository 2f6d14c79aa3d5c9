"""The agent's shipping: nothing is deleted before the database has it, and nothing is counted twice."""

import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.utils import timezone

from apps.analytics import completeness, selectors, stream
from apps.analytics.ingestion import ingest_from
from apps.analytics.models import CallRecord, Loss
from apps.gateway.records.spool import SpoolWriter, segment_path
from apps.wire import redis_names
from apps.wire.call_records import BEGUN, ENDED, encode
from apps.wire.redis_client import connect
from tests.analytics.records import NODE, deliver, record, shipper, write

pytestmark = pytest.mark.django_db


def files(folder: Path, suffix: str = "spool") -> list[str]:
    return sorted(path.name for path in folder.glob(f"*.{suffix}"))


def calls() -> int:
    """Of the summary, which must agree with the rows."""
    told = selectors.summary(selectors.Question.asked(selectors.ALL))["calls"]
    assert told == CallRecord.objects.count()
    return told


def test_a_segment_is_deleted_when_the_database_has_it_and_not_before(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    write(spool, 6)
    spool.close()
    agent = shipper(folder, state)
    agent.work()
    agent.work()
    assert len(files(folder)) == 3
    ingest_from(state)
    agent.work()
    assert files(folder) == files(folder, "lock") == files(folder, "ended") == []
    assert state.hgetall(redis_names.CALLS_TAKEN) == {}
    assert state.hgetall(redis_names.CALLS_WRITTEN) == {}
    assert calls() == 6
    agent.close()


def test_the_segment_in_which_a_worker_writes_stays(folder: Path, spool: SpoolWriter, state: redis.Redis):
    write(spool, 2)
    deliver(folder, state)
    assert len(files(folder)) == 1
    write(spool, 1)
    deliver(folder, state)
    assert calls() == 3


def test_an_agent_killed_between_push_and_confirmation_counts_nothing_twice(
    folder: Path, spool: SpoolWriter, state: redis.Redis
):
    write(spool, 10)
    killed = shipper(folder, state)
    killed.work()
    killed.folder.close()
    follower = shipper(folder, state)
    follower.work()
    assert state.xlen(redis_names.CALLS) == 2
    ingest_from(state)
    assert calls() == 10
    third = shipper(folder, state)
    third.work()
    assert state.xlen(redis_names.CALLS) == 0  # what is settled isn't pushed again


def test_a_batch_that_redis_lost_is_pushed_again(folder: Path, spool: SpoolWriter, state: redis.Redis):
    write(spool, 10)
    agent = shipper(folder, state)
    agent.work()
    write(spool, 5)
    agent.work()
    state.flushall()
    for _ in range(2):  # of two batches pushed anew within a millisecond, one may get the id that the other had
        agent.work()
        ingest_from(state)
    assert calls() == 15
    assert selectors.latest_completeness().expected == 15
    agent.close()


def test_a_redis_that_comes_back_empty_after_everything_was_confirmed_changes_nothing(
    folder: Path, spool: SpoolWriter, state: redis.Redis
):
    write(spool, 10)
    deliver(folder, state)
    state.flushall()
    deliver(folder, state)
    write(spool, 1)
    deliver(folder, state)
    assert calls() == 11


def test_the_stream_stays_under_its_bound_and_the_rest_waits_in_the_spool(
    folder: Path, spool: SpoolWriter, state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream, "BOUND", 3)
    monkeypatch.setattr(stream, "BATCH_FRAMES", 2)
    write(spool, 20)
    agent = shipper(folder, state)
    agent.work()
    agent.work()
    assert state.xlen(redis_names.CALLS) == 3
    told = json.loads(state.hget(redis_names.AGENTS, NODE))
    assert told["unshipped_bytes"] > 0
    # What waits in the spool is expected after a while, though nobody has read it yet.
    assert json.loads(state.hget(redis_names.CALLS_WRITTEN, spool.incarnation))[0] == 20
    assert selectors.latest_completeness().expected == 0
    monkeypatch.setattr(completeness, "GRACE", 0.0)
    told = selectors.latest_completeness()
    assert (told.received, told.expected, told.missing) == (0, 20, 0)
    assert told.late > 0
    assert selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"] == {"received": 0, "expected": 20}
    yesterday = timezone.now() - timedelta(days=1)
    assert selectors.summary(selectors.Question.asked(selectors.ALL, until=yesterday))["completeness"]["expected"] == 0
    points = selectors.timeseries(selectors.Question.asked(selectors.ALL)).points
    assert [point["completeness"]["expected"] for point in points if point["gap"]] == [20]
    while ingest_from(state):
        agent.work()
    assert calls() == 20
    agent.close()


def test_workers_take_turns_when_the_stream_has_little_room(
    folder: Path, state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream, "BOUND", 4)
    monkeypatch.setattr(stream, "BATCH_FRAMES", 1)
    spools = [SpoolWriter(folder, NODE, number) for number in range(2)]
    for spool in spools:
        write(spool, 10)
    agent = shipper(folder, state)
    agent.work()
    pushed = [fields[b"incarnation"].decode() for _, fields in state.xrange(redis_names.CALLS)]
    assert sorted(pushed) == sorted([spool.incarnation for spool in spools] * 2)
    agent.close()
    for spool in spools:
        spool.close()


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_no_record_is_lost_while_redis_is_away(folder: Path, spool: SpoolWriter, extra_valkey, how: str):
    server = extra_valkey()
    client = connect(server.url, timeout=0.3)
    agent = shipper(folder, client)
    write(spool, 5)
    assert agent.work()
    if how == "frozen":
        server.send(signal.SIGSTOP)
    else:
        server.kill()
    write(spool, 5)
    assert not agent.work()
    assert agent.away_since
    write(spool, 5)
    assert not agent.work()
    if how == "frozen":
        server.send(signal.SIGCONT)
    else:
        server.start()
    assert agent.work()
    assert agent.away_since is None
    ingest_from(client)
    agent.work()
    ingest_from(client)
    assert calls() == 15
    agent.close()
    client.close()


def test_a_streamed_answer_whose_worker_died_becomes_a_call_with_its_cause(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0)
    ended, unended = spool.next_call_id(), spool.next_call_id()
    for call_id in (ended, unended):
        spool.append(encode(record(call_id, kind=BEGUN, response_bytes=1)))
    spool.append(encode(record(ended, kind=ENDED, response_bytes=500)))
    deliver(folder, state)
    assert list(CallRecord.objects.values_list("call_id", "code", "response_bytes")) == [(ended, "", 500)]
    spool.close()  # as the kernel does for a killed worker
    deliver(folder, state)
    assert CallRecord.objects.get(call_id=unended).code == "gateway_crash"
    deliver(folder, state)
    assert calls() == 2
    assert files(folder) == []


def test_a_begun_answer_keeps_its_segment_until_it_ends(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    call_id = spool.next_call_id()
    spool.append(encode(record(call_id, kind=BEGUN)))
    write(spool, 8)
    deliver(folder, state)
    assert segment_path(folder, spool.incarnation, 1).exists()
    assert not segment_path(folder, spool.incarnation, 2).exists()
    spool.append(encode(record(call_id, kind=ENDED)))
    deliver(folder, state)
    assert not segment_path(folder, spool.incarnation, 1).exists()
    spool.close()
    deliver(folder, state)
    assert calls() == 9


def test_an_end_that_was_shipped_is_not_followed_by_a_crash(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    call_id = spool.next_call_id()
    spool.append(encode(record(call_id, kind=BEGUN)))
    first = segment_path(folder, spool.incarnation, 1)
    kept = first.read_bytes()
    spool.append(encode(record(call_id, kind=ENDED)))
    write(spool, 8)
    deliver(folder, state)
    # An agent that died between two deletions: the beginning is still there, its end is not.
    assert not first.exists()
    first.write_bytes(kept)
    spool.close()
    deliver(folder, state)
    assert calls() == 9
    assert not CallRecord.objects.filter(code="gateway_crash").exists()


def test_an_agent_killed_while_it_ends_a_dead_worker_ends_it_once(
    folder: Path, state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    spool = SpoolWriter(folder, NODE, 0)
    spool.append(encode(record(spool.next_call_id(), kind=BEGUN)))
    spool.close()
    agent = shipper(folder, state)
    with monkeypatch.context() as patch:
        patch.setattr(agent.folder, "end", lambda life: None)  # killed before the lock file is renamed
        agent.work()
    agent.close()
    assert len(files(folder)) == 2
    deliver(folder, state)
    assert calls() == 1
    assert files(folder) == files(folder, "ended") == []


def test_a_worker_that_dies_while_the_folder_is_read_loses_nothing(
    folder: Path, state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    write(spool, 2)
    agent = shipper(folder, state)
    listed = agent.folder._listed

    def then_it_writes_on_and_dies():
        found = listed()
        monkeypatch.setattr(agent.folder, "_listed", listed)
        spool.append(encode(record(spool.next_call_id(), kind=BEGUN)))
        write(spool, 4)
        spool.close()
        return found

    monkeypatch.setattr(agent.folder, "_listed", then_it_writes_on_and_dies)
    for _ in range(3):
        agent.work()
        ingest_from(state)
    assert calls() == 7
    assert files(folder) == []
    agent.close()


def test_the_end_of_a_dead_worker_is_numbered_after_what_is_settled(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    spool.append(encode(record(spool.next_call_id(), kind=BEGUN)))
    write(spool, 3)
    # A segment that a full disk left empty: what was settled lay in those that are deleted.
    segment_path(folder, spool.incarnation, 3).touch()
    deliver(folder, state)
    assert len(files(folder)) == 2
    spool.close()
    deliver(folder, state)
    assert calls() == 4
    assert CallRecord.objects.filter(code="gateway_crash").count() == 1
    assert selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"] == {"received": 4, "expected": 4}


def test_a_torn_tail_is_counted_as_one_lost_record(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0)
    write(spool, 3)
    spool.close()
    path = segment_path(folder, spool.incarnation, 1)
    path.write_bytes(path.read_bytes()[:-7])
    deliver(folder, state)
    deliver(folder, state)
    assert calls() == 2
    assert list(Loss.objects.values_list("first", "last", "count", "cause")) == [(3, 3, 1, "torn")]
    assert selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"] == {"received": 2, "expected": 3}
    assert files(folder) == []


def test_over_its_budget_the_oldest_segments_go_and_the_loss_is_shown(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    write(spool, 20)
    before = sum(path.stat().st_size for path in folder.glob("*.spool"))
    away = connect("unix:///nowhere.sock", timeout=0.1)
    agent = shipper(folder, away, budget=before // 2)
    assert not agent.work()
    assert sum(path.stat().st_size for path in folder.glob("*.spool")) <= before // 2 + 600
    assert 8 <= agent.lost <= 12
    lost = agent.lost
    agent.close()
    deliver(folder, state)
    deliver(folder, state)
    assert calls() == 20 - lost
    told = selectors.latest_completeness()
    assert (told.received, told.expected, dict(told.causes)) == (20 - lost, 20, {"over_budget": lost})
    spool.close()


def test_a_record_pushed_before_its_segment_was_dropped_is_not_counted_as_lost(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    write(spool, 8)
    agent = shipper(folder, state, budget=1)
    agent.work()
    assert files(folder) == [segment_path(folder, spool.incarnation, 4).name]
    assert agent.lost == 0
    ingest_from(state)
    assert calls() == 8
    agent.close()
    spool.close()


def test_a_pushed_batch_lost_by_redis_after_its_segment_was_dropped_is_counted_as_lost(
    folder: Path, state: redis.Redis
):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    write(spool, 3)
    agent = shipper(folder, state, budget=1)
    agent.work()
    state.flushall()
    agent.work()
    agent.work()
    ingest_from(state)
    assert agent.lost == 2
    assert calls() == 1
    assert selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"] == {"received": 1, "expected": 3}
    agent.close()
    spool.close()


def test_what_was_written_by_workers_of_an_earlier_start_is_shipped(folder: Path, state: redis.Redis):
    for number in range(3):
        earlier = SpoolWriter(folder, "another-node", number)
        write(earlier, 2)
        earlier.close()
    deliver(folder, state)
    deliver(folder, state)
    assert calls() == 6
    assert files(folder) == []

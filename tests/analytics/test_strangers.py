"""Calls that no API was found for, on their way: counted once whatever dies, in a number of bytes that no flood makes larger."""

import errno
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from apps.analytics import selectors
from apps.analytics.batch_ingestion import ingest_batch
from apps.analytics.ingestion import ingest_from
from apps.analytics.models import CallRecord, Loss, SetAside
from apps.analytics.stream import Batch
from apps.gateway.records import unknown_calls
from apps.gateway.records.spool import SpoolWriter, frame
from apps.gateway.records.unknown_calls import UnknownCallTally, tally_path
from apps.wire import redis_names
from apps.wire.call_records import SAMPLED, TallyRecord, encode
from apps.wire.redis_client import connect
from tests.analytics.records import NODE, STRANGER, deliver, record, shipper, write

pytestmark = pytest.mark.django_db


@pytest.fixture
def tally(spool: SpoolWriter) -> UnknownCallTally:
    """The tally beside the spool."""
    return UnknownCallTally(spool, 10, lambda: 1)


def flood(tally: UnknownCallTally, calls: int, at: float | None = None) -> None:
    for _ in range(calls):
        tally.count(at or time.time(), 404, "unknown_api", 0, 200)


def counted() -> int:
    """The calls to no known API, all of them here and none called lost."""
    told = selectors.summary(selectors.Question.asked(selectors.ALL))
    assert told["completeness"] == {"received": told["calls"], "expected": told["calls"]}
    return told["calls"]


def test_they_are_figures_of_their_status_code_and_bytes(folder: Path, tally: UnknownCallTally, state: redis.Redis):
    flood(tally, 3)
    tally.count(time.time(), 414, "target_too_long", 10, 100)
    tally.flush()
    assert deliver(folder, state) == 0
    told = selectors.summary(selectors.Question.asked(selectors.ALL))
    assert (told["calls"], told["errors"], told["bytes"]) == (4, 4, 700)
    assert (told["statuses"], told["caches"], told["hit_ratio"]) == ({"4xx": 4}, {"BYPASS": 4}, None)
    assert selectors.breakdown(selectors.Question.asked(selectors.ALL), by="code") == [
        {"name": "unknown_api", "calls": 3},
        {"name": "target_too_long", "calls": 1},
    ]
    assert [(part["name"], part["calls"]) for part in selectors.breakdown(selectors.Question.asked(selectors.ALL))] == [
        ("", 4)
    ]


def test_a_sampled_row_is_in_the_log_and_counted_by_the_tally_alone(
    folder: Path, spool: SpoolWriter, tally: UnknownCallTally, state: redis.Redis
):
    flood(tally, 5)
    write(spool, 2, **STRANGER, flags=(SAMPLED,))
    tally.flush()
    deliver(folder, state)
    assert (CallRecord.objects.count(), counted()) == (2, 5)


def test_rows_of_gateways_of_an_earlier_release_count_as_before(folder: Path, spool: SpoolWriter, state: redis.Redis):
    write(spool, 2, **STRANGER)
    deliver(folder, state)
    assert counted() == 2


def test_a_flood_leaves_a_bounded_number_of_bytes_wherever_it_goes(
    folder: Path, tally: UnknownCallTally, state: redis.Redis
):
    flood(tally, 20_000)
    tally.flush()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1000
    agent = shipper(folder, state)
    agent.work()
    assert state.xlen(redis_names.CALLS) == 1
    assert state.memory_usage(redis_names.CALLS) < 10_000
    ingest_from(state)
    agent.close()
    assert (CallRecord.objects.count(), counted()) == (0, 20_000)


def test_calls_of_two_minutes_are_counted_in_their_own(folder: Path, tally: UnknownCallTally, state: redis.Redis):
    minute = time.time() // 60 * 60 - 120
    flood(tally, 3, minute + 59)
    flood(tally, 4, minute + 61)
    tally.flush()
    deliver(folder, state)
    series = selectors.timeseries(
        selectors.Question.asked(
            selectors.ALL, since=datetime.fromtimestamp(minute, UTC), until=datetime.fromtimestamp(minute + 120, UTC)
        ),
        step=60,
    )
    assert [point["calls"] for point in series.points] == [3, 4]


def test_a_killed_worker_has_counted_every_call_that_it_answered(folder: Path, state: redis.Redis):
    script = (
        "import os; from pathlib import Path; from apps.gateway.records.spool import SpoolWriter\n"
        "from apps.gateway.records.unknown_calls import UnknownCallTally; import time\n"
        f"w = SpoolWriter(Path({str(folder)!r}), 'n', 3); t = UnknownCallTally(w, 10, lambda: 1)\n"
        "for i in range(700):\n"
        "    t.count(time.time(), 404, 'unknown_api', 0, 1)\n"
        "    if i == 400: t.flush()\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    deliver(folder, state)
    deliver(folder, state)
    assert counted() == 700
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("killed_at", ["before the segment", "after the segment"])
def test_an_agent_killed_while_it_ends_a_dead_workers_tally_counts_it_once(
    folder: Path, spool: SpoolWriter, tally: UnknownCallTally, state: redis.Redis, monkeypatch, killed_at: str
):
    write(spool, 1)
    flood(tally, 9)
    spool.close()
    agent = shipper(folder, state)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if killed_at == "before the segment":
            patch.setattr(Path, "rename", killed)
        else:
            patch.setattr(agent.folder, "end", killed)
        with pytest.raises(Killed):
            agent.work()
    agent.close()
    for _ in range(3):
        deliver(folder, state)
    assert counted() == 10
    assert list(folder.iterdir()) == []


def test_a_full_disk_keeps_the_count_and_calls_nothing_lost(
    folder: Path, spool: SpoolWriter, tally: UnknownCallTally, state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(os, "pwrite", full)
        flood(tally, 6)
        tally.flush()
        flood(tally, 1)
    tally.flush()
    deliver(folder, state)
    assert counted() == 7
    assert not Loss.objects.exists()


def test_after_a_loss_the_tally_waits_until_there_is_room_again(
    folder: Path, spool: SpoolWriter, tally: UnknownCallTally, state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        spool.append(encode(record(spool.next_call_id())))
        flood(tally, 6)
        tally.flush()
    monkeypatch.setattr("apps.gateway.records.spool.RETRY_SECONDS", 0.0)
    spool._retry_at = 0.0
    write(spool, 1)
    tally.flush()
    deliver(folder, state)
    assert selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"] == {"received": 7, "expected": 8}


def test_without_other_calls_the_tally_finds_that_there_is_room_again(
    folder: Path, spool: SpoolWriter, tally: UnknownCallTally, state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        spool.append(encode(record(spool.next_call_id())))
        flood(tally, 6)
        tally.flush()
        assert not spool.offer(encode(record(spool.next_call_id(), **STRANGER, flags=(SAMPLED,))))
    tally.flush()
    assert spool.lost == 1
    spool._retry_at = 0.0
    tally.flush()
    flood(tally, 1)
    spool.close()
    deliver(folder, state)
    deliver(folder, state)
    assert selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"] == {"received": 7, "expected": 8}


def test_a_pair_that_is_cut_short_between_its_frames_counts_no_number_twice(
    folder: Path, spool: SpoolWriter, tally: UnknownCallTally, state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    """After a loss its record and the tally are written at once; a limit cuts the second off."""
    real = os.write

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def short(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[:-3])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        spool.append(encode(record(spool.next_call_id())))
    spool._retry_at = 0.0
    flood(tally, 5)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", short)
        tally.flush()
    write(spool, 2)
    tally.flush()
    deliver(folder, state)
    told = selectors.summary(selectors.Question.asked(selectors.ALL))["completeness"]
    assert told["received"] == 7
    assert 8 <= told["expected"] <= 10


def test_what_is_counted_in_a_segment_over_the_budget_is_carried_over(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    tally = UnknownCallTally(spool, 10, lambda: 1)
    flood(tally, 1000)
    tally.flush()
    write(spool, 20)
    away = connect("unix:///nowhere.sock", timeout=0.1)
    agent = shipper(folder, away, budget=1500)
    assert not agent.work()
    lost = agent.lost
    assert lost > 5
    agent.close()
    deliver(folder, state)
    deliver(folder, state)
    told = selectors.latest_completeness()
    assert (told.received, told.expected) == (1000 + 20 - lost, 1000 + 20)
    assert dict(told.causes) == {"over_budget": lost}
    spool.close()


def test_a_tally_that_was_pushed_and_then_carried_over_counts_once(folder: Path, state: redis.Redis):
    spool = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    tally = UnknownCallTally(spool, 10, lambda: 1)
    flood(tally, 1000)
    tally.flush()
    write(spool, 8)
    agent = shipper(folder, state, budget=1)
    for _ in range(3):
        agent.work()
    ingest_from(state)
    agent.close()
    spool.close()
    deliver(folder, state)
    deliver(folder, state)
    assert counted() == 1008


def test_a_span_within_a_minute_is_widened_where_rows_were_left_out(
    folder: Path, spool: SpoolWriter, tally: UnknownCallTally, state: redis.Redis
):
    minute = time.time() // 60 * 60 - 120
    write(spool, 1, at=minute + 10)
    write(spool, 1, at=minute + 40, **STRANGER, flags=(SAMPLED,))
    flood(tally, 1, minute + 40)
    tally.flush()
    deliver(folder, state)
    span = {"since": datetime.fromtimestamp(minute + 30, UTC), "until": datetime.fromtimestamp(minute + 50, UTC)}
    assert selectors.summary(selectors.Question.asked(selectors.ALL, **span))["calls"] == 1
    flood(tally, 30, minute + 41)
    tally.flush()
    deliver(folder, state)
    assert selectors.summary(selectors.Question.asked(selectors.ALL, **span))["calls"] == 32
    assert selectors.summary(selectors.Question.asked(selectors.ALL, api="products", **span))["calls"] == 0


@pytest.mark.parametrize(
    "bad",
    [
        TallyRecord(1.0, ((404, "unknown_api", -1, 0, 0),)),
        TallyRecord(1.0, ((404, "unknown_api", 2**60, 0, 0),)),
        TallyRecord(1.0, ((404, "a\0b", 1, 0, 0),)),
        TallyRecord(1.0, ((404, "a" * 300, 1, 0, 0),)),
        TallyRecord(1.0, ((404, "", 1, 0, 0),) * 1001),
        TallyRecord(1e300, ((404, "", 1, 0, 0),)),
        TallyRecord(1.0, ((404, "", 1, 0, 0),), "nobody", 1),
        TallyRecord(1.0, ((404, "", 1, 0, 0),), "0" * 18, 0),
    ],
)
def test_a_tally_that_makes_no_sense_is_set_aside(spool: SpoolWriter, bad: TallyRecord):
    ingest_batch([Batch(spool.incarnation, NODE, frame(1, encode(bad)))])
    assert SetAside.objects.count() == 1
    assert selectors.summary(selectors.Question.asked(selectors.ALL))["calls"] == 0


def test_a_tally_of_another_form_beside_the_spool_is_no_tally(folder: Path, spool: SpoolWriter):
    path = tally_path(folder, spool.incarnation)
    for data in (b"", b"\0" * 100, frame(0, encode(TallyRecord(1.0, ())))):
        path.write_bytes(data)
        assert unknown_calls.left_behind(path, 0) is None

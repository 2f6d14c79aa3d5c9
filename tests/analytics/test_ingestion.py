"""Ingestion: a record counts once, whatever comes twice, out of order, not at all, or can't be read."""

import random
import threading
import time

import pytest
import redis
from django.db import OperationalError, connection

from apps.access.models import Credential
from apps.analytics import batch_ingestion, ingestion, selectors, stream
from apps.analytics.batch_ingestion import ingest_batch
from apps.analytics.ingestion import ingest, ingest_from
from apps.analytics.models import CallRecord, Incarnation, Interval, Loss, SetAside
from apps.analytics.stream import Batch, push
from apps.gateway.records.spool import frame, new_incarnation
from apps.wire import redis_names
from apps.wire.call_records import ENDED, LossRecord, encode
from tests.analytics.records import NODE, record
from tests.support.cast import make_application, make_key, make_tenant

pytestmark = pytest.mark.django_db

LIFE = new_incarnation(NODE, 0, 1_800_000_000.0)


def call_id(number: int, life: str = LIFE) -> str:
    return f"{life}{number:08d}"


def batch(*numbers: int, life: str = LIFE, **changes) -> Batch:
    """A batch with calls of these numbers."""
    return Batch(
        life, NODE, b"".join(frame(number, encode(record(call_id(number, life), **changes))) for number in numbers)
    )


def told() -> dict:
    """The summary, which must agree with the rows."""
    shown = selectors.summary(selectors.Question.asked(selectors.ALL))
    assert shown["calls"] == CallRecord.objects.count()
    return shown


def intervals() -> list[tuple[int, int]]:
    return list(Interval.objects.order_by("first").values_list("first", "last"))


def test_a_batch_taken_twice_counts_once(state: redis.Redis):
    assert ingest_batch([batch(1, 2, 3)]).calls == 3
    assert ingest_batch([batch(1, 2, 3)]).calls == 0
    assert ingest_batch([batch(2, 3, 4), batch(4, 5)]).calls == 2
    assert told()["calls"] == 5
    assert intervals() == [(1, 5)]


def test_batches_in_any_order_leave_one_interval_and_no_gap(state: redis.Redis):
    numbers = list(range(1, 61))
    random.Random(7).shuffle(numbers)
    for start in range(0, 60, 5):
        ingest_batch([batch(*sorted(numbers[start : start + 5]))])
    assert intervals() == [(1, 60)]
    assert told()["completeness"] == {"received": 60, "expected": 60}


def test_a_gap_is_shown_until_it_is_filled(state: redis.Redis):
    ingest_batch([batch(1, 2, 3), batch(7, 8)])
    assert told()["completeness"] == {"received": 5, "expected": 8}
    assert selectors.latest_completeness().causes == {"never_came": 3}
    point = selectors.timeseries(selectors.Question.asked(selectors.ALL), step=60).points
    assert sum(each["gap"] for each in point) == 1
    ingest_batch([batch(5)])
    assert told()["completeness"] == {"received": 6, "expected": 8}
    ingest_batch([batch(4, 6)])
    assert told()["completeness"] == {"received": 8, "expected": 8}


def test_a_gap_before_the_first_is_seen(state: redis.Redis):
    ingest_batch([batch(4)])
    assert told()["completeness"] == {"received": 1, "expected": 4}


def test_a_told_loss_has_its_cause_and_counts_once(state: redis.Redis):
    loss = LossRecord(LIFE, 3, 6, "disk_full", time.time())
    ingest_batch([batch(1, 2), Batch(LIFE, NODE, frame(7, encode(loss))), batch(8)])
    ingest_batch([Batch(LIFE, NODE, frame(7, encode(loss)))])
    assert list(Loss.objects.values_list("first", "last", "count", "cause")) == [(3, 6, 4, "disk_full")]
    assert intervals() == [(1, 8)]
    assert told()["completeness"] == {"received": 3, "expected": 7}


def test_a_told_loss_leaves_out_what_came_all_the_same(state: redis.Redis):
    other = new_incarnation(NODE, 1, 1_800_000_001.0)
    ingest_batch([batch(1, 2, 3, 4)])
    loss = LossRecord(LIFE, 3, 6, "over_budget", time.time())
    ingest_batch([Batch(other, NODE, frame(1, encode(loss)))])
    assert list(Loss.objects.values_list("incarnation", "first", "last")) == [(LIFE, 5, 6)]
    assert told()["completeness"] == {"received": 4, "expected": 6}


def test_a_loss_of_a_worker_that_nothing_is_known_of_is_noted(state: redis.Redis):
    unknown = new_incarnation(NODE, 5, 1_800_000_002.0)
    loss = LossRecord(unknown, 1, 9, "over_budget", time.time())
    ingest_batch([Batch(LIFE, NODE, frame(1, encode(loss)))])
    assert Incarnation.objects.get(pk=unknown).worker == 5
    assert Loss.objects.get().count == 9


def test_what_is_no_record_is_set_aside_counted_and_blocks_nothing(state: redis.Redis):
    poison = [
        b"\xc1 no msgpack",
        encode(["no", "record"]),
        encode(record(call_id(91), at=float("nan"))),
        encode(record(call_id(92), at=1e300)),
        encode(record(call_id(93), kind="gossip")),
        encode(record(call_id(94), duration=float("inf"))),
        encode(record(call_id(95), status=-1)),
        encode(record(call_id(96), response_bytes=2**60)),
        encode(LossRecord("no incarnation", 1, 2, "torn", 0.0)),
        encode(LossRecord(LIFE, 9, 2, "torn", 0.0)),
    ]
    frames = b"".join(frame(number, each) for number, each in enumerate(poison, 1))
    push(state, Batch(LIFE, NODE, frames))
    push(state, batch(11, 12))
    assert ingest_from(state) == 2
    assert SetAside.objects.count() == len(poison)
    assert state.xlen(redis_names.CALLS) == 0
    assert told()["completeness"] == {"received": 2, "expected": 12}
    assert dict(selectors.latest_completeness().causes) == {"unreadable": 10}


def test_a_flood_of_unreadable_records_is_counted_and_only_some_are_kept(state: redis.Redis):
    poison = b"".join(frame(number, b"\xc1") for number in range(1, 501))
    ingest_batch([Batch(LIFE, NODE, poison)])
    assert told()["completeness"] == {"received": 0, "expected": 500}
    assert Loss.objects.get().count == 500
    assert SetAside.objects.count() == 20


def test_a_row_that_the_database_refuses_is_found_among_others_and_set_aside(state: redis.Redis):
    ingest_batch([batch(1)])
    again = Batch(LIFE, NODE, frame(5, encode(record(call_id(1)))))  # a call id that exists
    assert ingest_batch([batch(2, 3, 4), again, batch(6, 7)]).calls == 5
    assert SetAside.objects.get().number == 5
    assert told()["calls"] == 6
    assert intervals() == [(1, 7)]


def test_a_failure_that_nobody_foresaw_sets_one_batch_aside_and_not_the_others(
    state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    real = batch_ingestion._row

    def surprised(each):
        if each.path == "/surprise":
            raise RuntimeError("a surprise")
        return real(each)

    monkeypatch.setattr(batch_ingestion, "_row", surprised)
    push(state, batch(1, 2))
    push(state, batch(3, 4, path="/surprise"))
    push(state, batch(5))
    assert ingest_from(state) == 3
    assert set(SetAside.objects.values_list("number", flat=True)) == {3, 4}
    assert state.xlen(redis_names.CALLS) == 0
    assert intervals() == [(1, 5)]


def test_texts_that_callers_choose_are_cut_and_cleaned(state: redis.Redis):
    ingest_batch([batch(1, path="/" + "x" * 5000, host="a\0b", request_id="r" * 500, method="M" * 99)])
    row = CallRecord.objects.get()
    assert (len(row.path), row.host, len(row.request_id), len(row.method)) == (
        2048,
        "a\N{REPLACEMENT CHARACTER}b",
        128,
        32,
    )


def test_strangers_entries_in_the_stream_are_let_go(state: redis.Redis):
    state.xadd(redis_names.CALLS, {"hello": "world"})
    state.xadd(redis_names.CALLS, {"incarnation": b"\xff" * 18, "node": "n", "frames": "x"})
    state.xadd(redis_names.CALLS, {"incarnation": "A" * 18, "node": "n", "frames": "x"})
    push(state, batch(1))
    assert ingest_from(state) == 1
    assert state.xlen(redis_names.CALLS) == 0


class Killed(BaseException):
    """As far as a transaction and a stream can tell, a kill -9."""


def test_who_dies_between_commit_and_acknowledgement_counts_nothing_twice(
    state: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    push(state, batch(1, 2, 3))

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ingestion, "confirm", killed)
        with pytest.raises(Killed):
            ingest_from(state)
    assert told()["calls"] == 3
    assert state.xlen(redis_names.CALLS) == 1
    push(state, batch(4))
    assert ingest_from(state) == 1
    assert told()["calls"] == 4
    assert state.xlen(redis_names.CALLS) == 0
    assert state.xpending(redis_names.CALLS, redis_names.CALLS_GROUP)["pending"] == 0


def test_who_dies_before_the_commit_leaves_the_entry_to_the_next(state: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    push(state, batch(1, 2, 3))

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(batch_ingestion, "add_figures", killed)
        with pytest.raises(Killed):
            ingest_from(state)
    assert CallRecord.objects.count() == 0
    assert ingest_from(state) == 3
    assert told()["calls"] == 3


def test_while_the_database_is_away_the_stream_keeps_the_records(state: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    push(state, batch(1, 2, 3))

    def away(*_, **__):
        raise OperationalError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(ingestion, "ingest_batch", away)
        assert ingest() == 0
    assert state.xlen(redis_names.CALLS) == 1
    assert ingest() == 3


def test_while_redis_is_away_a_tick_does_nothing(settings):
    settings.REDIS_URL = "unix:///nowhere.sock"
    assert ingest() == 0


def test_one_ingests_at_a_time(state: redis.Redis):
    push(state, batch(1))
    lock = state.lock(redis_names.CALLS_LOCK, timeout=60)
    assert lock.acquire(blocking=False)
    assert ingest_from(state) == 0
    lock.release()
    assert ingest_from(state) == 1


def test_a_tick_stops_when_its_time_is_up_and_the_next_goes_on(state: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ingestion, "_READ", 1)
    for number in range(1, 4):
        push(state, batch(number))
    assert ingest_from(state, until=time.monotonic()) == 1
    assert ingest_from(state) == 2


def test_a_transaction_takes_a_thousand_records_at_most(state: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    sizes = []
    real = ingestion.ingest_batch

    def counted(batches, **more):
        taken = real(batches, **more)
        sizes.append(taken.calls)
        return taken

    monkeypatch.setattr(ingestion, "ingest_batch", counted)
    for start in range(0, 2100, 300):
        push(state, batch(*range(start + 1, start + 301)))
    assert ingest_from(state) == 2100
    assert max(sizes) <= 1000
    assert told()["calls"] == 2100


def test_an_ended_call_ends_once(state: redis.Redis):
    ended = encode(record(call_id(1), kind=ENDED))
    ingest_batch([Batch(LIFE, NODE, frame(1, ended)), Batch(LIFE, NODE, frame(2, ended))])
    ingest_batch([Batch(LIFE, NODE, frame(3, ended))])
    assert told()["calls"] == 1
    assert SetAside.objects.count() == 0


def test_the_last_use_of_a_key_is_noted_once_a_minute(state: redis.Redis, django_assert_num_queries):
    key = make_key(make_application(make_tenant("acme"))).key
    at = time.time()
    push(state, batch(1, 2, key_id=key.pk, at=at))
    ingest_from(state)
    noted = Credential.objects.get(pk=key.pk).last_used_at
    assert abs(noted.timestamp() - at) < 0.01
    push(state, batch(3, key_id=key.pk, at=at + 59))
    ingest_from(state)
    assert Credential.objects.get(pk=key.pk).last_used_at == noted
    push(state, batch(4, key_id=key.pk, at=at + 61))
    ingest_from(state)
    assert Credential.objects.get(pk=key.pk).last_used_at > noted


def test_the_settled_intervals_are_told_with_the_acknowledgement(state: redis.Redis):
    entry, _ = push(state, batch(1, 2, 4))
    ingest_from(state)
    gone, settled = stream.look(state, [entry], [LIFE, "unknown"])
    assert gone == {entry}
    assert settled[LIFE].pairs() == [(1, 2), (4, 4)]
    assert list(settled) == [LIFE]


@pytest.mark.django_db(transaction=True)
def test_two_that_ingest_at_once_lose_and_double_no_figure(state: redis.Redis):
    lives = [new_incarnation(NODE, worker, 1_800_000_000.0) for worker in range(2)]
    failures = []

    def run(life):
        try:
            for start in range(1, 200, 20):
                ingest_batch([batch(*range(start, start + 20), life=life)])
                ingest_batch([batch(*range(1, 20), life=lives[0])])
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(life,)) for life in lives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert told()["calls"] == 400


def test_queries_of_a_transaction_do_not_grow_with_its_records(state: redis.Redis, django_assert_max_num_queries):
    ingest_batch([batch(1)])
    with django_assert_max_num_queries(40):
        ingest_batch([batch(*range(2, 502))])


@pytest.mark.django_db(transaction=True)
def test_after_a_failure_of_the_database_the_next_tick_connects_anew(state: redis.Redis):
    push(state, batch(1, 2))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (backend,) = cursor.fetchone()
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [backend])
        other.close()
    else:
        connection.ensure_connection()
        connection.connection.execute("PRAGMA query_only = ON")  # as on a disk that can't be written to
    assert ingest() == 0
    assert ingest() == 2
    assert told()["calls"] == 2

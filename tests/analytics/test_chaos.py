"""Anything may die at any step, in any order: in the end every call is there once, and nothing is called lost."""

import contextlib
import random
import time
from pathlib import Path

import pytest
import redis

from apps.analytics import ingestion, selectors, stream
from apps.analytics.ingestion import ingest_from
from apps.analytics.models import CallRecord, Loss
from apps.gateway.records.spool import SpoolWriter
from apps.gateway.records.unknown_calls import UnknownCallTally
from apps.supervisor.shipper import Shipper
from apps.wire import redis_names
from apps.wire.call_records import BEGUN, ENDED, SAMPLED, encode
from tests.analytics.records import NODE, STRANGER, record, shipper

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """As far as the database and Redis can tell, a kill -9."""


class World:
    """Workers, an agent and an ingester, each of which can be killed; and what was written."""

    def __init__(
        self, folder: Path, client: redis.Redis, chance: random.Random, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder, self.client, self.chance, self.monkeypatch = folder, client, chance, monkeypatch
        self.agent: Shipper = shipper(folder, client)
        self.tallies: dict[SpoolWriter, UnknownCallTally] = {}
        self.strangers = 0
        self.sampled: set[str] = set()
        self.workers = [self.start_worker() for _ in range(2)]
        self.ended: set[str] = set()
        self.begun: list[tuple[SpoolWriter, str]] = []
        self.crashed: set[str] = set()

    def start_worker(self) -> SpoolWriter:
        worker = SpoolWriter(self.folder, NODE, self.chance.randrange(4), segment_bytes=self.chance.choice([500, 4000]))
        self.tallies[worker] = UnknownCallTally(worker, 0.2, lambda: 1)
        return worker

    def call(self) -> None:
        worker = self.chance.choice(self.workers)
        for _ in range(self.chance.randrange(1, 8)):
            call_id = worker.next_call_id()
            assert worker.append(encode(record(call_id)))
            self.ended.add(call_id)

    def flood(self) -> None:
        worker = self.chance.choice(self.workers)
        for _ in range(self.chance.randrange(1, 50)):
            self.strangers += 1
            if self.tallies[worker].count(time.time(), 404, "unknown_api", 0, 200):
                call_id = worker.next_call_id()
                worker.append(encode(record(call_id, **STRANGER, flags=(SAMPLED,))))
                self.sampled.add(call_id)

    def flush(self) -> None:
        self.tallies[self.chance.choice(self.workers)].flush()

    def kill_worker_at_its_flush(self) -> None:
        """Killed on either side of the write that puts the tally into the spool."""
        worker = self.workers[1]
        offer, before = worker.offer, self.chance.choice([True, False])

        def killed(data: bytes) -> bool:
            if not before:
                offer(data)
            raise Killed

        with self.monkeypatch.context() as patch:
            patch.setattr(worker, "offer", killed)
            with contextlib.suppress(Killed):
                self.tallies[worker].flush()
        self.kill_worker(1)

    def begin(self) -> None:
        worker = self.chance.choice(self.workers)
        call_id = worker.next_call_id()
        worker.append(encode(record(call_id, kind=BEGUN)))
        self.begun.append((worker, call_id))

    def end(self) -> None:
        if self.begun:
            worker, call_id = self.begun.pop(self.chance.randrange(len(self.begun)))
            worker.append(encode(record(call_id, kind=ENDED)))
            self.ended.add(call_id)

    def kill_worker(self, which: int | None = None) -> None:
        worker = self.workers.pop(self.chance.randrange(2) if which is None else which)
        worker.close()  # the kernel would do no more
        self.crashed |= {call_id for of, call_id in self.begun if of is worker}
        self.begun = [(of, call_id) for of, call_id in self.begun if of is not worker]
        self.workers.append(self.start_worker())

    def ship(self) -> None:
        self.agent.work()

    def kill_agent(self) -> None:
        self.agent.close()
        self.agent = shipper(self.folder, self.client)

    def kill_agent_at_work(self) -> None:
        step = self.chance.choice(["_look", "_ship", "_tell", "_recover", "_delete", "_note", "_forget"])

        def killed(*_: object) -> None:
            raise Killed

        with self.monkeypatch.context() as patch:
            patch.setattr(self.agent, step, killed)
            with contextlib.suppress(Killed):
                self.agent.work()
        self.kill_agent()

    def ingest(self) -> None:
        ingest_from(self.client)

    def kill_ingester(self) -> None:
        def killed(*_: object) -> None:
            raise Killed

        with self.monkeypatch.context() as patch:
            patch.setattr(ingestion, "confirm", killed)
            with contextlib.suppress(Killed):
                ingest_from(self.client)

    def empty_redis(self) -> None:
        self.client.flushall()

    def lose_the_end_of_the_stream(self) -> None:
        newest = self.client.xrevrange(redis_names.CALLS, count=1)
        if newest:
            self.client.xdel(redis_names.CALLS, newest[0][0])


@pytest.mark.parametrize("seed", range(25))
def test_whatever_dies_each_call_is_counted_once(
    folder: Path, state: redis.Redis, monkeypatch: pytest.MonkeyPatch, seed: int
):
    monkeypatch.setattr(stream, "BOUND", 6)
    monkeypatch.setattr(stream, "BATCH_FRAMES", 5)
    chance = random.Random(seed)
    world = World(folder, state, chance, monkeypatch)
    steps = [
        *[world.call] * 6,
        *[world.begin, world.end] * 2,
        *[world.ship, world.ingest] * 4,
        *[world.kill_worker, world.kill_agent, world.kill_agent_at_work, world.kill_ingester],
        *[world.flood] * 3,
        *[world.flush, world.kill_worker_at_its_flush],
        *[world.empty_redis, world.lose_the_end_of_the_stream],
    ]
    for _ in range(60):
        chance.choice(steps)()
    for worker in world.workers:
        worker.close()
    world.crashed |= {call_id for _, call_id in world.begun}
    for _ in range(200):
        world.ship()
        world.ingest()
        if not list(folder.iterdir()):
            break
    world.agent.close()
    rows = dict(CallRecord.objects.values_list("call_id", "code"))
    assert set(rows) == world.ended | world.crashed | world.sampled
    assert {call_id for call_id, code in rows.items() if code == "gateway_crash"} == world.crashed
    told = selectors.summary(selectors.Question.asked(selectors.ALL))
    called = len(world.ended | world.crashed) + world.strangers
    assert told["completeness"] == {"received": called, "expected": called}
    assert not Loss.objects.exists()
    assert state.xlen(redis_names.CALLS) == 0

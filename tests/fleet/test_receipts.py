"""What the author of a change is told."""

import signal
import time
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from apps.access import services as access
from apps.cachestore.purges import purge
from apps.fleet import state
from apps.fleet.models import Receipt as Row
from apps.fleet.publisher import publish_pending
from apps.fleet.receipts import wait_for_receipt
from apps.fleet.selectors import gateways, parts_state
from apps.fleet.services import celery_is_alive, forget_the_dead
from apps.gateway.config.worker_config import UNKNOWN
from apps.tenants.actors import PLATFORM
from apps.wire import redis_names
from apps.wire.api_keys import digest
from apps.wire.worker_reports import node_name, worker_reaped
from tests.support.cast import make_api, make_application, make_key, make_tenant
from tests.support.waiting import SOON, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_receipt_counts_every_worker(valkey, workers):
    one, two = workers(), workers()
    make_api(make_tenant("platform"))
    receipt = wait_for_receipt()
    assert (receipt.workers, receipt.in_force, receipt.everywhere_by) == (2, 2, None)
    assert receipt.complete
    assert receipt.exit_status == 0
    assert receipt.sentence.startswith("in force on 2 of 2 workers, slowest ")
    assert one.config.epoch == two.config.epoch == receipt.epoch
    assert Row.objects.get().in_force == 2


def test_after_the_receipt_of_a_revocation_no_worker_takes_the_key(valkey, workers):
    both = workers(), workers()
    key = make_key(make_application(make_tenant("acme"))).key
    assert [worker.lookup(key.digest).state for worker in both] == ["active", "active"]
    access.key_revoke(actor=PLATFORM, key=key)
    assert wait_for_receipt().in_force == 2
    assert [worker.config.credential(key.digest) for worker in both] == [None, None]


def test_a_key_that_was_unknown_is_known_at_its_receipt(valkey, workers):
    worker = workers()
    application = make_application(make_tenant("acme"))
    secret = "a-key-that-was-made-elsewhere"
    mine = digest(django_settings.KEY_PEPPER, secret)
    assert worker.lookup(mine) is UNKNOWN
    assert worker.config.credential(mine) is UNKNOWN
    access.key_import(actor=PLATFORM, application=application, name="old", secret=secret)
    assert wait_for_receipt().complete
    assert worker.config.credential(mine) is None
    assert worker.lookup(mine).application == "acme/bot"


def test_a_frozen_worker_is_counted_and_its_time_is_named(valkey, workers):
    workers()
    frozen = workers(lease=60.0)
    frozen.freeze()
    make_tenant("acme")
    before = timezone.now()
    receipt = wait_for_receipt(timeout=0.5)
    assert (receipt.workers, receipt.in_force) == (2, 1)
    assert receipt.exit_status == 3
    assert before + timedelta(seconds=50) < receipt.everywhere_by < timezone.now() + timedelta(seconds=61)
    assert receipt.sentence == (
        f"in force on 1 of 2 workers, everywhere by {timezone.localtime(receipt.everywhere_by):%H:%M:%S}"
    )
    frozen.thaw()
    assert wait_for_receipt().in_force == 2


def test_a_worker_whose_lease_ended_no_longer_counts(valkey, workers):
    workers()
    frozen = workers(lease=3.0)
    frozen.freeze()
    make_tenant("acme")
    receipt = wait_for_receipt(timeout=5.0)
    assert (receipt.workers, receipt.in_force, receipt.complete) == (1, 1, True)
    assert receipt.slowest_ms < 3500


def test_a_worker_that_said_goodbye_no_longer_counts(valkey, workers):
    workers()
    leaving = workers()
    leaving.stop()
    assert wait_for_receipt().workers == 1


def test_a_crashed_worker_counts_until_it_is_reaped(valkey, workers):
    workers()
    crashed = workers()
    crashed.crash()
    make_tenant("acme")
    assert wait_for_receipt(timeout=0.3).sentence.startswith("in force on 1 of 2 workers, everywhere by ")
    # Both run in the test's process: reap by the id that tells them apart.
    report = crashed.subscriber._report()
    redis = state.client()
    redis.hset(redis_names.WORKERS, f"{node_name()}-9-424242", redis.hget(redis_names.WORKERS, report.worker))
    redis.hdel(redis_names.WORKERS, report.worker)
    worker_reaped(redis, pid=424242)
    receipt = wait_for_receipt()
    assert (receipt.workers, receipt.in_force) == (1, 1)


def test_without_a_gateway_nothing_is_waited_for(valkey):
    started = time.monotonic()
    receipt = wait_for_receipt()
    assert (receipt.workers, receipt.complete) == (0, True)
    assert receipt.sentence == "in force as soon as a gateway runs; none does"
    assert time.monotonic() - started < SOON


def test_a_frozen_redis_holds_nobody_up(valkey, workers):
    workers(), workers()
    wait_for_receipt()
    valkey.send(signal.SIGSTOP)
    try:
        started = time.monotonic()
        make_tenant("acme")  # its on_commit publishes
        committed = time.monotonic()
        receipt = wait_for_receipt()
        told = time.monotonic()
    finally:
        valkey.send(signal.SIGCONT)
    assert committed - started < SOON
    assert told - committed < SOON
    assert (receipt.workers, receipt.in_force, receipt.exit_status) == (2, 0, 3)
    left = (receipt.everywhere_by - timezone.now()).total_seconds()
    assert django_settings.TRUST_LEASE - 5 < left <= django_settings.TRUST_LEASE
    wait_until(lambda: wait_for_receipt(timeout=0.5).in_force == 2)


def test_a_purge_is_in_force_when_every_worker_has_its_clock(valkey, workers):
    one, two = workers(), workers()
    clock = purge(state.client(), ["api:products"])
    receipt = wait_for_receipt(purge_clock=clock)
    assert (receipt.in_force, receipt.complete) == (2, True)
    assert one.config.purges.clock == two.config.purges.clock == clock
    frozen = two
    frozen.freeze()
    receipt = wait_for_receipt(purge_clock=purge(state.client(), ["api:products"]), timeout=0.3)
    assert (receipt.workers, receipt.in_force) == (2, 1)


def test_a_purge_that_a_worker_noted_by_itself_is_no_receipt_of_anothers(valkey, workers):
    """While Redis is away a worker ends answers by itself; its clock then says more than it heard."""
    worker = workers()
    worker.freeze()
    worker.config.purges.apply(["api:other"], 1, False)
    clock = purge(state.client(), ["api:products"])
    assert clock == worker.config.purges.clock == 1
    assert wait_for_receipt(purge_clock=clock, timeout=0.2).in_force == 0
    worker.thaw()
    assert wait_for_receipt(purge_clock=clock).in_force == 1


def test_a_worker_that_refused_a_damaged_value_is_not_in_force(valkey, workers):
    worker = workers()
    make_api(make_tenant("platform"))
    wait_for_receipt()
    parts = redis_names.parts(worker.config.incarnation)
    sealed = state.client().hget(parts, "api:products")
    state.client().hset(parts, "api:products", sealed[:-1] + b"\x00")
    late = workers()
    assert late.config.refused == {"api:products"}
    receipt = wait_for_receipt(timeout=0.3)
    assert (receipt.workers, receipt.in_force) == (2, 1)


def test_the_gateways_page_knows_who_is_alive(valkey, workers):
    worker = workers()
    make_api(make_tenant("platform"))
    receipt = wait_for_receipt()
    (gateway,) = gateways()
    assert gateway.worker == worker.subscriber._report().worker
    assert (gateway.epoch, gateway.lag, gateway.incarnation, gateway.number) == (receipt.epoch, 0, 2, 0)
    assert gateway.alive
    assert 890 < gateway.lease_left <= 900
    worker.freeze()
    make_tenant("acme")
    assert gateways()[0].lag == 1


def test_who_was_silent_for_long_is_forgotten(valkey, workers):
    worker = workers()
    redis = state.client()
    packed = next(iter(redis.hgetall(redis_names.WORKERS).values())).partition(b" ")[2]
    redis.hset(redis_names.WORKERS, "gone", b"1000 " + packed)
    redis.hset(redis_names.WORKERS, "garbage", b"x")
    assert len(gateways()) == 2
    assert forget_the_dead(redis) == 1
    assert [gateway.worker for gateway in gateways()] == [worker.subscriber._report().worker]


def test_the_state_of_each_part_is_told(valkey, workers, settings):
    def now() -> dict[str, str]:
        return {part.slug: part.state for part in parts_state()}

    everything = now()
    assert everything == {
        "state": "ok",
        "cache": "ok",
        "database": "ok",
        "celery": "degraded",
        "upstreams": "ok",
        "gateways": "away",
        "disk": everything["disk"],
    }, "what was never seen may be starting, in the first minute"
    state.client().hset(redis_names.EPOCH, "filled", int(time.time()) - 120)
    assert now()["celery"] == "away"
    workers()
    celery_is_alive()
    assert now() | {"disk": "ok"} == dict.fromkeys(everything, "ok")
    state.client().set(redis_names.CELERY, time.time() - 30)
    assert now()["celery"] == "degraded"
    valkey.kill()
    found = now()
    assert (found["state"], found["celery"], found["gateways"], found["cache"]) == (
        "away",
        "degraded",
        "degraded",
        "ok",
    )
    assert gateways() == []
    settings.CACHE_REDIS_URL = "unix:///nowhere.sock"
    assert now()["cache"] == "away"
    valkey.start()
    publish_pending()


def test_every_part_says_what_its_absence_means(valkey):
    for part in parts_state():
        assert set(part.consequences) == {"calls", "cache", "limits", "keys", "records", "console"}

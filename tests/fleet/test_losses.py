"""Redis comes back empty, older, foreign or trimmed; somebody wrote into it; a publisher or a refill died half-way."""

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

from apps.access import services as access
from apps.audit.models import Epoch
from apps.cachestore.purges import purge
from apps.catalog import services as catalog
from apps.fleet import publisher, receipts, state
from apps.fleet.publisher import PublicationFailed, publish_pending
from apps.fleet.receipts import wait_for_receipt
from apps.fleet.tasks import reconcile
from apps.gateway.config.subscriber import CredentialUnknown
from apps.gateway.config.worker_config import UNKNOWN
from apps.purging import services as caching
from apps.tenants.actors import PLATFORM
from apps.wire import events, redis_names
from tests.support.audit_log import changeable
from tests.support.cast import make_api, make_application, make_key, make_tenant
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def served(worker: Any, path: bytes = b"/products/1") -> Any:
    return worker.config.route(b"localhost", path)


def test_an_empty_redis_is_filled_in_a_new_incarnation(valkey, workers):
    worker = workers()
    make_api(make_tenant("platform"))
    key = make_key(make_application(make_tenant("acme"))).key
    wait_for_receipt()
    born = worker.config.purges.purge_clock()
    state.client().flushall()
    wait_until(lambda: not worker.subscriber.connected)
    assert served(worker), "what it knows still holds"
    assert worker.config.trust_lease.valid(worker.config.trust_lease.contact + 60)
    reconcile()
    wait_until(lambda: worker.config.incarnation == 3)
    assert served(worker)
    assert worker.lookup(key.digest).state == "active"
    assert worker.config.purges.purge_clock()[0] == 3 != born[0], "everything cached before is dead"


def test_receipts_wait_for_the_workers_that_an_emptied_redis_forgot(valkey, workers, monkeypatch):
    both = workers(), workers()
    wait_for_receipt()
    for worker in both:
        worker.freeze()
    state.client().flushall()
    make_tenant("acme")
    assert publish_pending()[0] == 3
    assert not state.client().exists(redis_names.WORKERS)

    def they_come_back(seconds: float) -> None:
        for worker in both:
            worker.thaw()
        time.sleep(seconds)

    monkeypatch.setattr(receipts, "pause_for", they_come_back)
    assert wait_for_receipt().workers == 2


def test_the_receipt_of_a_purge_comes_though_redis_lost_its_clock(valkey, workers):
    worker = workers()
    api = make_api(make_tenant("platform"))
    for _ in range(3):
        purged = caching.purge(actor=PLATFORM, api=api, kind="api")
    assert wait_for_receipt().workers == 1
    state.client().flushall()
    assert wait_for_receipt(purge_clock=purged.clock).sentence.startswith("in force on 1 of 1 worker, ")
    assert worker.config.purges.clock == purged.clock == 3


def test_a_redis_that_answers_for_less_than_was_known_makes_nobody_a_stranger(valkey, workers):
    """Between the loss and the refill: a key that this worker hasn't met is 503, not 401."""
    worker = workers()
    known = make_key(make_application(make_tenant("acme"))).key
    other = make_key(known.application, name="other").key
    assert worker.lookup(known.digest).state == "active"
    state.client().flushall()
    assert worker.config.credential(known.digest).state == "active"
    with pytest.raises(CredentialUnknown):
        worker.lookup(other.digest)
    with pytest.raises(CredentialUnknown):
        worker.lookup("00" * 32)
    reconcile()
    wait_until(lambda: worker.config.incarnation == 3 and worker.subscriber.connected)
    assert worker.lookup(other.digest).state == "active"
    assert worker.lookup("00" * 32) is UNKNOWN


def copied(valkey: Any, to: Path) -> None:
    """The server's files, as a snapshot of its disk."""
    shutil.copytree(valkey.settings.folder / "appendonlydir", to)


def came_back_with(valkey: Any, files: Path) -> None:
    valkey.kill()
    shutil.rmtree(valkey.settings.folder / "appendonlydir")
    shutil.copytree(files, valkey.settings.folder / "appendonlydir")
    valkey.start()


@pytest.fixture
def older(valkey, workers, tmp_path):
    """A worker, and a server that came back from before a change and a purge that the worker knows."""
    worker = workers()
    platform = make_tenant("platform")
    make_api(platform, slug="first")
    wait_for_receipt()
    copied(valkey, tmp_path / "older")
    make_api(platform)
    purge(state.client(), ["api:first"])
    wait_for_receipt(purge_clock=1)
    came_back_with(valkey, tmp_path / "older")
    return worker


def test_a_redis_that_came_back_older_is_filled_anew(older):
    wait_until(lambda: state.client().get(redis_names.MISTRUST))
    reconcile()
    wait_until(lambda: older.config.incarnation == 3)
    assert served(older)
    assert older.config.purges.incarnation == 3


def test_an_older_redis_does_not_renew_the_lease(older):
    wait_until(lambda: state.client().get(redis_names.MISTRUST))
    contact = older.config.trust_lease.contact
    wait_until(lambda: state.client().time()[0] and not older.subscriber.connected)
    assert older.config.trust_lease.contact == contact
    assert served(older), "it keeps what it knows"


def test_an_older_redis_that_went_on_from_there_is_noticed_though_its_numbers_fit(valkey, workers, tmp_path):
    worker = workers()
    publish_pending()
    copied(valkey, tmp_path / "older")
    purge(state.client(), ["api:first"])
    wait_until(lambda: worker.config.purges.clock == 1)
    worker.freeze()
    came_back_with(valkey, tmp_path / "older")
    # Another purge takes the number of the lost one.
    purge(state.client(), ["api:second"])
    purge(state.client(), ["api:third"])
    worker.thaw()
    wait_until(lambda: state.client().get(redis_names.MISTRUST))
    reconcile()
    wait_until(lambda: worker.config.incarnation == 3)


def test_a_redis_that_is_ahead_of_the_database_is_filled_anew(valkey, workers):
    """The database was restored from a backup."""
    worker = workers()
    make_tenant("platform")
    wait_for_receipt()
    from django.db import connection

    with changeable(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_entry WHERE epoch = (SELECT max(epoch) FROM audit_entry)")
    Epoch.objects.update(n=F("n") - 1)
    publish_pending()
    wait_until(lambda: worker.config.incarnation == 3)
    assert worker.config.epoch == Epoch.objects.get().n


def test_a_database_of_an_earlier_incarnation_overtakes_redis(valkey, workers):
    worker = workers()
    Epoch.objects.update(incarnation=1)
    publish_pending()
    wait_until(lambda: worker.config.incarnation == 3)


def test_the_state_of_another_installation_is_not_believed(valkey, workers, settings):
    worker = workers()
    make_api(make_tenant("platform"))
    wait_for_receipt()
    redis = state.client()
    redis.hset(redis_names.EPOCH, mapping={"incarnation": 2**40, "proof": b"x" * 24})
    wait_until(lambda: not worker.subscriber.connected)
    assert served(worker)
    reconcile()
    wait_until(lambda: worker.config.incarnation == 3)
    assert served(worker)


def test_a_follower_of_a_much_later_incarnation_is_overtaken_at_once(valkey, workers):
    """The database is new, but an agent kept its disk copy."""
    worker = workers()
    state.client().set(redis_names.MISTRUST, 41)
    publish_pending()
    wait_until(lambda: worker.config.incarnation == 42)


def test_a_number_that_nobody_can_have_counted_is_not_believed(valkey, workers):
    workers()
    for nonsense in (2**62, "x", "-5"):
        state.client().set(redis_names.MISTRUST, nonsense)
        assert publish_pending()[0] == 2


def test_a_trimmed_stream_has_a_worker_start_over(valkey, workers):
    worker = workers()
    worker.freeze()
    platform = make_tenant("platform")
    make_api(platform)
    make_api(platform, slug="other")
    state.client().xtrim(redis_names.EVENTS, maxlen=1, approximate=False)
    worker.thaw()
    wait_until(lambda: served(worker) and served(worker, b"/other/"))
    assert worker.config.incarnation == 2, "nothing was lost but the way"
    assert wait_for_receipt().complete


def test_an_event_of_a_newer_version_has_a_worker_start_over(valkey, workers):
    worker = workers()
    redis = state.client()
    add = f"{events.APPEND} return append(KEYS[1], KEYS[2], {{'kind', 'novelty'}})"
    redis.eval(add, 2, redis_names.EPOCH, redis_names.EVENTS)
    make_api(make_tenant("platform"))
    wait_until(lambda: served(worker))


def test_a_part_that_somebody_changed_is_refused_and_what_was_there_holds(valkey, workers):
    worker = workers()
    api = make_api(make_tenant("platform"))
    make_api(api.tenant, slug="other")
    wait_for_receipt()
    redis, parts = state.client(), redis_names.parts(2)
    redis.hset(parts, "api:products", redis.hget(parts, "api:other"))
    tell = f"{events.APPEND} return append(KEYS[1], KEYS[2], {{'kind', 'change', 'n', '0', 'parts', 'api:products'}})"
    redis.eval(tell, 2, redis_names.EPOCH, redis_names.EVENTS)
    wait_until(lambda: worker.config.refused == {"api:products"})
    assert served(worker).slug == "products"
    catalog.api_update(actor=PLATFORM, api=api, retries=3)
    wait_until(lambda: served(worker).retries == 3)
    assert worker.config.refused == set()


def test_a_record_that_somebody_changed_opens_nothing_and_closes_nothing(valkey, workers):
    worker = workers()
    good = make_key(make_application(make_tenant("acme"))).key
    bad = make_key(good.application, name="bad").key
    access.key_revoke(actor=PLATFORM, key=bad)
    redis = state.client()
    redis.set(redis_names.credential(2, bad.digest), redis.get(redis_names.credential(2, good.digest)))
    with pytest.raises(CredentialUnknown):
        worker.lookup(bad.digest)
    assert worker.lookup(good.digest).state == "active"


def test_a_record_of_before_a_refill_is_worth_nothing_after_it(valkey, workers):
    worker = workers()
    key = make_key(make_application(make_tenant("acme"))).key
    redis = state.client()
    kept = redis.get(redis_names.credential(2, key.digest))
    access.key_revoke(actor=PLATFORM, key=key)
    redis.flushall()
    reconcile()
    wait_until(lambda: worker.config.incarnation == 3)
    redis.set(redis_names.credential(3, key.digest), kept)
    with pytest.raises(CredentialUnknown):
        worker.lookup(key.digest)


def test_a_refill_leaves_readers_alone_until_it_is_complete(valkey, workers, monkeypatch):
    worker = workers()
    make_api(make_tenant("platform"))
    key = make_key(make_application(make_tenant("acme"))).key
    wait_for_receipt()
    Epoch.objects.update(incarnation=F("incarnation") + 1)  # no longer what Redis holds
    seen: list[Any] = []
    whole_switch = state.switch

    def look_first(*arguments: Any) -> bool:
        seen.append((worker.lookup(key.digest).state, served(worker).slug, worker.config.incarnation))
        return whole_switch(*arguments)

    monkeypatch.setattr(state, "switch", look_first)
    publish_pending()
    assert seen == [("active", "products", 2)]
    wait_until(lambda: worker.config.incarnation == 4)
    assert worker.lookup(key.digest).state == "active"


def test_a_refill_that_died_is_begun_anew_and_its_leftovers_are_swept(valkey, workers, monkeypatch):
    worker = workers()
    make_key(make_application(make_tenant("acme")))
    wait_for_receipt()
    redis = state.client()
    redis.flushall()

    def dies(*arguments: Any) -> bool:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(state, "switch", dies)
        with pytest.raises(SystemExit):
            publish_pending()
    with pytest.raises(PublicationFailed, match="Another process"):
        publish_pending()
    redis.delete(redis_names.REFILLER)  # what its expiry does
    reconcile()
    wait_until(lambda: worker.config.incarnation == 4)
    assert not list(redis.scan_iter(match=f"{redis_names.CREDENTIAL}3:*"))
    assert len(list(redis.scan_iter(match=f"{redis_names.CREDENTIAL}4:*"))) == 1


def test_a_large_refill_is_left_to_the_reconciler(valkey, workers, monkeypatch):
    workers()
    make_key(make_application(make_tenant("acme")))
    state.client().flushall()
    monkeypatch.setattr(publisher, "INLINE", 0)
    with pytest.raises(PublicationFailed, match="the reconciler"):
        publish_pending()
    reconcile()
    assert publish_pending()[0] == 3


def test_two_refills_at_once_are_one(valkey, workers):
    workers()
    state.client().set(redis_names.MISTRUST, 2)
    first = publisher.refill()
    assert publisher.refill() == first == (3, Epoch.objects.get().n)


def test_a_frozen_redis_is_waited_for_with_the_lease_and_nothing_is_lost(valkey, workers):
    worker = workers()
    api = make_api(make_tenant("platform"))
    key = make_key(make_application(make_tenant("acme"))).key
    wait_for_receipt()
    assert worker.lookup(key.digest).state == "active"
    valkey.send(signal.SIGSTOP)
    try:
        wait_until(lambda: not worker.subscriber.connected)
        assert worker.config.credential(key.digest).state == "active"
        with pytest.raises(CredentialUnknown):
            worker.lookup("00" * 32)
        catalog.api_retire(actor=PLATFORM, api=api)  # the console works
        assert served(worker)
    finally:
        valkey.send(signal.SIGCONT)
    reconcile()
    wait_until(lambda: served(worker) is None)
    assert worker.config.incarnation == 2


def test_reconciling_without_redis_says_so_and_goes_on(valkey, caplog):
    valkey.kill()
    reconcile()
    assert "not reconciled" in caplog.text
    valkey.start()
    reconcile()
    assert state.redis_state(state.client()).n == Epoch.objects.get().n


@pytest.mark.parametrize(
    ("happened", "level", "why"),
    [
        ("first start", "INFO", "for the first time"),
        ("upgrade", "INFO", "an older version wrote it"),
        ("loss", "WARNING", "came back empty"),
        ("foreign", "WARNING", "not this installation's"),
        ("older database", "WARNING", "don't continue each other"),
    ],
)
def test_what_is_written_anew_says_why_and_is_a_warning_only_where_something_was_lost(
    valkey, caplog, happened: str, level: str, why: str
):
    redis = state.client()
    if happened != "first start":
        publish_pending()
    if happened == "upgrade":
        redis.hdel(redis_names.EPOCH, "edition")
    elif happened == "loss":
        redis.flushall()
    elif happened == "foreign":
        redis.hset(redis_names.EPOCH, "proof", b"rubbish")
    elif happened == "older database":
        redis.hincrby(redis_names.EPOCH, "n", 7)
    caplog.clear()
    with caplog.at_level("INFO", logger="apps.fleet.publisher"):
        publish_pending()
    said = [record for record in caplog.records if "writing the state" in record.getMessage()]
    assert [record.levelname for record in said] == [level]
    assert why in said[0].getMessage()

"""From a service's commit to what every worker knows."""

import asyncio
import threading
from typing import Any

import pytest
from django.db import connection

from apps.access import services as access
from apps.audit.models import Entry, Epoch
from apps.audit.services import change
from apps.cachestore.purges import purge
from apps.catalog import services as catalog
from apps.fleet import publisher, state, tasks
from apps.fleet.publisher import PublicationFailed, publish_pending
from apps.fleet.receipts import wait_for_receipt
from apps.fleet.tasks import reconcile
from apps.foundation.hooks import Hook
from apps.gateway.config.worker_config import UNKNOWN
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.wire import redis_names
from tests.support.cast import make_api, make_application, make_key, make_plan, make_subscription, make_tenant
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def served(worker: Any, path: bytes = b"/products/1") -> Any:
    return worker.config.route(b"localhost", path)


def test_a_published_api_is_routed_by_every_worker(valkey, workers):
    one, two = workers(), workers()
    api = make_api(make_tenant("platform"))
    wait_until(lambda: served(one) and served(two))
    assert served(one).slug == "products"
    assert served(one).upstreams[0].url == "http://127.0.0.1:9/"
    assert served(two).revision == api.revision
    assert one.config.epoch == Epoch.objects.get().n


def test_a_worker_that_starts_later_knows_everything(valkey, workers):
    make_api(make_tenant("platform"))
    plan = make_plan(rate_calls=10, rate_period=2.0, burst=None)
    worker = workers()
    assert served(worker).slug == "products"
    assert worker.config.plan(plan.slug).rate == 5.0
    assert worker.config.plan(plan.slug).burst == 10


def test_a_retired_api_is_routed_no_more(valkey, workers):
    worker = workers()
    api = make_api(make_tenant("platform"))
    wait_until(lambda: served(worker))
    catalog.api_retire(actor=PLATFORM, api=api)
    wait_until(lambda: served(worker) is None)


def test_a_draft_is_not_routed(valkey, workers):
    make_api(make_tenant("platform"), publish=False)
    make_api(make_tenant("acme"), slug="other")
    worker = workers()
    assert served(worker, b"/other/")
    assert served(worker) is None


def test_a_subscription_of_an_application_reaches_its_keys(valkey, workers):
    worker = workers()
    api, acme = make_api(make_tenant("platform")), make_tenant("acme")
    application = make_application(acme)
    digest = make_key(application).key.digest
    wait_until(lambda: worker.config.epoch == Epoch.objects.get().n)
    assert worker.lookup(digest).grants == {}
    subscription = make_subscription(application, api)
    wait_until(lambda: worker.config.credential(digest) is None)
    grant = worker.lookup(digest).grants["products"]
    assert (grant.subscription, grant.plan, grant.state) == (subscription.pk, "standard", "active")
    access.subscription_suspend(actor=PLATFORM, subscription=subscription)
    wait_until(lambda: worker.config.credential(digest) is None)
    assert worker.lookup(digest).grants["products"].state == "suspended"
    subscription.refresh_from_db()
    access.subscription_revoke(actor=PLATFORM, subscription=subscription)
    wait_until(lambda: worker.config.credential(digest) is None)
    assert worker.lookup(digest).grants == {}


def test_a_revoked_key_is_dropped_by_all_workers(valkey, workers):
    one, two = workers(), workers()
    key = make_key(make_application(make_tenant("acme"))).key
    assert {worker.lookup(key.digest).state for worker in (one, two)} == {"active"}
    access.key_revoke(actor=PLATFORM, key=key)
    wait_until(lambda: one.config.credential(key.digest) is None and two.config.credential(key.digest) is None)
    assert {worker.lookup(key.digest).state for worker in (one, two)} == {"revoked"}


def test_the_keys_of_a_suspended_tenant_say_so(valkey, workers):
    worker = workers()
    acme = make_tenant("acme")
    digest = make_key(make_application(acme)).key.digest
    assert worker.lookup(digest).state == "active"
    tenants.tenant_suspend(actor=PLATFORM, tenant=acme)
    wait_until(lambda: worker.config.credential(digest) is None)
    assert worker.lookup(digest).state == "tenant_suspended"
    acme.refresh_from_db()
    tenants.tenant_resume(actor=PLATFORM, tenant=acme)
    wait_until(lambda: worker.config.credential(digest) is None)
    assert worker.lookup(digest).state == "active"


def test_a_deleted_application_takes_its_keys_along(valkey, workers):
    worker = workers()
    application = make_application(make_tenant("acme"))
    digest = make_key(application).key.digest
    assert worker.lookup(digest).state == "active"
    access.application_delete(actor=PLATFORM, application=application)
    wait_until(lambda: worker.config.credential(digest) is None)
    assert worker.lookup(digest) is UNKNOWN


@pytest.mark.parametrize("refilled", [False, True])
def test_a_look_up_that_a_revocation_overtakes_is_made_again(valkey, workers, monkeypatch, refilled):
    worker = workers()
    key = make_key(make_application(make_tenant("acme"))).key
    wait_for_receipt()
    ask, answers, release = worker.subscriber._ask_redis, [], asyncio.Event()

    async def slow(digest: str) -> Any:
        found = await ask(digest)
        answers.append(found)
        if len(answers) == 1:
            await release.wait()
        return found

    monkeypatch.setattr(worker.subscriber, "_ask_redis", slow)
    asked = asyncio.run_coroutine_threadsafe(worker.subscriber.lookup(key.digest), worker._loop)
    wait_until(lambda: answers)
    if refilled:
        state.client().set(redis_names.MISTRUST, 2)
    access.key_revoke(actor=PLATFORM, key=key)
    assert wait_for_receipt().complete
    worker._loop.call_soon_threadsafe(release.set)
    assert asked.result(10).state == "revoked"
    assert [answer.state for answer in answers] == ["active", "revoked"]
    assert worker.config.credential(key.digest).state == "revoked"


def test_callers_of_one_key_share_one_question(valkey, workers, monkeypatch):
    worker = workers()
    key = make_key(make_application(make_tenant("acme"))).key
    wait_for_receipt()
    ask, asked = worker.subscriber._ask_redis, []

    async def counted(digest: str) -> Any:
        asked.append(digest)
        return await ask(digest)

    async def fifty() -> list[Any]:
        return await asyncio.gather(*(worker.subscriber.lookup(key.digest) for _ in range(50)))

    monkeypatch.setattr(worker.subscriber, "_ask_redis", counted)
    assert {found.key_id for found in worker.run(fifty())} == {key.pk}
    assert asked == [key.digest]
    assert worker.subscriber._flights == {}


def test_a_flood_of_keys_that_nobody_has_opens_few_connections(valkey, workers):
    worker = workers()

    async def flood() -> set[Any]:
        return set(await asyncio.gather(*(worker.subscriber.lookup(f"{number:064x}") for number in range(500))))

    before = state.client().info("clients")["connected_clients"]
    assert worker.run(flood()) == {UNKNOWN}
    assert state.client().info("clients")["connected_clients"] - before <= 16
    assert worker.config.credential(f"{7:064x}") is UNKNOWN


def test_a_change_that_gateways_need_not_hear_of_still_moves_the_epoch(valkey, workers):
    worker = workers()
    tenants.tenant_update(actor=PLATFORM, tenant=make_tenant("acme"), name="Acme Inc.")
    assert Entry.objects.first().affects == []
    publish_pending()
    wait_until(lambda: worker.config.epoch == Epoch.objects.get().n)


def test_what_a_process_that_died_after_its_commit_left_behind_is_published(valkey, workers, monkeypatch):
    worker = workers()
    with monkeypatch.context() as patch:
        patch.setattr("apps.audit.services.committed", Hook())  # on_commit never came
        make_api(make_tenant("platform"))
    assert served(worker) is None
    reconcile()
    wait_until(lambda: served(worker))


def test_a_long_backlog_goes_in_batches(valkey, workers, monkeypatch):
    publish_pending()
    monkeypatch.setattr(publisher, "ENTRIES", 3)
    with monkeypatch.context() as patch:
        patch.setattr("apps.audit.services.committed", Hook())
        platform = make_tenant("platform")
        for number in range(5):
            make_api(platform, slug=f"api{number}")
    before = len(state.client().xrange(redis_names.EVENTS))
    assert publish_pending() == (2, Epoch.objects.get().n)
    assert len(state.client().xrange(redis_names.EVENTS)) - before == 4  # 11 entries, 3 at a time
    worker = workers()
    assert len(worker.config.snapshot.routes) == 5


def test_a_change_of_many_keys_goes_in_steps_and_has_workers_look_all_of_them_up(valkey, workers, monkeypatch):
    monkeypatch.setattr("apps.fleet.compile.CHUNK", 2)
    monkeypatch.setattr("apps.wire.events.MOST_DIGESTS", 4)
    worker = workers()
    acme = make_tenant("acme")
    application = make_application(acme)
    digests = [make_key(application, name=f"key{number}").key.digest for number in range(5)]
    assert {worker.lookup(digest).state for digest in digests} == {"active"}
    tenants.tenant_suspend(actor=PLATFORM, tenant=acme)
    wait_until(lambda: worker.config.credential(digests[0]) is None)
    assert {worker.lookup(digest).state for digest in digests} == {"tenant_suspended"}
    assert state.redis_state(state.client()).step == 0


def test_a_publisher_that_died_in_the_middle_of_a_large_change_is_taken_over(valkey, workers, monkeypatch):
    monkeypatch.setattr("apps.fleet.compile.CHUNK", 1)
    acme = make_tenant("acme")
    application = make_application(acme)
    digests = [make_key(application, name=f"key{number}").key.digest for number in range(3)]
    worker = workers()
    whole_push = state.push
    calls = []

    def dies_after_one(redis: Any, *arguments: Any, **options: Any) -> bool:
        calls.append(1)
        if len(calls) == 2:
            raise SystemExit
        return whole_push(redis, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(state, "push", dies_after_one)
        with pytest.raises(SystemExit):
            tenants.tenant_suspend(actor=PLATFORM, tenant=acme)
    assert state.redis_state(state.client()).step == 1
    reconcile()
    assert state.redis_state(state.client()).step == 0
    assert {worker.lookup(digest).state for digest in digests} == {"tenant_suspended"}


def test_a_very_large_change_is_left_to_the_reconciler(valkey, workers, monkeypatch):
    monkeypatch.setattr("apps.fleet.compile.CHUNK", 1)
    acme = make_tenant("acme")
    application = make_application(acme)
    digests = [make_key(application, name=f"key{number}").key.digest for number in range(3)]
    worker = workers()
    with monkeypatch.context() as patch:
        patch.setattr(publisher, "PATIENCE", 0.0)
        tenants.tenant_suspend(actor=PLATFORM, tenant=acme)
        with pytest.raises(PublicationFailed, match="very many keys"):
            publish_pending()
    reconcile()
    assert wait_for_receipt().complete
    assert {worker.lookup(digest).state for digest in digests} == {"tenant_suspended"}


def test_what_was_compiled_before_somebody_else_published_is_not_written(valkey):
    """Two publishers: the slower one read the epoch, compiled, and comes too late."""
    publish_pending()
    platform = make_tenant("platform")
    publish_pending()
    redis = state.client()
    slow = state.redis_state(redis)
    api = make_api(platform)
    publish_pending()
    old = state.client().hget(redis_names.parts(slow.incarnation), "api:products")
    assert not state.push(redis, slow, {"api:products": None}, {}, n=slow.n + 1)
    assert state.client().hget(redis_names.parts(slow.incarnation), "api:products") == old
    assert state.redis_state(redis).n == Epoch.objects.get().n
    assert api.slug == "products"


def test_many_publishers_at_once_agree(valkey, workers, monkeypatch):
    worker = workers()
    with monkeypatch.context() as patch:
        patch.setattr("apps.audit.services.committed", Hook())
        platform = make_tenant("platform")
        for number in range(15):
            make_api(platform, slug=f"api{number}")
    monkeypatch.setattr(publisher, "ENTRIES", 1)
    goal = Epoch.objects.get().n
    together = threading.Barrier(4)
    ends: list[object] = []

    def publish() -> None:
        together.wait()
        while True:
            try:
                ends.append(publish_pending())
                break
            except PublicationFailed:
                continue  # others were faster all the time
            except Exception as error:
                ends.append(error)
                break
        connection.close()

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [(2, goal)] * 4
    wait_until(lambda: len(worker.config.snapshot.routes) == 15)
    events = [int(fields[b"n"]) for _, fields in state.client().xrange(redis_names.EVENTS)]
    assert events == list(range(goal + 1))  # each change once, in order
    assert Epoch.objects.get().incarnation == 2  # filled once, and never needlessly again


def test_a_change_of_a_kind_that_only_a_newer_version_knows_is_not_lost_and_said_in_a_sentence(valkey, caplog):
    publish_pending()
    with change(actor=None, verb="x", target_type="x") as noted:
        noted.affect("planet", "earth")
    with pytest.raises(PublicationFailed, match=r"'planet'.* A newer version made this change"):
        publish_pending()
    reconcile()
    assert "stop those of this version" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_table_of_purges_that_fills_fast_is_folded_at_once(valkey, monkeypatch):
    monkeypatch.setattr(tasks, "MAX_ROWS", 10)
    folded: list[Any] = []
    monkeypatch.setattr(tasks, "fold", lambda client, now: folded.append(now))
    reconcile()
    reconcile()
    assert len(folded) == 1  # the hourly one
    purge(state.client(), [f"k:products:{number}" for number in range(16)])
    reconcile()
    assert len(folded) == 2

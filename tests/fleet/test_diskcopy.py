"""A gateway that starts with Redis and the database down, and never trusts the copy for longer than the lease that is left."""

import signal
import time
from typing import Any

import pytest

from apps.access import services as access
from apps.cachestore.purges import fold, purge
from apps.catalog import services as catalog
from apps.fleet import state
from apps.fleet.receipts import wait_for_receipt
from apps.fleet.tasks import reconcile
from apps.gateway.config import disk_copy, trust_lease
from apps.gateway.config.disk_copy import DiskCopyReader, DiskCopyWriter
from apps.gateway.config.subscriber import CredentialUnknown
from apps.gateway.config.worker_config import UNKNOWN
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.wire import redis_names
from tests.fleet.conftest import caught_up
from tests.support.cast import make_api, make_application, make_key, make_plan, make_tenant
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def disk(tmp_path) -> Any:
    reader = DiskCopyReader(tmp_path / "copy")
    yield reader
    reader.close()


def served(worker: Any, path: bytes = b"/products/1") -> Any:
    return worker.config.route(b"localhost", path)


def down(valkey: Any, agent: Any) -> None:
    """Redis dies, and then the agent ends: LMDB's file is opened once per process, and the tests are one."""
    caught_up(agent)
    wait_until(lambda: agent.writer.connected and agent.writer._stamped)
    valkey.kill()
    agent.stop()


def test_a_worker_starts_from_the_disk_copy_with_everything_down(valkey, workers, agents, disk):
    agent = agents()
    make_api(make_tenant("platform"))
    make_plan("gold", rate_calls=7)
    key = make_key(make_application(make_tenant("acme"))).key
    clock = purge(state.client(), ["api:products", "x" * 2000])
    wait_until(lambda: agent.writer._meta and agent.writer._meta.clock == clock)
    down(valkey, agent)
    worker = workers(disk=disk)
    assert worker.config.loaded
    assert served(worker).slug == "products"
    assert worker.config.plan("gold").rate == 7
    assert worker.config.purges.clock == clock
    assert worker.config.purges._hard == {"api:products": clock, "x" * 2000: clock}
    assert worker.lookup(key.digest).state == "active"
    assert worker.config.credential(key.digest).application == "acme/bot"
    assert worker.config.ready(time.monotonic())


def test_a_restart_inherits_what_is_left_of_the_lease(valkey, workers, agents, disk):
    agent = agents()
    down(valkey, agent)
    contact = agent.writer._meta.contact
    worker = workers(disk=disk, lease=900.0)
    assert worker.config.trust_lease.contact == contact
    now = time.monotonic()
    assert worker.config.trust_lease.left(now) == pytest.approx(contact + 900 - now)
    late = contact + 901
    assert not worker.config.trust_lease.valid(late)
    assert not worker.config.ready(late)
    assert served(worker) is None
    again = workers(disk=disk, lease=900.0)
    assert again.config.trust_lease.ends == worker.config.trust_lease.ends, "never a new one"


def test_nothing_is_inherited_from_another_boot(valkey, workers, agents, disk, monkeypatch):
    agent = agents()
    make_api(make_tenant("platform"))
    down(valkey, agent)
    monkeypatch.setattr(trust_lease, "boot_id", lambda: "another")
    worker = workers(disk=disk)
    assert served(worker), "calls without credentials are answered"
    assert not worker.config.trust_lease.valid(time.monotonic())


def test_the_copy_is_not_asked_about_keys_when_the_worker_knows_of_later_changes(valkey, workers, agents, disk):
    """The copy may still hold a key that the worker heard being revoked."""
    agent = agents()
    worker = workers(disk=disk)
    key = make_key(make_application(make_tenant("acme"))).key
    caught_up(agent)
    agent.stop()
    access.key_revoke(actor=PLATFORM, key=key)
    assert wait_for_receipt().complete
    valkey.kill()
    wait_until(lambda: not worker.subscriber.connected)
    with pytest.raises(CredentialUnknown):
        worker.lookup(key.digest)


def test_a_key_that_the_copy_does_not_have_is_unavailable_and_not_unknown(valkey, workers, agents, disk):
    agent = agents()
    down(valkey, agent)
    worker = workers(disk=disk)
    with pytest.raises(CredentialUnknown):
        worker.lookup("00" * 32)


def test_the_copy_follows_changes_revocations_and_deletions(valkey, workers, agents, disk):
    agent = agents()
    platform = make_tenant("platform")
    api, other = make_api(platform), make_api(platform, slug="other")
    application = make_application(make_tenant("acme"))
    revoked, deleted = make_key(application).key, make_key(make_application(platform, slug="old")).key
    caught_up(agent)
    catalog.api_retire(actor=PLATFORM, api=other)
    access.key_revoke(actor=PLATFORM, key=revoked)
    access.application_delete(actor=PLATFORM, application=deleted.application)
    catalog.api_update(actor=PLATFORM, api=api, retries=2)
    down(valkey, agent)
    worker = workers(disk=disk)
    assert served(worker).retries == 2
    assert served(worker, b"/other/") is None
    assert worker.lookup(revoked.digest).state == "revoked"
    with pytest.raises(CredentialUnknown):
        worker.lookup(deleted.digest)


def test_a_change_of_very_many_keys_reaches_the_copy(valkey, workers, agents, disk, monkeypatch):
    monkeypatch.setattr("apps.wire.events.MOST_DIGESTS", 2)
    agent = agents()
    acme = make_tenant("acme")
    application = make_application(acme)
    digests = [make_key(application, name=f"key{number}").key.digest for number in range(4)]
    caught_up(agent)
    tenants.tenant_suspend(actor=PLATFORM, tenant=acme)
    down(valkey, agent)
    worker = workers(disk=disk)
    assert {worker.lookup(digest).state for digest in digests} == {"tenant_suspended"}


def test_an_agent_that_restarts_goes_on_where_it_stopped(valkey, workers, agents, disk, monkeypatch):
    agent = agents()
    make_api(make_tenant("platform"))
    caught_up(agent)
    agent.stop()
    make_tenant("acme")
    make_api(make_tenant("globex"), slug="other")
    loads: list[int] = []
    monkeypatch.setattr(DiskCopyWriter, "load", lambda self, *_: loads.append(1))
    again = agents()
    down(valkey, again)
    assert loads == []
    assert served(workers(disk=disk), b"/other/1").slug == "other"


def test_the_copy_goes_over_to_a_new_incarnation_and_forgets_the_old(valkey, workers, agents, disk):
    agent = agents()
    key = make_key(make_application(make_tenant("acme"))).key
    caught_up(agent)
    state.client().flushall()
    access.key_revoke(actor=PLATFORM, key=key)
    caught_up(agent)

    def kept() -> int:
        with agent.writer._environment.begin() as transaction:
            return transaction.stat(agent.writer._tables[b"keys"])["entries"]

    wait_until(lambda: kept() == 1)  # the old generation goes after the new one is in use
    down(valkey, agent)
    worker = workers(disk=disk)
    assert worker.config.incarnation == 3
    assert worker.lookup(key.digest).state == "revoked"


def test_folded_purges_leave_the_copy(valkey, workers, agents, disk):
    agent = agents()
    for number in range(6):
        purge(state.client(), [f"tag:{number}"])
    fold(state.client(), time.time(), max_rows=4)
    clock = purge(state.client(), ["tag:last"])
    wait_until(lambda: agent.writer._meta and agent.writer._meta.clock == clock)
    rows = set(state.client().hgetall(redis_names.PURGES))
    down(valkey, agent)
    assert set(disk.load().purges) == rows


def test_the_agent_is_a_witness_when_redis_comes_back_older(valkey, workers, agents):
    """No worker runs; the copy alone knows that something was lost."""
    agent = agents()
    caught_up(agent)
    agent.stop()
    redis = state.client()
    redis.hincrby(redis_names.EPOCH, "seq", -1)
    again = agents()
    wait_until(lambda: redis.get(redis_names.MISTRUST))
    reconcile()
    wait_until(lambda: again.writer.position and again.writer.position.incarnation == 3)


def test_a_damaged_copy_is_made_anew(valkey, workers, agents, disk, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "data.mdb").write_bytes(b"not a database" * 1000)
    make_api(make_tenant("platform"))
    agent = agents()
    down(valkey, agent)
    assert served(workers(disk=disk))


def test_without_redis_and_without_a_copy_nothing_is_known_and_nothing_raises(valkey, workers, tmp_path):
    valkey.kill()
    reader = DiskCopyReader(tmp_path / "nowhere")
    worker = workers(disk=reader, start=False)
    assert worker.start(timeout=0.5) is False
    assert not worker.config.loaded
    assert not worker.config.ready(time.monotonic())
    with pytest.raises(CredentialUnknown):
        worker.lookup("00" * 32)
    valkey.start()
    wait_until(lambda: worker.config.loaded)


def test_a_copy_that_is_not_complete_is_not_used(valkey, workers, agents, disk, monkeypatch):
    async def half(self: Any, client: Any, generation: int) -> None:
        raise OSError("the disk is full")

    make_api(make_tenant("platform"))
    with monkeypatch.context() as patch:
        patch.setattr(DiskCopyWriter, "_load_purges", half)
        agent = agents()
        wait_until(lambda: agent.writer._environment.stat()["entries"] and not agent.writer.connected)
        agent.stop()
    assert disk.load() is None


def test_a_worker_that_started_from_the_copy_catches_up_when_redis_is_back(valkey, workers, agents, disk):
    agent = agents()
    make_api(make_tenant("platform"))
    down(valkey, agent)
    worker = workers(disk=disk)
    valkey.start()
    key = make_key(make_application(make_tenant("acme"))).key
    reconcile()
    wait_until(lambda: worker.subscriber.connected and worker.config.epoch == state.redis_state(state.client()).n)
    assert worker.config.incarnation == 2
    assert worker.lookup(key.digest).state == "active"
    assert worker.lookup("00" * 32) is UNKNOWN


def test_a_frozen_redis_at_the_start_means_the_copy(valkey, workers, agents, disk):
    agent = agents()
    make_api(make_tenant("platform"))
    caught_up(agent)
    agent.stop()
    valkey.send(signal.SIGSTOP)
    try:
        assert served(workers(disk=disk))
    finally:
        valkey.send(signal.SIGCONT)


def test_old_generations_are_deleted_in_bounded_batches(valkey, workers, agents, monkeypatch):
    monkeypatch.setattr(disk_copy, "BATCH", 2)
    application = make_application(make_tenant("acme"))
    for number in range(5):
        make_key(application, name=f"key{number}")
    agent = agents()
    caught_up(agent)
    state.client().flushall()
    reconcile()
    caught_up(agent)

    def entries() -> int:
        with agent.writer._environment.begin() as transaction:
            return transaction.stat(agent.writer._tables[b"keys"])["entries"]

    wait_until(lambda: entries() == 5)


def test_what_a_key_is_limited_to_reaches_the_workers_and_the_copy(valkey, workers, agents, disk):
    agent = agents()
    platform, application = make_tenant("platform"), make_application(make_tenant("acme"))
    make_api(platform)
    make_api(platform, slug="other")
    key = make_key(application).key
    caught_up(agent)
    worker = workers()
    assert worker.lookup(key.digest).is_for("other")
    access.key_update(actor=PLATFORM, key=key, apis=["products"])
    assert wait_for_receipt().complete
    assert not worker.lookup(key.digest).is_for("other")
    down(valkey, agent)
    again = workers(disk=disk)
    assert [again.lookup(key.digest).is_for(slug) for slug in ("products", "other")] == [True, False]

"""A worker that starts serves nothing older than what a receipt named, and receipts say that it starts."""

import signal
import threading
import time
from typing import Any

import pytest

from apps.access import services as access
from apps.cachestore.purges import purge
from apps.catalog import services as catalog
from apps.fleet import state
from apps.fleet.publisher import publish_pending
from apps.fleet.receipts import ReceiptCount, wait_for_receipt
from apps.fleet.services import forget_the_dead
from apps.gateway.config.disk_copy import DiskCopyReader
from apps.gateway.config.worker_config import UNKNOWN
from apps.tenants.actors import PLATFORM
from apps.wire import redis_names
from apps.wire.worker_reports import ReceivedCopyReport, read_fleet
from tests.support.cast import make_api, make_application, make_key, make_tenant
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def disk(tmp_path: Any) -> Any:
    reader = DiskCopyReader(tmp_path / "gateway" / "copy")
    yield reader
    reader.close()


def copies() -> list[ReceivedCopyReport]:
    return read_fleet(state.client()).copies


def copied(disk: DiskCopyReader) -> None:
    """Wait until the disk copy may be trusted and holds all that there is."""
    publish_pending()
    reader = DiskCopyReader(disk._path)

    def there() -> bool:
        held, copy = state.redis_state(state.client()), reader.load()
        return bool(held and copy and copy.boot and (copy.position.incarnation, copy.position.n) == held[:2])

    wait_until(there, what="the disk copy is up to date")
    reader.close()


class Stop:
    """Stops a worker right after it has read the configuration from Redis, before anybody hears of it."""

    def __init__(self, worker: Any) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.versions: list[int] = []
        load, moved = worker.subscriber.load, worker.config.moved

        async def load_and_stop(*arguments: Any) -> None:
            await load(*arguments)
            self.reached.set()
            self.go_on.wait(20)

        def note(position: Any) -> None:
            moved(position)
            self.versions.append(position.n)

        worker.subscriber.load = load_and_stop
        worker.config.moved = note


def test_a_receipt_says_how_many_more_are_starting_and_does_not_wait_for_them(valkey, workers):
    make_api(make_tenant("platform"))
    workers()
    late = workers(start=False)
    stop = Stop(late)
    starting = threading.Thread(target=late.start)
    starting.start()
    stop.reached.wait(10)
    receipt = wait_for_receipt()
    assert (receipt.workers, receipt.in_force, receipt.starting, receipt.complete) == (1, 1, 1, True)
    assert receipt.sentence.startswith("in force on 1 of 1 worker, slowest ")
    assert receipt.sentence.endswith("; 1 more is starting")
    stop.go_on.set()
    starting.join()
    again = wait_for_receipt()
    assert (again.workers, again.in_force, again.starting) == (2, 2, 0)


def test_what_a_worker_read_before_a_receipt_is_not_served_after_it(valkey, workers):
    """No credential is needed for this one: the trust lease doesn't guard it."""
    api = make_api(make_tenant("platform"))
    late = workers(start=False)
    stop = Stop(late)
    starting = threading.Thread(target=late.start)
    starting.start()
    stop.reached.wait(10)
    catalog.api_unpublish(actor=PLATFORM, api=api)
    receipt = wait_for_receipt()
    assert receipt.complete
    assert receipt.sentence == "in force as soon as a gateway runs; 1 is starting"
    assert not late.config.loaded
    stop.go_on.set()
    starting.join()
    wait_until(lambda: late.config.loaded)
    assert stop.versions[0] >= receipt.epoch
    assert late.config.route(b"localhost", b"/products/1") is None


def test_a_worker_that_starts_from_the_disk_copy_is_counted_though_nobody_hears_it(
    valkey, workers, agent_processes, disk, tmp_path
):
    """The worker can't reach Redis, and everybody else can."""
    key = make_key(make_application(make_tenant("acme"))).key
    agent_processes()
    copied(disk)
    socket = tmp_path / "later.sock"
    late = workers(disk=disk, url=f"unix://{socket}")
    assert late.lookup(key.digest).state == "active"
    access.key_revoke(actor=PLATFORM, key=key)
    receipt = wait_for_receipt(timeout=1.0)
    # It goes on to serve the key, and so the receipt must not say otherwise.
    assert late.config.credential(key.digest) is not UNKNOWN
    assert not receipt.complete
    assert receipt.exit_status == 3
    assert receipt.copies_behind == 1
    assert "; a disk copy is behind, everywhere by " in receipt.sentence
    assert receipt.everywhere_by is not None
    assert receipt.everywhere_by.timestamp() >= time.time() + late.config.trust_lease.left(time.monotonic())
    socket.symlink_to(valkey.url.removeprefix("unix://"))
    wait_until(lambda: late.subscriber.connected)
    assert wait_for_receipt().sentence.startswith("in force on 1 of 1 worker, slowest ")
    assert late.lookup(key.digest) is UNKNOWN or late.lookup(key.digest).state != "active"


def test_a_worker_that_reads_the_disk_copy_after_a_receipt_has_its_change(
    valkey, workers, agent_processes, disk, tmp_path
):
    key = make_key(make_application(make_tenant("acme"))).key
    agent_processes()
    copied(disk)
    access.key_revoke(actor=PLATFORM, key=key)
    assert wait_for_receipt().complete
    late = workers(disk=disk, url=f"unix://{tmp_path / 'nothing.sock'}")
    assert late.config.trust_lease.valid(time.monotonic())
    assert late.config.epoch == state.redis_state(state.client()).n


def test_a_purge_waits_for_the_disk_copy_too(valkey, agent_processes, disk):
    process = agent_processes()
    copied(disk)
    process.process.send_signal(signal.SIGSTOP)
    clock = purge(state.client(), ["api:products"])
    assert not wait_for_receipt(purge_clock=clock, timeout=0.1).complete
    process.process.send_signal(signal.SIGCONT)
    assert wait_for_receipt(purge_clock=clock, timeout=10).complete


def test_a_copy_whose_agent_said_goodbye_is_trusted_by_nobody_and_not_waited_for(
    valkey, workers, agent_processes, disk, tmp_path
):
    key = make_key(make_application(make_tenant("acme"))).key
    process = agent_processes()
    copied(disk)
    process.stop()
    assert copies() == []
    access.key_revoke(actor=PLATFORM, key=key)
    assert wait_for_receipt(timeout=0.1).complete
    late = workers(disk=disk, url=f"unix://{tmp_path / 'nothing.sock'}")
    assert late.config.loaded
    assert not late.config.trust_lease.valid(time.monotonic())


def test_a_copy_whose_agent_was_killed_is_waited_for_until_its_trust_ends(valkey, agent_processes, disk):
    process = agent_processes()
    copied(disk)
    process.stop(signal.SIGKILL)
    make_tenant("acme")
    make_api(make_tenant("platform"))
    receipt = wait_for_receipt(timeout=0.1)
    assert (receipt.workers, receipt.copies_behind) == (0, 1)
    (copy,) = copies()
    assert copy.report.lease == 900
    row = bytes(state.client().hvals(redis_names.COPIES)[0])
    (name,) = state.client().hkeys(redis_names.COPIES)
    milliseconds, _, packed = row.partition(b" ")
    state.client().hset(redis_names.COPIES, name, b"%d %s" % (int(milliseconds) - 900_001, packed))
    assert wait_for_receipt(timeout=0.1).complete
    assert forget_the_dead(state.client()) == 0
    state.client().hset(redis_names.COPIES, name, b"%d %s" % (int(milliseconds) - 1_600_000, packed))
    assert forget_the_dead(state.client()) == 1
    assert copies() == []


def test_an_agent_says_how_many_workers_are_missing(valkey, workers, agent_processes, disk):
    agent_processes("--workers", "2")
    copied(disk)
    workers()
    receipt = wait_for_receipt()
    assert (receipt.workers, receipt.in_force, receipt.starting) == (1, 1, 1)
    workers()
    assert wait_for_receipt().starting == 0


def test_sentences_about_starting_workers():
    def receipt(**changed: Any) -> str:
        values = {"incarnation": 1, "epoch": 2, "workers": 0, "in_force": 0, "slowest_ms": None, "everywhere_by": None}
        return ReceiptCount(**{**values, **changed}).sentence

    assert receipt() == "in force as soon as a gateway runs; none does"
    assert receipt(starting=2) == "in force as soon as a gateway runs; 2 are starting"
    assert receipt(workers=1, in_force=1, slowest_ms=2.5) == "in force on 1 of 1 worker, slowest 3 ms"
    assert receipt(workers=1, in_force=1, slowest_ms=2.5, starting=1).endswith("slowest 3 ms; 1 more is starting")

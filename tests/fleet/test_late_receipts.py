"""Purges by messages have a receipt too, though nobody waited for it."""

from datetime import timedelta

from django.utils import timezone

from apps.caching.models import Purge
from apps.invalidation import message_inbox
from apps.invalidation.choices import MessageSource
from apps.invalidation.receipts import note_receipts
from tests.support.cast import make_api, make_tenant
from tests.support.waiting import wait_until

BODY = b'{"api": "products", "kind": "api"}'


def test_a_purge_by_message_gets_its_receipt_when_every_worker_knows(valkey, workers):
    make_api(make_tenant("platform"))
    both = [workers(), workers()]
    (purge,) = message_inbox.take(BODY, source=MessageSource.QUEUE).purges
    assert purge.workers == 0
    wait_until(note_receipts)
    purge.refresh_from_db()
    assert (purge.workers, purge.in_force, purge.slowest_ms) == (2, 2, None)
    assert all(worker.config.purges.clock >= purge.clock for worker in both)
    assert note_receipts() == 0


def test_while_one_worker_hangs_there_is_none(valkey, workers):
    make_api(make_tenant("platform"))
    quick, slow = workers(), workers()
    slow.freeze()
    (purge,) = message_inbox.take(BODY, source=MessageSource.QUEUE).purges
    wait_until(lambda: quick.config.purges.clock >= purge.clock)
    assert note_receipts() == 0
    slow.thaw()
    wait_until(note_receipts)


def test_without_workers_and_after_a_while_nobody_looks(valkey, transactional_db):
    make_api(make_tenant("platform"))
    message_inbox.take(BODY, source=MessageSource.QUEUE)
    assert note_receipts() == 0
    Purge.objects.update(at=timezone.now() - timedelta(minutes=3))
    assert note_receipts() == 0

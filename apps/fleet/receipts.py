"""Receipts: on how many workers a change is in force, measured by what they say of themselves."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from apps.audit.models import Entry
from apps.fleet import models, state
from apps.fleet.publisher import PublicationFailed, current_epoch, publish_pending
from apps.wire import redis_names
from apps.wire.redis_client import AWAY
from apps.wire.worker_reports import CopyReport, ReceivedCopyReport, ReceivedReport, Report, read_fleet

SETTLING = 3.0
"""Seconds that workers have, after a refill, to say that they are there: an emptied Redis has forgotten them."""

pause_for = time.sleep

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.02
"""Seconds between two looks at what the workers say."""


@dataclass(frozen=True)
class ReceiptCount:
    """``in_force`` of ``workers`` serve by the change; ``slowest_ms`` is how long the last of those took, from the
    asking.

    ``everywhere_by`` is when the last trust lease ends of those that didn't answer: from then on they serve no call
    with credentials until they have the change. ``None``: no worker is missing. ``copies_behind`` are disk copies
    among those: a worker that started from one, or starts now, may be as old as the copy. ``starting`` workers serve
    nothing yet; they will not serve anything older than the change (see ``worker_reports``), and no receipt waits for them.
    """

    incarnation: int
    epoch: int
    workers: int
    in_force: int
    slowest_ms: float | None
    everywhere_by: datetime | None
    copies_behind: int = 0
    starting: int = 0

    @property
    def complete(self) -> bool:
        """Whether it is in force on every worker."""
        return self.everywhere_by is None

    @property
    def exit_status(self) -> int:
        """Of a command that made the change."""
        return 0 if self.complete else 3

    @property
    def sentence(self) -> str:
        """For people."""
        if self.complete and not self.workers:
            return f"in force as soon as a gateway runs; {_are(self.starting) if self.starting else 'none does'}"
        said = f"in force on {self.in_force} of {self.workers} worker{'' if self.workers == 1 else 's'}"
        if self.everywhere_by is not None:
            if self.copies_behind:
                said += "; a disk copy is behind" if self.copies_behind == 1 else "; disk copies are behind"
            said += f", everywhere by {timezone.localtime(self.everywhere_by):%H:%M:%S}"
        else:
            said += f", slowest {math.ceil(self.slowest_ms or 0)} ms"
        return f"{said}; {_are(self.starting, 'more ')}" if self.starting else said


def _are(starting: int, more: str = "") -> str:
    return f"{starting} {more}{'is' if starting == 1 else 'are'} starting"


def wait_for_receipt(*, epoch: int | None = None, purge_clock: int | None = None, timeout: float = 5.0) -> ReceiptCount:
    """Publish what is pending and wait until every worker is at ``epoch`` (the database's present one by default)
    and, where given, at ``purge_clock``; at most ``timeout`` seconds. Call it after the commit. Never raises for an
    absent Redis.
    """
    started = time.monotonic()
    try:
        incarnation, present = publish_pending()
    except PublicationFailed:
        return _kept(_nowhere(epoch))
    waiting = _Waiting(incarnation, present if epoch is None else epoch, purge_clock, started)
    pause = FIRST_PAUSE
    while not waiting.look():
        left = started + timeout - time.monotonic()
        if left <= 0:
            break
        pause_for(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE)
    return _kept(waiting.receipt())


def receipt_of(entry: Entry) -> models.Receipt | None:
    """The first receipt that was made of a change, if somebody waited for one: that of a later change counts this one too."""
    rows = models.Receipt.objects.order_by("epoch", "at")
    return rows.filter(**{"epoch__gte" if entry.affects else "epoch": entry.epoch}).first()


class _Waiting:
    """One wait: what was asked for, and what the workers said last."""

    def __init__(self, incarnation: int, epoch: int, purge_clock: int | None, started: float) -> None:
        self._goal = incarnation, epoch
        self._purge_clock = purge_clock
        self._started = started
        self._expected = _workers_of_the_last_receipt()
        self._now = 0.0
        self._alive: Sequence[ReceivedReport] = ()
        self._missing: Sequence[ReceivedReport] = ()
        self._behind: Sequence[ReceivedCopyReport] = ()
        self._starting = 0
        self._answered: float | None = None
        self._away = False

    def look(self) -> bool:
        """Ask Redis what the workers say; whether there is nothing left to wait for."""
        redis = state.client()
        try:
            fleet = read_fleet(redis)
            filled = float(redis.hget(redis_names.EPOCH, "filled") or 0)
        except AWAY:
            self._away = True
            return False
        self._away = False
        self._now, self._starting = fleet.now, fleet.starting
        self._alive = [each for each in fleet.workers if each.lease_until > self._now]
        missing = [each for each in self._alive if not self._in_force(each)]
        if self._answered is None or len(missing) < len(self._missing):
            self._answered = time.monotonic() - self._started
        self._missing = missing
        trusted = (each for each in fleet.copies if each.lease_until > self._now)
        self._behind = [each for each in trusted if each.report.in_use or not self._knows(each.report)]
        settling = len(self._alive) < self._expected and self._now < filled + SETTLING
        return not missing and not self._behind and not settling

    def receipt(self) -> ReceiptCount:
        """What is known now."""
        if self._away:
            return _nowhere(self._goal[1])
        by = None
        if self._missing or self._behind:
            ends = [each.lease_until for each in self._missing] + [each.lease_until for each in self._behind]
            left = max(ends) - self._now
            by = timezone.now() + timedelta(seconds=left)
        in_force = len(self._alive) - len(self._missing)
        return ReceiptCount(
            incarnation=self._goal[0],
            epoch=self._goal[1],
            workers=len(self._alive),
            in_force=in_force,
            slowest_ms=self._answered * 1000 if in_force and self._answered is not None else None,
            everywhere_by=by,
            copies_behind=len(self._behind),
            starting=self._starting,
        )

    def _in_force(self, heard: ReceivedReport) -> bool:
        # A worker that refused a damaged value can't know whether it was this change's.
        return not heard.report.refused and self._knows(heard.report)

    def _knows(self, report: Report | CopyReport) -> bool:
        if (report.incarnation, report.n) < self._goal:
            return False
        # In a later incarnation everything stored before is dead, purged or not.
        return self._purge_clock is None or report.incarnation > self._goal[0] or report.clock >= self._purge_clock


def _nowhere(epoch: int | None) -> ReceiptCount:
    """The change couldn't be published, or no worker can be asked: every lease has ended one lease's length from now."""
    incarnation, present = current_epoch()
    return ReceiptCount(
        incarnation=incarnation,
        epoch=present if epoch is None else epoch,
        workers=_workers_of_the_last_receipt() or settings.GATEWAY_WORKERS,
        in_force=0,
        slowest_ms=None,
        everywhere_by=timezone.now() + timedelta(seconds=settings.TRUST_LEASE),
    )


def _workers_of_the_last_receipt() -> int:
    return models.Receipt.objects.values_list("workers", flat=True).first() or 0


def _kept(receipt: ReceiptCount) -> ReceiptCount:
    models.Receipt.objects.create(
        incarnation=receipt.incarnation,
        epoch=receipt.epoch,
        workers=receipt.workers,
        in_force=receipt.in_force,
        slowest_ms=receipt.slowest_ms,
        everywhere_by=receipt.everywhere_by,
    )
    return receipt

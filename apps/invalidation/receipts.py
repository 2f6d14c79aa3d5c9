"""Receipts of purges for which no process waited: those by messages, and by commands that were ended."""

from datetime import datetime, timedelta

from django.utils import timezone

from apps.caching.models import Purge
from apps.fleet import state
from apps.purging.services import receipt_note
from apps.wire.worker_reports import read

SOUGHT = timedelta(minutes=2)
"""How long after a purge its receipt is looked for."""
MOST = 500


def note_receipts(*, now: datetime | None = None) -> int:
    """Record on how many workers recent purges are in force, where that isn't recorded yet; how many got their receipt.

    How long the slowest worker took isn't known: it wasn't observed. Raises redis-py's errors.
    """
    since = (now or timezone.now()) - SOUGHT
    waiting = list(Purge.objects.filter(workers=0, at__gte=since).order_by("clock")[:MOST])
    if not waiting:
        return 0
    heard_at, heard = read(state.client())
    clocks = [each.report.clock for each in heard if each.lease_until > heard_at]
    done = [purge for purge in waiting if clocks and all(clock >= purge.clock for clock in clocks)]
    for purge in done:
        receipt_note(purge=purge, workers=len(clocks), in_force=len(clocks), slowest_ms=None)
    return len(done)

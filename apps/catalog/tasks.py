"""What the schedule does with the catalogue. Truth is the rows; a task only says: look."""

import logging
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from celery import shared_task
from django.db import DatabaseError
from django.utils import timezone

from apps.catalog.choices import HostMethod, HostState
from apps.catalog.host_proofs import ProofResult, find_proof
from apps.catalog.hosts import proof
from apps.catalog.models import HostName
from apps.catalog.selectors import may_be_proved_by_file
from apps.catalog.services.hosts import PATIENCE, host_prove
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from apps.tenants.egress import guard_of

AT_ONCE = 8
"""Names that are looked at side by side: waiting for others is all there is to it."""

OF_A_TENANT = 4
"""Names of one tenant in one round: whose name servers are slow waits alone."""

_SOONEST, _LATEST = timedelta(seconds=20), timedelta(hours=6)
_looking = threading.Lock()
_log = logging.getLogger(__name__)


@shared_task(name="catalog.check_hosts")
def check_hosts() -> None:
    """Every ten seconds: look for the proofs of claimed host names whose time has come.

    One thread of a process at a time: name servers that are slow must not keep all of Celery busy.
    """
    if not _looking.acquire(blocking=False):
        return
    try:
        check_due(timezone.now())
    except DatabaseError as error:
        _log.warning("Host names wait: the database is away (%s)", str(error).strip())
    finally:
        _looking.release()


def check_due(now: datetime) -> int:
    """Look at the names that are due, a few of each tenant, and note what was found. How many were looked at."""
    taken = [row for row in _due(now) if _take(row, now)]
    if not taken:
        return 0
    guards = {row.tenant_id: guard_of(row.tenant) for row in taken}
    by_file = {row.pk: may_be_proved_by_file(row) for row in taken}

    def look(row: HostName) -> ProofResult:
        return find_proof(row.host, proof(row.tenant, row.host), guards[row.tenant_id], by_file=by_file[row.pk])

    with ThreadPoolExecutor(min(AT_ONCE, len(taken))) as pool:
        found = list(pool.map(look, taken))
    for row, finding in zip(taken, found, strict=True):
        _note(row, finding)
    return len(taken)


def _due(now: datetime) -> list[HostName]:
    seen: Counter[int] = Counter()
    chosen = []
    due = HostName.objects.filter(state=HostState.PENDING, check_at__lte=now).select_related("tenant")
    for row in due.order_by("check_at")[:1000]:
        seen[row.tenant_id] += 1
        if seen[row.tenant_id] <= OF_A_TENANT:
            chosen.append(row)
    return chosen[: 4 * AT_ONCE]


def _take(row: HostName, now: datetime) -> bool:
    """Whether it is this task's to look: no other task took it, and it is due again later, the later the older the claim is."""
    age = now - row.created_at
    following = None if age > PATIENCE else now + min(max(age / 10, _SOONEST), _LATEST)
    mine = HostName.objects.filter(pk=row.pk, check_at=row.check_at).update(check_at=following, checked_at=now)
    return bool(mine)


def _note(row: HostName, finding: ProofResult) -> None:
    sentence = finding.sentence
    if finding.method is not None:
        try:
            host_prove(actor=PLATFORM, host=row, method=HostMethod(finding.method))
        except Conflict as error:
            sentence = str(error)
    HostName.objects.filter(pk=row.pk, state=HostState.PENDING).update(finding=sentence)

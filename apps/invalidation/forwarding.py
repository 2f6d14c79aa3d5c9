"""Purges told on to a CDN, after they are in force here: by Celery, again where it fails, with what became of it.

What people, the queue and webhooks purge is forwarded. What an unsafe call ends is not: it is for the CDN, which saw the
call too, to end what it has (RFC 9111 §4.4). Nor is what ends with a right: it was stored for one application, and no CDN
may have that.
"""

import logging
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Protocol

import httpx
from django.utils import timezone

from apps.caching.models import Purge
from apps.catalog.models import API
from apps.egress.outbound import OutboundRefused, client
from apps.egress.rules import Guard
from apps.invalidation.cdn_calls import call_for, values_of
from apps.invalidation.choices import ForwardingState
from apps.invalidation.models import CDN, Forwarding
from apps.purging.services import paths_of
from apps.tenants.egress import guards_of

PAUSES = (5, 30, 120, 600)
"""Seconds before each further try; after the last it has failed."""

CLAIMED = timedelta(seconds=60)
"""How long a process that tries has before another one does."""

AT_ONCE = 16
"""Calls at once."""

OF_A_TENANT = 2
"""Calls at once to one tenant's CDNs, whatever pace they have."""

TURN = 20.0
"""Seconds after which no more calls are begun: the next task goes on."""

LOOK_EVERY = 2.0
"""Seconds between two looks at what is due."""

OF_A_LOOK = 100
"""Purges of one tenant that a look finds."""

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which another try may help."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a CDN said. ``again``: another try may help."""

    ok: bool
    detail: str
    again: bool = False


class PurgeForwarder(Protocol):
    """Tells a purge to a cache in front of the gateways."""

    def forward(self, purge: Purge, api: API) -> Result:
        """Tell it, and return what came of it. Raises nothing."""


class HTTPForwarder:
    """Any CDN that is purged by an HTTP call: see ``cdn_calls``."""

    def __init__(self, cdn: CDN, http: httpx.Client) -> None:
        self._cdn = cdn
        self._http = http

    def forward(self, purge: Purge, api: API) -> Result:
        """One call; of its response only the status is kept."""
        paths = paths_of(api, purge.value) if purge.kind in ("path", "prefix") else (b"",)
        values = values_of(purge.kind, purge.value, paths[-1] if paths else b"", api.slug, soft=purge.soft)
        described = self._cdn.calls.get(purge.kind)
        if described is None:
            return Result(False, f"No call is described for {purge.kind} any more.")
        call = call_for(described, self._cdn.headers, self._cdn.base_url, values)
        try:
            with self._http.stream(call.method, call.url, headers=call.headers, content=call.body) as answer:
                status = answer.status_code
        except OutboundRefused as error:
            return Result(False, str(error))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Result(False, f"It can't be reached ({type(error).__name__}).", again=True)
        if 200 <= status < 300:
            return Result(True, f"It answered {status}.")
        return Result(False, f"It answered {status}.", again=status in AGAIN)


def note(api: API, purges: Sequence[Purge]) -> None:
    """Have those purges forwarded that the API's CDN can do. Called in their transaction."""
    calls = CDN.objects.filter(api=api).values_list("calls", flat=True).first()
    if calls:
        now = timezone.now()
        Forwarding.objects.bulk_create(
            [Forwarding(purge=purge, next_at=now) for purge in purges if purge.kind in calls]
        )


def forward_due(*, now: datetime | None = None) -> int:
    """Forward what is due, for ``TURN`` seconds at most; how many calls were made. Any number of processes may do it at once.

    ``now``: what counts as the present all the time; without, the clock.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return _Turn(pool, now).work()


class _Turn:
    """What is due is sent to CDNs side by side, but a tenant's by few calls at once: whose CDN is slow waits alone."""

    def __init__(self, pool: ThreadPoolExecutor, now: datetime | None) -> None:
        self._pool, self._now = pool, now
        self._due: dict[str, deque[Forwarding]] = {}  # by tenant
        self._under_way: dict[Future[Result], tuple[str, Forwarding]] = {}
        self._apis: dict[str, tuple[API, Guard]] = {}
        self._tried = 0

    def work(self) -> int:
        """Until nothing is due, or the time is over and the last call has ended. How many calls were made."""
        until = monotonic() + TURN
        look_at = 0.0
        while True:
            if (clock := monotonic()) < until:
                if clock >= look_at:
                    look_at = clock + LOOK_EVERY
                    self._look()
                self._begin()
            if not self._under_way:
                return self._tried
            ended, _ = wait(self._under_way, LOOK_EVERY, FIRST_COMPLETED)
            for future in ended:
                _, row = self._under_way.pop(future)
                _settle(row, future.result(), self._present())

    def _look(self) -> None:
        """See what is due, of each tenant the oldest."""
        due = Forwarding.objects.filter(state=ForwardingState.WAITING, next_at__lte=self._present())
        slugs = list(due.order_by().values_list("purge__api_slug", flat=True).distinct())
        if not slugs:
            self._due = {}
            return
        found = list(API.objects.filter(slug__in=slugs, cdn__isnull=False).select_related("cdn", "tenant"))
        guards = guards_of(dict.fromkeys(api.tenant for api in found))
        self._apis = {api.slug: (api, guards[api.tenant_id]) for api in found}
        theirs: dict[str, list[str]] = {}
        for slug in slugs:
            theirs.setdefault(self._apis[slug][0].tenant.slug if slug in self._apis else "", []).append(slug)
        self._due = {
            tenant: deque(
                due.filter(purge__api_slug__in=named).select_related("purge").order_by("next_at", "pk")[:OF_A_LOOK]
            )
            for tenant, named in theirs.items()
        }

    def _begin(self) -> None:
        """Make as many calls as there is room for, each tenant in turn."""
        busy = Counter(tenant for tenant, _ in self._under_way.values())
        waiting = deque(tenant for tenant, rows in self._due.items() if rows)
        while waiting and len(self._under_way) < AT_ONCE:
            tenant = waiting.popleft()
            if busy[tenant] >= OF_A_TENANT:
                continue
            row = self._due[tenant].popleft()
            if _claim(row, self._present()):
                api, guard = self._apis.get(row.purge.api_slug, (None, Guard()))
                self._under_way[self._pool.submit(_told, row, api, guard)] = (tenant, row)
                busy[tenant] += 1
                self._tried += 1
            if self._due[tenant]:
                waiting.append(tenant)

    def _present(self) -> datetime:
        return self._now or timezone.now()


def _told(row: Forwarding, api: API | None, guard: Guard) -> Result:
    """Touches no database: it runs in a thread of its own."""
    if api is None:
        return Result(False, "There is no CDN any more.")
    with client(guard) as http:
        forwarder: PurgeForwarder = HTTPForwarder(api.cdn, http)
        return forwarder.forward(row.purge, api)


def _claim(row: Forwarding, now: datetime) -> bool:
    mine = Forwarding.objects.filter(pk=row.pk, state=ForwardingState.WAITING, next_at=row.next_at)
    row.tries += 1
    return bool(mine.update(next_at=now + CLAIMED, tries=row.tries))


def _settle(row: Forwarding, result: Result, now: datetime) -> None:
    waits = not result.ok and result.again and row.tries <= len(PAUSES)
    row.detail = result.detail[:200]
    if waits:
        row.next_at = now + timedelta(seconds=PAUSES[row.tries - 1])
    else:
        row.state = ForwardingState.DONE if result.ok else ForwardingState.FAILED
    if not result.ok:
        log.warning("a purge of %s was not forwarded: %s", row.purge.api_slug, result.detail)
    row.save(update_fields=["state", "detail", "next_at"])

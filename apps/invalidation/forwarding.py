"""Purges told on to a CDN, after they are in force here: by Celery, again where it fails, with what became of it.

What people, the queue and webhooks purge is forwarded. What an unsafe call ends is not: it is for the CDN, which saw the
call too, to end what it has (RFC 9111 §4.4). Nor is what ends with a right: it was stored for one application, and no CDN
may have that.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import httpx
from django.utils import timezone

from apps.caching.models import Purge
from apps.caching.services import paths_of
from apps.catalog.models import API
from apps.egress.outbound import Refused, client
from apps.egress.rules import Guard
from apps.invalidation.calls import call_for, values_of
from apps.invalidation.choices import ForwardingState
from apps.invalidation.models import CDN, Forwarding
from apps.tenants.egress import guard_of

PAUSES = (5, 30, 120, 600)
"""Seconds before each further try; after the last it has failed."""

CLAIMED = timedelta(seconds=60)
"""How long whoever tries has before somebody else does."""

AT_ONCE = 8
"""Calls at once."""

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
    """Any CDN that is purged by an HTTP call: see ``calls``."""

    def __init__(self, cdn: CDN, http: httpx.Client) -> None:
        self._cdn = cdn
        self._http = http

    def forward(self, purge: Purge, api: API) -> Result:
        """One call; what it answers beside its status is nobody's business."""
        paths = paths_of(api, purge.value) if purge.kind in ("path", "prefix") else (b"",)
        values = values_of(purge.kind, purge.value, paths[-1] if paths else b"", api.slug, soft=purge.soft)
        described = self._cdn.calls.get(purge.kind)
        if described is None:
            return Result(False, f"No call is described for {purge.kind} any more.")
        call = call_for(described, self._cdn.headers, self._cdn.base_url, values)
        try:
            with self._http.stream(call.method, call.url, headers=call.headers, content=call.body) as answer:
                status = answer.status_code
        except Refused as error:
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


def forward_due(*, now: datetime | None = None, most: int = 40) -> int:
    """Forward what is due; how many were tried. Any number of processes may do it at once."""
    now = now or timezone.now()
    due = Forwarding.objects.filter(state=ForwardingState.WAITING, next_at__lte=now).select_related("purge")
    rows = [row for row in due.order_by("next_at", "pk")[:most] if _claim(row, now)]
    slugs = {row.purge.api_slug for row in rows}
    if not rows:
        return 0
    found = API.objects.filter(slug__in=slugs, cdn__isnull=False).select_related("cdn", "tenant")
    apis = {api.slug: (api, guard_of(api.tenant)) for api in found}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = pool.map(lambda row: _told(row, *apis.get(row.purge.api_slug, (None, Guard()))), rows)
        for row, result in zip(rows, results, strict=True):
            _settle(row, result, now)
    return len(rows)


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

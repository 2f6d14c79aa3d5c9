"""Warm-ups that begin by themselves: by the schedule, after a purge, with a new revision in force.

Nothing has to be reported: the policy says what is wanted, the purges, the audit log and the clock say what happened, and the
newest warm-up of each cause bears the mark of what it was for. So nothing is lost with a process, and nothing is begun twice.
"""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db.models import Max

from apps.audit.models import Entry
from apps.caching.models import Purge
from apps.caching.warm_up import WarmUpSettings
from apps.catalog.choices import SERVED
from apps.catalog.models import API
from apps.fleet import state
from apps.foundation import field_names
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from apps.warming.choices import WarmUpCause, WarmUpState
from apps.warming.models import WarmUp
from apps.warming.services import warm_up_start
from apps.wire.redis_client import AWAY

PURGES_MATTER = timedelta(hours=1)
"""A purge older than this warms nothing up: it was before the setting, or before a long outage."""

log = logging.getLogger(__name__)


class Due(NamedTuple):
    """A warm-up to begin, and what for."""

    api: API
    cause: WarmUpCause
    mark: int


def begin_due(now: datetime) -> int:
    """Begin what is due; how many that is. A handful of queries, whatever the number of APIs."""
    begun = 0
    for due in list(_due(now)):
        if due.cause is WarmUpCause.PUBLISH and not _is_out(due.mark):
            continue  # gateways would store by the rules of before
        waiting = WarmUp.objects.filter(api_slug=due.api.slug, cause=due.cause, state=WarmUpState.QUEUED, worker="")
        if waiting.update(mark=due.mark):
            continue  # one that hasn't started does for both
        try:
            warm_up_start(actor=PLATFORM, api=due.api, cause=due.cause, mark=due.mark)
            begun += 1
        except Conflict as late:
            log.info("a warm-up has to wait: %s", late)
        except ValidationError as refusal:
            _note_refused(due, refusal, now)
    return begun


def _due(now: datetime) -> Iterator[Due]:
    rows = API.objects.filter(state__in=SERVED).exclude(cache_policy__warm_up={})
    wanted = [
        (api, WarmUpSettings.of(api.cache_policy.warm_up)) for api in rows.select_related("tenant", "cache_policy")
    ]
    if not wanted:
        return
    begun = {
        (slug, cause): (mark, at)
        for slug, cause, mark, at in WarmUp.objects.filter(api_slug__in=[api.slug for api, _ in wanted])
        .order_by()
        .values_list("api_slug", "cause")
        .annotate(Max("mark"), Max("created_at"))
    }
    published = _published(api.slug for api, settings in wanted if settings.on_publish)
    purged = _purged((api.slug for api, settings in wanted if settings.after_purge), now)
    for api, settings in wanted:
        for cause, marks in ((WarmUpCause.PUBLISH, published), (WarmUpCause.PURGE, purged)):
            mark = marks.get(api.slug, 0)
            if mark > begun.get((api.slug, cause), (0, now))[0]:
                yield Due(api, cause, mark)
        last = begun.get((api.slug, WarmUpCause.SCHEDULE))
        if settings.every is not None and (last is None or last[1] + timedelta(seconds=settings.every) <= now):
            yield Due(api, WarmUpCause.SCHEDULE, 0)


def _published(slugs: Iterable[str]) -> dict[str, int]:
    """The number of the newest change of each API that gateways heard of."""
    changes = Entry.objects.filter(target_type="api", target__in=list(slugs), verb__startswith="api.")
    return dict(changes.order_by().values_list("target").annotate(Max("epoch")))


def _is_out(epoch: int) -> bool:
    """Whether gateways can know of a change."""
    try:
        held = state.redis_state(state.client())
    except AWAY:
        return False
    return held is not None and held.n >= epoch


def _purged(slugs: Iterable[str], now: datetime) -> dict[str, int]:
    """The newest purge of each API."""
    purges = Purge.objects.filter(api_slug__in=list(slugs), at__gte=now - PURGES_MATTER)
    return dict(purges.order_by().values_list("api_slug").annotate(Max("id")))


def _note_refused(due: Due, refusal: ValidationError, now: datetime) -> None:
    """Have the setting's mistake where people look for warm-ups, and not tried again before its next occasion."""
    WarmUp.objects.create(
        api_slug=due.api.slug,
        cause=due.cause,
        mark=due.mark,
        rate=WarmUpSettings.of(due.api.cache_policy.warm_up).rate,
        state=WarmUpState.FAILED,
        total=0,
        note=" ".join(field_names.sentences(field_names.by_path(refusal)))[:300],
        ended_at=now,
    )

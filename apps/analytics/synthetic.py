"""Made-up calls, kept apart from real ones: in rows of figures of their own, and in the log with a flag.

Questions add both up, and say how many calls of what they tell are synthetic. Completeness, the use of keys and what is called most
know real calls only.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min

from apps.analytics.batch_ingestion import Names, insert_calls, store_figures
from apps.analytics.choices import Level, Period
from apps.analytics.figures import Figures
from apps.analytics.models import CallRecord, RollUp, SyntheticEvent
from apps.analytics.retention import delete_in_steps
from apps.analytics.time_windows import down
from apps.wire.call_records import SYNTHETIC_IDS, SpooledCallRecord

LOG_DAYS = 1
"""Made-up calls of the last day have rows in the log, those of before only figures: a row each would be most of the work."""


@dataclass(frozen=True)
class Added:
    """How many calls were added, and how many of them to the log."""

    calls: int = 0
    logged: int = 0

    def __add__(self, other: "Added") -> "Added":
        return Added(self.calls + other.calls, self.logged + other.logged)


def add(calls: Iterable[SpooledCallRecord], *, now: datetime) -> Added:
    """Add made-up calls to the figures and to the log, each kept where a real one of that time would still be. One transaction."""
    minutes_since = (now - timedelta(days=settings.MINUTE_FIGURES_DAYS)).timestamp()
    log_since = (now - timedelta(days=min(LOG_DAYS, settings.CALL_LOG_DAYS))).timestamp()
    by_minute: dict[tuple[int, Names], Figures] = defaultdict(Figures)
    by_hour: dict[tuple[int, Names], Figures] = defaultdict(Figures)
    log = []
    count = 0
    for call in calls:
        names = (call.api, call.tenant, call.application, call.operation)
        hour = down(call.at, Period.HOUR)
        in_minutes = hour + Period.HOUR > minutes_since
        figures = by_minute[down(call.at, Period.MINUTE), names] if in_minutes else by_hour[hour, names]
        figures.count(call)
        count += 1
        if call.at >= log_since:
            log.append(call)
    with transaction.atomic():
        store_figures(by_hour, periods=(Period.HOUR, Period.DAY), synthetic=True)
        store_figures(by_minute, synthetic=True)
        insert_calls(log)
    return Added(count, len(log))


def add_event(at: datetime, *, api: str, label: str) -> None:
    """Add a mark for the charts of an API."""
    SyntheticEvent.objects.create(at=at, api=api, label=label)


def remove() -> int:
    """Delete all of it, in steps. How many calls its figures told of."""
    made = RollUp.objects.filter(synthetic=True)
    span = made.aggregate(first=Min("bucket"), last=Max("bucket"))
    calls = sum(made.filter(level=Level.ALL, period=Period.DAY).values_list("calls", flat=True))
    if span["first"]:
        within = CallRecord.objects.filter(at__gte=span["first"], at__lt=span["last"] + timedelta(days=1))
        delete_in_steps(within.filter(call_id__startswith=SYNTHETIC_IDS).order_by("at"))
    delete_in_steps(made.order_by("bucket"))
    SyntheticEvent.objects.all().delete()
    return calls


def first_real_call() -> datetime | None:
    """The start of the shortest bucket that is known to have the first call of a client; ``None`` while there was none."""
    first: datetime | None = None
    length = 0
    for period in (Period.DAY, Period.HOUR, Period.MINUTE):
        rows = RollUp.objects.filter(level=Level.ALL, period=period, synthetic=False)
        found = rows.aggregate(at=Min("bucket"))["at"]
        if found is None or (first and found >= first + timedelta(seconds=length)):
            break  # figures of that time are no longer kept any finer
        first, length = found, period
    return first

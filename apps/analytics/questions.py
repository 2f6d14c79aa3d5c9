"""A question about calls, and which roll-ups and rows answer it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.analytics.choices import DIMENSIONS, Level, Period
from apps.analytics.figures import Figures, decode
from apps.analytics.models import CallRecord, RollUp, roll_up_id
from apps.analytics.policies import VisibleCalls
from apps.analytics.time_windows import Kept, Span, down, spans, up
from apps.wire.call_records import WARM_UP

DEFAULT_SPAN = timedelta(hours=24)
#: A span that starts or ends within a minute is exact to the microsecond while that minute has at most this many calls.
EXACT_CALLS = 2000


@dataclass(frozen=True)
class Question:
    """Of which calls, and when: one value that every figure is asked with. ``exact`` ends are those that the request named."""

    scope: VisibleCalls
    names: dict[str, str]
    since: datetime
    until: datetime
    exact: tuple[bool, bool]

    @classmethod
    def asked(
        cls,
        scope: VisibleCalls,
        api: str = "",
        tenant: str = "",
        application: str = "",
        operation: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> "Question":
        """The last 24 hours when ``since`` is ``None``; until now when ``until`` is. Empty names ask for all."""
        named = {"api": api, "tenant": tenant, "application": application, "operation": operation}
        names = {name: value for name, value in named.items() if value}
        if application and not tenant:
            names["tenant"] = application.partition("/")[0]
        exact = since is not None, until is not None
        now = timezone.now()
        # Nothing is kept from before, and nothing has happened after: no calendar's end is ever near.
        first, last = now - timedelta(days=settings.DAY_FIGURES_DAYS), now + timedelta(days=1)
        until = min(until or now, last)
        return cls(scope, names, max(since or until - DEFAULT_SPAN, first), max(until, first), exact)

    def between(self, since: datetime, until: datetime) -> "Question":
        """The same about another span."""
        return Question.asked(self.scope, **self.names, since=since, until=until)

    def about(self, **names: str) -> "Question":
        """The same about fewer calls."""
        return replace(self, names={**self.names, **names})

    def level(self, by: Iterable[str] = ()) -> Level:
        """The coarsest level that can answer, grouped by these columns."""
        needed = {*self.names, *by}
        if not self._is_covered():
            needed |= {"api", "tenant"}
        return next(level for level, dimensions in DIMENSIONS.items() if needed <= set(dimensions))

    def condition(self) -> Q:
        """On roll-ups and on calls alike."""
        condition = Q(**self.names)
        return condition if self._is_covered() else condition & self.scope.condition()

    def roll_ups(self, level: Level, buckets: Sequence[Span]) -> QuerySet[RollUp]:
        """The roll-ups of some buckets of time."""
        times = Q(pk__in=())
        for span in buckets:
            times |= Q(period=span.period, bucket__gte=moment(span.start), bucket__lt=moment(span.end))
        return RollUp.objects.filter(self.condition(), times, level=level).order_by()

    def buckets(self) -> list[Span]:
        """The whole buckets around the span."""
        return spans(self.since.timestamp(), self.until.timestamp(), kept())

    def asks_for_all(self) -> bool:
        """Whether it is about calls to no known API too: only who asks about everything sees these."""
        return not self.names and self.scope.everything

    def _is_covered(self) -> bool:
        return self.scope.covers(api=self.names.get("api", ""), tenant=self.names.get("tenant", ""))


def whole(question: Question) -> Figures:
    """The figures of the buckets around the span. One query."""
    return _added(question.roll_ups(question.level(), question.buckets()).values_list("packed", flat=True))


def exactly(question: Question) -> Figures:
    """The figures of the span itself. Three queries.

    The minutes at its ends are counted from the log where the request named the end, while they have few calls.
    """
    minute = Period.MINUTE.value
    start, end = question.since.timestamp(), question.until.timestamp()
    figures = Figures()
    if kept().unit(start) == minute:
        first, last = min(up(start, minute), end), max(down(end, minute), start)
        if question.exact[0] and start % minute and (rows := _rows_of(question, start, first)):
            figures.add(rows)
            start = first
        if question.exact[1] and end % minute and last >= start and (rows := _rows_of(question, last, end)):
            figures.add(rows)
            end = last
    if start < end:
        buckets = spans(start, end, kept())
        figures.add(_added(question.roll_ups(question.level(), buckets).values_list("packed", flat=True)))
    return figures


def _rows_of(question: Question, start: float, end: float) -> Figures | None:
    """The figures of less than a minute from the log, or ``None`` when it has too many calls."""
    names = (
        *("cache", "status", "code", "reason", "duration", "upstream_duration"),
        *("attempts", "request_bytes", "response_bytes", "flags"),
    )
    found = CallRecord.objects.filter(question.condition(), at__gte=moment(start), at__lt=moment(end)).order_by()
    if question.asks_for_all() and _were_left_out(down(start, Period.MINUTE)):
        return None
    rows = list(found.only(*names)[: EXACT_CALLS + 1])
    if len(rows) > EXACT_CALLS:
        return None
    figures = Figures()
    for row in rows:
        if WARM_UP not in row.flags:
            figures.count(row)
    return figures


def _were_left_out(minute: int) -> bool:
    """Whether the log has fewer rows than there were calls to no known API in a minute: they have a sample of rows."""
    figures = RollUp.objects.filter(pk=roll_up_id(Period.MINUTE, minute, Level.API, ("", "", "", "")))
    counted = figures.values_list("calls", flat=True).first() or 0
    until = moment(minute + Period.MINUTE)
    return counted > CallRecord.objects.filter(api="", at__gte=moment(minute), at__lt=until).count()


def _added(packed: Iterable[bytes | memoryview]) -> Figures:
    figures = Figures()
    for each in packed:
        figures.add(decode(each))
    return figures


def kept() -> Kept:
    """Since when figures by minute and by hour are kept."""
    now = timezone.now().timestamp()
    return Kept(now - settings.MINUTE_FIGURES_DAYS * 86400, now - settings.HOUR_FIGURES_DAYS * 86400)


def moment(at: float) -> datetime:
    """A moment from Unix seconds."""
    return datetime.fromtimestamp(at, UTC)

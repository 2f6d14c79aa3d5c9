"""What is read of calls: the log, and figures for dashboards. Every ``Question`` is asked within a ``VisibleCalls``.

Figures come from roll-ups, so that neither the number of queries nor their cost grows with the number of calls.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from apps.analytics import completeness
from apps.analytics.choices import Level, Period
from apps.analytics.completeness import Completeness
from apps.analytics.explain import call_trace
from apps.analytics.figures import Figures, decode
from apps.analytics.models import CallRecord
from apps.analytics.policies import ALL, VisibleCalls, calls_visible_to
from apps.analytics.questions import DEFAULT_SPAN, Question, exactly, kept, moment, whole
from apps.analytics.time_windows import down, steps, up

__all__ = [
    "ALL",
    "Question",
    "Series",
    "VisibleCalls",
    "breakdown",
    "call_trace",
    "called",
    "calls",
    "calls_visible_to",
    "calls_with_id",
    "compare",
    "latest_completeness",
    "savings",
    "sparklines",
    "summary",
    "timeseries",
    "unanswered",
]

By = Literal["api", "tenant", "application", "operation", "status", "reason", "code", "cache"]
_COUNTED = {"status": "statuses", "reason": "reasons", "code": "codes", "cache": "caches"}


@dataclass(frozen=True)
class Series:
    """Figures by step of time, oldest first; ``step`` in seconds. A point has ``at`` (its start) and ``gap`` besides a summary."""

    step: int
    points: list[dict[str, Any]]


def summary(question: Question) -> dict[str, Any]:
    """The figures of a span, the open minute included.

    ``{calls, synthetic, errors, bytes, hit_ratio, latency: {all|hit|revalidated|miss|bypass|error: {p50, p95, p99}},
    latency_shares: {the same: {upstream, gateway}}, measured: {the same: calls}, completeness: {received, expected}, caches,
    statuses, upstream_calls, upstream_mean}``: latency in milliseconds. Whose calls a lost record told of is not known:
    ``expected`` counts every lost one. ``synthetic`` of the calls were made up, and are in no completeness.
    """
    figures = exactly(question)
    missing = completeness.missing_between(question.since, question.until)
    missing += completeness.under_way(question.since, question.until).records
    return _shown(figures, missing)


def compare(question: Question) -> dict[str, Any]:
    """``{"now": summary, "before": summary}``: ``before`` is the span of equal length that ended where this one starts."""
    since, until = question.since, question.until
    return {
        "now": summary(question.between(since, until)),
        "before": summary(question.between(since - (until - since), since)),
    }


def timeseries(question: Question, step: int | None = None) -> Series:
    """The same by step of time; a fitting ``step`` (seconds) is chosen when none is given. Steps are whole: ends are widened.

    A point with ``gap`` has records missing, or some of its records are still under way.
    """
    level = question.level()
    span, step = steps(question.since.timestamp(), question.until.timestamp(), step, kept(), coarse=level is Level.FULL)
    points: dict[int, Figures] = {at: Figures() for at in range(span.start, span.end, step)}
    for bucket, packed in question.roll_ups(level, [span]).values_list("bucket", "packed").iterator(chunk_size=2000):
        points[down(bucket.timestamp(), step)].add(decode(packed))
    missing: dict[int, int] = defaultdict(int)
    for at, count in completeness.missing_by_time(moment(span.start), moment(span.end)):
        missing[down(at, step)] += count
    under_way = completeness.under_way(moment(span.start), moment(span.end))
    late_from = under_way.oldest if under_way.records else float("inf")
    if under_way.records:
        missing[down(max(under_way.oldest, span.start), step)] += under_way.records
    shown = []
    for at, figures in points.items():
        point = _shown(figures, missing[at])
        shown.append({"at": moment(at), "gap": missing[at] > 0 or at + step > late_from, **point})
    return Series(step, shown)


def breakdown(question: Question, *, by: By = "api", top: int = 10) -> list[dict[str, Any]]:
    """The ``top`` parts with most calls: ``{name, calls, …}`` like a summary; of status, reason, code and cache only these two.

    The name is empty for calls to no known API, without a key, or of no known operation.
    """
    if by in _COUNTED:
        counted = getattr(whole(question), _COUNTED[by])
        ordered = sorted(counted.items(), key=lambda pair: (-pair[1], str(pair[0])))
        return [{"name": str(name), "calls": count} for name, count in ordered[:top]]
    columns = ("api", "operation") if by == "operation" else (by,)
    rows = question.roll_ups(question.level(columns), question.buckets())
    largest = rows.values_list(*columns).annotate(n=Sum("calls")).order_by("-n", *columns)[:top]
    parts: dict[tuple[str, ...], Figures] = {row[:-1]: Figures() for row in largest}
    names = Q(pk__in=())
    for key in parts:
        names |= Q(**dict(zip(columns, key, strict=True)))
    for *key, packed in rows.filter(names).values_list(*columns, "packed").iterator(chunk_size=2000):
        parts[tuple(key)].add(decode(packed))
    return [
        {**dict(zip(columns, key, strict=True)), "name": key[-1], **_shown(figures, 0)}
        for key, figures in parts.items()
    ]


def called(question: Question, *, by: str, top: int, only: str = "") -> dict[str, int]:
    """The ``top`` names of one column with most calls, and how many each had; with ``only``, just that name. One query.

    Calls without such a name (no known API, no key) are left out.
    """
    rows = question.roll_ups(question.level((by,)), question.buckets()).exclude(**{by: ""})
    if only:
        rows = rows.filter(**{by: only})
    return dict(rows.values_list(by).annotate(n=Sum("calls")).order_by("-n", by)[:top])


def unanswered(question: Question, *, top: int) -> list[dict[str, Any]]:
    """Why calls weren't answered by the cache: ``{cache, name, calls}`` of the ``top`` reasons of MISS and BYPASS. One query."""
    why = whole(question).why
    rows: list[dict[str, Any]] = [
        {"cache": cache, "name": name, "calls": calls}
        for cache, counts in why.items()
        for name, calls in counts.items()
    ]
    return sorted(rows, key=lambda row: (-row["calls"], row["cache"], row["name"]))[:top]


def sparklines(
    question: Question,
    *,
    by: Literal["api", "tenant", "application"] = "api",
    names: Iterable[str] | None = None,
    points: int = 24,
) -> dict[str, list[int]]:
    """Calls by step of time of each API, tenant or application, for lists. One query, whatever their number."""
    length = (question.until - question.since).total_seconds()
    span, step = steps(
        question.since.timestamp(), question.until.timestamp(), up(length / points, Period.MINUTE), kept(), coarse=True
    )
    rows = question.roll_ups(question.level((by,)), [span])
    if names is not None:
        rows = rows.filter(**{f"{by}__in": list(names)})
    lines: dict[str, list[int]] = defaultdict(lambda: [0] * ((span.end - span.start) // step))
    for name, bucket, count in rows.values_list(by, "bucket").annotate(n=Sum("calls")):
        lines[name][int(bucket.timestamp() - span.start) // step] += count
    return dict(lines)


def savings(question: Question, *, top: int = 10) -> list[dict[str, Any]]:
    """What the cache saved, of the ``top`` APIs by calls: ``{name, calls, ms}``: upstream calls not made and time not waited.

    The time is an estimate: each saved call would have taken what the upstream's responses took on average in that span. ``None``
    when there was none to go by.
    """
    rows = question.roll_ups(question.level(("api",)), question.buckets())
    largest = rows.values_list("api").annotate(n=Sum("calls")).order_by("-n", "api")[:top]
    parts = {name: Figures() for name, _ in largest}
    for name, packed in rows.filter(api__in=parts).values_list("api", "packed").iterator(chunk_size=2000):
        parts[name].add(decode(packed))
    return [
        {
            "name": name,
            "calls": figures.saved_calls,
            "ms": None if figures.upstream_mean is None else figures.saved_calls * figures.upstream_mean,
        }
        for name, figures in parts.items()
    ]


def calls(
    *,
    scope: VisibleCalls,
    api: str = "",
    tenant: str = "",
    application: str = "",
    operation: str = "",
    status: str = "",
    cache: str = "",
    reason: str = "",
    cause: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    call_id: str = "",
    request_id: str = "",
    path: str = "",
) -> QuerySet[CallRecord]:
    """The call log, newest first. ``status`` is like ``404`` or ``5xx``; ``path`` finds what starts with it.

    Raises ``ValueError`` for a ``status`` that is neither.
    """
    named = {
        "api": api,
        "tenant": tenant,
        "application": application,
        "operation": operation,
        "cache": cache,
        "reason": reason,
        "cause": cause,
        "call_id": call_id,
        "request_id": request_id,
    }
    found = CallRecord.objects.filter(scope.condition(), **{name: value for name, value in named.items() if value})
    if status.endswith("xx"):
        found = found.filter(status__gte=int(status[:-2]) * 100, status__lt=int(status[:-2]) * 100 + 100)
    elif status:
        found = found.filter(status=int(status))
    if since:
        found = found.filter(at__gte=since)
    if until:
        found = found.filter(at__lt=until)
    if path:
        found = found.filter(path__startswith=path)
    return found.order_by("-at", "-id")


def calls_with_id(scope: VisibleCalls, identity: str, most: int) -> list[CallRecord]:
    """The calls that have this call ID or request ID, exactly as written, newest first; several may have one request ID.

    Two queries, each by an index of its own: asked as one and in order, a database may walk the whole log instead.
    """
    visible = CallRecord.objects.filter(scope.condition()).order_by()
    found = {call.pk: call for call in visible.filter(call_id=identity)}
    found |= {call.pk: call for call in visible.filter(request_id=identity)[:most]}
    return sorted(found.values(), key=lambda call: (call.at, call.pk), reverse=True)[:most]


def latest_completeness() -> Completeness:
    """The account of the last 24 hours, and how far behind the figures are."""
    until = timezone.now()
    since = until - DEFAULT_SPAN
    question = Question.asked(ALL)
    rows = question.roll_ups(Level.ALL, question.buckets()).filter(synthetic=False)
    received = sum(rows.values_list("calls", flat=True))
    causes = completeness.causes_between(since, until)
    under_way = completeness.under_way()
    return Completeness(
        received=received,
        expected=received + sum(causes.values()) + under_way.records,
        under_way=under_way,
        causes=causes,
        last_ingestion=completeness.last_ingestion(),
        in_stream=completeness.in_stream(),
        agents=completeness.agents(),
    )


def _shown(figures: Figures, missing: int) -> dict[str, Any]:
    received = figures.calls - figures.synthetic
    return {
        "calls": figures.calls,
        "synthetic": figures.synthetic,
        "errors": figures.errors,
        "bytes": figures.response_bytes,
        "hit_ratio": figures.hit_ratio,
        "latency": figures.latency(),
        "latency_shares": figures.latency_shares(),
        "measured": figures.measured(),
        "completeness": {"received": received, "expected": received + missing},
        "caches": dict(figures.caches),
        "statuses": figures.by_class(),
        "upstream_calls": figures.upstream_calls,
        "upstream_mean": figures.upstream_mean,
    }

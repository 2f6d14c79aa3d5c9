"""The dashboards: which charts and tables each has, and what they are asked."""

from dataclasses import dataclass
from typing import Any, Literal

from apps.analytics.heatmap import heat
from apps.analytics.selectors import (
    By,
    Question,
    Series,
    VisibleCalls,
    breakdown,
    compare,
    savings,
    sparklines,
    timeseries,
    unanswered,
)
from apps.console.analytics import breakdown_tables, charts
from apps.console.analytics.charts import Chart
from apps.console.analytics.event_marks import Mark, marks_in, synthetic_marks_in
from apps.console.analytics.heatmap import Map, map_of
from apps.console.analytics.query_parameters import AnalyticsQuery
from apps.tenants.models import User

TOP = 10
#: Tenants that have a line of their own.
LINES = 5

#: word of the address -> name; the first is the page without one
DASHBOARDS = {
    "traffic": "Traffic",
    "cache": "Cache",
    "latency": "Latency",
    "errors": "Errors",
    "tenants": "Tenants",
}


@dataclass(frozen=True)
class Dashboard:
    """What a dashboard shows."""

    charts: list[Chart]
    tables: list[breakdown_tables.BreakdownTable]


class Panel:
    """One question of one reader, asked once however many charts need the result."""

    def __init__(self, user: User, asked: AnalyticsQuery) -> None:
        self.asked = asked
        self._user = user
        window = asked.window
        self.question = Question.asked(VisibleCalls.of(user), since=window.since, until=window.until, **asked.figures)

    def marks(self, shown: Series) -> list[Mark]:
        """What happened meanwhile, in a made-up history too if ``shown`` tells of one."""
        api = self.asked.filters.get("api", "")
        marks = marks_in(self._user, self.asked.window, api)
        if any(point["synthetic"] for point in shown.points):
            marks += synthetic_marks_in(self.question.scope, self.asked.window, api)
        return sorted(marks, key=lambda mark: mark.at)

    def now(self, step: int | None = None, **names: str) -> Series:
        """The span, by step of time: a fitting one, unless lines have to have the same."""
        return timeseries(self.question.about(**names), step)

    def before(self, step: int) -> Series:
        """The span before it, in the same steps."""
        window = self.asked.window.before
        return timeseries(self.question.between(window.since, window.until), step)

    def compared(self) -> dict[str, Any]:
        """The figures of the span, and of the span before it."""
        return compare(self.question)

    def largest(self, by: By, top: int = TOP) -> list[dict[str, Any]]:
        """The largest parts."""
        return breakdown(self.question, by=by, top=top)

    def with_lines(self, by: Literal["api", "tenant", "application"]) -> list[dict[str, Any]]:
        """The largest parts, each with its spark line."""
        rows = self.largest(by)
        lines = sparklines(self.question, by=by, names=[row["name"] for row in rows])
        return [{**row, "spark": lines.get(row["name"])} for row in rows]

    def unanswered(self) -> list[dict[str, Any]]:
        """Why calls weren't answered by the cache."""
        return unanswered(self.question, top=TOP)

    def saved(self) -> list[dict[str, Any]]:
        """What the cache saved."""
        return savings(self.question, top=TOP)

    def heat(self) -> Map | None:
        """How latency was spread over the span."""
        return map_of(heat(self.question))


def dashboard(name: str, panel: Panel) -> Dashboard:
    """The dashboard of that name."""
    now = panel.now()
    return _MAKERS[name](panel, now, panel.before(now.step), panel.marks(now))


def _traffic(panel: Panel, now: Series, before: Series, marks: list[Mark]) -> Dashboard:
    tables = [breakdown_tables.apis(panel.asked, panel.with_lines("api"))]
    if panel.asked.filters.get("api"):
        tables.append(breakdown_tables.operations(panel.asked, panel.largest("operation")))
    return Dashboard(charts.traffic(now, before, marks), tables)


def _cache(panel: Panel, now: Series, before: Series, marks: list[Mark]) -> Dashboard:
    tables = [
        breakdown_tables.ratios(panel.asked, panel.largest("api")),
        breakdown_tables.unanswered(panel.asked, panel.unanswered()),
        breakdown_tables.reasons(panel.largest("reason", 12)),
        breakdown_tables.saved(panel.asked, panel.saved()),
    ]
    return Dashboard(charts.cache(now, before, marks), tables)


def _latency(panel: Panel, now: Series, before: Series, marks: list[Mark]) -> Dashboard:
    return Dashboard(
        charts.latency(now, before, marks), [breakdown_tables.latencies(panel.asked, panel.largest("api"))]
    )


def _errors(panel: Panel, now: Series, before: Series, marks: list[Mark]) -> Dashboard:
    tables = [
        breakdown_tables.failing(panel.asked, panel.largest("api", 50)),
        breakdown_tables.statuses(panel.asked, panel.largest("status", 20)),
        breakdown_tables.codes(panel.largest("code", 12)),
    ]
    return Dashboard(charts.errors(now, before, marks), tables)


def _tenants(panel: Panel, now: Series, before: Series, marks: list[Mark]) -> Dashboard:
    rows = panel.with_lines("tenant")
    lines = [(row["name"], panel.now(now.step, tenant=row["name"])) for row in rows[:LINES] if row["name"]]
    tables = [
        breakdown_tables.tenants(panel.asked, rows),
        breakdown_tables.applications(panel.asked, panel.with_lines("application")),
    ]
    return Dashboard(charts.callers(now, lines, marks), tables)


_MAKERS = {"traffic": _traffic, "cache": _cache, "latency": _latency, "errors": _errors, "tenants": _tenants}

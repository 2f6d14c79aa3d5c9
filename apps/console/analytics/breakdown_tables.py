"""Tables of the largest parts: who or what, and its figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.analytics.explain import sentence_of
from apps.analytics.figures import CLASSES
from apps.console import figure_words, number_format
from apps.console.analytics.query_parameters import AnalyticsQuery
from apps.console.sparkline import spark
from apps.console.templatetags.console import result as result_badge
from apps.console.templatetags.console import status as status_badge

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column: its head, what it shows of a row, what that counts (empty for names), and whether it is a number."""

    head: str
    cell: Callable[[Row], object]
    means: str
    number: bool = True


MOST_BESIDE_ANOTHER = 5
"""Columns of a table that fits into half the width of a page."""


@dataclass(frozen=True)
class BreakdownTable:
    """A question and the rows that answer it."""

    question: str
    columns: Sequence[Column]
    rows: Sequence[Row]

    @property
    def wide(self) -> bool:
        """Whether it needs the whole width of the page for all of its columns to be seen."""
        return len(self.columns) > MOST_BESIDE_ANOTHER

    @property
    def explained(self) -> list[tuple[str, str]]:
        """The head of each column of figures, and what they count."""
        return [(column.head, column.means) for column in self.columns if column.means]

    def cells(self) -> list[list[tuple[str, object, bool]]]:
        """(head, content, whether it is a number) of each cell, row by row."""
        return [[(column.head, column.cell(row), column.number) for column in self.columns] for row in self.rows]


def _percentile(kind: str, name: str) -> Column:
    head = name if kind == "all" else f"{kind.capitalize()} {name}"
    return Column(head, lambda row: figure_words.latency_cell(row, kind, name), figure_words.latency(kind, name))


CALLS = Column("Calls", lambda row: number_format.number(row["calls"]), figure_words.CALLS)
HIT_RATIO = Column("Hit ratio", figure_words.hit_ratio_cell, figure_words.HIT_RATIO)
P95 = _percentile("all", "p95")
ERRORS = Column("Errors", lambda row: number_format.number(row["errors"]), figure_words.ERRORS)
SENT = Column("Sent", lambda row: number_format.size(row["bytes"]), figure_words.SENT)
TREND = Column("Trend", lambda row: spark(row["spark"]), figure_words.TREND, number=False)


def apis(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """Which APIs are called most."""
    return BreakdownTable(
        "Which APIs are called most?", [_named("API", asked, "api"), TREND, CALLS, HIT_RATIO, P95, ERRORS], rows
    )


def operations(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """Which operations are called most."""
    named = Column("Operation", lambda row: _operation(asked, row), "", number=False)
    return BreakdownTable("Which operations?", [named, CALLS, HIT_RATIO, P95, ERRORS], rows)


def tenants(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """Which tenants call most."""
    named = _named("Tenant", asked, "tenant", "without a key")
    return BreakdownTable("Which tenants call most?", [named, TREND, CALLS, HIT_RATIO, ERRORS, SENT], rows)


def applications(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """Which applications call most."""
    named = _named("Application", asked, "application", "without a key")
    return BreakdownTable("Which applications?", [named, TREND, CALLS, HIT_RATIO, ERRORS, SENT], rows)


def ratios(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """The cache hit ratio of each API."""
    results = [_with_result(name) for name in ("HIT", "MISS", "STALE", "REVALIDATED", "BYPASS")]
    return BreakdownTable(
        "What is each API's cache hit ratio?", [_named("API", asked, "api"), HIT_RATIO, *results], rows
    )


def latencies(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """How long each API takes."""
    columns = [_percentile(kind, "p95") for kind in ("all", *CLASSES)]
    shares = [_upstream_share(kind) for kind in ("miss", "bypass")]
    return BreakdownTable("Which APIs are slow?", [_named("API", asked, "api"), CALLS, *columns, *shares], rows)


def failing(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """Which APIs fail most, by the share of their calls."""
    bad = sorted((row for row in rows if row["errors"]), key=lambda row: row["errors"] / row["calls"], reverse=True)
    share = Column("Share", lambda row: number_format.percent(row["errors"] / row["calls"]), figure_words.ERROR_SHARE)
    server = Column("5xx", lambda row: number_format.number(row["statuses"].get("5xx", 0)), "Calls answered with 5xx.")
    return BreakdownTable(
        "Which APIs fail most?", [_named("API", asked, "api"), share, ERRORS, server, CALLS], bad[:10]
    )


def statuses(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """How often each status was answered."""
    named = Column(
        "Status", lambda row: _link(asked, status_badge(int(row["name"])), status=row["name"]), "", number=False
    )
    return BreakdownTable("With which status?", [named, CALLS, _share(rows)], rows)


def codes(rows: Sequence[Row]) -> BreakdownTable:
    """What the gateway itself refused, and what failed."""
    return BreakdownTable("What did the gateway refuse, and what failed?", [_told("Code"), CALLS], rows)


def reasons(rows: Sequence[Row]) -> BreakdownTable:
    """Why calls were answered as they were."""
    return BreakdownTable("Why was each call answered as it was?", [_told("Reason"), CALLS, _share(rows)], rows)


def unanswered(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """Why calls went past the cache, or found nothing in it."""
    named = Column("Result", lambda row: _link(asked, result_badge(row["cache"]), cache=row["cache"]), "", number=False)
    calls = Column(
        "Calls",
        lambda row: _link(asked, number_format.number(row["calls"]), cache=row["cache"], reason=row["name"]),
        "Calls that the cache didn't answer for this reason, MISS and BYPASS. Refused calls are BYPASS.",
    )
    return BreakdownTable(
        "Why were calls not answered by the cache?", [_told("Reason"), named, calls, _share(rows)], rows
    )


def saved(asked: AnalyticsQuery, rows: Sequence[Row]) -> BreakdownTable:
    """What the cache saved the upstreams and the callers."""
    columns = [
        _named("API", asked, "api"),
        Column(
            "Upstream calls not made",
            lambda row: number_format.number(row["calls"]),
            "HIT and STALE: each would have been a call to the upstream.",
        ),
        Column(
            "Waiting saved",
            lambda row: (
                number_format.DASH if row["ms"] is None else f"about {number_format.duration(row['ms'] / 1000)}"
            ),
            "Upstream calls not made × the mean time that the other calls of the span waited for the upstream.",
        ),
    ]
    return BreakdownTable("What did the cache save?", columns, [row for row in rows if row["calls"]])


def _upstream_share(kind: str) -> Column:
    return Column(
        f"Upstream's share, {kind}",
        lambda row: number_format.percent(row["latency_shares"][kind]["upstream"]),
        "How much of the time of these calls was spent waiting for the upstream; the rest is the gateway's.",
    )


def _with_result(name: str) -> Column:
    return Column(name, lambda row: number_format.number(row["caches"].get(name, 0)), figure_words.result(name))


def _named(head: str, asked: AnalyticsQuery, word: str, nameless: str = "no known one") -> Column:
    """The part's name, which leads to its calls."""

    def cell(row: Row) -> object:
        return _link(asked, row["name"], **{word: row["name"]}) if row["name"] else nameless

    return Column(head, cell, "", number=False)


def _operation(asked: AnalyticsQuery, row: Row) -> SafeString:
    if not row["name"]:
        return format_html('no known one<span class="cell-sub">{}</span>', row["api"] or "no known API")
    link = _link(asked, row["name"], api=row["api"], operation=row["name"])
    return format_html('{}<span class="cell-sub">{}</span>', link, row["api"])


def _link(asked: AnalyticsQuery, text: object, **narrowed: str) -> SafeString:
    return format_html('<a href="{}">{}</a>', asked.address("calls", **narrowed), text)


def _told(head: str) -> Column:
    """A code and the sentence that it stands for."""

    def cell(row: Row) -> SafeString:
        return format_html('{}<span class="cell-sub">{}</span>', sentence_of(row["name"]) or row["name"], row["name"])

    return Column(head, cell, "", number=False)


def _share(rows: Sequence[Row]) -> Column:
    total = sum(row["calls"] for row in rows)
    return Column(
        "Share", lambda row: number_format.percent(row["calls"] / total if total else None), figure_words.SHARE
    )

"""What each figure counts, in words: a figure is never shown without them. And the headline figures of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.analytics.figures import SERVED_BY_CACHE
from apps.console import number_format

Row = Mapping[str, Any]
"""Figures as the selectors of analytics give them."""

CALLS = "Every call, refused ones too. Those of warm-ups are left out."
ERRORS = "Calls answered with 4xx or 5xx, by the upstream or by the gateway itself."
ERROR_SHARE = "Errors ÷ calls."
SENT = "Bytes of the responses to clients."
HIT_RATIO = (
    "(HIT + STALE + REVALIDATED) ÷ (those + MISS). BYPASS is left out, and so are refused calls, which are BYPASS."
)
BEFORE = "The same in the span of equal length before."
SHARE = "The row's calls ÷ the calls of all rows of this table."
TREND = "Calls by step of time, the newest on the right."
_CLASSES = {
    "all": "All calls but those to no known API, with or without the cache",
    "hit": "HIT and STALE, which waited for no upstream",
    "revalidated": "REVALIDATED",
    "miss": "MISS",
    "bypass": "BYPASS that went to the upstream; what the gateway refused is left out",
    "error": "Calls answered with 4xx or 5xx, whatever the cache did",
}


@dataclass(frozen=True)
class Figure:
    """One headline figure, and its value in the span before. ``means`` says what it counts; ``dashboard`` names where more is."""

    label: str
    value: str
    before: str
    means: str
    dashboard: str


def result(name: str) -> str:
    """Of a column with the calls of one cache result."""
    return f"Calls whose cache result is {name}."


def latency(kind: str, percentile: str = "p95") -> str:
    """Of a percentile of a class of calls."""
    share = {"p50": "Half", "p95": "95 %", "p99": "99 %"}[percentile]
    return f"{_CLASSES[kind]}. {share} of them took at most this long, from the request's head to the last byte of the response."


def hit_ratio_of(row: Row) -> str:
    """The parts of a hit ratio with their calls."""
    calls = {name: number_format.number(row["caches"].get(name, 0)) for name in (*SERVED_BY_CACHE, "MISS", "BYPASS")}
    served = " + ".join(f"{name} {calls[name]}" for name in SERVED_BY_CACHE)
    return f"({served}) ÷ (those + MISS {calls['MISS']}). {calls['BYPASS']} BYPASS left out, refused calls among them."


def latency_of(row: Row, kind: str, percentile: str = "p95") -> str:
    """A percentile of a class with the calls behind it, and whose the time was."""
    shares = row["latency_shares"][kind]
    if shares["upstream"] is None:
        return latency(kind, percentile)
    upstream, gateway = number_format.percent(shares["upstream"]), number_format.percent(shares["gateway"])
    return (
        f"{latency(kind, percentile)} {number_format.counted(row['measured'][kind], 'call')} measured; of their time "
        f"{upstream} was the upstream's and {gateway} the gateway's."
    )


def hit_ratio_cell(row: Row) -> SafeString:
    """A hit ratio for a table: what is left out stands below it, its parts are in a tooltip."""
    bypassed = row["caches"].get("BYPASS", 0)
    left_out = format_html('<span class="cell-sub">{} BYPASS left out</span>', number_format.number(bypassed))
    return format_html(
        '<span title="{}">{}</span>{}',
        hit_ratio_of(row),
        number_format.percent(row["hit_ratio"]),
        left_out if bypassed else "",
    )


def latency_cell(row: Row, kind: str, percentile: str) -> SafeString:
    """A percentile for a table, with the calls behind it in a tooltip."""
    value = number_format.milliseconds(row["latency"][kind][percentile])
    return format_html('<span title="{}">{}</span>', latency_of(row, kind, percentile), value)


def headlines(now: Row, before: Row) -> list[Figure]:
    """The figures above a page, and what each was in the span before."""

    def p95(label: str, kind: str) -> Figure:
        value, earlier = (number_format.milliseconds(row["latency"][kind]["p95"]) for row in (now, before))
        return Figure(label, value, earlier, latency_of(now, kind), "latency")

    return [
        Figure("Calls", number_format.number(now["calls"]), number_format.number(before["calls"]), CALLS, "traffic"),
        Figure(
            "Hit ratio",
            number_format.percent(now["hit_ratio"]),
            number_format.percent(before["hit_ratio"]),
            hit_ratio_of(now),
            "cache",
        ),
        p95("p95 of hits", "hit"),
        p95("p95 of misses", "miss"),
        p95("p95 of bypasses", "bypass"),
        Figure("Errors", number_format.number(now["errors"]), number_format.number(before["errors"]), ERRORS, "errors"),
    ]

"""What dashboards are asked and what they draw: pure."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.analytics.explain import ExplainedStep
from apps.analytics.figures import Figures
from apps.analytics.selectors import Series
from apps.console.analytics import charts
from apps.console.analytics.charts import Line, behind, chart
from apps.console.analytics.event_marks import Mark
from apps.console.analytics.query_parameters import AnalyticsQuery
from apps.console.analytics.waterfall import WIDTH, waterfall
from tests.support.calls import make_record

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def query_of(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


# What is asked


def test_without_a_word_the_last_day_is_meant():
    window = AnalyticsQuery.of({}, NOW).window
    assert (window.since, window.until, window.preset) == (NOW - timedelta(days=1), NOW, "24h")


@pytest.mark.parametrize(
    ("span", "length"),
    [
        ("15m", timedelta(minutes=15)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("30d", timedelta(days=30)),
    ],
)
def test_a_span_ends_now(span, length):
    window = AnalyticsQuery.of({"span": span}, NOW).window
    assert (window.until, window.length) == (NOW, length)
    assert (window.before.until, window.before.length) == (window.since, length)


def test_a_span_of_one_s_own_is_in_the_zone_of_the_reader():
    asked = AnalyticsQuery.of({"since": "2026-02-01T10:00", "until": "2026-02-01T12:00", "zone": "Europe/Berlin"}, NOW)
    assert asked.window.since == datetime(2026, 2, 1, 9, 0, tzinfo=UTC)
    assert asked.window.preset == ""
    utc = AnalyticsQuery.of({"since": "2026-02-01T10:00", "until": "2026-02-01T12:00", "zone": "Mars/Olympus"}, NOW)
    assert utc.window.since == datetime(2026, 2, 1, 10, 0, tzinfo=UTC)


def test_a_zone_in_the_address_wins_even_when_its_plus_was_not_encoded():
    asked = AnalyticsQuery.of(
        {"since": "2026-02-01T10:00:00 02:00", "until": "2026-02-01T12:00:00Z", "zone": "Asia/Tokyo"}, NOW
    )
    assert asked.window.since == datetime(2026, 2, 1, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        {"span": "1y"},
        {"since": "soon"},
        {"since": "2026-02-30T10:00"},
        {"since": "2026-02-02", "until": "2026-02-01"},
        {"since": "0001-01-01T00:00"},
        {"until": "9999-12-31T23:59:59"},
    ],
)
def test_a_span_that_means_nothing_is_refused_in_words_and_the_last_day_shown(query):
    asked = AnalyticsQuery.of(query, NOW)
    assert asked.refusal
    assert asked.window.preset == "24h"


def test_a_span_is_as_long_as_figures_are_kept_at_most():
    assert AnalyticsQuery.of({"since": "1975-01-01"}, NOW).window.length == timedelta(days=3660)


def test_filters_stay_in_every_address_and_unknown_words_do_not():
    asked = AnalyticsQuery.of({"span": "7d", "api": " products ", "colour": "red", "tenant": ""}, NOW)
    assert asked.filters == {"api": "products"}
    assert query_of(asked.address("dashboard", "cache")) == {"span": "7d", "api": "products"}
    assert query_of(asked.address("dashboards", span="1h")) == {"span": "1h", "api": "products"}
    assert query_of(asked.address("calls", cache="HIT")) == {"span": "7d", "api": "products", "cache": "HIT"}
    assert query_of(asked.address("calls", api="")) == {"span": "7d"}
    assert query_of(asked.without_time("calls")) == {"api": "products"}


def test_one_s_own_span_stays_in_every_address():
    asked = AnalyticsQuery.of({"since": "2026-02-01T10:00", "until": "2026-02-01T12:00", "zone": "Europe/Berlin"}, NOW)
    assert query_of(asked.address("dashboards")) == {"since": "2026-02-01T09:00:00Z", "until": "2026-02-01T11:00:00Z"}


# What is drawn


def point(index: int, step: int = 60, start: datetime = NOW, gap: bool = False, missing: int = 0, **counts: int):
    figures = Figures()
    for cache, count in counts.items():
        for _ in range(count):
            status, duration = 500 if cache == "BYPASS" else 200, 0.5 if cache == "HIT" else 50.0
            figures.count(make_record("", cache=cache, status=status, duration=duration))
    return {
        "at": start + timedelta(seconds=step * index),
        "gap": gap,
        "synthetic": 0,
        "calls": figures.calls,
        "errors": figures.errors,
        "bytes": figures.response_bytes,
        "hit_ratio": figures.hit_ratio,
        "latency": figures.latency(),
        "completeness": {"received": figures.calls, "expected": figures.calls + missing},
        "caches": dict(figures.caches),
        "statuses": figures.by_class(),
    }


@pytest.fixture
def now():
    return Series(60, [point(0, HIT=3, MISS=1), point(1, gap=True, missing=5, BYPASS=2), point(2)])


@pytest.fixture
def before():
    start = NOW - timedelta(seconds=180)
    return Series(60, [point(0, start=start, MISS=4), point(1, start=start, HIT=1), point(2, start=start, HIT=2)])


def named(made, name):
    return next(line for line in made.lines if line.name == name)


def test_the_cache_s_chart_stacks_the_results_under_the_ratio(now, before):
    [made] = charts.cache(now, before, [])
    assert [line.name for line in made.lines] == ["HIT", "MISS", "BYPASS", "Hit ratio", "Before"]
    assert [line.stacked for line in made.lines] == [True, True, True, False, False]
    assert named(made, "HIT").values == [3, 0, 0]
    assert named(made, "Hit ratio").values == [0.75, None, None]
    assert named(made, "Before").values == [0.0, 1.0, 1.0]
    assert named(made, "MISS").calls == {"cache": "MISS"}


def test_hits_and_misses_share_one_logarithmic_scale(now, before):
    hits, misses, _ = charts.latency(now, before, [])
    assert (hits.log, hits.bottom, hits.top) == (True, 0.1, 100)
    assert (misses.log, misses.bottom, misses.top) == (True, 0.1, 100)
    assert [line.stroke for line in hits.lines[:3]] == ["solid", "dashed", "dotted"]
    assert named(hits, "p95").values[1:] == [None, None]
    assert named(misses, "p95 before").values[0] == pytest.approx(50, rel=0.02)


def test_errors_are_counted_and_set_against_the_calls(now, before):
    [made] = charts.errors(now, before, [])
    assert named(made, "5xx").values == [0, 2, 0]
    assert named(made, "Share of calls").values == [0.0, 1.0, None]


def test_the_largest_tenants_have_a_line_and_the_rest_one_together(now):
    part = Series(60, [point(0, HIT=1), point(1), point(2)])
    [made] = charts.callers(now, [("acme", part)], [])
    assert named(made, "acme").values == [1, 0, 0]
    assert named(made, "others").values == [3, 2, 0]


def test_what_is_missing_is_hatched_and_counted(now, before):
    calls = charts.traffic(now, before, [])[0]
    data = calls.data()
    first = round(NOW.timestamp() * 1000)
    assert data["gaps"] == [[first + 60_000, first + 120_000]]
    assert (calls.received, calls.expected, calls.complete) == (6, 11, False)


def test_the_table_has_the_same_numbers_newest_first_with_a_dash_for_none(now, before):
    [made] = charts.cache(now, before, [])
    rows = made.rows()
    assert [row.at for row in rows] == [NOW + timedelta(minutes=2), NOW + timedelta(minutes=1), NOW]
    newest, gap, oldest = rows
    assert dict(oldest.values) == {
        "HIT": "3",
        "MISS": "1",
        "BYPASS": "0",
        "Hit ratio": "75\u00a0%",
        "Before": "0\u00a0%",
    }
    assert gap.gap is True
    assert dict(gap.values)["Hit ratio"] == "–"
    assert dict(newest.values)["Before"] == "100\u00a0%"


def test_marks_stand_at_their_time(now, before):
    mark = Mark(NOW + timedelta(seconds=30), "Purged products", "ann@acme.test", 7)
    data = charts.cache(now, before, [mark])[0].data()
    assert data["marks"] == [{"at": round(NOW.timestamp() * 1000) + 30_000, "label": "Purged products"}]


def test_a_chart_without_calls_is_empty_whatever_was_before(before):
    nothing = Series(60, [point(0), point(1), point(2)])
    assert all(made.empty for made in charts.traffic(nothing, before, []))


def test_longer_steps_of_the_period_before_are_shared_out():
    now = Series(60, [point(index) for index in range(4)])
    start = NOW - timedelta(seconds=240)
    before = Series(120, [point(0, 120, start, HIT=6), point(1, 120, start, HIT=2)])
    assert behind(now, before, lambda each: each["calls"], count=True) == [3.0, 3.0, 1.0, 1.0]
    assert behind(now, before, lambda each: each["hit_ratio"]) == [1.0, 1.0, 1.0, 1.0]


def test_a_period_before_of_which_nothing_is_kept_has_no_line():
    now = Series(60, [point(0), point(1)])
    assert behind(now, Series(60, []), lambda each: each["calls"]) == [None, None]


def test_the_data_of_a_chart_names_its_question_and_each_line_s_meaning(now):
    made = chart("key", "Why?", now, [Line("HIT", "hit", [1, 2, 3])])
    assert made.element == "chart-key"
    assert made.data()["series"][0]["colour"] == "hit"
    assert made.data()["step"] == 60_000


# One call


def steps(*times: float) -> list[ExplainedStep]:
    return [ExplainedStep("cache", "fresh", ms, "") for ms in times]


def test_the_bars_of_a_call_follow_each_other_on_one_scale():
    first, second = waterfall(steps(25.0, 100.0), 100.0)
    assert (first.x, first.width, first.took) == (0.0, WIDTH / 4, 25.0)
    assert (second.x, second.width, second.took) == (WIDTH / 4, WIDTH * 3 / 4, 75.0)


def test_a_short_decision_can_still_be_seen_and_stays_on_the_picture():
    bars = waterfall(steps(0.001, 100.0, 100.0001), 100.0)
    assert all(bar.width >= 1.5 and bar.x + bar.width <= WIDTH for bar in bars)


def test_the_time_of_the_upstream_and_the_end_of_the_call_have_their_bars():
    """Of a call whose upstream failed once, answered 100 ms after it was asked again, and took as long for its body."""
    trace = [
        ExplainedStep(stage, decision, ms, "")
        for stage, decision, ms in (
            ("cache", "not_found", 10.0),
            ("forward", "attempt 1", 20.0),
            ("upstream", "connection_refused", 50.0),
            ("forward", "attempt 2", 60.0),
            ("upstream", "200", 160.0),
        )
    ]
    bars = waterfall(trace, 260.0)
    assert [(bar.step.decision, bar.took) for bar in bars if bar.of_upstream] == [
        ("connection_refused", 30.0),
        ("200", 100.0),
        ("last byte", 100.0),
    ]
    assert sum(bar.took for bar in bars) == 260.0
    assert bars[-1].step.sentence.startswith("The rest of the upstream's response")


def test_the_end_of_a_call_that_asked_no_upstream_is_not_the_upstreams():
    bars = waterfall(steps(1.0), 3.0)
    assert [(bar.step.decision, bar.took, bar.of_upstream) for bar in bars] == [
        ("fresh", 1.0, False),
        ("last byte", 2.0, False),
    ]


def test_a_call_without_a_duration_has_bars_all_the_same():
    assert [bar.took for bar in waterfall(steps(0.0, 0.0), 0.0)] == [0.0, 0.0]
    assert waterfall([], 0.0) == []

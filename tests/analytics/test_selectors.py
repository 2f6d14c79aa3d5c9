"""Figures for dashboards: equal to what counting the rows gives, seen only by those who may, at a cost that doesn't grow."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import floor

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.analytics import questions, selectors
from apps.analytics.batch_ingestion import ingest_batch
from apps.analytics.choices import DIMENSIONS, Period
from apps.analytics.histograms import ERROR
from apps.analytics.models import CallRecord, RollUp
from apps.analytics.policies import ALL, VisibleCalls, calls_visible_to, can_view_call
from apps.analytics.stream import Batch
from apps.gateway.records.spool import frame, new_incarnation
from apps.wire.call_records import encode
from tests.analytics.records import NODE, record
from tests.support.cast import Cast, make_api

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_redis")]

NOW = datetime.now(UTC).replace(microsecond=0)


def log(*changes: dict) -> None:
    """Calls in the log, one for each dictionary of what is special about it."""
    life = new_incarnation(NODE, 0, 1_800_000_000.0)
    for start in range(0, len(changes), 500):
        some = changes[start : start + 500]
        frames = [
            frame(number, encode(record(f"{life}{number:08d}", **{"at": NOW.timestamp() - 30, **each})))
            for number, each in enumerate(some, start + 1)
        ]
        ingest_batch([Batch(life, NODE, b"".join(frames))])


def ago(**length: float) -> float:
    return (NOW - timedelta(**length)).timestamp()


def some_calls(count: int, seed: int = 5, hours: float = 30) -> list[dict]:
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        tenant = chance.choice(["acme", "globex", ""])
        cache = chance.choice(["HIT", "HIT", "STALE", "REVALIDATED", "MISS", "BYPASS"])
        status = chance.choice([200, 200, 200, 404, 429, 502])
        forwarded = cache in ("MISS", "REVALIDATED") or (cache == "BYPASS" and status != 429)
        made.append(
            {
                "api": chance.choice(["products", "orders", ""]),
                "tenant": tenant,
                "application": f"{tenant}/{chance.choice(['bot', 'web'])}" if tenant else "",
                "operation": chance.choice(["GET /items", "POST /items", ""]),
                "cache": cache,
                "status": status,
                "code": "rate_limited" if status == 429 else "",
                "reason": chance.choice(["fresh", "not_found"]),
                "duration": chance.lognormvariate(2, 1.5),
                "upstream_duration": chance.uniform(1, 100) if forwarded else 0.0,
                "attempts": int(forwarded),
                "response_bytes": chance.randrange(10_000),
                "at": ago(hours=chance.uniform(0, hours)),
            }
        )
    return made


def counted(rows: list[CallRecord]) -> dict:
    """What a summary of these rows must say, the slow way."""
    caches = Counter(row.cache for row in rows)
    served = caches["HIT"] + caches["STALE"] + caches["REVALIDATED"]
    asked = served + caches["MISS"]
    return {
        "calls": len(rows),
        "errors": sum(row.status >= 400 for row in rows),
        "bytes": sum(row.response_bytes for row in rows),
        "hit_ratio": served / asked if asked else None,
        "completeness": {"received": len(rows), "expected": len(rows)},
        "caches": dict(caches),
        "statuses": dict(Counter(f"{row.status // 100}xx" for row in rows)),
        "upstream_calls": sum(row.attempts for row in rows),
        "measured": {kind: len(some) for kind, some in classes(rows).items()},
        "latency_shares": {kind: shares(some) for kind, some in classes(rows).items()},
        "latency": {kind: percentiles([row.duration for row in some]) for kind, some in classes(rows).items()},
    }


def classes(rows: list[CallRecord]) -> dict[str, list[CallRecord]]:
    return {
        "all": rows,
        "hit": [row for row in rows if row.cache in ("HIT", "STALE")],
        "revalidated": [row for row in rows if row.cache == "REVALIDATED"],
        "miss": [row for row in rows if row.cache == "MISS"],
        "bypass": [row for row in rows if row.cache == "BYPASS" and row.attempts],
        "error": [row for row in rows if row.status >= 400],
    }


def shares(rows: list[CallRecord]) -> dict:
    """Whose the time of these calls was; that of an upstream that another call waited for isn't longer than the call."""
    if not rows:
        return {"upstream": None, "gateway": None}
    upstream = sum(min(row.upstream_duration, row.duration) for row in rows) / sum(row.duration for row in rows)
    return {"upstream": pytest.approx(upstream), "gateway": pytest.approx(1 - upstream)}


def percentiles(durations: list[float]) -> dict:
    ordered = sorted(durations)
    return {
        f"p{share}": ordered[floor(share / 100 * (len(ordered) - 1))] if ordered else None for share in (50, 95, 99)
    }


def assert_agrees(told: dict, rows: list[CallRecord]) -> None:
    expected = counted(rows)
    for kind, shares in expected.pop("latency").items():
        for name, exact in shares.items():
            found = told["latency"][kind][name]
            assert found == exact or abs(found - exact) <= exact * ERROR * 1.0001, (kind, name)
    assert {name: told[name] for name in expected} == expected


FILTERS = [
    {},
    {"api": "products"},
    {"tenant": "acme"},
    {"application": "acme/bot"},
    {"api": "orders", "tenant": "globex"},
    {"api": "orders", "application": "globex/web"},
    {"api": "products", "operation": "GET /items"},
    {"api": "products", "operation": "GET /items", "application": "acme/web"},
    {"api": "nothing"},
]


def test_figures_of_any_part_over_any_span_equal_counting_the_rows():
    log(*some_calls(1500))
    chance = random.Random(11)
    for filters in FILTERS:
        for _ in range(4):
            since = NOW - timedelta(hours=chance.uniform(1, 30), seconds=chance.random())
            until = since + timedelta(hours=chance.uniform(0.01, 30))
            told = selectors.summary(selectors.Question.asked(ALL, since=since, until=until, **filters))
            assert_agrees(told, list(CallRecord.objects.filter(at__gte=since, at__lt=until, **filters)))


def test_every_level_of_every_period_adds_up_to_the_same():
    log(*some_calls(400))
    for level in DIMENSIONS:
        for period in Period:
            rows = list(RollUp.objects.filter(level=level, period=period))
            assert sum(row.calls for row in rows) == 400
            assert sum(row.figures.calls for row in rows) == 400
            assert sum(row.figures.response_bytes for row in rows) == sum(
                CallRecord.objects.values_list("response_bytes", flat=True)
            )
            assert all(row.bucket.timestamp() % period == 0 for row in rows)


def test_without_a_span_the_last_day_is_told_the_open_minute_included():
    log({"at": ago(hours=23)}, {"at": timezone.now().timestamp()}, {"at": ago(hours=25)})
    assert selectors.summary(selectors.Question.asked(ALL))["calls"] == 2


def test_a_span_of_seconds_within_one_minute_is_exact():
    minute = (NOW - timedelta(minutes=5)).replace(second=0)
    log(*({"at": minute.timestamp() + second} for second in range(0, 60, 10)))
    told = selectors.summary(
        selectors.Question.asked(ALL, since=minute + timedelta(seconds=15), until=minute + timedelta(seconds=45))
    )
    assert told["calls"] == 3


def test_a_span_that_starts_just_after_the_hour_is_exact():
    hour = (NOW - timedelta(hours=3)).replace(minute=0, second=0)
    log(*({"at": hour.timestamp() + second} for second in range(0, 60, 10)))
    since = hour + timedelta(seconds=15)
    assert selectors.summary(selectors.Question.asked(ALL, since=since, until=hour + timedelta(hours=2)))["calls"] == 4
    assert selectors.summary(selectors.Question.asked(ALL, since=hour - timedelta(hours=1), until=since))["calls"] == 2


def test_a_busy_minute_at_the_end_of_a_span_is_told_whole_at_the_same_cost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(questions, "EXACT_CALLS", 3)
    minute = (NOW - timedelta(minutes=5)).replace(second=0)
    log(*({"at": minute.timestamp() + second} for second in range(0, 60, 10)))
    told = selectors.summary(
        selectors.Question.asked(ALL, since=minute + timedelta(seconds=5), until=minute + timedelta(minutes=2))
    )
    assert told["calls"] == 6


@pytest.mark.parametrize("scope", [ALL, VisibleCalls(tenants=frozenset({"acme"}), apis=frozenset({"orders"}))])
def test_calls_with_an_id_are_found_by_an_index(scope):
    log({"request_id": "mine"})
    with CaptureQueriesContext(connection) as asked:
        assert [call.request_id for call in selectors.calls_with_id(scope, "mine", 8)] == ["mine"]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # a table of one row is never worth an index
        for query in [each["sql"] for each in asked]:
            cursor.execute(f"EXPLAIN {'' if connection.vendor == 'postgresql' else 'QUERY PLAN '}{query}")
            plan = str(cursor.fetchall())
            assert not any(walk in plan for walk in ("SCAN", "Seq Scan", "calls_by_time")), plan


def test_no_call_that_could_be_a_hit_means_no_hit_ratio():
    log({"cache": "BYPASS", "status": 401}, {"cache": "BYPASS", "status": 404})
    told = selectors.summary(selectors.Question.asked(ALL))
    assert (told["hit_ratio"], told["errors"]) == (None, 2)
    assert told["latency"]["hit"] == {"p50": None, "p95": None, "p99": None}


def test_one_miss_and_one_hit_are_a_ratio_of_one_half():
    log({"cache": "MISS"}, {"cache": "HIT"}, {"cache": "BYPASS"})
    assert selectors.summary(selectors.Question.asked(ALL))["hit_ratio"] == 0.5


def test_nothing_at_all_is_told_as_such():
    told = selectors.summary(selectors.Question.asked(ALL))
    assert (told["calls"], told["bytes"], told["hit_ratio"]) == (0, 0, None)
    assert told["completeness"] == {"received": 0, "expected": 0}


@pytest.mark.parametrize("step", [None, 60, 300, 3600, 5400, 86400])
def test_the_points_of_a_series_are_the_rows_by_time(step: int | None):
    log(*some_calls(600, hours=20))
    since = NOW - timedelta(hours=20)
    series = selectors.timeseries(selectors.Question.asked(ALL, since=since, until=NOW), step=step)
    rows = list(CallRecord.objects.all())
    for point, following in zip(series.points, series.points[1:], strict=False):
        assert following["at"] - point["at"] == timedelta(seconds=series.step)
    for point in series.points:
        end = point["at"] + timedelta(seconds=series.step)
        assert_agrees(point, [row for row in rows if point["at"] <= row.at < end])
        assert point["gap"] is False
    assert sum(point["calls"] for point in series.points) == 600


def test_a_series_of_a_long_span_reads_hours_and_days():
    log({"at": ago(days=1)}, {"at": ago(days=10)}, {"at": ago(days=80)})
    week = selectors.timeseries(selectors.Question.asked(ALL, since=NOW - timedelta(days=7)))
    assert (week.step, sum(point["calls"] for point in week.points)) == (3600, 1)
    year = selectors.timeseries(selectors.Question.asked(ALL, since=NOW - timedelta(days=365)))
    assert (year.step, sum(point["calls"] for point in year.points)) == (86400, 3)


@pytest.mark.parametrize("by", ["api", "tenant", "application", "operation"])
@pytest.mark.parametrize("filters", [{}, {"api": "products"}, {"tenant": "acme"}])
def test_a_breakdown_tells_the_largest_parts_first(by: str, filters: dict):
    log(*some_calls(500))
    since = NOW - timedelta(hours=40)
    parts = selectors.breakdown(selectors.Question.asked(ALL, since=since, **filters), by=by, top=3)
    rows = list(CallRecord.objects.filter(**filters))
    columns = ("api", "operation") if by == "operation" else (by,)
    sizes = Counter(tuple(getattr(row, column) for column in columns) for row in rows)
    assert [part["calls"] for part in parts] == sorted(sizes.values(), reverse=True)[:3]
    for part in parts:
        key = {column: part[column] for column in columns}
        assert part["name"] == part[columns[-1]]
        assert_agrees(
            part, list(CallRecord.objects.filter(**key, **{k: v for k, v in filters.items() if k not in key}))
        )


@pytest.mark.parametrize("by", ["status", "reason", "code", "cache"])
def test_a_breakdown_by_what_is_counted(by: str):
    log(*some_calls(300))
    parts = selectors.breakdown(selectors.Question.asked(ALL, since=NOW - timedelta(hours=40)), by=by)
    sizes = Counter(str(getattr(row, by)) for row in CallRecord.objects.all() if getattr(row, by))
    assert {part["name"]: part["calls"] for part in parts} == sizes
    assert [part["calls"] for part in parts] == sorted(sizes.values(), reverse=True)


def test_spark_lines_have_a_line_for_each_api_in_one_query(django_assert_num_queries):
    log(*some_calls(300, hours=23))
    with django_assert_num_queries(1):
        lines = selectors.sparklines(selectors.Question.asked(ALL), by="api")
    assert set(lines) == {"products", "orders", ""}
    assert {len(line) for line in lines.values()} <= {24, 25}
    assert sum(map(sum, lines.values())) == 300
    only = selectors.sparklines(selectors.Question.asked(ALL), by="api", names=["orders"])
    assert only == {"orders": lines["orders"]}


@pytest.mark.parametrize("first", [datetime.min, datetime(1970, 1, 1)])
@pytest.mark.parametrize("last", [datetime.min, datetime.max, None])
def test_a_span_from_or_to_any_end_of_the_calendar_is_answered(first: datetime, last: datetime | None):
    log({})
    ends = {"since": first.replace(tzinfo=UTC), "until": last and last.replace(tzinfo=UTC)}
    count = 0 if last == datetime.min else 1
    assert selectors.summary(selectors.Question.asked(ALL, **ends))["calls"] == count
    assert selectors.compare(selectors.Question.asked(ALL, **ends))["now"]["calls"] == count
    assert sum(point["calls"] for point in selectors.timeseries(selectors.Question.asked(ALL, **ends)).points) == count
    assert len(selectors.timeseries(selectors.Question.asked(ALL, **ends), step=60).points) < 2000
    assert len(selectors.breakdown(selectors.Question.asked(ALL, **ends))) == count
    assert sum(map(sum, selectors.sparklines(selectors.Question.asked(ALL, **ends)).values())) == count


def test_a_comparison_is_with_the_span_just_before():
    log(*({"at": ago(hours=3)} for _ in range(2)), *({"at": ago(hours=1)} for _ in range(5)))
    told = selectors.compare(selectors.Question.asked(ALL, since=NOW - timedelta(hours=2), until=NOW))
    assert (told["now"]["calls"], told["before"]["calls"]) == (5, 2)


def test_savings_are_hits_times_what_the_upstream_takes():
    log(
        {"cache": "MISS", "upstream_duration": 100.0},
        {"cache": "MISS", "upstream_duration": 50.0},
        *({"cache": "HIT", "upstream_duration": 0.0, "attempts": 0} for _ in range(4)),
        {"cache": "HIT", "api": "orders", "upstream_duration": 0.0, "attempts": 0},
    )
    assert selectors.savings(selectors.Question.asked(ALL)) == [
        {"name": "products", "calls": 4, "ms": 300.0},
        {"name": "orders", "calls": 1, "ms": None},
    ]


def test_the_cost_of_a_dashboard_does_not_grow_with_the_calls(django_assert_num_queries):
    def everything():
        selectors.summary(selectors.Question.asked(ALL, api="products"))
        selectors.timeseries(selectors.Question.asked(ALL, api="products"))
        selectors.breakdown(selectors.Question.asked(ALL, api="products"), by="application")

    log(*some_calls(10))
    with django_assert_num_queries(8):
        everything()
    log(*some_calls(700, seed=6))
    with django_assert_num_queries(8):
        everything()


def test_a_member_sees_the_calls_of_the_tenant_and_those_to_its_apis_and_no_other(cast: Cast):
    make_api(cast.acme, "orders")
    make_api(cast.platform, "products")
    log(*some_calls(300))
    rows = list(CallRecord.objects.all())
    scope = VisibleCalls.of(cast.alice)
    visible = [row for row in rows if row.tenant == "acme" or row.api == "orders"]
    assert 0 < len(visible) < 300
    since = NOW - timedelta(hours=40)
    assert set(calls_visible_to(cast.alice)) == set(visible) == set(selectors.calls(scope=scope))
    assert [row for row in rows if can_view_call(cast.alice, row)] == visible
    assert_agrees(selectors.summary(selectors.Question.asked(scope, since=since)), visible)
    for filters in FILTERS:
        fitting = [row for row in visible if all(getattr(row, name) == value for name, value in filters.items())]
        assert_agrees(selectors.summary(selectors.Question.asked(scope, since=since, **filters)), fitting)
    series = selectors.timeseries(selectors.Question.asked(scope, since=since))
    assert sum(point["calls"] for point in series.points) == len(visible)
    by_tenant = selectors.breakdown(selectors.Question.asked(scope, since=since), by="tenant")
    assert {part["name"]: part["calls"] for part in by_tenant} == Counter(row.tenant for row in visible)
    lines = selectors.sparklines(selectors.Question.asked(scope, since=since))
    assert {name: sum(line) for name, line in lines.items()} == Counter(row.api for row in visible)


def test_roles_of_one_tenant_see_the_same_calls(cast: Cast):
    log(*some_calls(50))
    assert VisibleCalls.of(cast.alice) == VisibleCalls.of(cast.bob) == VisibleCalls.of(cast.vera)


def test_a_stranger_and_a_deactivated_administrator_see_nothing(cast: Cast):
    log(*some_calls(20))
    cast.ada.is_active = False
    for nobody in (None, cast.ada):
        assert not calls_visible_to(nobody).exists()
        assert selectors.summary(selectors.Question.asked(VisibleCalls.of(nobody)))["calls"] == 0
    assert calls_visible_to(cast.charlie).exclude(tenant="globex").count() == 0


def test_an_administrator_sees_every_call(cast: Cast):
    log(*some_calls(20))
    assert calls_visible_to(cast.ada).count() == 20


@pytest.mark.parametrize(
    ("filters", "chosen"),
    [
        ({"status": "404"}, lambda row: row.status == 404),
        ({"status": "4xx"}, lambda row: 400 <= row.status < 500),
        ({"cache": "HIT"}, lambda row: row.cache == "HIT"),
        ({"api": "orders", "cache": "MISS"}, lambda row: row.api == "orders" and row.cache == "MISS"),
        ({"since": NOW - timedelta(hours=2)}, lambda row: row.at >= NOW - timedelta(hours=2)),
        ({"until": NOW - timedelta(hours=2)}, lambda row: row.at < NOW - timedelta(hours=2)),
        ({"path": "/products/items"}, lambda row: True),
        ({"path": "/items"}, lambda row: False),
    ],
)
def test_the_log_is_filtered_and_newest_first(filters: dict, chosen):
    log(*some_calls(100))
    found = list(selectors.calls(scope=ALL, **filters))
    assert {row.pk for row in found} == {row.pk for row in CallRecord.objects.all() if chosen(row)}
    assert [row.at for row in found] == sorted((row.at for row in found), reverse=True)


def test_a_call_is_found_by_its_id_and_by_the_callers():
    log({"request_id": "mine"}, {"request_id": "yours"})
    row = selectors.calls(scope=ALL, request_id="mine").get()
    assert selectors.calls(scope=ALL, call_id=row.call_id).get() == row


def test_a_trace_tells_each_decision_in_order_and_in_words():
    log({"trace": (("route", "products", 0.01), ("cache", "not_found", 0.05)), "reason": "not_found"})
    trace = selectors.call_trace(CallRecord.objects.get())
    assert [(step.stage, step.decision, step.ms) for step in trace.steps] == [
        ("route", "products", 0.01),
        ("cache", "not_found", 0.05),
    ]
    assert trace.steps[1].sentence == trace.sentence == "Nothing is stored under this key."


def test_a_refusal_is_explained_by_its_problem_and_a_crash_by_what_happened():
    log({"code": "rate_limited", "reason": "rate_limited"}, {"code": "gateway_crash"})
    sentences = {row.code: selectors.call_trace(row).sentence for row in CallRecord.objects.all()}
    assert "rate limit" in sentences["rate_limited"]
    assert "died" in sentences["gateway_crash"]


def test_figures_are_told_though_redis_is_away(settings, monkeypatch: pytest.MonkeyPatch):
    log({}, {})
    settings.REDIS_URL = "unix:///nowhere.sock"
    monkeypatch.setattr(selectors.completeness, "_away_until", 0.0)
    assert selectors.summary(selectors.Question.asked(ALL))["completeness"] == {"received": 2, "expected": 2}
    told = selectors.latest_completeness()
    assert (told.received, told.in_stream, told.agents) == (2, None, ())

"""The call log and figures over REST."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.support.calls import HIT, make_calls
from tests.support.cast import make_api

GLOBEX = {"tenant": "globex", "application": "globex/app"}


def ids(answer):
    return [row["call_id"] for row in answer.json()["results"]]


def test_the_call_log_is_newest_first_and_a_record_has_both_ids(cast, calls_as):
    now = time.time()
    first, second = make_calls({"at": now - 60}, {"at": now - 30, "request_id": "mine", **HIT})
    answer = calls_as(cast.ada).get("/api/v1/calls/")
    assert ids(answer) == [second, first]
    newest = answer.json()["results"][0]
    assert (newest["request_id"], newest["cache"], newest["reason"]) == ("mine", "HIT", "fresh")
    assert (newest["duration"], newest["status"], newest["application"]) == (0.5, 200, "acme/bot")


def test_a_call_does_not_tell_where_its_upstream_is(cast, calls_as):
    [call] = make_calls({})
    assert "127.0.0.1:9000" not in calls_as(cast.alice).get(f"/api/v1/calls/{call}/").content.decode()


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("api=products", {"miss", "hit", "gone"}),
        ("api=orders", {"theirs"}),
        ("application=acme/bot", {"miss", "hit", "gone"}),
        ("tenant=globex", {"theirs"}),
        ("status=404", {"gone"}),
        ("status=4xx", {"gone"}),
        ("status=2xx", {"miss", "hit", "theirs"}),
        ("cache=HIT", {"hit"}),
        ("cause=connection_refused", {"gone"}),
        ("request_id=gone", {"gone"}),
        ("path=/products/gone", {"gone"}),
        ("operation=GET /items/{id}&cache=HIT", {"hit"}),
        ("since=2001-01-01&until=2001-01-02", set()),
    ],
)
def test_calls_are_filtered(cast, calls_as, filters, found):
    make_calls(
        {"request_id": "miss"},
        {"request_id": "hit", **HIT},
        {"request_id": "gone", "status": 404, "path": "/products/gone", "cause": "connection_refused"},
        {"request_id": "theirs", "api": "orders", **GLOBEX},
    )
    answer = calls_as(cast.ada).get(f"/api/v1/calls/?{filters}")
    assert {row["request_id"] for row in answer.json()["results"]} == found


def test_a_call_is_found_by_its_id_and_its_time(cast, calls_as):
    now = time.time()
    old, new = make_calls({"at": now - 600}, {"at": now - 10})
    ada = calls_as(cast.ada)
    assert ids(ada.get(f"/api/v1/calls/?call_id={old}")) == [old]
    assert ids(ada.get(f"/api/v1/calls/?since={now - 60}")) == [new]
    middle = datetime.fromtimestamp(now - 60, UTC)
    assert ids(ada.get("/api/v1/calls/", {"until": middle.isoformat()})) == [old]
    assert ids(ada.get(f"/api/v1/calls/?until={middle.isoformat()}")) == [old]
    assert ids(ada.get(f"/api/v1/calls/?until={middle:%Y-%m-%dT%H:%M:%SZ}")) == [old]


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ("status=9xx", "status"),
        ("status=teapot", "status"),
        ("cache=WARM", "cache"),
        ("until=soon", "until"),
        ("ap=x", "ap"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(cast, calls_as, filters, field):
    refused = calls_as(cast.ada).get(f"/api/v1/calls/?{filters}")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])


def test_pages_of_the_log_neither_skip_nor_repeat_while_it_grows(cast, calls_as):
    now = time.time()
    made = make_calls(*({"at": now - 100 + second // 3} for second in range(20)))
    ada = calls_as(cast.ada)
    page = ada.get("/api/v1/calls/?page_size=6")
    assert page.json()["previous"] is None
    assert page.json()["next"].startswith("http://testserver/api/v1/calls/?cursor=")
    seen = ids(page)
    while page.json()["next"]:
        make_calls({"at": now})
        page = ada.get(page.json()["next"])
        seen += ids(page)
    assert seen == made[::-1]


def test_a_page_of_the_log_holds_a_thousand_calls_at_most(cast, calls_as):
    make_calls(*({} for _ in range(1005)))
    ada = calls_as(cast.ada)
    assert len(ids(ada.get("/api/v1/calls/?page_size=4000"))) == 1000
    assert len(ids(ada.get("/api/v1/calls/"))) == 100
    assert ada.get("/api/v1/calls/?page_size=none").status_code == 400
    assert ada.get("/api/v1/calls/?cursor=x").status_code == 404


def test_a_page_of_the_log_takes_as_many_queries_for_fifty_as_for_one(cast, calls_as):
    make_calls({})
    alice = calls_as(cast.alice)
    alice.get("/api/v1/calls/")
    with CaptureQueriesContext(connection) as few:
        alice.get("/api/v1/calls/")
    make_calls(*({} for _ in range(50)))
    with CaptureQueriesContext(connection) as many:
        assert len(ids(alice.get("/api/v1/calls/"))) == 51
    assert len(many) == len(few) <= 4


def test_one_sees_the_calls_of_ones_tenants_and_to_ones_apis(cast, calls_as):
    make_api(cast.platform)
    mine, theirs, elsewhere = make_calls({}, GLOBEX, {"api": "orders", **GLOBEX})
    assert ids(calls_as(cast.vera).get("/api/v1/calls/")) == [mine]
    assert set(ids(calls_as(cast.olga).get("/api/v1/calls/"))) == {mine, theirs}
    charlie = calls_as(cast.charlie)
    assert set(ids(charlie.get("/api/v1/calls/"))) == {theirs, elsewhere}
    assert charlie.get(f"/api/v1/calls/{mine}/").status_code == 404
    assert charlie.get(f"/api/v1/calls/{mine}/explain/").status_code == 404


def test_a_call_is_explained_decision_by_decision(cast, calls_as):
    [call] = make_calls({})
    told = calls_as(cast.alice).get(f"/api/v1/calls/{call}/explain/").json()
    assert told["call"]["call_id"] == call
    assert told["sentence"] == "Nothing is stored under this key."
    assert [(step["stage"], step["decision"], step["ms"]) for step in told["steps"]] == [
        ("route", "products", 0.01),
        ("authenticate", "acme/bot", 0.05),
        ("cache", "not_found", 0.2),
    ]
    assert told["steps"][2]["sentence"] == "Nothing is stored under this key."


def test_a_summary_has_the_contract_s_shape(cast, calls_as):
    make_calls({}, HIT, HIT, HIT, {"status": 500, "cache": "BYPASS", "code": "upstream_unreachable"})
    told = calls_as(cast.ada).get("/api/v1/analytics/summary/").json()
    assert set(told) == {
        "calls",
        "synthetic",
        "errors",
        "bytes",
        "hit_ratio",
        "latency",
        "latency_shares",
        "completeness",
    }
    assert (told["calls"], told["errors"], told["bytes"], told["hit_ratio"]) == (5, 1, 5000, 0.75)
    assert told["completeness"] == {"received": 5, "expected": 5}
    classes = {"all", "hit", "revalidated", "miss", "bypass", "error"}
    assert set(told["latency"]) == set(told["latency_shares"]) == classes
    assert all(set(told["latency"][kind]) == {"p50", "p95", "p99"} for kind in classes)
    assert told["latency"]["hit"]["p95"] == pytest.approx(0.5, rel=0.02)
    assert told["latency"]["miss"]["p50"] == pytest.approx(20, rel=0.02)


def test_a_summary_says_how_long_calls_took_that_the_cache_had_no_part_in(cast, calls_as):
    refused = {"status": 429, "cache": "BYPASS", "code": "rate_limited", "attempts": 0, "upstream_duration": 0.0}
    make_calls({"cache": "BYPASS", "reason": "method", "duration": 200.0, "upstream_duration": 150.0}, refused, HIT)
    told = calls_as(cast.ada).get("/api/v1/analytics/summary/").json()
    assert told["latency"]["bypass"]["p50"] == pytest.approx(200, rel=0.02)
    assert told["latency"]["error"]["p50"] == pytest.approx(20, rel=0.02)
    assert told["latency_shares"]["bypass"] == {"upstream": 0.75, "gateway": 0.25}
    assert told["latency_shares"]["hit"] == {"upstream": 0.0, "gateway": 1.0}
    assert told["latency_shares"]["miss"] == {"upstream": None, "gateway": None}


def test_without_calls_there_is_no_ratio_and_no_latency(cast, calls_as):
    told = calls_as(cast.ada).get("/api/v1/analytics/summary/").json()
    assert (told["calls"], told["hit_ratio"]) == (0, None)
    assert told["latency"]["all"] == {"p50": None, "p95": None, "p99": None}


def test_records_that_never_came_are_counted_as_expected(cast, calls_as):
    make_calls({}, {}, lost=3)
    told = calls_as(cast.ada).get("/api/v1/analytics/summary/").json()
    assert told["completeness"] == {"received": 2, "expected": 5}


@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        ("api=products", 2),
        ("tenant=globex", 1),
        ("application=acme/bot&api=products", 2),
        ("application=globex/app", 1),
        ("api=products&operation=GET /items/{id}", 2),
        ("api=nothing", 0),
    ],
)
def test_figures_are_of_the_calls_that_are_asked_for(cast, calls_as, asked, calls):
    make_calls({}, HIT, {"api": "orders", **GLOBEX})
    assert calls_as(cast.ada).get(f"/api/v1/analytics/summary/?{asked}").json()["calls"] == calls


def test_figures_are_of_the_span_that_is_asked_for(cast, calls_as):
    now = time.time()
    make_calls({"at": now - 7200}, {"at": now - 30 * 3600})
    ada = calls_as(cast.ada)
    assert ada.get("/api/v1/analytics/summary/").json()["calls"] == 1
    assert ada.get(f"/api/v1/analytics/summary/?since={now - 3600}").json()["calls"] == 0
    assert ada.get(f"/api/v1/analytics/summary/?since={now - 48 * 3600}&until={now - 86400}").json()["calls"] == 1


def test_one_s_figures_are_of_the_calls_that_one_may_see(cast, calls_as):
    make_calls({}, HIT, GLOBEX)
    for user, calls in ((cast.vera, 2), (cast.charlie, 1), (cast.olga, 0), (cast.ada, 3)):
        assert calls_as(user).get("/api/v1/analytics/summary/").json()["calls"] == calls
    assert calls_as(cast.charlie).get("/api/v1/analytics/summary/?tenant=acme").json()["calls"] == 0


def test_the_series_adds_up_to_the_summary(cast, calls_as):
    now = datetime.now(UTC).replace(second=30, microsecond=0)
    make_calls(*({"at": (now - timedelta(minutes=minute)).timestamp()} for minute in (1, 5, 5, 9)))
    asked = {"since": (now - timedelta(minutes=15)).isoformat(), "until": now.isoformat(), "step": 60}
    told = calls_as(cast.ada).get("/api/v1/analytics/timeseries/", asked).json()
    assert told["step"] == 60
    counts = [point["calls"] for point in told["points"]]
    assert (sum(counts), max(counts)) == (4, 2)
    ats = [point["at"] for point in told["points"]]
    assert ats == sorted(ats)
    point = next(point for point in told["points"] if point["calls"] == 2)
    assert point["completeness"] == {"received": 2, "expected": 2}
    assert point["gap"] is False
    assert point["latency"]["miss"]["p50"] == pytest.approx(20, rel=0.02)


def test_a_step_with_missing_records_is_a_gap(cast, calls_as):
    make_calls({}, {}, lost=3)
    points = calls_as(cast.ada).get("/api/v1/analytics/timeseries/").json()["points"]
    gaps = [point for point in points if point["gap"]]
    assert [point["completeness"] for point in gaps] == [{"received": 2, "expected": 5}]


@pytest.mark.parametrize("route", ["summary", "timeseries"])
@pytest.mark.parametrize(
    ("asked", "field"),
    [("since=soon", "since"), ("since=2026-02-01&until=2026-01-01", "until"), ("colour=red", "colour")],
)
def test_a_question_that_means_nothing_is_refused(cast, calls_as, route, asked, field):
    refused = calls_as(cast.ada).get(f"/api/v1/analytics/{route}/?{asked}")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])


@pytest.mark.parametrize("step", ["0", "59", "soon"])
def test_a_step_that_is_none_is_refused(cast, calls_as, step):
    refused = calls_as(cast.ada).get(f"/api/v1/analytics/timeseries/?step={step}")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["step"])

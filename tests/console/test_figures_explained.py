"""Every figure says what it counts, wherever it is shown."""

import re
from html import unescape
from pathlib import Path

import pytest
from django.utils import timezone

from apps.console import figure_words
from apps.console.analytics.charts import Line
from apps.console.analytics.dashboards import DASHBOARDS, Panel, dashboard
from apps.console.analytics.query_parameters import AnalyticsQuery
from apps.console.templatetags.console import reason
from apps.gateway.call.problems import Problem
from apps.httpcache import Reason
from tests.console.conftest import text_of
from tests.support.calls import HIT, make_calls

TEMPLATES = Path("templates")
BYPASS = {"cache": "BYPASS", "reason": "method", "duration": 200.0, "upstream_duration": 150.0}
REFUSED = {"cache": "BYPASS", "reason": "rate_limited", "code": "rate_limited", "status": 429, "attempts": 0}
PAGES = ["/", "/apis/", "/apis/products/", "/applications/acme/bot/", "/cache/"]


def test_no_template_has_a_figure_without_what_it_counts():
    used = {
        (path.name, figure)
        for path in TEMPLATES.rglob("*.html")
        for figure in re.findall(r"<c-figure\b[^>]*?/>", path.read_text(), re.S)
    }
    assert used
    assert [each for each in used if not re.search(r'\bmeans="[^"]', each[1])] == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_figure_of_a_dashboard_says_what_it_counts(world, name):
    make_calls({}, HIT, BYPASS, REFUSED, {"status": 502})
    shown = dashboard(name, Panel(world.people.ada, AnalyticsQuery.of({"api": "products"}, timezone.now())))
    assert [
        column.head for table in shown.tables for column in table.columns if column.number and not column.means
    ] == []
    lines = [line for chart in shown.charts for line in chart.lines if line.unit in ("ratio", "ms")]
    assert all(line.means for line in lines)
    assert all(table.explained for table in shown.tables)


def test_a_ratio_or_a_duration_is_not_drawn_without_what_it_means():
    with pytest.raises(ValueError, match="doesn't say what it means"):
        Line("Ratio", "text", [0.5], unit="ratio")


@pytest.mark.parametrize("address", [*PAGES, *(f"/analytics/{name}/" for name in DASHBOARDS)])
def test_a_page_shows_what_each_of_its_figures_counts(world, browse, address):
    make_calls({}, HIT, BYPASS, REFUSED)
    page = browse(world.people.ada).get(address).content.decode()
    figures = re.findall(r'<dl class="figure">(.*?)</dl>', page, re.S)
    assert figures or address == "/apis/"
    for figure in figures:
        [told] = re.findall(r'<details class="means"><summary>.*?</summary>(.*?)</details>', figure, re.S)
        assert len(told) > 10
    for head in re.findall(r">(Hit ratio|p95|Calls, 24 h)</th>", page):
        assert f"<dt>{head}</dt>" in page or "BYPASS is left out" in unescape(page)


def test_a_hit_ratio_names_its_parts_and_what_is_left_out(world, browse):
    make_calls(BYPASS, *({"api": "orders", **each} for each in ({}, HIT, HIT, HIT, BYPASS, REFUSED)))
    ada = browse(world.people.ada)
    parts = "(HIT 3 + STALE 0 + REVALIDATED 0) ÷ (those + MISS 1). 2 BYPASS left out, refused calls among them."
    for address in ("/", "/apis/products/", "/apis/", "/cache/"):
        assert re.search(r"HIT \d .*\d BYPASS left out", unescape(ada.get(address).content.decode())), address
    page = ada.get("/analytics/cache/?api=orders")
    assert parts in text_of(page)
    assert "75 % 2 BYPASS left out" in text_of(page).replace("\u00a0", " ")


def test_an_api_without_a_cache_has_its_latency_and_whose_it_was(world, browse):
    make_calls(*[{"api": "orders", **BYPASS}] * 3)
    page = text_of(browse(world.people.ada).get("/analytics/latency/?api=orders")).replace("\u00a0", " ")
    assert re.search(r"p95 of bypasses (19\d|20\d) ms", page)
    assert "3 calls measured; of their time 75 % was the upstream's and 25 % the gateway's." in page


def test_a_latency_without_calls_says_what_it_would_count():
    nothing = {"latency_shares": {"hit": {"upstream": None, "gateway": None}}}
    assert figure_words.latency_of(nothing, "hit") == figure_words.latency("hit")


def test_the_reasons_of_calls_that_the_cache_did_not_answer_lead_to_them(world, browse):
    calls = ({"path": "/missed"}, HIT, {**BYPASS, "path": "/past"}, {**BYPASS, "path": "/past"})
    make_calls(*({"api": "orders", **call} for call in calls))
    ada = browse(world.people.ada)
    page = ada.get("/analytics/cache/?api=orders&span=1h").content.decode()
    card = page[page.index("Why were calls not answered by the cache?") :].split("</section>")[0]
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr>(.*?)</tr>", card, re.S)[1:]]
    assert [("BYPASS" in row, "MISS" in row) for row in rows] == [(True, False), (False, True)]
    [log] = [unescape(link) for link in re.findall(r'href="([^"]+reason=method[^"]*)"', card)]
    assert re.findall(r'call-path">([^<]+)<', ada.get(log).content.decode()) == ["/past", "/past"]


def test_a_call_past_the_cache_says_why_and_leads_to_the_others(world, browse):
    first, _, _ = make_calls({**BYPASS, "path": "/one"}, {**BYPASS, "path": "/two"}, {})
    ada = browse(world.people.ada)
    page = ada.get(f"/calls/{first}/")
    assert "The cache did not answer this call: responses to this method are not cached." in text_of(page)
    [link] = re.findall(r'<a href="([^"]+)">Calls with this reason</a>', page.content.decode())
    assert re.findall(r'call-path">([^<]+)<', ada.get(unescape(link)).content.decode()) == ["/two", "/one"]


@pytest.mark.parametrize("code", [each.code for each in (*Problem, *Reason)])
def test_each_reason_is_a_sentence_on_every_page(code):
    assert reason(code).endswith(".")

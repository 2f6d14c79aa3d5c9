"""Dashboards, the call log and the REST documentation in a real browser, under the real Content-Security-Policy."""

import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from apps.console.analytics.dashboards import DASHBOARDS
from tests.e2e.conftest import Complaints, sign_in
from tests.support.calls import HIT, make_calls
from tests.support.cast import PASSWORD, make_api, make_cast
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def reader(
    browser: Browser, transactional_db: None, state_redis: object, live_server, complaints: Complaints
) -> Iterator[Page]:
    """A browser in which Ada is signed in, and some calls of the last hour."""
    people = make_cast()
    make_api(people.platform)
    now = time.time()
    rows = [{"at": now - minute * 60, **(HIT if minute % 2 else {})} for minute in range(1, 59)]
    make_calls(*rows, {"at": now - 300, "status": 502, "cache": "BYPASS", "code": "upstream_unreachable"})
    with browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        complaints.listen(page)
        sign_in(page, people.ada.email, PASSWORD)
        yield page


def painted(page: Page) -> list[int]:
    """How many different colours each chart has on its canvas."""
    return page.evaluate(
        """() => [...document.querySelectorAll("[data-chart] canvas")].map((canvas) => {
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const colours = new Set();
            for (let at = 0; at < pixels.length; at += 4) colours.add((pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2]);
            return colours.size;
        })"""
    )


def query_of(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_chart_is_drawn_and_the_policy_has_nothing_against_it(reader, name):
    reader.goto(f"/analytics/{name}/?span=1h")
    charts = reader.locator("[data-chart]")
    expect(charts.last.locator("canvas")).to_be_visible()
    assert len(painted(reader)) == charts.count()
    assert all(colours > 8 for colours in painted(reader))


def test_a_click_on_a_point_leads_to_the_calls_behind_it(reader):
    reader.goto("/analytics/cache/?span=1h&api=products")
    box = reader.locator("[data-chart]").bounding_box()
    with reader.expect_navigation():
        reader.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    query = query_of(reader)
    assert urlsplit(reader.url).path == "/calls/"
    assert query["api"] == "products"
    assert query["until"] > query["since"]
    expect(reader.locator("table.calls tbody tr")).to_have_count(1)


def test_a_drag_shows_the_span_that_it_covers(reader):
    reader.goto("/analytics/cache/?span=1h&api=products")
    box = reader.locator("[data-chart]").bounding_box()
    reader.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 80)
    reader.mouse.down()
    reader.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 90, steps=4)
    with reader.expect_navigation():
        reader.mouse.up()
    query = query_of(reader)
    assert urlsplit(reader.url).path == "/analytics/cache/"
    assert set(query) == {"api", "since", "until"}


def test_charts_follow_the_theme(reader):
    reader.goto("/analytics/cache/?span=1h")
    reader.evaluate("apimgrTheme.set('light')")
    light = reader.locator("[data-chart]").screenshot()
    reader.evaluate("apimgrTheme.set('dark')")
    expect(reader.locator("html")).to_have_attribute("data-bs-theme", "dark")
    assert reader.locator("[data-chart]").screenshot() != light


@pytest.mark.parametrize("address", [*(f"/analytics/{name}/" for name in DASHBOARDS), "/calls/"])
def test_nothing_is_wider_than_a_telephone(reader, address):
    reader.set_viewport_size({"width": 375, "height": 812})
    reader.goto(f"{address}?span=1h")
    assert reader.evaluate("document.documentElement.scrollWidth") == 375
    filters = reader.locator("[data-folds]")
    expect(filters).not_to_have_attribute("open", re.compile(".*"))
    filters.locator("summary").click()
    expect(filters.get_by_label("API")).to_be_visible()


@pytest.mark.parametrize("width", [768, 1000, 1280])
def test_every_column_of_the_log_can_be_seen(reader, width):
    """Long codes, callers and results, on a tablet and beside the side bar."""
    long = {"application": f"globex/{'a-long-name-' * 4}", "code": "upstream_unreachable", "cache": "REVALIDATED"}
    make_calls({"path": f"/products/{'item' * 30}", "reason": "stale_while_revalidate", "status": 502, **long})
    reader.set_viewport_size({"width": width, "height": 900})
    reader.goto("/calls/?span=1h")
    table = reader.locator(".table-responsive")
    assert table.evaluate("(element) => element.scrollWidth - element.clientWidth") == 0
    expect(reader.get_by_role("columnheader")).to_have_count(6)


def test_every_column_of_the_tables_of_each_dashboard_can_be_seen(reader):
    """Where two tables stand beside each other, too."""
    hidden = {}
    for name in DASHBOARDS:
        reader.goto(f"/analytics/{name}/?span=1h&api=products")
        hidden[name] = reader.locator(".table-responsive").evaluate_all(
            "(tables) => tables.map((table) => table.scrollWidth - table.clientWidth)"
        )
    assert all(hidden.values())
    assert {name: found for name, found in hidden.items() if any(found)} == {}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_lines_of_a_chart_differ_in_more_than_their_colour(reader, name):
    """In their points, which the legend shows: a dash is too short to be told there."""
    reader.goto(f"/analytics/{name}/?span=1h")
    expect(reader.locator("[data-chart] canvas").last).to_be_visible()
    looks = reader.evaluate(
        """() => [...document.querySelectorAll("[data-chart]")].map((element) =>
            echarts.getInstanceByDom(element).getOption().series
                .filter((line) => line.type === "line" && !line.stack)
                .map((line) => JSON.stringify([line.symbol, Boolean(line.areaStyle)])))"""
    )
    assert all(len(set(lines)) == len(lines) for lines in looks), looks


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_is_stacked_differs_in_more_than_its_colour(reader, name):
    """In its pattern, in the legend as in the chart."""
    make_calls({"cache": "STALE", "status": 304}, {"cache": "REVALIDATED", "status": 404}, {"application": "acme/bot"})
    reader.goto(f"/analytics/{name}/?span=1h")
    expect(reader.locator("[data-chart] canvas").last).to_be_visible()
    patterns = reader.evaluate(
        """() => [...document.querySelectorAll("[data-chart]")].map((element) =>
            echarts.getInstanceByDom(element).getOption().series
                .filter((line) => line.stack)
                .map((line) => JSON.stringify((line.type === "bar" ? line.itemStyle : line.lineStyle).decal ?? null)))"""
    )
    assert all(len(set(each)) == len(each) for each in patterns), patterns


@pytest.mark.parametrize("width", [1360, 768, 375])
def test_a_figure_of_millions_stands_on_one_line(reader, width):
    reader.set_viewport_size({"width": width, "height": 900})
    reader.goto("/analytics/?span=1h")
    calls = reader.locator(".figure dd").first
    calls.evaluate("(element) => { element.textContent = '8,082,467'; }")
    assert calls.evaluate("(element) => element.clientHeight < 2 * parseFloat(getComputedStyle(element).lineHeight)")


def test_a_new_call_appears_in_the_log_by_itself(reader):
    reader.goto("/calls/?span=1h")
    expect(reader.get_by_text("/products/new", exact=True)).to_have_count(0)
    make_calls({"path": "/products/new", "at": time.time()})
    expect(reader.get_by_text("/products/new", exact=True)).to_be_visible(timeout=10_000)


def test_the_same_numbers_stand_below_the_chart(reader):
    reader.goto("/analytics/cache/?span=1h")
    table = reader.get_by_role("region", name="What is the cache hit ratio?")
    expect(table).to_be_hidden()
    reader.get_by_text("The same numbers").click()
    expect(table.get_by_role("columnheader", name="Hit ratio")).to_be_visible()
    assert table.locator("tbody tr").count() > 50


def test_one_s_own_span_is_typed_in_one_s_own_zone(reader):
    reader.goto("/calls/?span=1h")
    reader.get_by_text("Own span").click()
    form = reader.locator("form[data-zone]")
    zone = reader.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    expect(form.get_by_text(f"Times in {zone}.")).to_be_visible()
    form.get_by_label("From").fill("2026-01-31T10:00")
    form.get_by_label("To").fill("2026-01-31T12:00")
    with reader.expect_navigation():
        form.get_by_role("button", name="Show").click()
    assert query_of(reader)["zone"] == zone
    expect(reader.get_by_text("No such call")).to_be_visible()


def test_filters_narrow_and_stay_in_the_address(reader):
    reader.goto("/calls/?span=1h")
    with reader.expect_navigation():
        reader.get_by_label("Cache result").select_option("BYPASS")
    assert query_of(reader) == {"span": "1h", "cache": "BYPASS"}
    expect(reader.locator("table.calls tbody tr")).to_have_count(1)
    reader.locator("table.calls a").click()
    expect(reader.get_by_role("heading", name="What was decided, and when?")).to_be_visible()


def test_the_rest_api_can_be_read_and_tried(reader):
    reader.goto("/api/docs/")
    expect(reader.locator(".opblock").first).to_be_visible(timeout=20_000)
    operation = reader.locator("#operations-users-users_me_retrieve")

    def scrolled_to() -> bool:
        reader.mouse.wheel(0, 600)  # of so many operations the page holds those that are in sight
        return operation.is_visible()

    wait_until(scrolled_to, what="the operation comes in sight")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text("ada@platform.test")

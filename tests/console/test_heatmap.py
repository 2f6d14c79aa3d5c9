"""The heat map of latency: on demand, by time and by band, leading to the calls behind each cell."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from apps.analytics.heatmap import EDGES, Heat, heat
from apps.analytics.selectors import ALL, Question, VisibleCalls
from apps.console.analytics.heatmap import FAINTEST, map_of
from tests.console.conftest import text_of
from tests.support.calls import make_calls

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def drawn(*rows: tuple[int, ...]):
    counts = [(0,) * len(rows[0])] * (len(EDGES) + 1)
    counts[2 : 2 + len(rows)] = rows
    ats = tuple(NOW + timedelta(minutes=minute) for minute in range(len(rows[0])))
    return map_of(Heat(60, ats, tuple(counts)))


def test_bands_without_calls_at_both_ends_are_left_out_and_the_slowest_stands_first():
    found = drawn((1, 0, 2), (0, 0, 0), (0, 100, 0))
    assert [(band.name.replace("\u00a0", " "), band.calls) for band in found.bands] == [
        ("to 30 ms", 100),
        ("to 10 ms", 0),
        ("to 3 ms", 3),
    ]
    assert [cell.column for cell in found.bands[2].cells] == [0, 2]
    assert (found.first, found.last, found.columns) == (NOW, NOW + timedelta(minutes=3), 3)


def test_a_cell_is_the_stronger_the_more_calls_it_has():
    found = drawn((1, 10, 100))
    one, ten, hundred = (cell.strength for cell in found.bands[0].cells)
    assert one == FAINTEST
    assert one < ten < hundred == pytest.approx(1)
    assert [cell.strength for cell in drawn((1, 0)).bands[0].cells] == [1]


def test_without_calls_there_is_no_map():
    assert drawn((0, 0)) is None


@pytest.fixture
def calls(world):
    """Two fast calls and a slow one, minutes apart."""
    now = time.time()
    make_calls(
        {"at": now - 600, "duration": 2.0}, {"at": now - 600, "duration": 2.5}, {"at": now - 300, "duration": 20_000}
    )


def test_calls_are_counted_by_time_and_band(calls):
    since = datetime.fromtimestamp(time.time() - 900, UTC)
    found = heat(Question.asked(ALL, since=since, api="products"))
    assert sum(map(sum, found.counts)) >= 3
    assert max(found.counts[EDGES.index(3.0)]) == 2
    assert sum(found.counts[-1]) == 1
    assert found.counts[EDGES.index(3.0)].index(2) < found.counts[-1].index(1)


def test_others_calls_are_in_nobodys_map(calls, world):
    assert sum(map(sum, heat(Question.asked(VisibleCalls.of(world.people.charlie), api="products")).counts)) == 0


def test_the_map_is_drawn_for_who_asks_and_leads_to_the_calls(calls, world, browse):
    ada = browse(world.people.ada)
    plain = ada.get("/analytics/latency/?span=1h&api=products")
    assert "How is latency spread?" not in text_of(plain)
    link = re.search(r'href="([^"]*heat=1[^"]*)"', plain.content.decode())
    assert link
    page = ada.get(link[1].replace("&amp;", "&")).content.decode()
    assert "How is latency spread?" in page
    cell = re.search(r'<a href="(/calls/\?[^"]+)" tabindex="-1"[^>]*><rect[^>]*fill-opacity="1.00"', page)
    assert cell
    assert "api=products" in cell[1]
    assert ada.get(cell[1].replace("&amp;", "&")).status_code == 200
    assert "heat=1" not in ada.get("/analytics/traffic/?span=1h").content.decode()
    assert "No such call" in text_of(ada.get("/analytics/latency/?heat=1&api=none"))

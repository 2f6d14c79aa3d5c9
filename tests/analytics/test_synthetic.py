"""Made-up calls: added up beside real ones, always told apart, gone without a trace."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.analytics import selectors, synthetic
from apps.analytics.choices import Period
from apps.analytics.models import CallRecord, RollUp, SyntheticEvent
from apps.analytics.most_called import most_called
from apps.analytics.policies import ALL
from apps.analytics.selectors import Question
from apps.wire.call_records import SYNTHETIC
from tests.analytics.records import record
from tests.support.calls import HIT, make_calls

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_redis")]

NOW = datetime.now(UTC).replace(microsecond=0)


def made_up(number: int, **ago: float):
    """A made-up call of so long ago."""
    at = (NOW - timedelta(**ago)).timestamp()
    return record(f"{SYNTHETIC}-{number}", at=at, flags=(SYNTHETIC,), key_id=0)


def rows() -> list[tuple]:
    return list(RollUp.objects.order_by("pk").values_list("pk", "calls", "packed", "synthetic"))


def test_figures_add_both_up_and_say_how_many_were_made_up():
    make_calls({}, HIT)
    synthetic.add([made_up(number, minutes=1) for number in range(3)], now=NOW)
    told = selectors.summary(Question.asked(ALL))
    assert (told["calls"], told["synthetic"]) == (5, 3)
    [part] = selectors.breakdown(Question.asked(ALL))
    assert (part["calls"], part["synthetic"]) == (5, 3)
    points = selectors.timeseries(Question.asked(ALL)).points
    assert [sum(point[name] for point in points) for name in ("calls", "synthetic")] == [5, 3]


def test_a_part_of_a_minute_is_counted_from_the_log_and_says_so_too():
    synthetic.add([made_up(number, minutes=5) for number in range(3)], now=NOW)
    at = NOW - timedelta(minutes=5)
    told = selectors.summary(Question.asked(ALL, since=at - timedelta(seconds=1), until=at + timedelta(seconds=1)))
    assert (told["calls"], told["synthetic"]) == (3, 3)


def test_completeness_is_about_real_calls():
    make_calls({}, HIT)
    synthetic.add([made_up(number, minutes=1) for number in range(3)], now=NOW)
    assert selectors.summary(Question.asked(ALL))["completeness"] == {"received": 2, "expected": 2}
    latest = selectors.latest_completeness()
    assert (latest.received, latest.expected) == (2, 2)


def test_what_is_called_most_is_real():
    synthetic.add([made_up(number, minutes=1) for number in range(3)], now=NOW)
    assert most_called(api=made_up(0).api, top=10, since=NOW - timedelta(hours=1)) == []


def test_a_removal_leaves_every_real_row_as_it_was():
    make_calls({}, HIT)
    before, calls = rows(), set(CallRecord.objects.values_list("call_id", flat=True))
    synthetic.add([made_up(1, minutes=1), made_up(2, days=20)], now=NOW)
    synthetic.add_event(NOW, api="products", label="Purged")
    assert rows() != before
    assert synthetic.remove() == 2
    assert rows() == before
    assert set(CallRecord.objects.values_list("call_id", flat=True)) == calls
    assert not SyntheticEvent.objects.exists()
    assert synthetic.remove() == 0


def test_each_is_kept_only_where_a_real_one_of_that_time_would_be(settings):
    settings.CALL_LOG_DAYS, settings.MINUTE_FIGURES_DAYS = 7, 2
    added = synthetic.add([made_up(1, hours=1), made_up(2, days=1, hours=2), made_up(3, days=5)], now=NOW)
    assert (added.calls, added.logged) == (3, 1)
    assert CallRecord.objects.get().call_id == f"{SYNTHETIC}-1"
    for period, calls in ((Period.MINUTE, 2), (Period.HOUR, 3), (Period.DAY, 3)):
        found = RollUp.objects.filter(level="all", period=period, synthetic=True)
        assert sum(found.values_list("calls", flat=True)) == calls, period


def test_nothing_of_them_is_logged_where_no_call_is(settings):
    settings.CALL_LOG_DAYS = 0
    assert synthetic.add([made_up(1, hours=1)], now=NOW).logged == 0


def test_the_first_real_call_is_known_as_exactly_as_figures_are_kept():
    assert synthetic.first_real_call() is None
    synthetic.add([made_up(1, days=5)], now=NOW)
    assert synthetic.first_real_call() is None
    at = NOW - timedelta(hours=1)
    make_calls({"at": at.timestamp()}, {})
    assert synthetic.first_real_call() == at.replace(second=0)
    RollUp.objects.filter(period=Period.MINUTE, bucket__lt=NOW - timedelta(minutes=30)).delete()
    assert synthetic.first_real_call() == at.replace(minute=0, second=0)

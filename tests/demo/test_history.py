"""The demo's made-up past: what it looks like, where it ends, and that it is made and removed whole."""

from datetime import UTC, datetime, timedelta
from statistics import mean

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.analytics import synthetic
from apps.analytics.models import CallRecord, RollUp, SyntheticEvent
from apps.demo import history, seed
from apps.demo.history import History
from apps.demo.offers import OFFERS
from apps.httpcache.reasons import Reason
from apps.wire.call_records import SYNTHETIC, SpooledCallRecord
from apps.wire.failure_causes import FailureCause
from tests.support.calls import make_calls

MONDAY = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
HOUR, DAY = 3600, 86400
WEEK = History(MONDAY, MONDAY + 7 * DAY)


@pytest.fixture(scope="module")
def week() -> list[SpooledCallRecord]:
    """A week at a fifth of the usual rate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "PER_SECOND", 0.1)
        return list(WEEK.calls(MONDAY, MONDAY + 7 * DAY))


@pytest.fixture
def few(monkeypatch, settings, tmp_path):
    """A demo whose history has few calls."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(history, "PER_SECOND", 0.002)


def within(calls, start: float, end: float, **names: str) -> list[SpooledCallRecord]:
    return [
        call
        for call in calls
        if start <= call.at < end and all(getattr(call, name) == value for name, value in names.items())
    ]


def ratio(calls: list[SpooledCallRecord]) -> float:
    return mean(call.cache in ("HIT", "STALE", "REVALIDATED") for call in calls if call.cache != "BYPASS")


def test_every_call_is_flagged_and_is_one_of_the_demos(week):
    assert all(call.flags == (SYNTHETIC,) and call.call_id.startswith(SYNTHETIC) and not call.key_id for call in week)
    assert len({call.call_id for call in week}) == len(week)
    assert {call.api for call in week} == set(OFFERS)
    operations = {(slug, f"{op['method']} {op['path']}") for slug, offer in OFFERS.items() for op in offer.operations}
    assert {(call.api, call.operation) for call in week} <= operations
    assert {call.application for call in week} == {"acme/storefront", "globex/mobile", "globex/reports", ""}
    assert {call.reason for call in week if not call.code} <= {reason.code for reason in Reason}


def test_days_are_busier_than_nights_and_weekdays_than_the_weekend(week):
    def at_hours(first: int, last: int) -> int:
        return sum(first <= call.at % DAY / HOUR < last for call in week)

    assert at_hours(10, 13) > 3 * at_hours(3, 6)
    days = [len(within(week, MONDAY + day * DAY, MONDAY + (day + 1) * DAY)) for day in range(7)]
    assert max(days[5:]) < min(days[:5])


def test_the_cache_warms_up_is_purged_and_hits_are_faster_than_misses(week):
    catalogue = [call for call in week if call.api == "catalogue" and not call.code]
    assert (
        ratio(within(catalogue, MONDAY, MONDAY + HOUR))
        < 0.75
        < ratio(within(catalogue, MONDAY + DAY, MONDAY + 2 * DAY))
    )
    hits, misses = ([call.duration for call in week if call.cache == result] for result in ("HIT", "MISS"))
    assert 20 * mean(hits) < mean(misses)
    before = within(catalogue, WEEK.purge - HOUR, WEEK.purge)
    after = within(catalogue, WEEK.purge, WEEK.purge + HOUR / 3)
    assert ratio(after) < ratio(before) - 0.2


def test_an_outage_of_the_origin_is_seen_and_passes(week):
    start, end = WEEK.outage
    down = within(week, start, end)
    assert "upstream_unreachable" in {call.code for call in down}
    assert {call.cause for call in down if call.code.startswith("upstream")} == {FailureCause.CONNECTION_REFUSED.code}
    assert "stale_if_error" in {call.reason for call in down}
    others = within(week, MONDAY, start) + within(week, end, MONDAY + 7 * DAY)
    assert "upstream_unreachable" not in {call.code for call in others}


def test_the_same_seed_makes_the_same_history():
    def some() -> list[SpooledCallRecord]:
        return list(History(MONDAY, MONDAY + DAY).calls(MONDAY, MONDAY + HOUR))

    assert some() == some() != []


@pytest.mark.django_db
@pytest.mark.usefixtures("state_redis", "few")
def test_a_second_one_replaces_the_first_and_it_ends_where_clients_calls_begin():
    now = datetime.now(UTC)
    first_call = now - timedelta(days=1)
    make_calls({"at": first_call.timestamp()})
    made = history.make(timedelta(days=3), now=now)
    assert made.calls > 100
    kept = RollUp.objects.filter(synthetic=True).count()
    assert history.make(timedelta(days=3), now=now) == made
    assert RollUp.objects.filter(synthetic=True).count() == kept
    last = RollUp.objects.filter(synthetic=True, period=60).latest("bucket").bucket
    assert last < first_call
    assert SyntheticEvent.objects.get().label == "Purged"
    synthetic.remove()
    assert not RollUp.objects.filter(synthetic=True).exists()
    assert CallRecord.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("state_redis", "few")
def test_where_clients_have_called_for_as_long_there_is_nothing_to_make_up():
    make_calls({"at": (datetime.now(UTC) - timedelta(days=2)).timestamp()})
    with pytest.raises(ValueError, match="ask for a longer one"):
        history.make(timedelta(days=1), now=datetime.now(UTC))


@pytest.mark.django_db
@pytest.mark.usefixtures("state_redis", "few")
def test_the_command_makes_and_removes_it_and_an_installation_without_the_demo_has_none(settings, capsys):
    with pytest.raises(CommandError, match="no demo"):
        call_command("demo", history="2d")
    assert not RollUp.objects.exists()
    seed.plant(settings.DATA_DIR, origin_port=4711)
    call_command("demo", history="2d")
    assert "in the call log, in" in capsys.readouterr().out
    assert RollUp.objects.filter(synthetic=True).exists()
    call_command("demo", remove_history=True)
    assert "is gone" in capsys.readouterr().out
    assert not RollUp.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("text", "said"), [("a month", "30d"), ("1h", "between 1d and 90d"), ("91d", "between 1d and 90d")]
)
def test_a_length_that_is_none_is_refused(settings, text, said):
    seed.plant(settings.DATA_DIR, origin_port=4711)
    with pytest.raises(CommandError, match=said):
        call_command("demo", history=text)

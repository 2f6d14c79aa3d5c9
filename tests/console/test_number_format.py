"""How numbers, durations and states are written."""

from datetime import timedelta

import pytest
from django.template.loader import render_to_string
from django.utils.html import strip_tags

from apps.access.choices import KeyState, RequestState, RequestVerb, SubscriptionState
from apps.catalog.choices import APIState
from apps.console import number_format, status_labels
from apps.console.sparkline import spark
from apps.fleet.receipts import ReceiptCount
from apps.tenants.choices import TenantState


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1204, "1,204"),
        (1234567, "1,234,567"),
        (12.44, "12.4"),
        (0.012345, "0.0123"),
        (1236.7, "1,240"),
        (2.0, "2"),
    ],
)
def test_numbers_have_thousands_separated_and_three_digits(value, text):
    assert number_format.number(value) == text


@pytest.mark.parametrize(
    "form",
    [
        number_format.number,
        number_format.percent,
        number_format.milliseconds,
        number_format.size,
        number_format.duration,
    ],
)
def test_no_data_is_a_dash_and_never_a_zero(form):
    assert form(None) == "–"
    assert form(0) != "–"


def test_what_is_not_a_number_is_a_dash():
    assert number_format.percent(float("nan")) == "–"


@pytest.mark.parametrize(("ratio", "text"), [(0.982, "98.2\u00a0%"), (1.0, "100\u00a0%"), (0.0, "0\u00a0%")])
def test_ratios_are_percentages(ratio, text):
    assert number_format.percent(ratio) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.4213, "0.421\u00a0ms"), (12.44, "12.4\u00a0ms"), (1234.0, "1.23\u00a0s")]
)
def test_latencies_have_their_unit_beside_them(value, text):
    assert number_format.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(512, "512\u00a0B"), (12_400, "12.4\u00a0kB"), (3_100_000_000_000_000, "3,100\u00a0TB")]
)
def test_sizes_are_in_powers_of_a_thousand(value, text):
    assert number_format.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (0.5, "500 ms"),
        (1.5, "1.5 s"),
        (60, "1 min"),
        (900, "15 min"),
        (9000, "2 h 30 min"),
        (timedelta(days=30), "30 d"),
    ],
)
def test_durations_are_in_their_largest_units(value, text):
    assert number_format.duration(value).replace("\u00a0", " ") == text


def test_counts_agree_with_their_noun():
    assert [number_format.counted(count, "call") for count in (0, 1, 1204)] == ["0 calls", "1 call", "1,204 calls"]


def test_the_period_of_a_rate_leaves_its_one_out():
    assert [number_format.per(seconds).replace("\u00a0", " ") for seconds in (1, 60, 3600, 10)] == [
        "s",
        "min",
        "h",
        "10 s",
    ]


@pytest.mark.parametrize("states", [APIState, RequestState, SubscriptionState, KeyState, TenantState])
def test_every_state_has_a_meaning_of_its_own(states):
    for state in states:
        assert state.value in status_labels._STATES


def test_no_two_meanings_of_the_cache_look_alike():
    seen = {(meaning.name, meaning.icon) for meaning in status_labels._RESULTS.values()}
    assert len(seen) == len(status_labels._RESULTS) == 6


@pytest.mark.parametrize("verb", RequestVerb)
def test_every_step_of_a_request_can_be_told_afterwards(verb):
    assert status_labels.past(verb) != verb


def test_a_spark_line_reaches_from_edge_to_edge_and_tells_its_numbers():
    line = spark([0, 10, 5])
    assert 'points="0.0,22.0 48.0,2.0 96.0,12.0"' in line
    assert "at most 10" in line


def test_a_trend_of_nothing_is_a_dash():
    assert spark([0, 0]) == spark(None) == "–"


@pytest.mark.parametrize("starting", [0, 1, 2])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_receipt_says_the_same_on_a_page_as_in_a_message(workers, starting):
    receipt = ReceiptCount(1, 2, workers, workers, 3.0 if workers else None, None, starting=starting)
    shown = render_to_string("cotton/receipt.html", {"of": receipt})
    assert " ".join(strip_tags(shown).split()) == receipt.sentence

"""The readers that the declarative file and the REST API share."""

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from apps.foundation import field_names


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2.0),
        ("1.5s", 1.5),
        ("10m", 600.0),
        ("1h", 3600.0),
        ("30d", 2592000.0),
        ("0s", 0.0),
        (5, 5.0),
        (0.25, 0.25),
    ],
)
def test_durations_are_read(written: object, seconds: float):
    assert field_names.duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "5", "s", "-2s", "1:30", "2 s", "1h30m", -1, True, None, "1e3s", float("inf"), []]
)
def test_what_is_no_duration_is_refused(written: object):
    with pytest.raises(ValueError, match="duration"):
        field_names.duration(written)


@given(st.one_of(st.integers(0, 10**7).map(float), st.integers(0, 10**7).map(lambda ms: ms / 1000)))
def test_a_duration_is_read_as_it_was_written(seconds: float):
    assert field_names.duration(field_names.duration_text(seconds)) == pytest.approx(seconds, rel=1e-9)


@pytest.mark.parametrize(
    ("seconds", "text"), [(60.0, "60s"), (600.0, "10m"), (90.0, "90s"), (7200.0, "2h"), (0.5, "500ms"), (0.0, "0s")]
)
def test_durations_are_written_as_people_do(seconds: float, text: str):
    assert field_names.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        (0, 0),
        (1500, 1500),
        ("0B", 0),
        ("100B", 100),
        ("512KiB", 512 * 1024),
        ("8MiB", 8 * 2**20),
        ("2 GiB", 2 * 2**30),
        ("20MB", 20_000_000),
        ("1KB", 1000),
        ("1 kB", 1000),
        (" 1GB ", 10**9),
    ],
)
def test_sizes_are_read(written: object, amount: int):
    assert field_names.size(written) == amount


@pytest.mark.parametrize("written", ["", "8", "8mib", "8 M", "-1KB", "1.5MiB", -1, 1.5, True, None, [], "9" * 30 + "B"])
def test_what_is_no_size_is_refused(written: object):
    with pytest.raises(ValueError, match="size like 8MiB"):
        field_names.size(written)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, 0),
        (7, 7),
        (1500, 1500),
        (1000, "1kB"),
        (1024, "1KiB"),
        (8 * 2**20, "8MiB"),
        (10**8, "100MB"),
        (10**9, "1GB"),
    ],
)
def test_sizes_are_written_in_the_shortest_form(amount: int, text: str | int):
    assert field_names.size_text(amount) == text


@given(st.integers(0, 2**50))
def test_a_size_is_read_as_it_was_written(amount: int):
    assert field_names.size(field_names.size_text(amount)) == amount


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("100/s", (100, 1.0)),
        ("60/minute", (60, 60.0)),
        ("60/m", (60, 60.0)),
        ("5/10s", (5, 10.0)),
        ("9 / hour", (9, 3600.0)),
    ],
)
def test_rates_are_read(written: str, rate: tuple[int, float]):
    assert field_names.rate(written) == rate


@pytest.mark.parametrize("written", ["100", "0/s", "-1/s", "1/0s", "1/week", "x/s", 100, None, "1.5/s"])
def test_what_is_no_rate_is_refused(written: object):
    with pytest.raises(ValueError, match=r"rate|duration"):
        field_names.rate(written)


@given(st.integers(1, 10**9), st.sampled_from([1.0, 60.0, 3600.0, 86400.0, 10.0, 0.5]))
def test_a_rate_is_read_as_it_was_written(calls: int, period: float):
    assert field_names.rate(field_names.rate_text(calls, period)) == (calls, period)


@pytest.mark.parametrize("written", ["100", "5/week", "5/s", "x/day", None, 5])
def test_what_is_no_quota_is_refused(written: object):
    with pytest.raises(ValueError, match="quota"):
        field_names.quota(written)
    assert field_names.quota("1000000/month") == (1_000_000, "month")


@pytest.mark.parametrize(
    ("written", "value"), [(True, True), ("yes", True), ("On", True), ("no", False), ("off", False)]
)
def test_words_for_true_and_false_are_taken(written: object, value: bool):
    assert field_names.boolean(written) is value


@pytest.mark.parametrize("written", [1, 0, "maybe", None, []])
def test_what_is_neither_true_nor_false_is_refused(written: object):
    with pytest.raises(ValueError, match="true or false"):
        field_names.boolean(written)


def test_text_that_a_database_can_t_hold_is_refused():
    for bad in ("a\x00b", "\ud800", 1.5, True, None, []):
        with pytest.raises(ValueError, match=r"text|characters"):
            field_names.text(bad)
    assert field_names.text(2026) == "2026"


def test_off_is_the_only_value_of_what_is_not_available_yet():
    field_names.off("off")
    field_names.off(False)
    for value in (True, "on", {"failures": 5}, None):
        with pytest.raises(ValueError, match="not available yet"):
            field_names.off(value)
    with pytest.raises(ValueError, match="jwt is not available yet"):
        field_names.one_of(["none"], not_yet=("jwt",))("jwt")
    assert field_names.one_of(["off"])(False) == "off"


def test_everything_that_is_wrong_is_told_with_its_path():
    table = {
        "name": field_names.text,
        "items": field_names.many(lambda value: field_names.read(value, {"ttl": field_names.duration})),
    }
    with pytest.raises(ValidationError) as refused:
        field_names.read({"name": 1.5, "items": [{"ttl": "2s"}, {"ttl": "x"}, {"what": 1}, 5], "more": 1}, table)
    assert set(refused.value.message_dict) == {"name", "items.1.ttl", "items.2.what", "items.3", "more"}
    assert field_names.read({"items": [{"ttl": "2s"}]}, table) == {"items": [{"ttl": 2.0}]}


def test_lists_and_objects_are_nothing_else():
    with pytest.raises(ValueError, match="list"):
        field_names.many(field_names.text)("abc")
    with pytest.raises(ValueError, match="At most 2"):
        field_names.many(field_names.text, at_most=2)(["a", "b", "c"])
    with pytest.raises(ValueError, match="object"):
        field_names.read([], {})

"""The ``warm_up`` object of a policy: what it may say, and how it is understood."""

import pytest
from django.core.exceptions import ValidationError

from apps.caching.warm_up import WarmUpSettings, rate_text, read_warm_up
from apps.foundation.field_names import by_path, rate


def test_the_object_is_kept_in_the_words_in_which_it_was_written():
    said = {
        "urls": ["/items?page=1", "https://api.test/products/"],
        "top": 50,
        "rate": "10/s",
        "headers": {"accept-language": "de"},
        "on_publish": True,
        "after_purge": False,
        "every": "6h",
    }
    assert read_warm_up(said) == said
    assert WarmUpSettings.of(said) == WarmUpSettings(
        urls=("/items?page=1", "https://api.test/products/"),
        top=50,
        rate=10.0,
        headers={"accept-language": "de"},
        on_publish=True,
        every=21600.0,
    )


def test_nothing_said_is_a_hundred_of_the_top_and_nothing_by_itself():
    assert read_warm_up({}) == {}
    assert WarmUpSettings.of({}) == WarmUpSettings(top=100)
    assert WarmUpSettings.of({"urls": ["/a"]}).top == 0


def test_null_takes_the_schedule_away():
    assert read_warm_up({"every": None}) == {}


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"urls": ["/ok", "nope"]}, "urls.1"),
        ({"top": 20_000}, "top"),
        ({"rate": 10}, "rate"),
        ({"headers": ["a"]}, "headers"),
        ({"headers": {f"x-{number}": "" for number in range(21)}}, "headers"),
        ({"headers": {"a": "x" * 1001}}, "headers"),
        ({"on_publish": "perhaps"}, "on_publish"),
        ({"every": "10s"}, "every"),
        ({"every": "400d"}, "every"),
        ({"speed": 1}, "speed"),
    ],
)
def test_what_is_wrong_is_said_by_path(said, path):
    with pytest.raises(ValidationError) as refusal:
        read_warm_up(said)
    assert list(by_path(refusal.value)) == [path]


def test_an_object_is_needed():
    with pytest.raises(ValueError, match="object"):
        read_warm_up("6h")


@pytest.mark.parametrize("text", ["10/s", "1/s", "30/m", "90/h", "1000/s", "1/h"])
def test_a_rate_is_written_as_it_was_read(text):
    calls, period = rate(text)
    assert rate(rate_text(calls / period))[0] / rate(rate_text(calls / period))[1] == pytest.approx(calls / period)
    assert rate_text(0.5) == "30/m"

"""Tokens that are worth nothing slow the client down that brought them, for as long as it goes on."""

import pytest

from apps.gateway.pipeline.authenticators.introspection.failed_tokens import BURST, MEMORY, RATE, FailedTokens
from tests.gateway.test_tables import grown_by


@pytest.fixture
def failed() -> FailedTokens:
    return FailedTokens()


def test_a_client_may_fail_at_once_as_often_as_the_burst_says(failed: FailedTokens):
    for number in range(int(BURST)):
        assert failed.wait("legacy", "a", 5.0) == 0, number
        failed.failed("legacy", "a", 5.0)
    assert failed.wait("legacy", "a", 5.0) == 1
    assert failed.wait("legacy", "b", 5.0) == 0
    assert failed.wait("another", "a", 5.0) == 0


def test_it_may_fail_for_ever_at_the_rate(failed: FailedTokens):
    for number in range(1000):
        now = number / RATE
        assert failed.wait("legacy", "a", now) == 0
        failed.failed("legacy", "a", now)


def test_it_is_told_when_to_come_again_and_that_is_true(failed: FailedTokens):
    for _ in range(int(BURST) + 15):
        failed.failed("legacy", "a", 0.0)
    seconds = failed.wait("legacy", "a", 0.0)
    assert seconds == 2
    assert failed.wait("legacy", "a", float(seconds)) == 0
    assert failed.wait("legacy", "a", 1.0) == 1


def test_no_flood_slows_it_down_for_longer_than_the_burst_takes(failed: FailedTokens):
    for _ in range(100_000):
        failed.failed("legacy", "a", 0.0)
    assert failed.wait("legacy", "a", 0.0) == pytest.approx(BURST / RATE, abs=1.0)


def test_many_clients_keep_to_the_bound():
    def fill() -> FailedTokens:
        failed = FailedTokens()
        for number in range(50_000):
            failed.failed("legacy", f"2001:db8:1234:{number:x}::/64", float(number))
        return failed

    assert MEMORY / 8 < grown_by(fill) <= MEMORY

"""The circuit breaker in front of the shared tier."""

from apps.wire.circuit_breaker import Breaker


def opened(at=0.0):
    breaker = Breaker(threshold=3, pause=1.0, longest=3.0)
    for _ in range(3):
        breaker.failed(at)
    return breaker


def test_a_few_failures_in_a_row_open_it():
    breaker = Breaker(threshold=3)
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert breaker.allows(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert not breaker.is_open
    breaker.failed(0.0)
    assert breaker.is_open
    assert breaker.opened == 1
    assert not breaker.allows(0.0)


def test_it_is_calm_while_the_last_call_went_well():
    breaker = Breaker(threshold=3)
    assert breaker.is_calm
    breaker.failed(0.0)
    assert not breaker.is_calm
    breaker.succeeded()
    assert breaker.is_calm


def test_after_a_pause_one_probe_goes_through():
    breaker = opened()
    assert not breaker.allows(0.9)
    assert breaker.allows(1.0)
    assert not breaker.allows(1.0), "only one"
    breaker.succeeded()
    assert breaker.allows(1.1)
    assert not breaker.is_open


def test_a_failed_probe_doubles_the_pause_up_to_a_bound():
    breaker = opened()
    for begins, pause in ((1.0, 2.0), (3.0, 3.0), (6.0, 3.0)):
        assert breaker.allows(begins)
        breaker.failed(begins)
        assert not breaker.allows(begins + pause - 0.1)
    assert breaker.allows(9.0)
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(10.0)
    assert breaker.allows(11.0), "after a success the pause is short again"


def test_a_probe_that_nobody_reports_is_followed_by_another():
    breaker = opened()
    assert breaker.allows(1.0)
    assert not breaker.allows(1.0 + Breaker.PROBE - 0.1)
    assert breaker.allows(1.0 + Breaker.PROBE)


def test_late_failures_of_calls_from_before_do_not_prolong_the_pause():
    breaker = opened()
    breaker.failed(0.5)
    assert breaker.allows(1.0)


def test_calls_that_fail_together_fail_once():
    """Fifty calls under way while a worker gets no processor are one incident, not fifty in a row."""
    breaker = Breaker(threshold=3)
    for _ in range(50):
        breaker.failed(1.0, began=0.5)
    assert not breaker.is_open
    assert not breaker.is_calm
    breaker.failed(1.5, began=1.2)
    breaker.failed(2.0, began=1.6)
    assert breaker.is_open

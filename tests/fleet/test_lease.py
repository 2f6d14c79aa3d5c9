"""Trust leases, on a clock of the test's own."""

import pytest

from apps.gateway.config import trust_lease
from apps.gateway.config.trust_lease import CLOSED_AFTER, TrustLease


def test_nobody_is_trusted_before_the_first_contact():
    assert not TrustLease(900).valid(10**9)
    assert TrustLease(900).left(10**9) == 0


def test_it_ends_so_many_seconds_after_the_last_contact():
    mine = TrustLease(900)
    mine.renew(1000.0)
    assert mine.valid(1899.9)
    assert not mine.valid(1900.0)
    assert mine.left(1800.0) == 100
    assert mine.left(2000.0) == 0


def test_an_answer_that_comes_late_shortens_nothing():
    mine = TrustLease(900)
    mine.renew(1000.0)
    mine.renew(990.0)
    assert mine.ends == 1900


def test_a_plan_may_be_shorter_and_never_longer():
    mine = TrustLease(900)
    mine.renew(1000.0)
    assert mine.valid(1059.0, 60.0)
    assert not mine.valid(1060.0, 60.0)
    assert mine.left(1050.0, 60.0) == 10
    assert not mine.valid(1900.0, 3600.0)
    assert mine.left(1800.0, 3600.0) == 100


def test_a_closed_plan_ends_with_the_first_missed_heartbeats():
    mine = TrustLease(900)
    mine.renew(1000.0)
    assert mine.valid(1000.0 + CLOSED_AFTER - 0.1, 0.0)
    assert not mine.valid(1000.0 + CLOSED_AFTER, 0.0)


def test_an_installation_may_be_closed_too():
    mine = TrustLease(0)
    mine.renew(1000.0)
    assert mine.valid(1001.0)
    assert not mine.valid(1000.0 + CLOSED_AFTER)


@pytest.mark.parametrize(
    ("contact", "boot", "now", "left"),
    [
        (1000.0, "this", 1100.0, 800),
        (1000.0, "this", 1900.0, 0),
        (1000.0, "another", 1100.0, 0),
        (1000.0, "", 1100.0, 0),
        (1200.0, "this", 1100.0, 0),  # a contact in the future is of another clock
        (-1.0, "this", 1100.0, 0),  # a copy that was never confirmed
    ],
)
def test_what_is_left_is_inherited_within_one_boot(monkeypatch, contact, boot, now, left):
    monkeypatch.setattr(trust_lease, "boot_id", lambda: "this")
    mine = TrustLease(900)
    assert mine.inherit(contact, boot, now) is (left > 0)
    assert mine.left(now) == left


def test_where_the_system_tells_no_boot_nothing_is_inherited(monkeypatch):
    monkeypatch.setattr(trust_lease, "boot_id", lambda: "")
    assert not TrustLease(900).inherit(1000.0, "", 1100.0)


def test_a_boot_has_a_name_here():
    assert trust_lease.boot_id() == trust_lease.boot_id() != ""

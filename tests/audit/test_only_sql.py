"""The watch over transactions sees what it is there for."""

import time

import pytest
from django.contrib.auth.hashers import make_password
from django.db import transaction

from apps.audit.services import change
from apps.fleet import state
from tests.support import transactions
from tests.support.transactions import _found


def work(seconds: float) -> None:
    """Use the processor."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.fixture
def seen():
    """Takes what was seen, so that this test doesn't fail of it."""

    def take() -> list[str]:
        found = [text.partition(", in a transaction")[0] for text in _found]
        _found.clear()
        return found

    return take


def test_only_sql_may_happen_in_a_transaction_of_ours(db, seen, tmp_path, monkeypatch):
    monkeypatch.setattr(transactions, "LONGEST", 0.05)
    state.client().ping()
    acts = {
        "opens ": lambda: (tmp_path / "file").write_text("x"),
        "asks Redis": lambda: state.client().ping(),
        "hashes a password": lambda: make_password("secret"),
        "sleeps": lambda: time.sleep(0),
        "works for ": lambda: work(0.1),
    }
    for expected, act in acts.items():
        act()
        assert seen() == [], "outside of one it may"
        with change(actor=None, verb="x", target_type="x"):
            act()
        found = seen()
        assert found, expected
        assert found[0].startswith(expected), found


def test_what_waits_for_the_commit_is_outside_of_it(transactional_db, seen):
    with change(actor=None, verb="x", target_type="x"):
        transaction.on_commit(lambda: state.client().ping())
    assert seen() == []


def test_transactions_of_the_tests_themselves_do_not_count(db, seen):
    with transaction.atomic():
        state.client().ping()
    assert seen() == []

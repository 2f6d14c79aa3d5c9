"""What only tests do to the audit log, whose triggers refuse it: empty it after a test, and make entries look older.

Both drop the triggers, as the owner of a database could, and make them again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models import F, QuerySet

from apps.audit import append_only
from apps.audit.models import Entry


@contextmanager
def changeable() -> Iterator[None]:
    """Without the triggers in the block."""
    append_only.drop(connection)
    try:
        yield
    finally:
        append_only.ensure(connection)


def age(entries: QuerySet[Entry], by: timedelta) -> None:
    """Have entries look as if they were made ``by`` earlier. The chain doesn't hold any more."""
    with changeable():
        entries.update(at=F("at") - by)


def let_tests_empty_it() -> None:
    """Have Django's ``flush`` work, by which tests that commit leave an empty database."""
    flush: Callable[..., None] = BaseDatabaseOperations.execute_sql_flush

    def flush_changeable(self: Any, sql_list: list[str]) -> None:
        with changeable():
            flush(self, sql_list)

    BaseDatabaseOperations.execute_sql_flush = flush_changeable

"""Pages of the call log: a page begins after a call, so that new calls don't move it."""

from typing import NamedTuple

from django.db.models import Q, QuerySet

from apps.analytics.models import CallRecord

PER_PAGE = 50


class Page(NamedTuple):
    """Some calls, the id of the last one if there are older ones, and whether these are the newest."""

    rows: list[CallRecord]
    older: str
    newest: bool


def page_of(calls: QuerySet[CallRecord], before: str = "") -> Page:
    """The newest ``calls``, or those older than the call ``before``. One query, two for an older page.

    A call that is gone (or isn't the reader's) is no place to go on from: the newest calls then.
    """
    start = calls.filter(call_id=before).values_list("at", "pk").first() if before else None
    if start:
        at, key = start
        calls = calls.filter(Q(at__lt=at) | Q(at=at, pk__lt=key))
    rows = list(calls[: PER_PAGE + 1])
    more = len(rows) > PER_PAGE
    rows = rows[:PER_PAGE]
    return Page(rows, rows[-1].call_id if more else "", start is None)

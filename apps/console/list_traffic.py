"""What analytics says beside the rows of a list, for the last 24 hours."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.analytics.selectors import Question, VisibleCalls, breakdown, compare, sparklines
from apps.tenants.models import User

DAY = timedelta(hours=24)
MOST = 500
"""Rows of a breakdown that a list page asks for."""


def by_api(user: User) -> dict[str, Any]:
    """Calls, hit ratio, latency and a spark line of each API, by slug."""
    scope, since = VisibleCalls.of(user), timezone.now() - DAY
    rows = {row["name"]: row for row in breakdown(Question.asked(scope, since=since), by="api", top=MOST)}
    lines = sparklines(Question.asked(scope, since=since), by="api")
    return {name: {**row, "spark": lines.get(name)} for name, row in rows.items()}


def by_application(user: User) -> dict[str, Any]:
    """Calls of each application, by ``tenant/slug``."""
    rows = breakdown(Question.asked(VisibleCalls.of(user), since=timezone.now() - DAY), by="application", top=MOST)
    return {row["name"]: row for row in rows}


def synthetic_calls(rows: Mapping[str, Mapping[str, Any]]) -> int:
    """How many of the calls that these rows count were made up."""
    return sum(row["synthetic"] for row in rows.values())


def refused_by_egress(user: User, api: str) -> int:
    """How many calls of an API weren't made in the last 24 hours because egress rules don't allow its upstream."""
    rows = breakdown(Question.asked(VisibleCalls.of(user), api=api, since=timezone.now() - DAY), by="code", top=100)
    return sum(row["calls"] for row in rows if row["name"] == "upstream_refused")


def last_day(user: User, *, api: str = "", application: str = "", tenant: str = "") -> dict[str, Any]:
    """The last 24 hours (``now``) and the 24 before (``before``)."""
    return compare(
        Question.asked(
            VisibleCalls.of(user), since=timezone.now() - DAY, api=api, application=application, tenant=tenant
        )
    )

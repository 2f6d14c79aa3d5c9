"""One chart of the last day inside another page: the cache hit ratio."""

from typing import Any

from django.utils import timezone

from apps.console.analytics import charts
from apps.console.analytics.dashboards import Panel
from apps.console.analytics.query_parameters import AnalyticsQuery
from apps.tenants.models import User


def last_day(user: User, **filters: str) -> dict[str, Any]:
    """The context of ``analytics/embedded.html``: ``asked``, ``chart`` and where a click on it and a drag lead."""
    asked = AnalyticsQuery.of(filters, timezone.now())
    panel = Panel(user, asked)
    now = panel.now()
    [chart] = charts.cache(now, panel.before(now.step), panel.marks(now))
    links = {"calls": asked.without_time("calls"), "here": asked.without_time("dashboard", "cache")}
    return {"asked": asked, "chart": chart, "links": links}

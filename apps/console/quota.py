"""What is left of the quotas of some subscriptions, beside the rows that show them."""

from collections.abc import Iterable

from django.utils import timezone

from apps.access.models import Subscription
from apps.fleet.quota_usage import quotas_used


def with_quota(subscriptions: Iterable[Subscription]) -> list[Subscription]:
    """The subscriptions with ``quota_use`` set: a ``QuotaUse``, or ``None`` without a quota or while Redis is away."""
    rows = list(subscriptions)
    quotas = {row.pk: (row.plan.quota, row.plan.quota_period) for row in rows if row.plan.quota is not None}
    used = quotas_used(quotas, timezone.now())
    for row in rows:
        row.quota_use = used.get(row.pk)  # type: ignore[attr-defined]
    return rows

"""What is called most, for those who want it answered before it is asked for."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count

from apps.analytics.figures import SERVED_BY_CACHE
from apps.analytics.models import CallRecord
from apps.wire.call_records import QUERY, SYNTHETIC_IDS

_FORWARDED_READ = 20_000
"""Records read to learn which paths are called without a query."""


class Called(NamedTuple):
    """An address as callers named it; ``path`` has the listen path in front."""

    host: str
    path: str
    calls: int


def most_called(*, api: str, top: int, since: datetime) -> Sequence[Called]:
    """The ``top`` most called addresses of an API since a moment, as far as the cache takes part: successful GETs.

    The log holds no query, which may be a secret: an address that was only ever forwarded with one isn't among them. Made-up calls
    don't count.
    Two queries over the API's rows of that time.
    """
    asked = CallRecord.objects.filter(
        api=api, at__gte=since, method="GET", status__lt=400, cache__in=(*SERVED_BY_CACHE, "MISS")
    ).exclude(call_id__startswith=SYNTHETIC_IDS)
    counted = asked.order_by().values_list("host", "path").annotate(n=Count("id")).order_by("-n", "host", "path")
    found = [Called(*row) for row in counted[: 2 * top]]
    with_query: set[tuple[str, str]] = set()
    without: set[tuple[str, str]] = set()
    forwarded = asked.filter(attempts__gt=0).order_by("-at").values_list("host", "path", "flags")
    for host, path, flags in forwarded[:_FORWARDED_READ]:
        (with_query if QUERY in flags else without).add((host, path))
    return [called for called in found if called[:2] not in with_query - without][:top]

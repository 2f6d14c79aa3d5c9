"""What ``manage.py check --deploy`` says of caches in front of the gateways."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning, register
from django.db import DatabaseError

from apps.catalog.choices import SERVED
from apps.httpcache.policy import OFF, PASS, PERSONAL, SECRET
from apps.invalidation.models import CDN


@register(deploy=True)
def caches_in_front_know_no_keys(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Which APIs take keys, and let the CDN in front of them keep what the origin lets any cache keep."""
    try:
        rows = CDN.objects.filter(api__state__in=SERVED).select_related("api__cache_policy").order_by("api__slug")
        open_again = [row.api.slug for row in rows if _is_passed_on(row)]
    except DatabaseError:
        return []  # not migrated yet, or away: there is nothing to say of its rows
    if not open_again:
        return []
    return [
        Warning(
            "These APIs take keys, and the CDN in front of them, which knows none, may answer every client with what the origin "
            f"lets caches keep: {', '.join(open_again[:20])}.",
            hint="Have the CDN ask the gateway about each call, or set downstream.cache_control to private or a lifetime.",
            id="invalidation.W001",
        )
    ]


def _is_passed_on(row: CDN) -> bool:
    api, policy = row.api, row.api.cache_policy
    if "none" in api.authentication or policy.sensitivity in (PERSONAL, SECRET):
        return False
    rules = [policy.downstream, *(each.get("downstream", policy.downstream) for each in policy.operations)]
    return policy.mode == OFF or PASS in rules

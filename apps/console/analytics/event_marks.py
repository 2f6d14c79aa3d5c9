"""What happened meanwhile: purges, publications and changes of policy, as marks on charts."""

from dataclasses import dataclass
from datetime import datetime

from apps.audit.selectors import entries_visible_to
from apps.console.analytics.query_parameters import Window
from apps.tenants.models import User

#: verb -> what a mark says
VERBS = {
    "cache.purge": "Purged",
    "api.publish": "Published",
    "api.unpublish": "Unpublished",
    "api.deprecate": "Deprecated",
    "api.retire": "Retired",
    "api.update": "Changed",
    "api.rollback": "Rolled back",
}
MOST = 40


@dataclass(frozen=True)
class Mark:
    """Something that happened, by whom."""

    at: datetime
    label: str
    actor: str
    epoch: int


def marks_in(user: User, window: Window, api: str = "") -> list[Mark]:
    """The newest of what ``user`` may know of, oldest first. One query."""
    entries = entries_visible_to(user).filter(
        target_type="api", verb__in=VERBS, at__gte=window.since, at__lt=window.until
    )
    if api:
        entries = entries.filter(target=api)
    newest = entries.order_by("-epoch")[:MOST]
    return [Mark(entry.at, f"{VERBS[entry.verb]} {entry.target}", entry.actor_email, entry.epoch) for entry in newest][
        ::-1
    ]

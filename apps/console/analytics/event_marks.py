"""What happened meanwhile: purges, publications and changes of policy, as marks on charts."""

from dataclasses import dataclass
from datetime import datetime

from apps.analytics.models import SyntheticEvent
from apps.analytics.policies import VisibleCalls
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
    """Something that happened, by whom. ``epoch`` is the audit entry's; a made-up history has none."""

    at: datetime
    label: str
    actor: str = ""
    epoch: int | None = None


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


def synthetic_marks_in(scope: VisibleCalls, window: Window, api: str = "") -> list[Mark]:
    """What happened in a made-up history, to the APIs all of whose calls are in ``scope``. One query."""
    events = SyntheticEvent.objects.filter(at__gte=window.since, at__lt=window.until)
    if api:
        events = events.filter(api=api)
    return [Mark(each.at, f"{each} (synthetic)") for each in events if scope.covers(api=each.api, tenant="")]

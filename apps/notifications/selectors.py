"""Reading notifications, scoped to who asks."""

from django.db.models import QuerySet

from apps.notifications.choices import Group
from apps.notifications.models import MutedMail, Notification
from apps.tenants.actors import Actor
from apps.tenants.models import User
from apps.tenants.policies import tenants_of


def notifications_visible_to(user: Actor | None) -> QuerySet[Notification]:
    """One's own, of the tenants that one is in now: who leaves a tenant sees nothing more of it."""
    if not isinstance(user, User):
        return Notification.objects.none()
    own = Notification.objects.filter(user=user, tenant__in=tenants_of(user))
    return own.select_related("tenant", "application", "api")


def unread_count(user: User) -> int:
    """How many one hasn't read."""
    return notifications_visible_to(user).filter(read_at=None).count()


def mailed_groups(user: User) -> list[Group]:
    """The groups of which ``user`` gets e-mails."""
    muted = set(MutedMail.objects.filter(user=user).values_list("group", flat=True))
    return [group for group in Group if group not in muted]

"""Making notifications, and what a user does with theirs.

A notification is a row for each user, written in the transaction of the change that it tells of: to the people of one tenant or
two, or, where an API or a plan changes, of all tenants that have a subscription (one INSERT for 500 of them). The e-mails follow
within seconds, by the schedule.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from apps.access.choices import LIVE, KeyState, Side
from apps.access.models import Credential, Subscription
from apps.audit.models import Entry
from apps.notifications.choices import Group
from apps.notifications.kinds import KINDS, Changes
from apps.notifications.models import EndNotice, MutedMail, Notification
from apps.notifications.selectors import notifications_visible_to
from apps.notifications.sides import About, Author, parties_of, people_of, words_of
from apps.tenants.actors import PLATFORM, Actor
from apps.tenants.models import User

KEPT = timedelta(days=90)
"""How long a notification is listed."""
SOON = timedelta(days=14)
"""How long before the end of a key or a subscription its people are notified."""
REPLACED = "replaced_key.ends_soon"
"""The kind of the end of a key that is used although it has a successor."""
BATCH = 500
"""Rows of one INSERT, and things that end soon in one run."""


def notify(entry: Entry, actor: Actor, about: About) -> None:
    """Notify the people of a change, if its kind has a line in ``KINDS``. Part of the change's transaction."""
    if entry.verb in KINDS:
        _write(entry.verb, about, actor, entry.comment, entry.changes)


def ends_notify(*, now: datetime) -> int:
    """Notify people of keys and subscriptions that end within ``SOON``, once for each end; of how many things.

    Not of those that were made for a shorter time than twice that. Of a key that has a successor they are notified in the last
    quarter of the time in which both work, if the old one is still used.
    """
    keys = Credential.objects.filter(state=KeyState.ACTIVE, api=None, successor=None).select_related(
        "application__tenant"
    )
    subscriptions = Subscription.objects.filter(state__in=LIVE)
    related = ("application__tenant", "api__tenant", "plan")
    return (
        _ends_notify("key.ends_soon", keys, now)
        + _ends_notify("subscription.ends_soon", subscriptions.select_related(*related), now)
        + sum(_end_notify(REPLACED, key, ends) for key, ends in _used_beside_their_successors(now))
    )


def notifications_read(*, actor: User, numbers: Collection[int] | None = None) -> int:
    """Mark notifications of the actor as read: those with these ids, or all; how many were unread."""
    unread = notifications_visible_to(actor).filter(read_at=None)
    if numbers is not None:
        unread = unread.filter(pk__in=numbers)
    return unread.update(read_at=timezone.now())


def mails_choose(*, actor: User, groups: Collection[str]) -> None:
    """Have the actor get e-mails of these groups of notifications alone."""
    with transaction.atomic():
        MutedMail.objects.filter(user=actor).delete()
        MutedMail.objects.bulk_create(MutedMail(user=actor, group=group) for group in Group if group not in groups)


def notifications_clean(*, now: datetime) -> int:
    """Forget notifications, and notices of ends, that are older than ``KEPT``; how many notifications that were."""
    EndNotice.objects.filter(ends_at__lt=now - KEPT).delete()
    count, _ = Notification.objects.filter(at__lt=now - KEPT).delete()
    return count


def _ends_notify(kind: str, rows: QuerySet[Any], now: datetime) -> int:
    """Notify of those of ``rows`` whose end is near; of how many."""
    return sum(_end_notify(kind, row, row.expires_at) for row in _ending(kind, rows, now))


def _used_beside_their_successors(now: datetime) -> list[tuple[Credential, datetime]]:
    """Keys that were replaced, are used all the same, and end soon for the time that both were given; with their ends."""
    noticed = EndNotice.objects.filter(kind=REPLACED, number=OuterRef("pk"), ends_at=OuterRef("expires_at"))
    rows = Credential.objects.filter(
        state=KeyState.ACTIVE,
        successor__isnull=False,
        expires_at__gt=now,
        last_used_at__gt=F("successor__created_at"),
    )
    rows = rows.filter(~Exists(noticed)).select_related("application__tenant", "successor").order_by("expires_at")
    return [
        (row, row.expires_at)
        for row in rows[:BATCH]
        if row.expires_at is not None
        and row.successor is not None
        and row.expires_at - now <= (row.expires_at - row.successor.created_at) / 4
    ]


def _ending(kind: str, rows: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    noticed = EndNotice.objects.filter(kind=kind, number=OuterRef("pk"), ends_at=OuterRef("expires_at"))
    soon = rows.filter(expires_at__gt=now, expires_at__lt=now + SOON, expires_at__gte=F("created_at") + 2 * SOON)
    return soon.filter(~Exists(noticed)).order_by("expires_at")[:BATCH]


def _end_notify(kind: str, about: Credential | Subscription, ends_at: datetime) -> bool:
    """Notify of one end, unless another worker did so in the meantime."""
    try:
        with transaction.atomic():
            EndNotice.objects.create(kind=kind, number=about.pk, ends_at=ends_at)
            _write(kind, about, PLATFORM)
    except IntegrityError:
        return False
    return True


def _write(verb: str, about: About, actor: Actor, comment: str = "", changes: Changes | None = None) -> None:
    kind, parties = KINDS[verb], parties_of(about)
    author, words = Author(actor, parties), words_of(about)
    title, detail = kind.title.format_map(words), kind.detail(about, changes or {})
    rows: dict[tuple[int, int], Notification] = {}
    for party, user in people_of(party for party in parties if party.side in kind.to):
        # A user of several tenants that call reads it for each; who is on both sides, as one who calls.
        reads_already = party.side is Side.PROVIDER and any(pk == user.pk for pk, _ in rows)
        if user != actor and not reads_already:
            rows[user.pk, party.tenant.pk] = Notification(
                user=user,
                tenant=party.tenant,
                kind=verb,
                group=kind.group,
                title=title,
                detail="\n\n".join(
                    filter(None, [detail, party.applications_named if "application" not in words else ""])
                ),
                actor=author.shown_to(party),
                comment=comment,
                application=party.applications[0] if len(party.applications) == 1 else None,
                api=party.api,
                access_request=party.access_request,
            )
    Notification.objects.bulk_create(rows.values(), batch_size=BATCH)

"""The one way to change configuration: a transaction that ends with its audit entry and its number."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.audit import chain, verification
from apps.audit.models import Entry, Epoch
from apps.foundation.hooks import Hook
from apps.foundation.via import origin, via

committed: Hook[[], None] = Hook()
"""Called after the commit of changes that gateways must hear of."""

recorded: Hook[[Entry, Any, Any], None] = Hook()
"""Called in the transaction of each change that says what it is about: with its entry, who made it, and that object."""


@dataclass
class Change:
    """What a service says of its change while it is making it. ``about`` is the object whose people are to hear of it."""

    verb: str
    target_type: str
    target: str = ""
    tenant: str = ""
    comment: str = ""
    changes: dict[str, list[Any]] = field(default_factory=dict)
    affects: list[list[str]] = field(default_factory=list)
    about: Any = None
    dropped: bool = False

    def drop(self) -> None:
        """Nothing changed after all: leave no entry."""
        self.dropped = True

    def affect(self, kind: str, identifier: object) -> None:
        """Have gateways read ``identifier`` anew, which is a ``kind``: ``api``, ``plan``, ``key``, ``application``, ``tenant``,
        ``egress``, ``host``, ``issuer``, ``introspection`` or ``revoked`` (a bucket).

        ``stored`` is the tag of cached responses that end with the change: those made under a right that is gone.
        """
        pair = [kind, str(identifier)]
        if pair not in self.affects:
            self.affects.append(pair)

    def field(self, name: str, before: Any, after: Any) -> None:
        """Note that a field went from ``before`` to ``after``, if it did. Not for secrets."""
        if before != after:
            self.changes[name] = [before, after]


@contextmanager
def change(
    *,
    actor: Any | None,
    verb: str,
    target_type: str,
    target: str = "",
    tenant: str = "",
    comment: str = "",
) -> Iterator[Change]:
    """One change: one transaction, one audit entry, one number.

    Changes happen one at a time: the row that numbers them is locked until the commit. So they become visible in the order of
    their numbers (a sequence would let 6 commit before 5), what a service checks still holds when it writes, and two of them
    can't deadlock, since each takes this lock first.

    ``actor`` is a user, or the platform itself. Raise inside to change nothing.
    """
    audit_entry = Change(verb=verb, target_type=target_type, target=target, tenant=tenant, comment=comment)
    with transaction.atomic():
        if Epoch.objects.select_for_update().filter(pk=1).first() is None:
            Epoch.objects.get_or_create(pk=1)
        yield audit_entry
        if audit_entry.dropped:
            return
        entry = _append(
            actor_email=getattr(actor, "email", ""),
            via=via.get(),
            **origin.get()._asdict(),
            verb=audit_entry.verb,
            target_type=audit_entry.target_type,
            target=audit_entry.target,
            tenant_slug=audit_entry.tenant,
            comment=audit_entry.comment,
            changes=audit_entry.changes,
            affects=audit_entry.affects,
        )
        if audit_entry.about is not None:
            recorded(entry, actor, audit_entry.about)
        if audit_entry.affects:
            transaction.on_commit(partial(_wake, entry.epoch), robust=True)


def _append(**content: Any) -> Entry:
    """Write the next entry of the chain, with its number. The row of ``Epoch`` is locked."""
    before = verification.head()
    content |= {"epoch": before.epoch + 1, "previous_hash": before.hash, "at": timezone.now()}
    links = chain.links_of(content)
    Epoch.objects.filter(pk=1).update(n=before.epoch + 1, head=links.hash)
    return Entry.objects.create(**content, **links._asdict())


def _wake(epoch: int) -> None:
    """Wake the publisher, once for a transaction of many changes: it publishes all that is there, so the last one's waking does."""
    if not Entry.objects.filter(epoch__gt=epoch).exclude(affects=[]).exists():
        committed()

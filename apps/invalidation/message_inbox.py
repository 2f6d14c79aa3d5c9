"""Taking messages: the same for the queue and for the webhook.

A message may come twice, and does where a process dies between the purge and the broker hearing of it: purging again is
harmless, and one with an id that was taken isn't taken again. Who may send is for those two to say: who can
write to the queue, who can sign for the API.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError

from apps.caching.models import Purge
from apps.catalog.models import API
from apps.foundation.via import coming_by
from apps.invalidation.choices import MessageSource
from apps.invalidation.messages import MessageItem, Unreadable, read
from apps.invalidation.models import Message, RefusedMessage
from apps.purging import services
from apps.tenants.actors import PLATFORM

KEPT = 1000
"""Refused messages that are kept for people."""


@dataclass
class InboxResult:
    """What became of a message: purges made, items that were taken before, and those that can't be (by their place)."""

    purges: list[Purge] = field(default_factory=list)
    duplicates: int = 0
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether none of it could be taken."""
        return bool(self.refused) and not self.purges and not self.duplicates


def take(body: bytes, *, source: MessageSource, api: API | None = None, signature: str = "") -> InboxResult:
    """Purge what a message names, and return with that in Redis. What can't be done is kept and doesn't hold up the rest.

    ``api``: the only one that it may name. ``signature`` stands in for ids that are missing, so that a signed message
    counts once. Raises ``Unavailable``, or the database's errors: then it wants to be taken again.
    """
    with coming_by(source.value):
        taken = InboxResult()
        try:
            items = read(body)
        except Unreadable as error:
            taken.refused[0] = str(error)
        else:
            _take(items, taken, source, api, signature)
        _keep(taken, body, source)
        return taken


def _take(
    items: Sequence[MessageItem | str], taken: InboxResult, source: MessageSource, only: API | None, signature: str
) -> None:
    by_api: dict[str, list[tuple[int, MessageItem]]] = {}
    for index, item in enumerate(items):
        if isinstance(item, str):
            taken.refused[index] = item
        elif only is not None and item.api not in ("", only.slug):
            taken.refused[index] = f"This message may name the API {only.slug} alone."
        elif not item.api and only is None:
            taken.refused[index] = "Name the API."
        else:
            by_api.setdefault(only.slug if only else item.api, []).append((index, item))
    for slug, named in by_api.items():
        row = only or API.objects.select_related("tenant").filter(slug=slug).first()
        if row is None:
            taken.refused.update({index: f"There is no API {slug}." for index, _ in named})
        else:
            _purge(row, named, taken, source, signature)


def _purge(
    api: API, named: Sequence[tuple[int, MessageItem]], taken: InboxResult, source: MessageSource, signature: str
) -> None:
    ids = {index: item.id or (f"{signature}:{index}" if signature else "") for index, item in named}
    known = set(
        Message.objects.filter(api_slug=api.slug, message_id__in=set(ids.values()) - {""}).values_list(
            "message_id", flat=True
        )
    )
    wishes: dict[int, services.Wish] = {}
    for index, item in named:
        if ids[index] in known:
            taken.duplicates += 1
            continue
        try:
            services.tags_meant(api, item.kind, item.value)
        except ValidationError as refusal:
            taken.refused[index] = " ".join(refusal.messages)
            continue
        known |= {ids[index]} - {""}
        wishes[index] = services.Wish(item.kind, item.value, item.soft)
    if not wishes:
        return
    taken.purges += services.purge_many(actor=PLATFORM, api=api, wishes=list(wishes.values()))
    # After the purge: a process that dies in between gets the message again, and purges again.
    Message.objects.bulk_create(
        [Message(api_slug=api.slug, message_id=ids[index], source=source) for index in wishes if ids[index]],
        ignore_conflicts=True,
    )


def _keep(taken: InboxResult, body: bytes, source: MessageSource) -> None:
    if not taken.refused:
        return
    text = body[:16_000].decode("utf-8", "backslashreplace").replace("\x00", "\\x00")[:4000]
    rows = [
        RefusedMessage(source=source, detail=f"Item {index + 1}: {detail}"[:500], body=text)
        for index, detail in list(taken.refused.items())[:20]
    ]
    RefusedMessage.objects.bulk_create(rows)
    newest = RefusedMessage.objects.values_list("pk", flat=True).first() or 0
    RefusedMessage.objects.filter(pk__lte=newest - KEPT).delete()

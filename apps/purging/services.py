"""Changing cache policies, and purging. Errors as in ``apps.foundation.errors``."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from apps import httpcache
from apps.audit.services import change
from apps.cachestore import purges
from apps.caching.choices import PurgeKind
from apps.caching.models import CachePolicy, Purge
from apps.catalog.models import API
from apps.catalog.services import api_update
from apps.foundation.errors import Unavailable
from apps.foundation.hooks import Hook
from apps.foundation.path_templates import refusal_of_template
from apps.purging.policies import can_purge
from apps.tenants.actors import Actor, user_of
from apps.tenants.services import allow
from apps.wire.redis_client import AWAY, connect

TIMEOUT = 2.0
"""Seconds that a purge waits for the state Redis."""
LONGEST_VALUE = 2000
_HOLDERS = {
    PurgeKind.TENANT: re.compile(r"[-\w]{1,64}\Z", re.ASCII),
    PurgeKind.APPLICATION: re.compile(r"[-\w]{1,64}/[-\w]{1,64}\Z", re.ASCII),
}


def policy_update(
    *,
    actor: Actor,
    api: API,
    comment: str = "",
    expected_revision: int | None = None,
    **fields: Any,
) -> CachePolicy:
    """Change how an API's responses are cached, in force at once; makes a revision of the API. Absent fields stay.

    ``expected_revision``: raise ``Conflict`` if another one was saved in between.
    """
    return api_update(
        actor=actor, api=api, policy=fields, comment=comment, expected_revision=expected_revision
    ).cache_policy


class Wish(NamedTuple):
    """One thing that a purge names. ``value`` is a path as people see it, below the listen path or with it, or a whole
    URL; a tag; an operation like ``GET /items/{id}``; a tenant's slug; or an application like ``acme/bot``.
    """

    kind: PurgeKind | str
    value: str = ""
    soft: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.value}".strip() + (" (soft)" if self.soft else "")


purged: Hook[[API, Sequence[Purge]], None] = Hook()
"""Called with the rows of each purge, in their transaction."""


def purge(*, actor: Actor, api: API, kind: PurgeKind | str, value: str = "", soft: bool = False) -> Purge:
    """End what is stored of an API: all of it, a path with every query and variant, a prefix by whole segments, a tag,
    what an operation answered, or what is a tenant's or an application's own.

    ``soft`` makes responses stale instead of dead. Returns with the purge in Redis; whether every worker knows it is the
    receipt's to say (``purge_clock=result.clock``). ``Unavailable``: Redis is away.
    """
    return purge_many(actor=actor, api=api, wishes=[Wish(kind, value, soft)])[0]


def purge_many(*, actor: Actor, api: API, wishes: Sequence[Wish]) -> list[Purge]:
    """Purge several things of one API at once, 1,000 at most, with one audit entry. Nothing is purged if one of them is
    refused. Errors as ``purge``.
    """
    allow(can_purge(actor, api), "Only owners and developers of the API's tenant may purge it.")
    tags: dict[bool, list[str]] = {}
    for wish in wishes:
        tags.setdefault(wish.soft, []).extend(tags_meant(api, wish.kind, wish.value))
    clocks: dict[bool, int] = {}
    try:
        with connect(settings.REDIS_URL, timeout=TIMEOUT) as client:
            for soft, named in tags.items():
                clocks[soft] = purges.purge(client, named, soft=soft)
    except (*AWAY, purges.StateIsEmpty) as error:
        raise Unavailable("Redis can't be reached: nothing was purged. Try again in a moment.") from error
    with change(
        actor=actor, verb="cache.purge", target_type="api", target=api.slug, tenant=api.tenant.slug
    ) as audit_entry:
        audit_entry.field("purged", None, "; ".join(map(str, wishes[:20])) + ("; …" if len(wishes) > 20 else ""))
        email = getattr(user_of(actor), "email", "")
        rows = [
            Purge.objects.create(
                api_slug=api.slug,
                kind=wish.kind,
                value=wish.value,
                soft=wish.soft,
                clock=clocks[wish.soft],
                actor_email=email,
            )
            for wish in wishes
        ]
        purged(api, rows)
    return rows


def receipt_note(*, purge: Purge, workers: int, in_force: int, slowest_ms: float | None) -> Purge:
    """Record what the fleet said of a purge. It is no user's decision: no audit entry."""
    purge.workers, purge.in_force, purge.slowest_ms = workers, in_force, slowest_ms
    purge.save(update_fields=["workers", "in_force", "slowest_ms"])
    return purge


def tags_meant(api: API, kind: PurgeKind | str, value: str) -> Sequence[str]:
    """The tags that a purge of this means. Raises ``ValidationError`` by field."""
    if kind not in PurgeKind.values:
        raise ValidationError({"kind": f"One of {', '.join(PurgeKind.values)}."})
    if kind == PurgeKind.API:
        if value:
            raise ValidationError({"value": "A purge of the whole API names nothing else."})
        return [httpcache.tag_of_api(api.slug)]
    if not value:
        raise ValidationError({"value": "Say which: only a purge of the whole API names nothing."})
    if len(value) > LONGEST_VALUE:
        raise ValidationError({"value": f"At most {LONGEST_VALUE:,} characters."})
    if kind == PurgeKind.TAG:
        if any(character <= " " or character == "\x7f" for character in value):
            raise ValidationError({"value": "A tag has no spaces and no controls."})
        return httpcache.tags_of_key(api.slug, value)
    if kind == PurgeKind.OPERATION:
        method, _, path = value.partition(" ")
        if not api.operations.filter(method=method, path=path).exists():
            raise ValidationError({"value": "The API describes no such operation. One looks like GET /items/{id}."})
        return [httpcache.tag_of_key(api.slug, value)]
    if kind in (PurgeKind.TENANT, PurgeKind.APPLICATION):
        if not _HOLDERS[PurgeKind(kind)].match(value):
            raise ValidationError({"value": "A tenant is named like acme, an application like acme/bot."})
        return [httpcache.tag_of_grant(api.slug, value)]
    if refused := refusal_of_template(value):
        raise ValidationError({"value": f"{refused} What an operation answered is purged by operation."})
    paths = paths_of(api, value)
    if not paths:
        raise ValidationError({"value": "A path starts with a slash, like /items/1."})
    tag_of = httpcache.tag_of_path if kind == PurgeKind.PATH else httpcache.tag_of_prefix
    return [tag_of(api.slug, path) for path in paths]


def paths_of(api: API, value: str) -> tuple[bytes, ...]:
    """The stored paths that a path or a whole URL means."""
    if "://" in value:
        value = urlsplit(value).path or "/"
    return httpcache.paths_meant(value, api.listen_path)

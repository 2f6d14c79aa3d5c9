"""Setting up webhooks and CDNs. Errors as in ``apps.foundation.errors``."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.audit.services import change
from apps.catalog.egress import errors_of_places, private_names
from apps.catalog.models import API
from apps.invalidation.cdn_calls import cdn_errors, places
from apps.invalidation.models import CDN, PurgeWebhook
from apps.invalidation.policies import can_configure
from apps.tenants.actors import Actor
from apps.tenants.policies import is_administrator
from apps.tenants.services import allow

OVERLAP = timedelta(hours=24)
"""How long the secret before holds beside a new one."""
_REFUSAL = "Only owners and developers of the API's tenant may change this."


class NewSecret(NamedTuple):
    """A webhook and its secret, which is shown nowhere else."""

    webhook: PurgeWebhook
    secret: str


class CDNFields(TypedDict, total=False):
    """What ``cdn_update`` changes."""

    base_url: str
    headers: Mapping[str, str]
    calls: Mapping[str, Mapping[str, str]]


def webhook_secret_make(*, actor: Actor, api: API, overlap: timedelta = OVERLAP) -> NewSecret:
    """A new secret for an API's webhook, the first one or in place of another, which holds ``overlap`` longer."""
    allow(can_configure(actor, api), _REFUSAL)
    if not timedelta(0) <= overlap <= timedelta(days=30):
        raise ValidationError({"overlap": "Between 0 and 30 days."})
    now = timezone.now()
    with _changing("webhook.make", actor, api) as audit_entry:
        webhook = PurgeWebhook.objects.filter(api=api).first() or PurgeWebhook(api=api)
        audit_entry.field("secret", "changed" if webhook.pk else None, "made")
        webhook.previous = webhook.secret if webhook.pk else None
        webhook.previous_until = now + overlap if webhook.pk else None
        webhook.secret, webhook.changed_at = f"whs_{secrets.token_urlsafe(32)}", now
        webhook.save()
    return NewSecret(webhook, webhook.secret)


def webhook_remove(*, actor: Actor, api: API) -> None:
    """Take no more messages of an API by webhook."""
    allow(can_configure(actor, api), _REFUSAL)
    with _changing("webhook.remove", actor, api) as audit_entry:
        if not PurgeWebhook.objects.filter(api=api).delete()[0]:
            audit_entry.drop()


def secrets_of(slug: str, now: datetime) -> tuple[API | None, list[str]]:
    """The API and the secrets that sign for it at ``now``; nothing where it has no webhook."""
    webhook = PurgeWebhook.objects.select_related("api__tenant").filter(api__slug=slug).first()
    if webhook is None:
        return None, []
    held = [webhook.secret]
    if webhook.previous and webhook.previous_until and now < webhook.previous_until:
        held.append(webhook.previous)
    return webhook.api, held


def cdn_update(*, actor: Actor, api: API, **fields: Unpack[CDNFields]) -> CDN:
    """Set up, or change, how an API's purges are forwarded. Absent fields stay; a header without a value keeps
    the one it has.
    """
    allow(can_configure(actor, api), _REFUSAL)
    private = _private_targets(actor, api, fields)
    with _changing("cdn.update", actor, api) as audit_entry:
        cdn = CDN.objects.filter(api=api).first() or CDN(api=api)
        before = {"base_url": cdn.base_url, "calls": cdn.calls}
        headers: dict[str, Any] = dict(fields.get("headers", cdn.headers))
        for name, value in headers.items():
            if value is None:
                headers[name] = cdn.headers.get(name)
        audit_entry.field("headers", sorted(cdn.headers), sorted(headers))
        if headers != cdn.headers and sorted(headers) == sorted(cdn.headers):
            audit_entry.changes["headers"] = [sorted(cdn.headers), "changed"]
        cdn.base_url = fields.get("base_url", cdn.base_url)
        cdn.calls = {kind: dict(call) for kind, call in fields.get("calls", cdn.calls).items()}
        cdn.headers = headers
        if errors := cdn_errors(cdn.base_url, cdn.headers, cdn.calls):
            raise ValidationError(errors)
        new = places(cdn.base_url, cdn.calls) - places(before["base_url"], before["calls"])
        _check_egress(actor, api, cdn, new, private)
        kept = [name for name, value in headers.items() if fields.get("headers", {}).get(name) is None]
        if kept and new:
            # These values are shown to no user: nor may a user have them sent elsewhere.
            raise ValidationError(
                {"headers": f"The calls go to another place: write the value of {', '.join(kept)} again."}
            )
        cdn.full_clean(exclude=["headers"])
        for name, value in before.items():
            audit_entry.field(name, value, getattr(cdn, name))
        if not audit_entry.changes and cdn.pk:
            audit_entry.drop()
        cdn.save()
    return cdn


def cdn_remove(*, actor: Actor, api: API) -> None:
    """Forward no more purges of an API."""
    allow(can_configure(actor, api), _REFUSAL)
    with _changing("cdn.remove", actor, api) as audit_entry:
        if not CDN.objects.filter(api=api).delete()[0]:
            audit_entry.drop()


def _private_targets(actor: Actor, api: API, fields: CDNFields) -> frozenset[str]:
    if is_administrator(actor) or cdn_errors(fields.get("base_url", ""), {}, fields.get("calls", {})).keys() - {
        "calls"
    }:
        return frozenset()
    targets = places(fields.get("base_url", ""), fields.get("calls", {}))
    return private_names(api.tenant, [f"{scheme}://{authority}/" for scheme, authority in targets])


def _check_egress(actor: Actor, api: API, cdn: CDN, new: Iterable[tuple[str, str]], private: frozenset[str]) -> None:
    """Targets that are there already may stay: a call is refused where rules changed since. Raises ``ValidationError``."""
    urls = {f"{scheme}://{authority}": f"{scheme}://{authority}/" for scheme, authority in new}
    errors: dict[str, list[str]] = {}
    for target, why in errors_of_places(actor, api.tenant, urls, private).items():
        field = "base_url" if cdn.base_url.lower().startswith(target) else "calls"
        errors.setdefault(field, []).extend(why)
    if errors:
        raise ValidationError(errors)


def _changing(verb: str, actor: Actor, api: API) -> Any:
    return change(actor=actor, verb=verb, target_type="api", target=api.slug, tenant=api.tenant.slug)

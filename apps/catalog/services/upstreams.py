"""Upstreams one by one; each change saves the API, as a revision."""

from typing import Any

from django.core.exceptions import ValidationError

from apps.catalog.document import UpstreamFields, upstream_document
from apps.catalog.models import API, Upstream
from apps.catalog.services.apis import api_update
from apps.foundation import field_names
from apps.tenants.actors import Actor


def upstream_add(*, actor: Actor, api: API, url: str, weight: int = 1, ca: str = "") -> Upstream:
    """One more upstream, at the end of the list."""
    added = UpstreamFields(url=url, weight=weight, ca=ca)
    _save(actor, api, [*_listed(api), added], comment=f"Added upstream {url}")
    return Upstream.objects.get(api=api, url=url)


def upstream_update(*, actor: Actor, upstream: Upstream, **fields: Any) -> Upstream:
    """Change one upstream's address, share or certificates: those ``fields`` of ``UpstreamFields`` that are named."""
    rows = upstream.api.upstreams.all()
    wanted: list[Any] = [{**upstream_document(row), **(fields if row.pk == upstream.pk else {})} for row in rows]
    _save(actor, upstream.api, wanted, comment=f"Changed upstream {upstream.url}")
    return Upstream.objects.get(api=upstream.api, url=fields.get("url", upstream.url))


def upstream_remove(*, actor: Actor, upstream: Upstream) -> None:
    """Take one upstream away; a served API keeps at least one."""
    wanted = [row for row in _listed(upstream.api) if row["url"] != upstream.url]
    _save(actor, upstream.api, wanted, comment=f"Removed upstream {upstream.url}")


def _listed(api: API) -> list[UpstreamFields]:
    return [upstream_document(row) for row in api.upstreams.all()]


def _save(actor: Actor, api: API, upstreams: list[UpstreamFields], comment: str) -> None:
    """Save the list, with errors of one upstream next to that upstream's own fields."""
    try:
        api_update(actor=actor, api=api, upstreams=upstreams, comment=comment)
    except ValidationError as error:
        plain = {path.rsplit(".", 1)[-1]: messages for path, messages in field_names.by_path(error).items()}
        raise ValidationError({("url" if field == "upstreams" else field): plain[field] for field in plain}) from None

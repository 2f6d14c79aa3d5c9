"""Saving an API's configuration: checked as a whole, written, and kept as a revision, the document that ``export`` would write."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from apps.audit.services import Change, change
from apps.caching.document import PolicyFields
from apps.caching.validation import policy_errors
from apps.catalog import validation
from apps.catalog.certificates import read_certificates
from apps.catalog.choices import SERVED, APIState
from apps.catalog.document import (
    DESCRIBED,
    APIFields,
    OperationFields,
    UpstreamFields,
    changes_without_secrets,
    configuration,
    described,
    differences,
    upstream_document,
)
from apps.catalog.egress import errors_of_places, private_names
from apps.catalog.hooks import further_errors
from apps.catalog.models import API, Operation, Revision, Upstream
from apps.catalog.services.hosts import settle_hosts
from apps.egress.rules import place_of
from apps.foundation import field_names
from apps.foundation.errors import Conflict
from apps.tenants.actors import Actor, user_of
from apps.tenants.models import Tenant
from apps.tenants.policies import is_administrator


def update(
    actor: Actor,
    api: API,
    verb: str,
    fields: APIFields,
    upstreams: Sequence[UpstreamFields] | None,
    policy: PolicyFields | None,
    operations: Sequence[OperationFields] | None,
    comment: str,
    expected_revision: int | None,
    private: frozenset[str] | None = None,
) -> API:
    private = private_upstreams(actor, api.tenant, upstreams, api) if private is None else private
    with change(
        actor=actor, verb=verb, target_type="api", target=api.slug, tenant=api.tenant.slug, comment=comment
    ) as audit_entry:
        # Read anew: what the caller holds may be old, or already carry a form's values.
        fresh = API.objects.select_related("tenant", "cache_policy").get(pk=api.pk)
        if expected_revision is not None and fresh.revision != expected_revision:
            raise Conflict(
                f"{fresh} was saved by {_author(fresh)} in the meantime (revision {fresh.revision}): look at it first."
            )
        write(audit_entry, actor, fresh, fields, upstreams, policy or {}, operations, comment, private)
    return fresh


def private_upstreams(
    actor: Actor, tenant: Tenant, upstreams: Sequence[UpstreamFields] | None, api: API | None = None
) -> frozenset[str]:
    """Hosts of ``upstreams`` that ``api`` hasn't yet, and that are private and another tenant's too: for ``write``. Resolves names:
    not in a transaction."""
    if not upstreams or is_administrator(actor):
        return frozenset()
    listed = {place_of(row.url) for row in api.upstreams.all()} if api else set()
    urls = [url for row in upstreams if isinstance(url := row.get("url"), str)]
    return private_names(tenant, [url for url in urls if place_of(url) not in listed])


def write(
    audit_entry: Change,
    actor: Actor,
    api: API,
    fields: APIFields,
    upstreams: Sequence[UpstreamFields] | None,
    policy: PolicyFields,
    operations: Sequence[OperationFields] | None,
    comment: str,
    private: frozenset[str] = frozenset(),
) -> None:
    """Save ``api`` with these values in place of its own. ``private`` is what ``private_upstreams`` found."""
    before = copy.deepcopy(configuration(api)) | described(api) if api.pk else {}
    listed = [upstream_document(row) for row in api.upstreams.all()] if api.pk else []
    api.put(fields)
    api.cache_policy.put(policy)
    wrong = validation.settings_errors(api)
    moved = (before.get("listen_path"), before.get("hosts")) != (api.listen_path, api.hosts)
    may_forward = is_administrator(actor) or before.get("forward_credential", False)
    alone = moved and not is_administrator(actor)
    _check(actor, api, wrong, upstreams, operations, alone=alone, may_forward=may_forward)
    if moved:
        settle_hosts(audit_entry, actor, api, served=api.state in SERVED)
    wanted = listed if upstreams is None else [_kept(row) for row in upstreams]
    _check_egress(actor, api, [row["url"] for row in wanted], [row["url"] for row in listed], private)
    if api.state in SERVED and not wanted:
        raise ValidationError({"upstreams": ["A served API has at least one upstream."]})

    api.cache_policy.save()
    api.cache_policy_id = api.cache_policy.pk
    api.save()
    if wanted != listed:
        _replace_upstreams(api, wanted)
    redescribed = operations is not None and replace_operations(audit_entry, api, operations)
    changed = keep_revision(actor, api, before, comment)
    if not changed and not redescribed:
        audit_entry.drop()
        return
    settings = {path: pair for path, pair in changed.items() if path.partition(".")[0] != DESCRIBED}
    audit_entry.changes.update(changes_without_secrets(settings))
    audit_entry.affect("api", api.slug)


def keep_revision(actor: Actor, api: API, before: Mapping[str, Any], comment: str) -> dict[str, list[Any]]:
    """Keep what ``api`` is now as its newest revision, unless it is what it was ``before``; ``differences`` from that."""
    fresh = API.objects.select_related("cache_policy").get(pk=api.pk)
    document = configuration(fresh) | described(fresh)
    changed = differences(before, document)
    if changed:
        api.revision = fresh.revision + 1
        API.objects.filter(pk=api.pk).update(revision=api.revision)
        Revision.objects.create(
            api=api, number=api.revision, document=document, comment=comment[:300], author=user_of(actor)
        )
    return changed


def _check(
    actor: Actor,
    api: API,
    wrong: field_names.Errors,
    upstreams: Sequence[UpstreamFields] | None,
    operations: Sequence[OperationFields] | None,
    *,
    alone: bool,
    may_forward: bool,
) -> None:
    """``wrong`` is what its settings have wrong. ``alone``: no other tenant's API may be inside or around its address.
    ``may_forward``: its upstreams may see other credentials than their own. Raises ``ValidationError``."""
    errors: field_names.Errors = {}
    for row, exclude in ((api.cache_policy, set[str]()), (api, {"cache_policy"})):
        try:
            row.full_clean(exclude=exclude)
        except ValidationError as error:
            errors.update(field_names.by_path(error))
    found = wrong | policy_errors(api.cache_policy)
    if upstreams is not None:
        found |= validation.upstreams_error(upstreams)
    if operations is not None:
        found |= validation.operations_error(operations)
    for more in further_errors(actor, api) if not wrong else ():
        found |= more
    if api.forward_credential and not may_forward:
        found["forward_credential"] = ["Only a platform administrator may have its upstreams see callers' X-API-Key."]
    # Our sentence about a field says more than Django's.
    errors.update(found)
    if "listen_path" not in errors and "hosts" not in errors and api.state != APIState.RETIRED:
        errors.update(_collision_error(api) or (_foreign_error(api) if alone else {}))
    if errors:
        raise ValidationError({field or "__all__": messages for field, messages in errors.items()})


def _check_egress(actor: Actor, api: API, wanted: list[str], listed: list[str], private: frozenset[str]) -> None:
    """What an API leads to already may stay: a call is refused where rules changed since. Raises ``ValidationError``."""
    known = {place_of(url) for url in listed}
    new = {f"upstreams.{index}.url": url for index, url in enumerate(wanted) if place_of(url) not in known}
    if errors := errors_of_places(actor, api.tenant, new, private):
        raise ValidationError(errors)


def check_servable(audit_entry: Change, actor: Actor, api: API) -> None:
    """Raises ``ValidationError`` for what can't be served as it is; the change grants hosts that an administrator publishes."""
    if api.state not in SERVED:
        settle_hosts(audit_entry, actor, api, served=True)
    errors = _collision_error(api)
    if not api.upstreams.exists():
        errors["upstreams"] = ["Add an upstream before it is published."]
    if errors:
        raise ValidationError(dict(errors))


def _collision_error(api: API) -> field_names.Errors:
    other = validation.collision(api)
    if other is None:
        return {}
    hosts = " for the same hosts" if api.hosts else ""
    same = "" if other.listen_path == api.listen_path else f", which is the same place as {api.listen_path}"
    return {"listen_path": [f"{other} ({other.slug}) listens on {other.listen_path}{hosts} already{same}."]}


def _foreign_error(api: API) -> field_names.Errors:
    other = validation.foreign_neighbour(api)
    if other is None:
        return {}
    told = f"Another tenant's API listens on {other.listen_path}"
    return {"listen_path": [f"{told}: only a platform administrator may put one inside or around it."]}


def _kept(upstream: UpstreamFields) -> UpstreamFields:
    """An upstream that was checked, in the form in which it is kept."""
    kept = UpstreamFields(url=upstream["url"], weight=upstream.get("weight", 1))
    if ca := read_certificates(upstream.get("ca", "")):
        kept["ca"] = ca
    return kept


def _replace_upstreams(api: API, wanted: list[UpstreamFields]) -> None:
    """As many as before: each row takes its place's values, so that an edited one keeps its id. Else rows are known by URL.

    Ids are the order, so rows are made anew where the ones that stay would not come first.
    """
    rows = list(api.upstreams.all())
    if len(rows) != len(wanted):
        by_url = {row.url: row for row in rows}
        urls = [fields["url"] for fields in wanted]
        kept = [by_url[url] for url in urls if url in by_url]
        in_front = urls[: len(kept)] == [row.url for row in kept]
        if not in_front or kept != sorted(kept, key=lambda row: row.pk):
            kept = []
        api.upstreams.exclude(pk__in=[row.pk for row in kept]).delete()
        rows = kept
    rows += [Upstream(api=api) for _ in wanted[len(rows) :]]
    for row, fields in zip(rows, wanted, strict=True):
        row.url, row.weight, row.ca = fields["url"], fields["weight"], fields.get("ca", "")
        row.full_clean()
        row.save()


def replace_operations(audit_entry: Change, api: API, wanted: Sequence[OperationFields]) -> bool:
    """Make the operations what is ``wanted``; whether anything changed."""
    rows = {(row.method, row.path): row for row in api.operations.all()}
    goal = {(fields["method"], fields["path"]): fields for fields in wanted}
    defaults = Operation()
    changed = bool(rows.keys() ^ goal.keys())
    for name, keys in (("added", goal.keys() - rows.keys()), ("removed", rows.keys() - goal.keys())):
        if keys:
            audit_entry.changes[f"operations {name}"] = [None, sorted(f"{method} {path}" for method, path in keys)]
    api.operations.filter(pk__in=[row.pk for key, row in rows.items() if key not in goal]).delete()
    for key, fields in goal.items():
        row = rows.get(key) or Operation(api=api, method=key[0], path=key[1])
        values: Mapping[str, Any] = {
            name: fields.get(name, getattr(defaults, name)) for name in OperationFields.__annotations__
        }
        if row.pk and all(getattr(row, name) == value for name, value in values.items()):
            continue
        changed = True
        for name, value in values.items():
            setattr(row, name, value)
        row.full_clean()
        row.save()
    return changed


def _author(api: API) -> str:
    newest = Revision.objects.select_related("author").filter(api=api).first()
    return str(newest.author) if newest and newest.author else "the platform"

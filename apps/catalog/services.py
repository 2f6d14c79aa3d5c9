"""Changing APIs. Errors: ``PermissionDenied``, ``ValidationError`` by model field, ``Conflict``.

Every save of an API's configuration makes a revision, which is the document that ``export`` would write.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps import words
from apps.audit.services import Change, change
from apps.caching.document import PolicyFields
from apps.caching.models import CachePolicy
from apps.caching.validation import policy_errors
from apps.catalog import policies, validation
from apps.catalog.choices import LIFECYCLE, SERVED, APIState, Transition
from apps.catalog.document import (
    APIFields,
    OperationFields,
    UpstreamFields,
    configuration,
    differences,
    read_document,
)
from apps.catalog.models import API, Operation, Revision, Upstream
from apps.errors import Conflict
from apps.tenants.actors import Actor, user_of
from apps.tenants.models import Tenant
from apps.tenants.services import allow

_HIDDEN = "(hidden)"


def api_create(
    *,
    actor: Actor,
    tenant: Tenant,
    slug: str,
    upstreams: Sequence[UpstreamFields] = (),
    policy: PolicyFields | None = None,
    operations: Sequence[OperationFields] = (),
    comment: str = "",
    **fields: Unpack[APIFields],
) -> API:
    """A new API, as a draft: nobody can call it before it is published. It needs an upstream by then."""
    allow(policies.can_create_api(actor, tenant), "Only owners and developers of the tenant may register APIs for it.")
    with change(
        actor=actor, verb="api.create", target_type="api", target=slug, tenant=tenant.slug, comment=comment
    ) as noted:
        api = API(slug=slug, tenant=tenant, cache_policy=CachePolicy())
        _write(noted, actor, api, fields, upstreams, policy or {}, operations, comment or "Registered")
    return api


def api_update(
    *,
    actor: Actor,
    api: API,
    upstreams: Sequence[UpstreamFields] | None = None,
    policy: PolicyFields | None = None,
    operations: Sequence[OperationFields] | None = None,
    comment: str = "",
    expected_revision: int | None = None,
    **fields: Unpack[APIFields],
) -> API:
    """Change an API, in force at once where it is served. Returns the saved API; without a difference nothing is written.

    ``None`` and absent fields stay as they are, also inside ``policy``; ``upstreams`` and ``operations`` are replaced as a whole.
    ``expected_revision``: raise ``Conflict`` if somebody saved another one in between.
    """
    allow(policies.can_edit_api(actor, api), "Only owners and developers of its tenant may change this API.")
    return _update(actor, api, "api.update", fields, upstreams, policy, operations, comment, expected_revision)


def api_rollback(*, actor: Actor, api: API, number: int, comment: str = "") -> API:
    """Make the configuration of revision ``number`` the newest one again. State, owner and operations stay as they are."""
    allow(policies.can_edit_api(actor, api), "Only owners and developers of its tenant may roll this API back.")
    revision = Revision.objects.filter(api=api, number=number).first()
    if revision is None:
        raise ValidationError({"number": f"{api} has no revision {number}."})
    parsed = read_document(revision.document, whole=True)
    comment = comment or f"Back to revision {number}"
    return _update(actor, api, "api.rollback", parsed.fields, parsed.upstreams, parsed.policy, None, comment, None)


def api_transition(*, actor: Actor, api: API, transition: Transition | str, comment: str = "") -> API:
    """Move an API along its life cycle (``LIFECYCLE``). ``Conflict`` when its state doesn't allow it."""
    allow(
        policies.can_publish_api(actor, api), "Only an owner of its tenant may publish, deprecate or retire this API."
    )
    transition = Transition(transition)
    sources, goal = LIFECYCLE[transition]
    with change(
        actor=actor,
        verb=f"api.{transition.value}",
        target_type="api",
        target=api.slug,
        tenant=api.tenant.slug,
        comment=comment,
    ) as noted:
        fresh = API.objects.select_related("tenant", "cache_policy").get(pk=api.pk)
        before = fresh.state
        if goal in SERVED:
            _check_servable(fresh)
        published_at = fresh.published_at or (timezone.now() if goal == APIState.PUBLISHED else None)
        moved = API.objects.filter(pk=api.pk, state__in=sources).update(
            state=goal, published_at=published_at, updated_at=timezone.now()
        )
        if not moved:
            raise Conflict(f"{api} is {fresh.get_state_display().lower()}: {transition.label.lower()} is not possible.")
        noted.field("state", before, goal.value)
        noted.affect("api", api.slug)
    api.refresh_from_db()
    return api


def api_publish(*, actor: Actor, api: API, comment: str = "") -> API:
    """Have the gateways serve it."""
    return api_transition(actor=actor, api=api, transition=Transition.PUBLISH, comment=comment)


def api_unpublish(*, actor: Actor, api: API, comment: str = "") -> API:
    """Take it from the gateways, back to a draft. Subscriptions stay."""
    return api_transition(actor=actor, api=api, transition=Transition.UNPUBLISH, comment=comment)


def api_deprecate(*, actor: Actor, api: API, comment: str = "") -> API:
    """Go on serving it, but let nobody new in."""
    return api_transition(actor=actor, api=api, transition=Transition.DEPRECATE, comment=comment)


def api_retire(*, actor: Actor, api: API, comment: str = "") -> API:
    """Stop serving it, and free its listen path."""
    return api_transition(actor=actor, api=api, transition=Transition.RETIRE, comment=comment)


def api_delete(*, actor: Actor, api: API) -> None:
    """Remove an API and its history; refused while a subscription to it lives. Audit entries and call records stay."""
    allow(policies.can_delete_api(actor, api), "Only an owner of its tenant may delete this API.")
    slug, policy = api.slug, api.cache_policy
    with change(actor=actor, verb="api.delete", target_type="api", target=slug, tenant=api.tenant.slug) as noted:
        # Through the relation: this app knows nothing of subscriptions but that they point here.
        if live := api.subscriptions.filter(state__in=("active", "suspended")).count():
            raise ValidationError(f"{api} has {live} live subscriptions: revoke them first, or retire the API.")
        api.subscriptions.all().delete()
        api.delete()
        policy.delete()
        noted.affect("api", slug)


def upstream_add(*, actor: Actor, api: API, url: str, weight: int = 1) -> Upstream:
    """One more upstream, at the end of the list."""
    _unprefixed(actor, api, [*_listed(api), {"url": url, "weight": weight}], comment=f"Added upstream {url}")
    return Upstream.objects.get(api=api, url=url)


def upstream_update(*, actor: Actor, upstream: Upstream, url: str | None = None, weight: int | None = None) -> Upstream:
    """Change one upstream's address or share."""
    wanted = [
        {"url": url or row.url, "weight": row.weight if weight is None else weight}
        if row.pk == upstream.pk
        else {"url": row.url, "weight": row.weight}
        for row in upstream.api.upstreams.all()
    ]
    _unprefixed(actor, upstream.api, wanted, comment=f"Changed upstream {upstream.url}")  # type: ignore[arg-type]
    return Upstream.objects.get(api=upstream.api, url=url or upstream.url)


def upstream_remove(*, actor: Actor, upstream: Upstream) -> None:
    """Take one upstream away; a served API keeps at least one."""
    wanted = [row for row in _listed(upstream.api) if row["url"] != upstream.url]
    _unprefixed(actor, upstream.api, wanted, comment=f"Removed upstream {upstream.url}")


def _listed(api: API) -> list[UpstreamFields]:
    return [UpstreamFields(url=row.url, weight=row.weight) for row in api.upstreams.all()]


def _unprefixed(actor: Actor, api: API, upstreams: list[UpstreamFields], comment: str) -> None:
    """Save the list, with errors of one upstream next to that upstream's own fields."""
    try:
        api_update(actor=actor, api=api, upstreams=upstreams, comment=comment)
    except ValidationError as error:
        plain = {path.rsplit(".", 1)[-1]: messages for path, messages in words.by_path(error).items()}
        raise ValidationError({("url" if field == "upstreams" else field): plain[field] for field in plain}) from None


def _update(
    actor: Actor,
    api: API,
    verb: str,
    fields: APIFields,
    upstreams: Sequence[UpstreamFields] | None,
    policy: PolicyFields | None,
    operations: Sequence[OperationFields] | None,
    comment: str,
    expected_revision: int | None,
) -> API:
    with change(
        actor=actor, verb=verb, target_type="api", target=api.slug, tenant=api.tenant.slug, comment=comment
    ) as noted:
        # Read anew: what the caller holds may be old, or already carry a form's values.
        fresh = API.objects.select_related("tenant", "cache_policy").get(pk=api.pk)
        if expected_revision is not None and fresh.revision != expected_revision:
            raise Conflict(
                f"{fresh} was saved by {_author(fresh)} in the meantime (revision {fresh.revision}): look at it first."
            )
        _write(noted, actor, fresh, fields, upstreams, policy or {}, operations, comment)
    return fresh


def _write(
    noted: Change,
    actor: Actor,
    api: API,
    fields: APIFields,
    upstreams: Sequence[UpstreamFields] | None,
    policy: PolicyFields,
    operations: Sequence[OperationFields] | None,
    comment: str,
) -> None:
    before = copy.deepcopy(configuration(api)) if api.pk else {}
    listed = [(row.url, row.weight) for row in api.upstreams.all()] if api.pk else []
    wanted = listed if upstreams is None else [(row.get("url", ""), row.get("weight", 1)) for row in upstreams]
    for name, value in fields.items():
        setattr(api, name, value)
    for name, value in policy.items():
        setattr(api.cache_policy, name, value)
    validation.normalise(api)
    _check(api, upstreams, operations)
    if api.state in SERVED and not wanted:
        raise ValidationError({"upstreams": ["A served API has at least one upstream."]})

    api.cache_policy.save()
    api.cache_policy_id = api.cache_policy.pk
    api.save()
    if wanted != listed:
        _replace_upstreams(api, wanted)
    redescribed = operations is not None and _replace_operations(noted, api, operations)
    fresh = API.objects.select_related("cache_policy").get(pk=api.pk)
    document = configuration(fresh)
    changed = differences(before, document)
    if changed:
        api.revision += 1
        API.objects.filter(pk=api.pk).update(revision=api.revision)
        Revision.objects.create(
            api=api, number=api.revision, document=document, comment=comment[:300], author=user_of(actor)
        )
    elif not redescribed:
        noted.drop()
        return
    noted.changes.update(_without_secrets(changed))
    noted.affect("api", api.slug)


def _check(api: API, upstreams: Sequence[UpstreamFields] | None, operations: Sequence[OperationFields] | None) -> None:
    errors: words.Errors = {}
    for row, exclude in ((api.cache_policy, set[str]()), (api, {"cache_policy"})):
        try:
            row.full_clean(exclude=exclude)
        except ValidationError as error:
            errors.update(words.by_path(error))
    found = validation.api_errors(api) | policy_errors(api.cache_policy)
    if upstreams is not None:
        found |= validation.upstreams_error(upstreams)
    if operations is not None:
        found |= validation.operations_error(operations)
    # Our sentence about a field says more than Django's.
    errors.update(found)
    if "listen_path" not in errors and "hosts" not in errors and api.state != APIState.RETIRED:
        errors.update(_collision_error(api))
    if errors:
        raise ValidationError({field or "__all__": messages for field, messages in errors.items()})


def _check_servable(api: API) -> None:
    errors = _collision_error(api)
    if not api.upstreams.exists():
        errors["upstreams"] = ["Add an upstream before it is published."]
    if errors:
        raise ValidationError(dict(errors))


def _collision_error(api: API) -> words.Errors:
    other = validation.collision(api)
    if other is None:
        return {}
    hosts = " for the same hosts" if api.hosts else ""
    return {"listen_path": [f"{other} ({other.slug}) listens on {api.listen_path}{hosts} already."]}


def _replace_upstreams(api: API, wanted: list[tuple[str, int]]) -> None:
    """Rows that keep their URL keep their id, unless the order changes: it is the order of ids."""
    rows = {row.url: row for row in api.upstreams.all()}
    kept = [url for url, _ in wanted if url in rows]
    if kept != [url for url in rows if url in kept] or [url for url, _ in wanted][: len(kept)] != kept:
        api.upstreams.all().delete()
        rows = {}
    api.upstreams.exclude(url__in=[url for url, _ in wanted]).delete()
    for url, weight in wanted:
        row = rows.get(url) or Upstream(api=api, url=url)
        row.weight = weight
        row.full_clean()
        row.save()


def _replace_operations(noted: Change, api: API, wanted: Sequence[OperationFields]) -> bool:
    """Make the operations what is ``wanted``; whether anything changed."""
    rows = {(row.method, row.path): row for row in api.operations.all()}
    goal = {(fields["method"], fields["path"]): fields for fields in wanted}
    defaults = Operation()
    changed = bool(rows.keys() ^ goal.keys())
    for name, keys in (("added", goal.keys() - rows.keys()), ("removed", rows.keys() - goal.keys())):
        if keys:
            noted.changes[f"operations {name}"] = [None, sorted(f"{method} {path}" for method, path in keys)]
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


def _without_secrets(changed: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Values of header rules may be credentials for an upstream: the audit log says that they changed, not to what."""
    return {
        path: [None if value is None else _HIDDEN for value in pair] if "_headers.set" in path else pair
        for path, pair in changed.items()
    }


def _author(api: API) -> str:
    newest = Revision.objects.select_related("author").filter(api=api).first()
    return str(newest.author) if newest and newest.author else "the platform"

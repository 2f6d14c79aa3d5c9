"""APIs: registered, changed, rolled back, moved along their life cycle, deleted."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.audit.selectors import others_had
from apps.audit.services import change
from apps.caching.document import PolicyFields
from apps.caching.models import CachePolicy
from apps.catalog import policies
from apps.catalog.choices import LIFECYCLE, SERVED, APIState, Transition
from apps.catalog.document import DESCRIBED, APIFields, OperationFields, UpstreamFields, read_document, younger_defaults
from apps.catalog.models import API, Revision
from apps.catalog.services.revisions import check_servable, private_upstreams, update, write
from apps.foundation.errors import Conflict
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant
from apps.tenants.policies import is_administrator
from apps.tenants.services import allow

OTHERS_HAD = (
    "Another tenant had an API of this name, whose calls are kept under it: choose another, or ask an administrator."
)


def api_create(
    *,
    actor: Actor,
    tenant: Tenant,
    slug: str,
    upstreams: Sequence[UpstreamFields] = (),
    policy: PolicyFields | None = None,
    operations: Sequence[OperationFields] = (),
    comment: str = "",
    private: frozenset[str] | None = None,
    **fields: Any,
) -> API:
    """A new API, as a draft: it can't be called before it is published. It needs an upstream by then.

    ``private`` is what ``private_upstreams`` found: ask it before a transaction, in which no name may be resolved.
    """
    allow(policies.can_create_api(actor, tenant), "Only owners and developers of the tenant may register APIs for it.")
    private = private_upstreams(actor, tenant, upstreams) if private is None else private
    return create(actor, tenant, slug, upstreams, policy, operations, comment, fields, private)


def create(
    actor: Actor,
    tenant: Tenant,
    slug: str,
    upstreams: Sequence[UpstreamFields],
    policy: PolicyFields | None,
    operations: Sequence[OperationFields],
    comment: str,
    fields: APIFields,
    private: frozenset[str],
) -> API:
    """The same for an actor who may, in a transaction that may be open: ``private`` is what ``private_upstreams`` found before."""
    with change(
        actor=actor, verb="api.create", target_type="api", target=slug, tenant=tenant.slug, comment=comment
    ) as audit_entry:
        if not is_administrator(actor) and others_had("api", slug, tenant.slug):
            raise ValidationError({"slug": OTHERS_HAD})
        api = API(slug=slug, tenant=tenant, cache_policy=CachePolicy())
        write(audit_entry, actor, api, fields, upstreams, policy or {}, operations, comment or "Registered", private)
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
    private: frozenset[str] | None = None,
    **fields: Any,
) -> API:
    """Change an API, in force at once where it is served. Returns the saved API; without a difference nothing is written.

    ``None`` and absent fields stay as they are, also inside ``policy``; ``upstreams`` and ``operations`` are replaced as a whole.
    ``expected_revision``: raise ``Conflict`` if another one was saved in between. ``private`` is as in ``api_create``.
    """
    allow(policies.can_edit_api(actor, api), "Only owners and developers of its tenant may change this API.")
    return update(actor, api, "api.update", fields, upstreams, policy, operations, comment, expected_revision, private)


def api_rollback(*, actor: Actor, api: API, number: int, comment: str = "") -> API:
    """Make the configuration of revision ``number`` the newest one again. State, owner and operations stay as they are."""
    allow(policies.can_edit_api(actor, api), "Only owners and developers of its tenant may roll this API back.")
    revision = Revision.objects.filter(api=api, number=number).first()
    if revision is None:
        raise ValidationError({"number": f"{api} has no revision {number}."})
    parsed = read_document({word: value for word, value in revision.document.items() if word != DESCRIBED}, whole=True)
    parsed.fields = younger_defaults() | parsed.fields
    comment = comment or f"Back to revision {number}"
    return update(actor, api, "api.rollback", parsed.fields, parsed.upstreams, parsed.policy, None, comment, None)


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
    ) as audit_entry:
        fresh = API.objects.select_related("tenant", "cache_policy").get(pk=api.pk)
        before = fresh.state
        if goal in SERVED:
            check_servable(audit_entry, actor, fresh)
        published_at = fresh.published_at or (timezone.now() if goal == APIState.PUBLISHED else None)
        moved = API.objects.filter(pk=api.pk, state__in=sources).update(
            state=goal, published_at=published_at, updated_at=timezone.now()
        )
        if not moved:
            raise Conflict(f"{api} is {fresh.get_state_display().lower()}: {transition.label.lower()} is not possible.")
        audit_entry.field("state", before, goal.value)
        audit_entry.about = fresh
        audit_entry.affect("api", api.slug)
    api.refresh_from_db()
    return api


def api_publish(*, actor: Actor, api: API, comment: str = "") -> API:
    """Have the gateways serve it."""
    return api_transition(actor=actor, api=api, transition=Transition.PUBLISH, comment=comment)


def api_unpublish(*, actor: Actor, api: API, comment: str = "") -> API:
    """Take it from the gateways, back to a draft. Subscriptions stay."""
    return api_transition(actor=actor, api=api, transition=Transition.UNPUBLISH, comment=comment)


def api_deprecate(*, actor: Actor, api: API, comment: str = "") -> API:
    """Go on serving it, but take no new subscriptions."""
    return api_transition(actor=actor, api=api, transition=Transition.DEPRECATE, comment=comment)


def api_retire(*, actor: Actor, api: API, comment: str = "") -> API:
    """Stop serving it, and free its listen path."""
    return api_transition(actor=actor, api=api, transition=Transition.RETIRE, comment=comment)


def api_delete(*, actor: Actor, api: API) -> None:
    """Remove an API and its history; refused while a subscription to it lives. Audit entries and call records stay."""
    allow(policies.can_delete_api(actor, api), "Only an owner of its tenant may delete this API.")
    slug, policy = api.slug, api.cache_policy
    with change(actor=actor, verb="api.delete", target_type="api", target=slug, tenant=api.tenant.slug) as audit_entry:
        # Through the relation: this app knows nothing of subscriptions but that they point here.
        if live := api.subscriptions.filter(state__in=("active", "suspended")).count():
            raise ValidationError(f"{api} has {live} live subscriptions: revoke them first, or retire the API.")
        api.subscriptions.all().delete()
        api.delete()
        policy.delete()
        audit_entry.affect("api", slug)

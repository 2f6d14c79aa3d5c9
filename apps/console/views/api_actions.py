"""What is done to an API from its page: published, retired, deleted, purged, rolled back."""

from functools import partial

from django.urls import reverse

from apps.catalog.choices import Transition
from apps.catalog.models import API, Revision
from apps.catalog.policies import can_delete_api, can_edit_api, can_publish_api
from apps.catalog.services import api_delete, api_rollback, api_transition, openapi_import
from apps.console.actions import Action, action
from apps.console.form_responses import done_with_receipt
from apps.console.forms.apis import CommentForm, ConfirmForm, DocumentForm, PurgeForm
from apps.console.object_lookup import a_revision, an_api, an_api_transition
from apps.console.page_access import SignedInRequest, of
from apps.console.receipts import purge_with_receipt
from apps.console.views.apis import warned
from apps.purging.policies import can_purge
from apps.purging.services import purge
from apps.tenants.models import User

#: what each step means for callers: title, explanation, button, what the message says afterwards
STEPS: dict[Transition, tuple[str, str, str, str]] = {
    Transition.PUBLISH: (
        "Publish {api}?",
        "The gateways will serve it under {api.listen_path}, and tenants will find it in the catalogue.",
        "Publish",
        "{api} is published",
    ),
    Transition.UNPUBLISH: (
        "Take {api} back to draft?",
        "The gateways will stop serving it: callers get 404. Subscriptions stay as they are.",
        "Unpublish",
        "{api} is a draft again",
    ),
    Transition.DEPRECATE: (
        "Deprecate {api}?",
        "Callers go on as before; no new subscriptions are taken, and the catalogue says so with your comment.",
        "Deprecate",
        "{api} is deprecated",
    ),
    Transition.RETIRE: (
        "Retire {api}?",
        "The gateways will stop serving it: callers get 404. Its listen path becomes free.",
        "Retire",
        "{api} is retired",
    ),
}
HARMLESS = {Transition.PUBLISH}


def may_step(user: User, found: tuple[API, Transition]) -> bool:
    """Who may publish, deprecate or retire the loaded API."""
    return can_publish_api(user, found[0])


@action(load=an_api_transition, may=may_step)
def step(request: SignedInRequest, found: tuple[API, Transition]) -> Action:
    """One step of an API's life, with its receipt."""
    api, transition = found
    title, explain, button, said = STEPS[transition]
    return Action(
        heading=title.format(api=api),
        submit=button,
        back=reverse("console:api", args=[api.slug]),
        back_label=str(api),
        explain=explain.format(api=api),
        danger=transition not in HARMLESS,
        form=partial(CommentForm, readers="the people of all tenants that have a subscription"),
        service=partial(api_transition, api=api, transition=transition),
        said=said.format(api=api),
        receipt=True,
    )


@action(load=an_api, may=can_delete_api)
def delete(request: SignedInRequest, api: API) -> Action:
    """Remove an API for good."""
    return Action(
        heading=f"Delete {api}?",
        submit="Delete for good",
        back=reverse("console:api_settings", args=[api.slug]),
        back_label=str(api),
        explain="Its revisions, operations and requests go with it. Its call records stay. This can't be undone.",
        danger=True,
        form=partial(ConfirmForm, name=api.slug),
        service=partial(api_delete, api=api),
        to=reverse("console:apis"),
        said=f"{api} is deleted.",
    )


@action(load=an_api, may=can_purge)
def purge_api(request: SignedInRequest, api: API) -> Action:
    """Purge cached responses of one API."""
    back = reverse("console:api_cache", args=[api.slug])
    return Action(
        heading=f"Purge cached responses of {api}",
        submit="Purge",
        back=back,
        back_label=str(api),
        explain="What matches is fetched anew at the next call. The purge is in force once its receipt says so.",
        danger=True,
        form=PurgeForm,
        service=partial(purge, api=api),
        answer=lambda made, data: purge_with_receipt(request, api, made, back, warm_up=data["warm_up"]),
    )


@action(load=a_revision, may=of("api", can_edit_api))
def restore(request: SignedInRequest, revision: Revision) -> Action:
    """Roll an API back to an earlier revision, which makes a new one."""
    api = revision.api
    return Action(
        heading=f"Roll {api} back to revision {revision.number}?",
        submit="Roll back",
        back=reverse("console:api_revision", args=[api.slug, revision.number]),
        back_label=f"Revision {revision.number}",
        explain="Its configuration becomes what it was then, as a new revision. Operations and their document stay.",
        form=CommentForm,
        service=partial(api_rollback, api=api, number=revision.number),
        to=reverse("console:api_revisions", args=[api.slug]),
        said=f"{api} is back at revision {revision.number}",
        receipt=True,
    )


@action(load=an_api, may=can_edit_api)
def import_document(request: SignedInRequest, api: API) -> Action:
    """Read the operations of an API out of its OpenAPI document."""
    to = reverse("console:api_operations", args=[api.slug])
    return Action(
        heading=f"Import operations of {api}",
        submit="Import",
        back=to,
        back_label=str(api),
        explain="Operations that the document doesn't have are removed. A document that differs makes a new revision.",
        form=DocumentForm,
        service=lambda actor, document: openapi_import(actor=actor, api=api, content=document),
        answer=lambda result, _: done_with_receipt(
            request,
            to,
            f"{result.operations} operations now: {result.added} new, {result.removed} removed{warned(result.warnings)}",
        ),
    )

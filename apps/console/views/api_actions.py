"""What is done to an API from its page: published, retired, deleted, purged, rolled back."""

from django.http import HttpResponse
from django.urls import reverse

from apps.catalog.choices import Transition
from apps.catalog.models import API, Revision
from apps.catalog.policies import can_delete_api, can_edit_api, can_publish_api
from apps.catalog.services import api_delete, api_rollback, api_transition, openapi_import
from apps.console.form_responses import attempt, attempted, done, done_with_receipt, form_page, sent, uploaded
from apps.console.forms.apis import CommentForm, ConfirmForm, DocumentForm, PurgeForm
from apps.console.object_lookup import a_revision, an_api, an_api_transition
from apps.console.page_access import SignedInRequest, of, page
from apps.console.receipts import purge_of, purge_with_receipt
from apps.purging.policies import can_purge
from apps.tenants.models import User

FORM = ("GET", "HEAD", "POST")

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
        "Callers go on as before; nobody new can ask for access, and the catalogue says so.",
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


@page(load=an_api_transition, may=may_step, methods=FORM)
def step(request: SignedInRequest, found: tuple[API, Transition]) -> HttpResponse:
    """One step of an API's life, with its receipt."""
    api, transition = found
    title, explain, button, said = STEPS[transition]
    to = reverse("console:api", args=[api.slug])
    form = CommentForm(sent(request))
    if request.method == "POST" and attempted(
        form,
        lambda: api_transition(
            actor=request.user, api=api, transition=transition, comment=form.cleaned_data["comment"]
        ),
    ):
        return done_with_receipt(request, to, said.format(api=api))
    return form_page(
        request,
        form,
        heading=title.format(api=api),
        submit=button,
        back=to,
        back_label=str(api),
        explain=explain.format(api=api),
        danger=transition not in HARMLESS,
    )


@page(load=an_api, may=can_delete_api, methods=FORM)
def delete(request: SignedInRequest, api: API) -> HttpResponse:
    """Remove an API for good."""
    form = ConfirmForm(sent(request), name=api.slug)

    def remove() -> None:
        api_delete(actor=request.user, api=api)

    name = str(api)
    if request.method == "POST" and attempted(form, remove):
        return done(request, reverse("console:apis"), f"{name} is deleted.")
    return form_page(
        request,
        form,
        heading=f"Delete {name}?",
        submit="Delete for good",
        back=reverse("console:api_settings", args=[api.slug]),
        back_label=name,
        explain="Its revisions, operations and requests go with it. Its call records stay. This can't be undone.",
        danger=True,
    )


@page(load=an_api, may=can_purge, methods=FORM)
def purge_api(request: SignedInRequest, api: API) -> HttpResponse:
    """Purge cached answers of one API."""
    form = PurgeForm(sent(request))

    back = reverse("console:api_cache", args=[api.slug])
    if request.method == "POST" and (made := attempt(form, lambda: purge_of(request, api, form.cleaned_data))):
        return purge_with_receipt(request, api, made, back, warm_up=form.cleaned_data["warm_up"])
    return form_page(
        request,
        form,
        heading=f"Purge cached answers of {api}",
        submit="Purge",
        back=back,
        back_label=str(api),
        danger=True,
        explain="What matches is fetched anew at the next call. The purge is in force once its receipt says so.",
    )


@page(load=a_revision, may=of("api", can_edit_api), methods=FORM)
def restore(request: SignedInRequest, revision: Revision) -> HttpResponse:
    """Roll an API back to an earlier revision, which makes a new one."""
    api = revision.api
    form = CommentForm(sent(request))
    if request.method == "POST" and attempted(
        form,
        lambda: api_rollback(actor=request.user, api=api, number=revision.number, comment=form.cleaned_data["comment"]),
    ):
        return done_with_receipt(
            request, reverse("console:api_revisions", args=[api.slug]), f"{api} is back at revision {revision.number}"
        )
    return form_page(
        request,
        form,
        heading=f"Roll {api} back to revision {revision.number}?",
        submit="Roll back",
        back=reverse("console:api_revision", args=[api.slug, revision.number]),
        back_label=f"Revision {revision.number}",
        explain="Its configuration becomes what it was then, as a new revision. Operations and documents stay.",
    )


@page(load=an_api, may=can_edit_api, methods=FORM)
def import_document(request: SignedInRequest, api: API) -> HttpResponse:
    """Read the operations of an API out of its OpenAPI document."""
    form = DocumentForm(*uploaded(request))
    to = reverse("console:api_operations", args=[api.slug])
    if request.method == "POST" and (
        result := attempt(
            form, lambda: openapi_import(actor=request.user, api=api, content=form.cleaned_data["document"])
        )
    ):
        return done_with_receipt(
            request,
            to,
            f"{result.operations} operations now: {result.added} new, {result.removed} removed",
        )
    return form_page(
        request,
        form,
        heading=f"Import operations of {api}",
        submit="Import",
        back=to,
        back_label=str(api),
        multipart=True,
        explain="Operations that the document doesn't have are removed.",
    )

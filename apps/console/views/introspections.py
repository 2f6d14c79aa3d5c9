"""Introspection servers: added, changed, removed, and which APIs ask them."""

from functools import partial

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.access.models import Introspection
from apps.access.policies import can_edit_introspection
from apps.access.services import introspection_create, introspection_delete, introspection_update
from apps.access.tokens_of_apis import apis_asking
from apps.console.actions import Action, action
from apps.console.forms.apis import ConfirmForm
from apps.console.forms.tokens import IntrospectionForm, NewIntrospectionForm
from apps.console.object_lookup import an_introspection
from apps.console.page_access import SignedInRequest, page
from apps.console.tables import introspection_url
from apps.console.views.issuers import client_ids_of, may_add_some, naming, owners_of, readers, used_by


@page(load=an_introspection, may=readers)
def one(request: SignedInRequest, found: Introspection) -> HttpResponse:
    """An introspection server: what is asked of it, and which APIs ask it."""
    context = {
        "introspection": found,
        "may_edit": can_edit_introspection(request.user, found),
        "apis": naming(request.user, apis_asking(found)),
        "client_ids": client_ids_of(request.user, found),
    }
    return render(request, "tokens/introspection.html", context)


@action(may=may_add_some)
def new(request: SignedInRequest) -> Action:
    """A new introspection server."""
    return Action(
        heading="New introspection server",
        submit="Add the server",
        back=reverse("console:issuers"),
        form=partial(NewIntrospectionForm, **owners_of(request.user)),
        service=introspection_create,
        said=lambda data: f"{data['slug']} is there: an API may name it now",
        receipt=True,
        template="tokens/introspection_form.html",
    )


@action(load=an_introspection, may=can_edit_introspection)
def edit(request: SignedInRequest, found: Introspection) -> Action:
    """Change it."""
    return Action(
        heading=f"Edit {found}",
        submit="Save",
        back=introspection_url(found),
        form=IntrospectionForm,
        initial=IntrospectionForm.initial_of(found),
        service=partial(introspection_update, server=found),
        said=f"{found} is saved",
        receipt=True,
        template="tokens/introspection_form.html",
        context={"introspection": found},
    )


@action(load=an_introspection, may=can_edit_introspection)
def delete(request: SignedInRequest, found: Introspection) -> Action:
    """Remove one that no API asks."""
    return Action(
        heading=f"Delete {found}?",
        submit="Delete for good",
        back=introspection_url(found),
        back_label=str(found),
        explain=used_by(apis_asking(found), "ask it") or "No API asks it. This can't be undone.",
        danger=True,
        form=partial(ConfirmForm, name=found.slug),
        service=partial(introspection_delete, server=found),
        to=reverse("console:issuers"),
        said=f"{found} is deleted",
        receipt=True,
    )

"""APIs: the list, a new one, one out of an OpenAPI document."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import pluralize
from django.urls import reverse

from apps.catalog.models import API
from apps.catalog.selectors import apis_configured_by
from apps.catalog.services import api_create, api_create_from_openapi, api_publish
from apps.console import list_traffic
from apps.console.actions import Action, action
from apps.console.filters import APIFilters
from apps.console.form_responses import done, done_with_receipt
from apps.console.forms.apis import NewFromDocumentForm, RegisterForm
from apps.console.lists import listing
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.tables import APITable
from apps.tenants.choices import Role
from apps.tenants.models import User
from apps.tenants.policies import tenants_of


def may_register(user: User) -> bool:
    """Users who may register an API for some tenant."""
    return user.is_administrator or tenants_of(user, Role.OWNER, Role.DEVELOPER).exists()


@page(may=anyone)
def apis(request: SignedInRequest) -> HttpResponse:
    """The reader's APIs with their traffic."""
    rows = apis_configured_by(request.user).select_related("tenant")
    traffic = list_traffic.by_api(request.user)
    context = listing(request, rows, APITable, APIFilters, beside=traffic)
    context["synthetic"] = list_traffic.synthetic_calls(traffic)
    return render(request, "apis/list.html", {**context, "may_register": may_register(request.user)})


@action(may=may_register)
def register(request: SignedInRequest) -> Action:
    """A new API by hand."""
    return Action(
        heading="Register an API",
        submit="Register",
        back=reverse("console:apis"),
        form=partial(RegisterForm, tenants=tenants_of(request.user, Role.OWNER, Role.DEVELOPER)),
        service=_create,
        names=_NAMES,
        answer=lambda api, _: _registered(request, api),
        template="apis/register.html",
    )


#: a service's field -> the form's
_NAMES = {"upstreams": "upstream_url", "upstreams.0.url": "upstream_url"}


def _create(*, actor: User, upstream_url: str, mode: str, ttl: float, authentication: str, **fields: Any) -> API:
    return api_create(
        actor=actor,
        upstreams=[{"url": upstream_url}],
        policy={"mode": mode, "ttl": ttl},
        authentication=[authentication],
        **fields,
    )


def _registered(request: SignedInRequest, api: API) -> HttpResponse:
    to = reverse("console:api", args=[api.slug])
    if request.POST.get("then") == "publish":
        api_publish(actor=request.user, api=api)
        return done_with_receipt(request, to, f"{api} is published")
    return done(request, to, f"{api} is registered as a draft. Publish it to have it served.")


@action(may=may_register)
def import_new(request: SignedInRequest) -> Action:
    """A new API out of an OpenAPI document."""

    def create(*, actor: User, document: bytes, listen_path: str | None, **fields: Any) -> API:
        if listen_path:
            fields["listen_path"] = listen_path
        return api_create_from_openapi(actor=actor, content=document, **fields)

    return Action(
        heading="Import an OpenAPI document",
        submit="Import",
        back=reverse("console:apis"),
        back_label="APIs",
        explain="Each path and method becomes an operation; title and description become the API's.",
        form=partial(NewFromDocumentForm, tenants=tenants_of(request.user, Role.OWNER, Role.DEVELOPER)),
        service=create,
        names=_NAMES,
        answer=lambda api, _: _imported(request, api),
    )


def _imported(request: SignedInRequest, api: API) -> HttpResponse:
    count = api.operations.count()
    to = reverse("console:api_operations", args=[api.slug])
    warnings = warned(api.openapi.warnings)
    return done(request, to, f"{api} is registered as a draft, with {count} operation{pluralize(count)}{warnings}.")


def warned(warnings: Sequence[object]) -> str:
    """How a message about an import goes on where there are warnings; the operations' page lists them."""
    return f", and {len(warnings)} warning{pluralize(len(warnings))} about the document" if warnings else ""

"""APIs: the list, a new one, one out of an OpenAPI document."""

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.catalog.models import API
from apps.catalog.selectors import apis_configured_by
from apps.catalog.services import api_create, api_create_from_openapi, api_publish
from apps.console import list_traffic
from apps.console.filters import APIFilters
from apps.console.form_responses import attempt, done, done_with_receipt, form_page, sent, uploaded
from apps.console.forms.apis import NewFromDocumentForm, RegisterForm
from apps.console.lists import listing
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.tables import APITable
from apps.tenants.choices import Role
from apps.tenants.models import User
from apps.tenants.policies import tenants_of

FORM = ("GET", "HEAD", "POST")


def may_register(user: User) -> bool:
    """Whoever may register an API for some tenant."""
    return user.is_administrator or tenants_of(user, Role.OWNER, Role.DEVELOPER).exists()


@page(may=anyone)
def apis(request: SignedInRequest) -> HttpResponse:
    """The reader's APIs with their traffic."""
    rows = apis_configured_by(request.user).select_related("tenant")
    context = listing(request, rows, APITable, APIFilters, beside=list_traffic.by_api(request.user))
    return render(request, "apis/list.html", {**context, "may_register": may_register(request.user)})


@page(may=may_register, methods=FORM)
def register(request: SignedInRequest) -> HttpResponse:
    """A new API by hand."""
    form = RegisterForm(sent(request), tenants=tenants_of(request.user, Role.OWNER, Role.DEVELOPER))
    if request.method == "POST" and (api := attempt(form, lambda: _create(request.user, form), _NAMES)):
        return _registered(request, api)
    return form_page(
        request,
        form,
        heading="Register an API",
        submit="Register",
        back=reverse("console:apis"),
        template="apis/register.html",
    )


#: a service's field -> the form's
_NAMES = {"upstreams": "upstream_url", "upstreams.0.url": "upstream_url"}


def _create(user: User, form: RegisterForm) -> API:
    data = form.cleaned_data
    return api_create(
        actor=user,
        tenant=data["tenant"],
        slug=data["slug"],
        upstreams=[{"url": data["upstream_url"]}],
        policy={"mode": data["mode"], "ttl": data["ttl"]},
        name=data["name"],
        listen_path=data["listen_path"],
        summary=data["summary"],
        tags=data["tags"],
        authentication=[data["authentication"]],
        approval=data["approval"],
    )


def _registered(request: SignedInRequest, api: API) -> HttpResponse:
    to = reverse("console:api", args=[api.slug])
    if request.POST.get("then") == "publish":
        api_publish(actor=request.user, api=api)
        return done_with_receipt(request, to, f"{api} is published")
    return done(request, to, f"{api} is registered as a draft. Publish it to have it served.")


@page(may=may_register, methods=FORM)
def import_new(request: SignedInRequest) -> HttpResponse:
    """A new API out of an OpenAPI document."""
    form = NewFromDocumentForm(*uploaded(request), tenants=tenants_of(request.user, Role.OWNER, Role.DEVELOPER))

    def create() -> API:
        data = form.cleaned_data
        return api_create_from_openapi(
            actor=request.user,
            tenant=data["tenant"],
            content=data["document"],
            upstream_url=data["upstream_url"],
            **({"listen_path": data["listen_path"]} if data["listen_path"] else {}),
        )

    if request.method == "POST" and (api := attempt(form, create, _NAMES)):
        count = api.operations.count()
        return done(
            request,
            reverse("console:api_operations", args=[api.slug]),
            f"{api} is registered as a draft, with {count} operation{'' if count == 1 else 's'}.",
        )
    return form_page(
        request,
        form,
        heading="Import an OpenAPI document",
        submit="Import",
        back=reverse("console:apis"),
        back_label="APIs",
        multipart=True,
        explain="Each path and method becomes an operation; title and description become the API's.",
    )

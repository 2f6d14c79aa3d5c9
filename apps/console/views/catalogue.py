"""The catalogue: what may be asked for, its documentation, asking, and a real call."""

from functools import partial

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from apps.access.choices import LIVE, RequestState, Side
from apps.access.models import AccessRequest, Issuer
from apps.access.offers import plans_offered
from apps.access.selectors import (
    applications_usable_by,
    catalogue_of,
    in_force,
    requests_visible_to,
    subscriptions_visible_to,
)
from apps.access.services import request_create, trial_key_create
from apps.access.tokens_of_apis import issuers_nameable_by
from apps.catalog.choices import SERVED, APIState
from apps.catalog.models import API
from apps.catalog.policies import can_view_api, can_view_configuration
from apps.catalog.selectors import deprecation_of
from apps.console.actions import FORM, Action, action
from apps.console.call_examples import curl_of, examples_of
from apps.console.filters import CatalogueFilters
from apps.console.form_responses import done, done_with_receipt, sent
from apps.console.forms.access import AskForm
from apps.console.forms.try_it import TryForm
from apps.console.lists import listing
from apps.console.object_lookup import a_catalogue_entry, an_api
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.preview import headers_of
from apps.console.tables import APITable, request_url
from apps.console.try_it import Trial, call
from apps.console.views.applications import may_build
from apps.gateway.pipeline.authenticators.table import OPEN, way_of_keys
from apps.tenants.models import User
from apps.tenants.selectors import tenants_visible_to

PER_PAGE = 24


@page(may=anyone)
def catalogue(request: SignedInRequest) -> HttpResponse:
    """Every API that may be asked for, and deprecated ones for who calls them."""
    rows = catalogue_of(request.user).select_related("tenant").order_by("name")
    context = listing(request, rows, APITable, CatalogueFilters, per_page=PER_PAGE)
    apis = [row.record for row in context["table"].page]
    held = subscriptions_visible_to(request.user, Side.CALLER).filter(api__in=apis, state__in=LIVE)
    tags = sorted({tag for tags in rows.values_list("tags", flat=True) for tag in tags})
    context |= {"apis": apis, "tags": tags, "subscribed": set(held.values_list("api_id", flat=True))}
    return render(request, "catalogue/list.html", context)


@page(load=an_api, may=can_view_api)
def entry(request: SignedInRequest, api: API) -> HttpResponse:
    """One API for its callers: what it does, how to call it, whether one may."""
    user = request.user
    held = subscriptions_visible_to(user, Side.CALLER).filter(api=api, state__in=LIVE)
    asked = requests_visible_to(user, Side.CALLER).filter(
        api=api, state__in=(RequestState.SUBMITTED, RequestState.NEEDS_INFO)
    )
    return render(
        request,
        "catalogue/entry.html",
        {
            "api": api,
            "operations": api.operations.all(),
            "document": getattr(api, "openapi", None),
            "deprecation": deprecation_of(api),
            "plans": plans_offered(api, tenants_visible_to(user)),
            "held": held,
            "asked": asked,
            "examples": examples_of(api),
            "token_issuers": issuers_taken_by(api) if "jwt" in api.authentication else [],
            "may_configure": can_view_configuration(user, api),
            "may_ask": api.state == APIState.PUBLISHED and may_build(user),
            "may_try": api.state in SERVED and may_try(user, api),
            "may_build": may_build(user),
        },
    )


def issuers_taken_by(api: API) -> list[Issuer]:
    """Whose tokens an API takes: callers have to know where to get one. One query."""
    return list(issuers_nameable_by(api).filter(slug__in=api.jwt["issuers"]))


def may_ask(user: User, *_: object) -> bool:
    """Users who build applications, or could."""
    return user.is_active


@action(load=a_catalogue_entry, may=may_ask)
def ask(request: SignedInRequest, api: API) -> Action:
    """Ask for access."""
    applications = applications_usable_by(request.user)
    plans = plans_offered(api, {application.tenant for application in applications})
    return Action(
        heading=f"Ask for access to {api}",
        submit="Ask",
        back=reverse("console:catalogue_entry", args=[api.slug]),
        back_label=str(api),
        form=partial(AskForm, applications=applications, plans=plans, api=api),
        service=partial(request_create, api=api),
        answer=lambda asked, _: _asked(request, asked),
        template="forms/form.html" if applications and plans else "catalogue/ask.html",
        context={"api": api, "applications": applications, "may_build": may_build(request.user)},
    )


def _asked(request: SignedInRequest, asked: AccessRequest) -> HttpResponse:
    if asked.state == RequestState.APPROVED:
        return done_with_receipt(request, request_url(asked), f"{asked.application} may call {asked.api}")
    said = f"Your request for {asked.api} is handed in. You hear when it is decided."
    return done(request, request_url(asked), said)


def may_try(user: User, api: API) -> bool:
    """Users who build applications, which calls are made in the name of; everybody where calls are made without a key."""
    return tried_without_key(api) or may_build(user)


def tried_without_key(api: API) -> bool:
    """Whether an API is tried without a key of an application: it takes calls without a credential, or takes no keys."""
    return OPEN in api.authentication or way_of_keys(api.authentication) is None


@page(load=an_api, may=can_view_api, methods=FORM)
def try_it(request: SignedInRequest, api: API) -> HttpResponse:
    """A real call through the gateway, in the name of one of the reader's applications."""
    user = request.user
    granted = subscriptions_visible_to(user).filter(in_force(timezone.now()), api=api).values("application")
    applications = applications_usable_by(user).filter(pk__in=granted)
    without_key = tried_without_key(api)
    start = {"method": request.GET.get("method", "GET"), "path": request.GET.get("path", "")}
    form = TryForm(
        sent(request), applications=applications, operations=api.operations.all(), hosts=api.hosts, initial=start
    )
    if without_key:
        del form.fields["application"]
    trial: Trial | None = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        key = None if without_key else trial_key_create(actor=user, application=data["application"], api=api)
        headers = headers_of(data["headers"])
        trial = call(api, data["method"], data["path"], headers, data["body"], key, data.get("host", ""))
    context = {
        "api": api,
        "form": form,
        "trial": trial,
        "may_call": without_key or applications.exists(),
        "may_ask": api.state == APIState.PUBLISHED and may_build(user),
        "may_try": may_try(user, api),
        "examples": examples_of(api),
        "takes_no_key": without_key and OPEN not in api.authentication,
        "curl": curl_of(api, form.example_path, method=form["method"].value() or "GET"),
    }
    template = "catalogue/try_panel.html" if request.htmx else "catalogue/try.html"
    return render(request, template, context, status=422 if form.errors else 200)

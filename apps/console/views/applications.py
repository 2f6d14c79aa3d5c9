"""Applications and their keys."""

from datetime import timedelta
from typing import Any

from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from apps.access.choices import LIVE, KeyState
from apps.access.models import APIKey, Application
from apps.access.policies import can_edit_application, can_manage_keys, can_view_application
from apps.access.selectors import (
    applications_visible_to,
    keys_visible_to,
    requests_visible_to,
    subscriptions_visible_to,
)
from apps.access.services import (
    NewKey,
    application_create,
    application_delete,
    application_update,
    key_create,
    key_revoke,
    key_rotate,
    key_update,
)
from apps.catalog.models import API
from apps.catalog.policies import apis_visible_to
from apps.console import list_traffic
from apps.console.call_examples import curl_of
from apps.console.filters import ApplicationFilters
from apps.console.form_responses import attempt, attempted, done, done_with_receipt, form_page, sent
from apps.console.forms.access import ApplicationForm, KeyAPIsForm, KeyForm, NewApplicationForm, RotateForm
from apps.console.forms.apis import CommentForm, ConfirmForm
from apps.console.lists import listing
from apps.console.object_lookup import a_key, an_application
from apps.console.page_access import SignedInRequest, anyone, of, page
from apps.console.quota import with_quota
from apps.console.tables import ApplicationTable, KeyTable, RequestTable, SubscriptionTable, application_url
from apps.fleet.receipts import wait_for_receipt
from apps.tenants.choices import Role
from apps.tenants.models import User
from apps.tenants.policies import tenants_of

FORM = ("GET", "HEAD", "POST")


def may_build(user: User) -> bool:
    """Whoever may add applications to some tenant."""
    return user.is_administrator or tenants_of(user, Role.OWNER, Role.DEVELOPER).exists()


@page(may=anyone)
def applications(request: SignedInRequest) -> HttpResponse:
    """The reader's applications."""
    active = Q(keys__state=KeyState.ACTIVE, keys__api=None)
    rows = applications_visible_to(request.user).annotate(
        active_keys=Count("keys", filter=active, distinct=True),
        live_subscriptions=Count("subscriptions", filter=Q(subscriptions__state__in=LIVE), distinct=True),
        last_used=Max("keys__last_used_at"),
    )
    beside = list_traffic.by_application(request.user)
    context = listing(request, rows, ApplicationTable, ApplicationFilters, beside=beside)
    return render(request, "access/applications.html", {**context, "may_build": may_build(request.user)})


@page(may=may_build, methods=FORM)
def new(request: SignedInRequest) -> HttpResponse:
    """A new application."""
    form = NewApplicationForm(sent(request), tenants=tenants_of(request.user, Role.OWNER, Role.DEVELOPER))
    if request.method == "POST" and (
        application := attempt(form, lambda: application_create(actor=request.user, **form.cleaned_data))
    ):
        return done(request, application_url(application), f"{application} is there. Make a key for it next.")
    return form_page(
        request,
        form,
        heading="New application",
        submit="Make the application",
        back=reverse("console:applications"),
        back_label="Applications",
    )


@page(load=an_application, may=can_view_application)
def one(request: SignedInRequest, application: Application) -> HttpResponse:
    """An application: its keys, what it may call, what it asked for, how much it calls."""
    return render(request, "access/application.html", _context(request, application))


def _context(request: SignedInRequest, application: Application) -> dict[str, Any]:
    user = request.user
    keys = list(keys_visible_to(user).filter(application=application))
    for key in keys:
        key.shown_state = shown_state(key)  # type: ignore[attr-defined]
    table = KeyTable(keys, request=request, prefix="keys-")
    held = subscriptions_visible_to(user).filter(application=application)
    asked = requests_visible_to(user).filter(application=application)
    running = with_quota(held.filter(state__in=LIVE))
    live = running[0] if running else None
    return {
        "application": application,
        "keys": table,
        "key_count": len(keys),
        "may_manage": can_manage_keys(user, application),
        "subscriptions": listing(request, held, SubscriptionTable, prefix="subs-", exclude=("application",))["table"],
        "requests": listing(request, asked, RequestTable, prefix="asked-", exclude=("application",))["table"],
        "traffic": list_traffic.last_day(user, application=f"{application.tenant.slug}/{application.slug}"),
        "quotas": [row for row in running if row.plan.quota is not None],
        "example": curl_of(live.api) if live else "",
        "example_api": live.api if live else None,
    }


def shown_state(key: APIKey) -> str:
    """The state of a key as people see it: an active one past its end is expired."""
    if key.state == KeyState.ACTIVE and key.expires_at and key.expires_at <= timezone.now():
        return "expired"
    return str(key.state)


@page(load=an_application, may=can_edit_application, methods=FORM)
def edit(request: SignedInRequest, application: Application) -> HttpResponse:
    """Change its name or description."""
    start = {"name": application.name, "description": application.description}
    form = ApplicationForm(sent(request), initial=start)
    to = application_url(application)
    if request.method == "POST" and attempted(
        form, lambda: application_update(actor=request.user, application=application, **form.cleaned_data)
    ):
        return done(request, to, "The application is saved.")
    return form_page(request, form, heading=f"Edit {application}", submit="Save", back=to, back_label=str(application))


@page(load=an_application, may=can_edit_application, methods=FORM)
def delete(request: SignedInRequest, application: Application) -> HttpResponse:
    """Remove it with its keys and subscriptions."""
    form = ConfirmForm(sent(request), name=application.slug)
    name, to = str(application), application_url(application)

    def remove() -> None:
        application_delete(actor=request.user, application=application)

    if request.method == "POST" and attempted(form, remove):
        return done_with_receipt(request, reverse("console:applications"), f"{name} is deleted")
    return form_page(
        request,
        form,
        heading=f"Delete {name}?",
        submit="Delete for good",
        back=to,
        back_label=name,
        explain="Its keys stop working at once, and its subscriptions end. This can't be undone.",
        danger=True,
    )


@never_cache
def _show_key(request: SignedInRequest, made: NewKey, application: Application, note: str = "") -> HttpResponse:
    """The one page that ever shows a key's secret: no address leads back to it."""
    receipt = wait_for_receipt()
    live = application.subscriptions.filter(state__in=LIVE).select_related("api")
    good_for = live if made.key.apis is None else live.filter(api__slug__in=made.key.apis)
    held = good_for.first()
    api = held.api if held else API(listen_path="/…/", authentication=["api_key"], api_key_header="X-API-Key")
    context = {
        "made": made,
        "application": application,
        "curl": curl_of(api, key=made.secret),
        "may_call": held is not None or live.exists(),
        "receipt": receipt,
        "note": note,
    }
    template = "access/key_made_dialog.html" if request.htmx else "access/key_made.html"
    return render(request, template, context)


@page(load=an_application, may=can_manage_keys, methods=FORM)
def key_new(request: SignedInRequest, application: Application) -> HttpResponse:
    """A new key, shown once."""
    form = KeyForm(sent(request), apis=_callable_apis(request.user, application))
    if request.method == "POST" and (
        made := attempt(form, lambda: key_create(actor=request.user, application=application, **form.cleaned_data))
    ):
        return _show_key(request, made, application)
    return form_page(
        request,
        form,
        heading=f"New key for {application}",
        submit="Make the key",
        back=application_url(application),
        back_label=str(application),
        explain="It is shown once, right after this.",
    )


def _callable_apis(user: User, application: Application, *more: str) -> QuerySet[API]:
    """What a key of the application can be limited to: the APIs that it may call, and ``more`` by slug."""
    callable_by = Q(subscriptions__application=application, subscriptions__state__in=LIVE)
    seen = API.objects.filter(callable_by, pk__in=apis_visible_to(user).values("pk"))
    return API.objects.filter(Q(pk__in=seen.values("pk")) | Q(slug__in=more)).order_by("name")


@page(load=a_key, may=of("application", can_manage_keys), methods=FORM)
def key_apis(request: SignedInRequest, key: APIKey) -> HttpResponse:
    """Which APIs a key is good for."""
    named = key.apis or ()
    form = KeyAPIsForm(
        sent(request), initial={"apis": list(named)}, apis=_callable_apis(request.user, key.application, *named)
    )
    to = application_url(key.application)
    if request.method == "POST" and attempted(
        form, lambda: key_update(actor=request.user, key=key, apis=form.cleaned_data["apis"])
    ):
        return done_with_receipt(request, to, f"The key {key.name} is changed")
    return form_page(
        request,
        form,
        heading=f"What is the key {key.name} good for?",
        submit="Save",
        back=to,
        back_label=str(key.application),
        explain="Calls with it to other APIs are refused with 403.",
    )


@page(load=a_key, may=of("application", can_manage_keys), methods=FORM)
def rotate(request: SignedInRequest, key: APIKey) -> HttpResponse:
    """A successor, with time to put it in place."""
    form = RotateForm(sent(request), initial={"overlap": timedelta(hours=24).total_seconds()})
    application = key.application
    if request.method == "POST" and (
        made := attempt(form, lambda: key_rotate(actor=request.user, key=key, overlap=form.overlap_time()))
    ):
        return _show_key(request, made, application, f"The old key {key.prefix}… works until then, and no longer.")
    return form_page(
        request,
        form,
        heading=f"Replace the key {key.name}?",
        submit="Make its successor",
        back=application_url(application),
        back_label=str(application),
        explain=f"A new key takes the place of {key.prefix}…, and both work for a while.",
    )


@page(load=a_key, may=of("application", can_manage_keys), methods=FORM)
def revoke(request: SignedInRequest, key: APIKey) -> HttpResponse:
    """End a key, on every gateway, now."""
    form = CommentForm(sent(request))
    to = application_url(key.application)
    if request.method == "POST" and attempted(
        form, lambda: key_revoke(actor=request.user, key=key, comment=form.cleaned_data["comment"])
    ):
        return done_with_receipt(request, to, f"The key {key.name} is revoked")
    return form_page(
        request,
        form,
        heading=f"Revoke the key {key.name}?",
        submit="Revoke",
        back=to,
        back_label=str(key.application),
        explain=f"Calls with {key.prefix}… are refused with 401 from now on. This can't be undone.",
        danger=True,
    )

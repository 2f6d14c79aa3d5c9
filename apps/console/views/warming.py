"""Warm-ups: started, watched, cancelled. They go on when the reader leaves."""

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.catalog.models import API
from apps.catalog.selectors import apis_editable_by
from apps.console.form_responses import attempt, attempted, done, form_page, sent
from apps.console.forms.fields import ConsoleForm
from apps.console.forms.warming import WarmUpAnyForm, WarmUpForm
from apps.console.object_lookup import a_warm_up, an_api
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.tables import warm_up_url
from apps.console.views.cache import looks_after_some
from apps.warming.models import WarmUp
from apps.warming.policies import can_cancel, can_warm_up
from apps.warming.services import warm_up_cancel, warm_up_start

FORM = ("GET", "HEAD", "POST")
EXPLAIN = "URLs are fetched through the gateway at this rate, so that the cache has them before anybody asks."


@page(load=an_api, may=can_warm_up, methods=FORM)
def warm_up_api(request: SignedInRequest, api: API) -> HttpResponse:
    """Warm up one API."""
    form = WarmUpForm(sent(request))
    back = reverse("console:api_cache", args=[api.slug])
    if request.method == "POST" and (
        begun := attempt(form, lambda: warm_up_start(actor=request.user, api=api, **form.wanted()))
    ):
        return done(request, warm_up_url(begun), f"A warm-up of {api} has begun.")
    return form_page(
        request, form, heading=f"Warm up {api}", submit="Start", back=back, back_label=str(api), explain=EXPLAIN
    )


@page(may=looks_after_some, methods=FORM)
def warm_up_any(request: SignedInRequest) -> HttpResponse:
    """Warm up some API."""
    form = WarmUpAnyForm(sent(request), apis=apis_editable_by(request.user))
    if request.method == "POST" and (
        begun := attempt(form, lambda: warm_up_start(actor=request.user, api=form.cleaned_data["api"], **form.wanted()))
    ):
        return done(request, warm_up_url(begun), f"A warm-up of {begun.api_slug} has begun.")
    return form_page(
        request,
        form,
        heading="Warm up an API",
        submit="Start",
        back=reverse("console:cache"),
        back_label="Cache",
        explain=EXPLAIN,
    )


@page(load=a_warm_up, may=anyone)
def warm_up(request: SignedInRequest, found: WarmUp) -> HttpResponse:
    """One warm-up and how far it is; the page follows by itself, with htmx asking for that part alone.

    ``seen`` is the percentage that the reader knows, so that only each quarter is said aloud.
    """
    seen = request.GET.get("seen", "")
    quarter = int(seen) // 25 if seen.isdecimal() and len(seen) < 4 else 4
    context = {
        "warm_up": found,
        "may_cancel": can_cancel(request.user, found),
        "say": found.is_over or found.percent // 25 > quarter,
    }
    return render(request, "cache/warm_up_progress.html" if request.htmx else "cache/warm_up.html", context)


@page(load=a_warm_up, may=can_cancel, methods=FORM)
def cancel(request: SignedInRequest, found: WarmUp) -> HttpResponse:
    """Stop a warm-up."""
    form = ConsoleForm(sent(request))
    to = warm_up_url(found)
    if request.method == "POST" and attempted(form, lambda: warm_up_cancel(actor=request.user, warm_up=found)):
        return done(request, to, "The warm-up is cancelled.")
    return form_page(
        request,
        form,
        heading=f"Cancel this warm-up of {found.api_slug}?",
        submit="Cancel the warm-up",
        back=to,
        back_label="Warm-up",
        explain="What it has stored stays in the cache; the rest is not fetched.",
        danger=True,
    )

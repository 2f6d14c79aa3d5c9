"""Warm-ups: started, watched, cancelled. They go on when the reader leaves."""

from functools import partial

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.catalog.models import API
from apps.catalog.selectors import apis_editable_by
from apps.console.actions import Action, action
from apps.console.form_responses import done
from apps.console.forms.warming import WarmUpAnyForm, WarmUpForm
from apps.console.object_lookup import a_warm_up, an_api
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.tables import warm_up_url
from apps.console.views.cache import looks_after_some
from apps.warming.models import WarmUp
from apps.warming.policies import can_cancel, can_warm_up
from apps.warming.services import warm_up_cancel, warm_up_start

EXPLAIN = "URLs are fetched through the gateway at this rate, so that the cache has them ahead of demand."


@action(load=an_api, may=can_warm_up)
def warm_up_api(request: SignedInRequest, api: API) -> Action:
    """Warm up one API."""
    return Action(
        heading=f"Warm up {api}",
        submit="Start",
        back=reverse("console:api_cache", args=[api.slug]),
        back_label=str(api),
        explain=EXPLAIN,
        form=WarmUpForm,
        service=partial(warm_up_start, api=api),
        answer=lambda begun, _: done(request, warm_up_url(begun), f"A warm-up of {api} has begun."),
    )


@action(may=looks_after_some)
def warm_up_any(request: SignedInRequest) -> Action:
    """Warm up some API."""
    return Action(
        heading="Warm up an API",
        submit="Start",
        back=reverse("console:cache"),
        back_label="Cache",
        explain=EXPLAIN,
        form=partial(WarmUpAnyForm, apis=apis_editable_by(request.user)),
        service=warm_up_start,
        answer=lambda begun, _: done(request, warm_up_url(begun), f"A warm-up of {begun.api_slug} has begun."),
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


@action(load=a_warm_up, may=can_cancel)
def cancel(request: SignedInRequest, found: WarmUp) -> Action:
    """Stop a warm-up."""
    return Action(
        heading=f"Cancel this warm-up of {found.api_slug}?",
        submit="Cancel the warm-up",
        back=warm_up_url(found),
        back_label="Warm-up",
        explain="What it has stored stays in the cache; the rest is not fetched.",
        danger=True,
        service=partial(warm_up_cancel, warm_up=found),
        said="The warm-up is cancelled.",
    )

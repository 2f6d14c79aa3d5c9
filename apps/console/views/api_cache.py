"""The Cache tab of an API: its policy in sentences, what a sample request would get, purges and warm-ups."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.caching.selectors import purges_visible_to
from apps.caching.services import policy_update
from apps.catalog.models import API
from apps.catalog.policies import can_edit_api, can_view_configuration
from apps.console.answers import attempted, done_with_receipt, sent
from apps.console.forms.cache import PolicyForm, SampleForm
from apps.console.guard import Signed, page
from apps.console.lists import listing
from apps.console.loaders import an_api
from apps.console.policy_words import sentences
from apps.console.preview import preview
from apps.console.tables import PurgeTable, WarmUpTable
from apps.console.views.api_pages import tabbed
from apps.warming.selectors import warm_ups_visible_to

FORM = ("GET", "HEAD", "POST")
LATEST = 5
"""Purges and warm-ups that stand on one page of the tab."""


@page(load=an_api, may=can_view_configuration, may_post=can_edit_api, methods=FORM)
def cache(request: Signed, api: API) -> HttpResponse:
    """Its cache policy in sentences, what a sample request would get, and its purges and warm-ups."""
    form = PolicyForm(sent(request), initial=PolicyForm.initial_of(api.cache_policy))
    if request.method == "POST":

        def save() -> Any:
            return policy_update(
                actor=request.user, api=api, comment=form.cleaned_data["comment"], **form.policy_fields()
            )

        if attempted(form, save):
            to = reverse("console:api_cache", args=[api.slug])
            return done_with_receipt(request, to, "The cache policy is saved")
    sample = SampleForm(initial={name: field.initial for name, field in SampleForm.base_fields.items()})
    purges = purges_visible_to(request.user).filter(api_slug=api.slug)
    warm_ups = warm_ups_visible_to(request.user).filter(api_slug=api.slug)
    without: dict[str, Any] = {"per_page": LATEST, "exclude": ("api",)}
    return tabbed(
        request,
        api,
        "apis/cache.html",
        status=422 if form.errors else 200,
        form=form,
        sample=sample,
        words=sentences(api.cache_policy),
        preview=preview(api, api.cache_policy, sample.initial),
        purges=listing(request, purges, PurgeTable, prefix="purges-", **without)["table"],
        warm_ups=listing(request, warm_ups, WarmUpTable, prefix="warm-ups-", **without)["table"],
    )


@page(load=an_api, may=can_view_configuration, methods=FORM)
def preview_page(request: Signed, api: API) -> HttpResponse:
    """What a sample request would get under the policy as it is typed: nothing is saved."""
    form = PolicyForm(sent(request), initial=PolicyForm.initial_of(api.cache_policy))
    sample = SampleForm(sent(request))
    outcome = None
    words: list[str] = []
    if form.is_valid():
        policy = api.cache_policy
        for name, value in form.policy_fields().items():
            setattr(policy, name, value)
        words = sentences(policy)
        if sample.is_valid():
            outcome = preview(api, policy, sample.cleaned_data)
    return render(
        request,
        "apis/cache_preview.html",
        {"api": api, "preview": outcome, "words": words, "sample": sample, "form": form},
    )

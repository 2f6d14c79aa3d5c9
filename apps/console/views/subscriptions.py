"""Subscriptions: who may call what; suspended, resumed, revoked."""

from collections.abc import Callable

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.access.models import Subscription
from apps.access.policies import can_manage_subscription, can_revoke_subscription
from apps.access.selectors import subscriptions_visible_to
from apps.access.services import (
    subscription_change_plan,
    subscription_resume,
    subscription_revoke,
    subscription_suspend,
)
from apps.console.filters import SubscriptionFilters
from apps.console.form_responses import attempted, done_with_receipt, form_page, sent
from apps.console.forms.access import ChangePlanForm, WordForm
from apps.console.lists import listing
from apps.console.object_lookup import a_subscription
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.tables import SubscriptionTable

FORM = ("GET", "HEAD", "POST")


@page(may=anyone)
def subscriptions(request: SignedInRequest) -> HttpResponse:
    """The reader's subscriptions, and those to the reader's APIs."""
    rows = subscriptions_visible_to(request.user)
    return render(request, "access/subscriptions.html", listing(request, rows, SubscriptionTable, SubscriptionFilters))


def _step(
    request: SignedInRequest,
    held: Subscription,
    service: Callable[..., Subscription],
    heading: str,
    submit: str,
    said: str,
    explain: str,
    danger: bool,
) -> HttpResponse:
    form = WordForm(sent(request))
    to = reverse("console:subscriptions")
    if request.method == "POST" and attempted(
        form, lambda: service(actor=request.user, subscription=held, comment=form.cleaned_data["comment"])
    ):
        return done_with_receipt(request, to, said)
    return form_page(
        request,
        form,
        heading=heading,
        submit=submit,
        back=to,
        back_label="Subscriptions",
        explain=explain,
        danger=danger,
    )


@page(load=a_subscription, may=can_manage_subscription, methods=FORM)
def suspend(request: SignedInRequest, held: Subscription) -> HttpResponse:
    """Stop its calls for now."""
    return _step(
        request,
        held,
        subscription_suspend,
        f"Suspend {held.application}'s access to {held.api}?",
        "Suspend",
        f"{held.application} is suspended from {held.api}",
        "Its calls are refused with 403 until the subscription is resumed.",
        True,
    )


@page(load=a_subscription, may=can_manage_subscription, methods=FORM)
def resume(request: SignedInRequest, held: Subscription) -> HttpResponse:
    """Let it call again."""
    return _step(
        request,
        held,
        subscription_resume,
        f"Let {held.application} call {held.api} again?",
        "Resume",
        f"{held.application} may call {held.api} again",
        f"Under the plan {held.plan}, as before.",
        False,
    )


@page(load=a_subscription, may=can_revoke_subscription, methods=FORM)
def revoke(request: SignedInRequest, held: Subscription) -> HttpResponse:
    """End it for good."""
    return _step(
        request,
        held,
        subscription_revoke,
        f"Revoke {held.application}'s access to {held.api}?",
        "Revoke",
        f"{held.application} may no longer call {held.api}",
        "Its calls are refused with 403 from now on. This can't be undone: it would have to ask again.",
        True,
    )


@page(load=a_subscription, may=can_manage_subscription, methods=FORM)
def change_plan(request: SignedInRequest, held: Subscription) -> HttpResponse:
    """Put it under another plan."""
    form = ChangePlanForm(sent(request), initial={"plan": held.plan.slug})
    to = reverse("console:subscriptions")
    if request.method == "POST" and attempted(
        form,
        lambda: subscription_change_plan(actor=request.user, subscription=held, plan=form.cleaned_data["plan"]),
    ):
        return done_with_receipt(request, to, f"{held.application} calls {held.api} under {form.cleaned_data['plan']}")
    return form_page(
        request,
        form,
        heading=f"Another plan for {held.application} on {held.api}",
        submit="Change the plan",
        back=to,
        back_label="Subscriptions",
    )

"""Subscriptions: who may call what; suspended, resumed, revoked."""

from functools import partial

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.access.models import Plan, Subscription
from apps.access.offers import plans_offered
from apps.access.policies import can_manage_subscription, can_revoke_subscription
from apps.access.selectors import subscriptions_visible_to
from apps.access.services import (
    subscription_change_plan,
    subscription_resume,
    subscription_revoke,
    subscription_suspend,
)
from apps.console.actions import Action, action
from apps.console.filters import SubscriptionFilters
from apps.console.forms.access import ChangePlanForm, WordForm
from apps.console.lists import listing
from apps.console.object_lookup import a_subscription
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.sides import SidedList
from apps.console.tables import SubscriptionTable
from apps.tenants.models import User

SUBSCRIPTIONS = SidedList(caller="What you may call", provider="Who may call your APIs", everything="All subscriptions")


@page(may=anyone)
def subscriptions(request: SignedInRequest) -> HttpResponse:
    """What the reader's applications may call, or who may call the reader's APIs."""
    side = SUBSCRIPTIONS.side_for(request.user, request.GET)
    rows = subscriptions_visible_to(request.user, side)
    context = SUBSCRIPTIONS.context(request.user, side)
    context |= listing(request, rows, SubscriptionTable, SubscriptionFilters)
    return render(request, "access/subscriptions.html", context)


@action(load=a_subscription, may=can_manage_subscription)
def suspend(request: SignedInRequest, held: Subscription) -> Action:
    """Stop its calls for now."""
    return Action(
        heading=f"Suspend {held.application}'s access to {held.api}?",
        submit="Suspend",
        back=reverse("console:subscriptions"),
        back_label="Subscriptions",
        explain="Its calls are refused with 403 until the subscription is resumed.",
        danger=True,
        form=WordForm,
        service=partial(subscription_suspend, subscription=held),
        said=f"{held.application} is suspended from {held.api}",
        receipt=True,
    )


@action(load=a_subscription, may=can_manage_subscription)
def resume(request: SignedInRequest, held: Subscription) -> Action:
    """Let it call again."""
    return Action(
        heading=f"Let {held.application} call {held.api} again?",
        submit="Resume",
        back=reverse("console:subscriptions"),
        back_label="Subscriptions",
        explain=f"Under the plan {held.plan}, as before.",
        form=WordForm,
        service=partial(subscription_resume, subscription=held),
        said=f"{held.application} may call {held.api} again",
        receipt=True,
    )


@action(load=a_subscription, may=can_revoke_subscription)
def revoke(request: SignedInRequest, held: Subscription) -> Action:
    """End it for good."""
    return Action(
        heading=f"Revoke {held.application}'s access to {held.api}?",
        submit="Revoke",
        back=reverse("console:subscriptions"),
        back_label="Subscriptions",
        explain="Its calls are refused with 403 from now on. This can't be undone: it would have to ask again.",
        danger=True,
        form=WordForm,
        service=partial(subscription_revoke, subscription=held),
        said=f"{held.application} may no longer call {held.api}",
        receipt=True,
    )


def _grantable(user: User, held: Subscription) -> QuerySet[Plan]:
    """The plans that ``user`` may put it under, and the one that it has."""
    if user.is_administrator:
        return Plan.objects.all()
    return plans_offered(held.api, [held.application.tenant]) | Plan.objects.filter(pk=held.plan_id)


@action(load=a_subscription, may=can_manage_subscription)
def change_plan(request: SignedInRequest, held: Subscription) -> Action:
    """Put it under another plan."""
    return Action(
        heading=f"Another plan for {held.application} on {held.api}",
        submit="Change the plan",
        back=reverse("console:subscriptions"),
        back_label="Subscriptions",
        form=partial(ChangePlanForm, plans=_grantable(request.user, held)),
        initial={"plan": held.plan.slug},
        service=partial(subscription_change_plan, subscription=held),
        said=lambda data: f"{held.application} calls {held.api} under {data['plan']}",
        receipt=True,
    )

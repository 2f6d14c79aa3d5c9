"""Plans: how much a subscription may call."""

from functools import partial

from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.access.choices import LIVE
from apps.access.models import Plan
from apps.access.policies import can_manage_plans
from apps.access.selectors import plans_visible_to
from apps.access.services import plan_create, plan_delete, plan_update
from apps.console.actions import Action, action
from apps.console.forms.access import NewPlanForm, PlanForm
from apps.console.lists import listing
from apps.console.object_lookup import a_plan
from apps.console.page_access import SignedInRequest, page
from apps.console.tables import PlanTable
from apps.tenants.models import User


def plan_editors(user: User, *_: object) -> bool:
    """Those who make plans."""
    return can_manage_plans(user)


@page(may=plan_editors)
def plans(request: SignedInRequest) -> HttpResponse:
    """All plans."""
    live = Count("subscriptions", filter=Q(subscriptions__state__in=LIVE))
    rows = plans_visible_to(request.user).annotate(live_subscriptions=live)
    return render(request, "access/plans.html", listing(request, rows, PlanTable))


@action(may=plan_editors)
def new(request: SignedInRequest) -> Action:
    """A new plan."""
    return Action(
        heading="New plan",
        submit="Make the plan",
        back=reverse("console:plans"),
        form=NewPlanForm,
        service=plan_create,
        said=lambda data: f"The plan {data['name']} is there.",
        template="access/plan.html",
    )


@action(load=a_plan, may=plan_editors)
def edit(request: SignedInRequest, plan: Plan) -> Action:
    """Change a plan, for those who have it too."""
    return Action(
        heading=f"Plan {plan}",
        submit="Save",
        back=reverse("console:plans"),
        form=PlanForm,
        initial=PlanForm.initial_of(plan),
        service=partial(plan_update, plan=plan),
        said=lambda data: f"The plan {data['name']} is changed",
        receipt=True,
        template="access/plan.html",
        context={"plan": plan},
    )


@action(load=a_plan, may=plan_editors)
def delete(request: SignedInRequest, plan: Plan) -> Action:
    """Remove an unused plan."""
    return Action(
        heading=f"Delete the plan {plan}?",
        submit="Delete",
        back=reverse("console:plan", args=[plan.slug]),
        back_label=str(plan),
        explain="Only a plan that no subscription and no request ever used can go.",
        danger=True,
        service=partial(plan_delete, plan=plan),
        to=reverse("console:plans"),
        said=f"The plan {plan} is deleted.",
    )

"""Plans: how much a subscription may call."""

from typing import Any

from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.access.choices import LIVE
from apps.access.models import Plan
from apps.access.policies import can_manage_plans
from apps.access.selectors import plans_visible_to
from apps.access.services import plan_create, plan_delete, plan_update
from apps.console.form_responses import attempt, attempted, done, done_with_receipt, form_page, sent
from apps.console.forms.access import NewPlanForm, PlanForm
from apps.console.forms.fields import ConsoleForm
from apps.console.lists import listing
from apps.console.object_lookup import a_plan
from apps.console.page_access import SignedInRequest, page
from apps.console.tables import PlanTable
from apps.tenants.models import User

FORM = ("GET", "HEAD", "POST")


def plan_editors(user: User, *_: object) -> bool:
    """Those who make plans."""
    return can_manage_plans(user)


@page(may=plan_editors)
def plans(request: SignedInRequest) -> HttpResponse:
    """All plans."""
    live = Count("subscriptions", filter=Q(subscriptions__state__in=LIVE))
    rows = plans_visible_to(request.user).annotate(live_subscriptions=live)
    return render(request, "access/plans.html", listing(request, rows, PlanTable))


@page(may=plan_editors, methods=FORM)
def new(request: SignedInRequest) -> HttpResponse:
    """A new plan."""
    form = NewPlanForm(sent(request))
    if request.method == "POST" and (
        plan := attempt(form, lambda: plan_create(actor=request.user, **form.cleaned_data))
    ):
        return done(request, reverse("console:plans"), f"The plan {plan} is there.")
    return _page(request, form, "New plan", "Make the plan")


@page(load=a_plan, may=plan_editors, methods=FORM)
def edit(request: SignedInRequest, plan: Plan) -> HttpResponse:
    """Change a plan, for those who have it too."""
    form = PlanForm(sent(request), initial=PlanForm.initial_of(plan))
    if request.method == "POST" and attempted(
        form, lambda: plan_update(actor=request.user, plan=plan, **form.cleaned_data)
    ):
        return done_with_receipt(request, reverse("console:plans"), f"The plan {plan} is changed")
    return _page(request, form, f"Plan {plan}", "Save", plan=plan)


@page(load=a_plan, may=plan_editors, methods=FORM)
def delete(request: SignedInRequest, plan: Plan) -> HttpResponse:
    """Remove a plan that nobody uses."""
    form = ConsoleForm(sent(request))
    name = str(plan)

    def remove() -> None:
        plan_delete(actor=request.user, plan=plan)

    if request.method == "POST" and attempted(form, remove):
        return done(request, reverse("console:plans"), f"The plan {name} is deleted.")
    return form_page(
        request,
        form,
        heading=f"Delete the plan {name}?",
        submit="Delete",
        back=reverse("console:plan", args=[plan.slug]),
        back_label=name,
        explain="Only a plan that no subscription and no request ever used can go.",
        danger=True,
    )


def _page(request: SignedInRequest, form: ConsoleForm, heading: str, submit: str, **context: Any) -> HttpResponse:
    back = reverse("console:plans")
    return form_page(request, form, heading=heading, submit=submit, back=back, template="access/plan.html", **context)

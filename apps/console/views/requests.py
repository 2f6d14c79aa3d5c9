"""Access requests: the queue for those who decide, the list for those who asked, and one request with its evidence."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from apps.access.choices import OPEN, RequestState
from apps.access.models import AccessRequest, Plan
from apps.access.offers import plans_offered, refusal
from apps.access.policies import (
    can_cancel_request,
    can_decide_request,
    can_edit_request,
    can_view_request,
)
from apps.access.selectors import request_evidence, requests_visible_to
from apps.access.services import (
    request_approve,
    request_ask,
    request_cancel,
    request_reject,
    request_submit,
    request_update,
)
from apps.catalog.policies import can_view_api
from apps.console import list_traffic
from apps.console.actions import Action, action
from apps.console.filters import RequestFilters
from apps.console.forms.access import ApproveForm, EditRequestForm, ReplyForm, WordForm, plan_in_words
from apps.console.lists import listing
from apps.console.object_lookup import a_request
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.pending_decisions import waiting_for
from apps.console.sides import SidedList
from apps.console.tables import QueueTable, RequestTable, request_url
from apps.tenants.models import User

REQUESTS = SidedList(caller="Your requests", provider="Requests for your APIs", everything="All requests")


@page(may=anyone)
def requests(request: SignedInRequest) -> HttpResponse:
    """What waits for the reader's decision; below it what the reader's tenants ask for, or what others ask of them."""
    side = REQUESTS.side_for(request.user, request.GET)
    rows = requests_visible_to(request.user, side)
    context = {
        "queue": listing(request, waiting_for(request.user), QueueTable, prefix="queue-")["table"],
        **REQUESTS.context(request.user, side),
        **listing(request, rows, RequestTable, RequestFilters),
    }
    return render(request, "access/requests.html", context)


@page(load=a_request, may=can_view_request)
def one(request: SignedInRequest, asked: AccessRequest) -> HttpResponse:
    """One request: who asks for what and why, what was said, and what helps to decide."""
    user = request.user
    waiting = asked.state == RequestState.SUBMITTED
    may_decide = can_decide_request(user, asked)
    context: dict[str, Any] = {
        "asked": asked,
        "comments": asked.comments.select_related("author"),
        "may_view_api": can_view_api(user, asked.api),
        "may_decide": may_decide and waiting,
        "may_reject": may_decide and asked.state in {RequestState.SUBMITTED, RequestState.NEEDS_INFO},
        "may_answer": can_edit_request(user, asked) and asked.state in {RequestState.DRAFT, RequestState.NEEDS_INFO},
        "may_cancel": can_cancel_request(user, asked) and asked.state in OPEN,
    }
    if may_decide:
        context["evidence"] = request_evidence(user, asked)
        context["plan_refusal"] = refusal(asked.plan, asked.api, asked.application.tenant) if waiting else None
        context["usage"] = list_traffic.last_day(user, tenant=asked.application.tenant.slug)["now"]
    return render(request, "access/request.html", context)


@action(load=a_request, may=can_decide_request)
def approve(request: SignedInRequest, asked: AccessRequest) -> Action:
    """Grant it, as it is on the page that asks for the yes."""
    return Action(
        heading=f"Let {asked.application} call {asked.api}?",
        submit="Approve",
        back=request_url(asked),
        back_label=str(asked),
        explain=f"{asked.application.tenant} gets this plan, at once on every gateway. {plan_in_words(asked.plan)}.",
        form=ApproveForm,
        initial={"submitted_at": asked.submitted_at and asked.submitted_at.isoformat()},
        service=partial(request_approve, access_request=asked),
        said=f"{asked.application} may call {asked.api}",
        receipt=True,
    )


@action(load=a_request, may=can_decide_request)
def reject(request: SignedInRequest, asked: AccessRequest) -> Action:
    """Refuse it."""
    return Action(
        heading=f"Refuse {asked.application} access to {asked.api}?",
        submit="Reject",
        back=request_url(asked),
        back_label=str(asked),
        danger=True,
        form=ReplyForm,
        service=partial(request_reject, access_request=asked),
        said="The request is rejected.",
    )


@action(load=a_request, may=can_decide_request)
def ask_back(request: SignedInRequest, asked: AccessRequest) -> Action:
    """Ask for more."""
    return Action(
        heading=f"What do you want to know from {asked.application.tenant}?",
        submit="Ask back",
        back=request_url(asked),
        back_label=str(asked),
        form=ReplyForm,
        service=partial(request_ask, access_request=asked),
        said="Your question is on its way.",
    )


@action(load=a_request, may=can_cancel_request)
def cancel(request: SignedInRequest, asked: AccessRequest) -> Action:
    """Take it back."""
    return Action(
        heading=f"Take back the request for {asked.api}?",
        submit="Take it back",
        back=request_url(asked),
        back_label=str(asked),
        danger=True,
        form=WordForm,
        service=partial(request_cancel, access_request=asked),
        said="The request is cancelled.",
    )


@action(load=a_request, may=can_edit_request)
def answer(request: SignedInRequest, asked: AccessRequest) -> Action:
    """Change a draft, or answer what was asked back, and hand it in."""

    def hand_in(*, actor: User, plan: Plan, reason: str, comment: str) -> AccessRequest:
        request_update(actor=actor, access_request=asked, plan=plan, reason=reason)
        return request_submit(actor=actor, access_request=asked, comment=comment)

    return Action(
        heading=f"Your request for {asked.api}",
        submit="Hand in",
        back=request_url(asked),
        back_label=str(asked),
        form=partial(EditRequestForm, plans=plans_offered(asked.api, [asked.application.tenant]), api=asked.api),
        initial={"plan": asked.plan.slug, "reason": asked.reason},
        service=hand_in,
        said="Your request is handed in.",
    )

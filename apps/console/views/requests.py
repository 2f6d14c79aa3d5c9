"""Access requests: the queue for those who decide, the list for those who asked, and one request with its evidence."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from apps.access.choices import OPEN, RequestState
from apps.access.models import AccessRequest
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
from apps.console.filters import RequestFilters
from apps.console.form_responses import attempted, done, done_with_receipt, form_page, sent
from apps.console.forms.access import ApproveForm, EditRequestForm, ReplyForm, WordForm
from apps.console.forms.fields import ConsoleForm
from apps.console.lists import listing
from apps.console.object_lookup import a_request
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.pending_decisions import waiting_for
from apps.console.tables import QueueTable, RequestTable, request_url

FORM = ("GET", "HEAD", "POST")


@page(may=anyone)
def requests(request: SignedInRequest) -> HttpResponse:
    """What waits for the reader's decision, and what the reader's tenants asked for."""
    queue = listing(request, waiting_for(request.user), QueueTable, prefix="queue-")["table"]
    rows = requests_visible_to(request.user)
    return render(
        request, "access/requests.html", {"queue": queue, **listing(request, rows, RequestTable, RequestFilters)}
    )


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
        context["usage"] = list_traffic.last_day(user, tenant=asked.application.tenant.slug)["now"]
    return render(request, "access/request.html", context)


def _step(
    request: SignedInRequest,
    asked: AccessRequest,
    form: ConsoleForm,
    service: Callable[[], AccessRequest],
    *,
    heading: str,
    submit: str,
    said: str,
    explain: str = "",
    danger: bool = False,
    receipt: bool = False,
) -> HttpResponse:
    """One step of the workflow: its form, then back to the request."""
    to = request_url(asked)
    if request.method == "POST" and attempted(form, service):
        return done_with_receipt(request, to, said) if receipt else done(request, to, f"{said}.")
    return form_page(
        request,
        form,
        heading=heading,
        submit=submit,
        back=to,
        back_label=str(asked),
        explain=explain,
        danger=danger,
    )


@page(load=a_request, may=can_decide_request, methods=FORM)
def approve(request: SignedInRequest, asked: AccessRequest) -> HttpResponse:
    """Grant it, as it is on the page that asks for the yes."""
    form = ApproveForm(sent(request), initial={"submitted_at": asked.submitted_at and asked.submitted_at.isoformat()})
    return _step(
        request,
        asked,
        form,
        lambda: request_approve(actor=request.user, access_request=asked, **form.cleaned_data),
        heading=f"Let {asked.application} call {asked.api}?",
        submit="Approve",
        explain=f"{asked.application.tenant} gets the plan {asked.plan}, at once on every gateway.",
        said=f"{asked.application} may call {asked.api}",
        receipt=True,
    )


@page(load=a_request, may=can_decide_request, methods=FORM)
def reject(request: SignedInRequest, asked: AccessRequest) -> HttpResponse:
    """Refuse it."""
    form = ReplyForm(sent(request))
    return _step(
        request,
        asked,
        form,
        lambda: request_reject(actor=request.user, access_request=asked, **form.cleaned_data),
        heading=f"Refuse {asked.application} access to {asked.api}?",
        submit="Reject",
        said="The request is rejected",
        danger=True,
    )


@page(load=a_request, may=can_decide_request, methods=FORM)
def ask_back(request: SignedInRequest, asked: AccessRequest) -> HttpResponse:
    """Ask for more."""
    form = ReplyForm(sent(request))
    return _step(
        request,
        asked,
        form,
        lambda: request_ask(actor=request.user, access_request=asked, **form.cleaned_data),
        heading=f"What do you want to know from {asked.application.tenant}?",
        submit="Ask back",
        said="Your question is on its way",
    )


@page(load=a_request, may=can_cancel_request, methods=FORM)
def cancel(request: SignedInRequest, asked: AccessRequest) -> HttpResponse:
    """Take it back."""
    form = WordForm(sent(request))
    return _step(
        request,
        asked,
        form,
        lambda: request_cancel(actor=request.user, access_request=asked, **form.cleaned_data),
        heading=f"Take back the request for {asked.api}?",
        submit="Take it back",
        said="The request is cancelled",
        danger=True,
    )


@page(load=a_request, may=can_edit_request, methods=FORM)
def answer(request: SignedInRequest, asked: AccessRequest) -> HttpResponse:
    """Change a draft, or answer what was asked back, and hand it in."""
    form = EditRequestForm(sent(request), initial={"plan": asked.plan.slug, "reason": asked.reason})

    def hand_in() -> AccessRequest:
        data = form.cleaned_data
        request_update(actor=request.user, access_request=asked, plan=data["plan"], reason=data["reason"])
        return request_submit(actor=request.user, access_request=asked, comment=data["comment"])

    return _step(
        request,
        asked,
        form,
        hand_in,
        heading=f"Your request for {asked.api}",
        submit="Hand in",
        said="Your request is handed in",
    )

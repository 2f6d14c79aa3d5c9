"""What people do from a page that asks first: approve, revoke, delete, rename … One declaration each, one view for all.

A declaration is a function that gets the request and what the address names, and returns an ``Action``: the form, the service
that a valid form calls, the words of the page and where it leads. All words but those about what was typed are made before the
service runs, when the object is as the reader sees it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.http import HttpResponse

from apps.console.form_responses import attempt, done, done_with_receipt, form_page, uploaded
from apps.console.forms.fields import ConsoleForm
from apps.console.page_access import GuardedView, Policy, SignedInRequest, page

FORM = ("GET", "HEAD", "POST")


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action on what the address names.

    ``service(actor=…, **form.arguments())`` is called for a valid form; ``names`` maps the fields that it refuses to the form's.
    Then the reader gets to ``to`` (``back`` where it is empty) with the message ``said``, or ``said(cleaned data)``, which ends
    with what the gateways said when there is a ``receipt``; or gets ``answer(result, cleaned data)``, where the result is shown.
    """

    heading: str
    submit: str
    back: str
    back_label: str = ""
    explain: str = ""
    danger: bool = False
    form: Callable[..., ConsoleForm] = ConsoleForm
    initial: Mapping[str, Any] | None = None
    service: Callable[..., Any]
    names: Mapping[str, str] | None = None
    to: str = ""
    said: str | Callable[[dict[str, Any]], str] = ""
    receipt: bool = False
    answer: Callable[[Any, dict[str, Any]], HttpResponse] | None = None
    template: str = "forms/form.html"
    context: Mapping[str, Any] = field(default_factory=dict)


def action(
    *, may: Policy, load: Callable[..., Any] | None = None, confirmed: bool = False
) -> Callable[[Callable[..., Action]], GuardedView]:
    """The view of a declared action, guarded as ``page`` says."""

    def view_of(declare: Callable[..., Action]) -> GuardedView:
        @page(may=may, load=load, confirmed=confirmed, methods=FORM)
        @wraps(declare)
        def view(request: SignedInRequest, *loaded: Any) -> HttpResponse:
            return _respond(request, declare(request, *loaded))

        return view

    return view_of


def _respond(request: SignedInRequest, action: Action) -> HttpResponse:
    form = action.form(*uploaded(request), initial=action.initial)

    def call() -> tuple[Any]:
        return (action.service(actor=request.user, **form.arguments()),)

    if request.method == "POST" and (result := attempt(form, call, action.names)):
        return _finished(request, action, result[0], form.cleaned_data)
    return form_page(
        request,
        form,
        heading=action.heading,
        submit=action.submit,
        back=action.back,
        template=action.template,
        back_label=action.back_label,
        explain=action.explain,
        danger=action.danger,
        **action.context,
    )


def _finished(request: SignedInRequest, action: Action, result: Any, data: dict[str, Any]) -> HttpResponse:
    if action.answer is not None:
        return action.answer(result, data)
    said = action.said if isinstance(action.said, str) else action.said(data)
    return (done_with_receipt if action.receipt else done)(request, action.to or action.back, said)

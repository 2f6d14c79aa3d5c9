"""Access requests: asked by a tenant, decided by the owners of the API. The workflow is ``REQUEST_WORKFLOW``.

Every step is a conditional UPDATE: of two who decide at once, one wins and the other learns who.
"""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.access.choices import (
    LIVE,
    OPEN,
    REQUEST_WORKFLOW,
    RequestState,
    RequestVerb,
)
from apps.access.models import AccessRequest, Application, Plan, RequestComment, Subscription
from apps.access.offers import check_offered, is_granted_automatically, refusal
from apps.access.policies import can_cancel_request, can_decide_request, can_edit_request, can_request_access
from apps.access.services.applications import named
from apps.access.services.subscriptions import check_end, grant, put_under
from apps.audit.services import Change, change
from apps.catalog.choices import APIState
from apps.catalog.models import API
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM, Actor, user_of
from apps.tenants.services import allow

_APPLICANT = "Only owners and developers of the application's tenant may do this."
_APPROVER = "Only an owner of the API's tenant may decide this request."
GRANTED = "Granted automatically."


class RequestFields(TypedDict, total=False):
    """What ``request_update`` changes."""

    reason: str
    plan: Plan


@transaction.atomic
def request_create(
    *, actor: Actor, application: Application, api: API, plan: Plan, reason: str, submit: bool = True
) -> AccessRequest:
    """Ask for access, or, when the application has a live subscription, for another plan; that one goes on unchanged until then.

    With ``submit=False`` it stays a draft. What its API approves automatically is granted at once (``offers``).
    ``Conflict`` while another request of this application for this API is open.
    """
    allow(can_request_access(actor, application), _APPLICANT)
    with change(
        actor=actor, verb="request.create", target_type="request", tenant=application.tenant.slug
    ) as audit_entry:
        running = _running(application, api)
        api, plan = API.objects.get(pk=api.pk), Plan.objects.get(pk=plan.pk)
        _check_askable(application, api, running, plan)
        if open_one := AccessRequest.objects.filter(application=application, api=api, state__in=OPEN).first():
            raise Conflict(
                f"{application} has asked for {api} already: that request is {open_one.get_state_display().lower()}."
            )
        access_request = AccessRequest(
            application=application,
            api=api,
            plan=plan,
            reason=reason.strip(),
            subscription=running,
            requested_by=user_of(actor),
        )
        access_request.full_clean()
        access_request.save()
        audit_entry.target = _named(access_request)
        audit_entry.field("plan", running.plan.slug if running else None, plan.slug)
        audit_entry.field("reason", None, access_request.reason)
    if submit:
        request_submit(actor=actor, access_request=access_request)
    return access_request


def request_update(*, actor: Actor, access_request: AccessRequest, **fields: Unpack[RequestFields]) -> AccessRequest:
    """Change reason or plan, while it is a draft or was asked back."""
    allow(can_edit_request(actor, access_request), _APPLICANT)
    with _changing("request.update", actor, access_request) as audit_entry:
        row = _fresh(access_request)
        if row.state not in REQUEST_WORKFLOW[RequestVerb.SUBMIT][0]:
            raise Conflict(_too_late(row, "change"))
        for name, value in fields.items():
            before, after = getattr(row, name), value
            audit_entry.field(name, getattr(before, "slug", before), getattr(after, "slug", after))
            setattr(row, name, after.strip() if isinstance(after, str) else after)
        if not audit_entry.changes:
            audit_entry.drop()
        _check_askable(row.application, row.api, row.subscription, row.plan)
        row.full_clean()
        row.save()
    access_request.refresh_from_db()
    return access_request


@transaction.atomic
def request_submit(*, actor: Actor, access_request: AccessRequest, comment: str = "") -> AccessRequest:
    """Hand it in, for the first time or with an answer (``comment``) to what was asked back."""
    allow(can_edit_request(actor, access_request), _APPLICANT)
    with _changing("request.submit", actor, access_request, comment) as audit_entry:
        row = _fresh(access_request)
        _move(audit_entry, actor, row, RequestVerb.SUBMIT, comment, submitted_at=timezone.now())
        _check_askable(row.application, row.api, row.subscription, row.plan)
        automatic = is_granted_automatically(row.plan, row.api)
        if not automatic:
            audit_entry.about = row
    if automatic:
        request_approve(actor=PLATFORM, access_request=row, comment=GRANTED)
    access_request.refresh_from_db()
    return access_request


def request_ask(*, actor: Actor, access_request: AccessRequest, comment: str) -> AccessRequest:
    """Ask the applicant back; ``comment`` is the question."""
    allow(can_decide_request(actor, access_request), _APPROVER)
    _check_comment(comment, "Say what you need to know.")
    with _changing("request.ask", actor, access_request, comment) as audit_entry:
        row = _fresh(access_request)
        _move(audit_entry, actor, row, RequestVerb.ASK, comment)
        audit_entry.about = row
    access_request.refresh_from_db()
    return access_request


def request_approve(
    *,
    actor: Actor,
    access_request: AccessRequest,
    comment: str = "",
    expires_at: datetime | None = None,
    submitted_at: datetime | None = None,
) -> AccessRequest:
    """Grant it, until ``expires_at`` where given: a new subscription, or the running one under the plan that was asked for.

    A running one keeps its end unless another is given.
    Works at the gateways with this change. ``Conflict`` when it isn't waiting any more: the message says who decided; and when it
    was handed in anew since ``submitted_at``, of the request that the approver read: its plan and reason may be others. Also when
    its plan is no longer offered.
    """
    allow(can_decide_request(actor, access_request), _APPROVER)
    check_end(expires_at)
    with _changing("request.approve", actor, access_request, comment) as audit_entry:
        row = _fresh(access_request)
        if submitted_at is not None and row.submitted_at != submitted_at:
            raise Conflict(
                f"This request was changed and handed in anew since you read it; it asks for {row.plan} now. Read it again."
            )
        decision = {"decided_by": user_of(actor), "decided_at": timezone.now(), "expires_at": expires_at}
        _move(audit_entry, actor, row, RequestVerb.APPROVE, comment, **decision)
        if row.api.state == APIState.RETIRED:
            raise Conflict(f"{row.api} is retired: it takes no new subscriptions.")
        if refused := refusal(row.plan, row.api, row.application.tenant):
            raise Conflict(f"{refused} That has changed since it was asked for: ask back, or have it offered again.")
        running = _running(row.application, row.api)
        if running is None:
            running = grant(audit_entry, row.application, row.api, row.plan, expires_at)
        else:
            put_under(audit_entry, running, row.plan)
            if expires_at:
                audit_entry.field("expires_at", _iso(running.expires_at), _iso(expires_at))
                Subscription.objects.filter(pk=running.pk).update(expires_at=expires_at)
        AccessRequest.objects.filter(pk=row.pk).update(subscription=running)
        audit_entry.about = row
    access_request.refresh_from_db()
    return access_request


def request_reject(*, actor: Actor, access_request: AccessRequest, comment: str) -> AccessRequest:
    """Refuse it; ``comment`` says why, and reaches the applicant. A running subscription goes on."""
    allow(can_decide_request(actor, access_request), _APPROVER)
    _check_comment(comment, "Say why: the applicant reads it.")
    with _changing("request.reject", actor, access_request, comment) as audit_entry:
        row = _fresh(access_request)
        decision = {"decided_by": user_of(actor), "decided_at": timezone.now()}
        _move(audit_entry, actor, row, RequestVerb.REJECT, comment, **decision)
        audit_entry.about = row
    access_request.refresh_from_db()
    return access_request


def request_cancel(*, actor: Actor, access_request: AccessRequest, comment: str = "") -> AccessRequest:
    """Take it back, before it is decided."""
    allow(can_cancel_request(actor, access_request), _APPLICANT)
    with _changing("request.cancel", actor, access_request, comment) as audit_entry:
        row = _fresh(access_request)
        _move(audit_entry, actor, row, RequestVerb.CANCEL, comment)
        if row.submitted_at:  # a draft was its tenant's alone
            audit_entry.about = row
    access_request.refresh_from_db()
    return access_request


def _move(
    audit_entry: Change, actor: Actor, row: AccessRequest, verb: RequestVerb, comment: str, **values: Any
) -> None:
    """One step of the workflow, with what was said; ``Conflict`` when its state doesn't allow it."""
    sources, goal = REQUEST_WORKFLOW[verb]
    before = row.state
    if not AccessRequest.objects.filter(pk=row.pk, state__in=sources).update(state=goal, **values):
        raise Conflict(_too_late(_fresh(row), verb.label.lower()))
    row.refresh_from_db()
    audit_entry.field("state", before, goal.value)
    if comment or verb is not RequestVerb.SUBMIT:
        RequestComment.objects.create(request=row, author=user_of(actor), verb=verb, text=comment.strip())


def _fresh(access_request: AccessRequest) -> AccessRequest:
    related = ("application__tenant", "api__tenant", "plan", "subscription__plan", "requested_by", "decided_by")
    return AccessRequest.objects.select_related(*related).get(pk=access_request.pk)


def _too_late(row: AccessRequest, wish: str) -> str:
    if row.state in {RequestState.APPROVED, RequestState.REJECTED}:
        who = row.decided_by or "the platform"
        return (
            f"{who} has {row.get_state_display().lower()} this request already, on {row.decided_at:%Y-%m-%d %H:%M} UTC."
        )
    return f"This request is {row.get_state_display().lower()}: {wish} is not possible."


def _check_askable(application: Application, api: API, running: Subscription | None, plan: Plan) -> None:
    if api.state != APIState.PUBLISHED and not (api.state == APIState.DEPRECATED and running):
        raise ValidationError({"api": f"{api} is {api.get_state_display().lower()}: it takes no new subscribers."})
    if running and running.plan_id == plan.pk:
        raise ValidationError({"plan": f"The application has access to {api} under {plan} already."})
    check_offered(plan, api, application.tenant)


def _check_comment(comment: str, refusal: str) -> None:
    if not comment.strip():
        raise ValidationError({"comment": refusal})


def _running(application: Application, api: API) -> Subscription | None:
    live = Subscription.objects.filter(application=application, api=api, state__in=LIVE)
    return live.select_related("plan", "application__tenant").first()


def _named(access_request: AccessRequest) -> str:
    return f"{access_request.pk}: {named(access_request.application)} → {access_request.api.slug}"


def _changing(
    verb: str, actor: Actor, access_request: AccessRequest, comment: str = ""
) -> AbstractContextManager[Change]:
    return change(
        actor=actor,
        verb=verb,
        target_type="request",
        target=_named(access_request),
        tenant=access_request.application.tenant.slug,
        comment=comment,
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

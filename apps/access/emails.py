"""Letters about access requests: to the approvers when one comes in, to the applicant with each decision and its comment."""

from django.conf import settings

from apps.access.choices import RequestVerb
from apps.access.models import AccessRequest
from apps.foundation.mail import post
from apps.tenants.choices import Role
from apps.tenants.models import User

_DECISIONS = {
    RequestVerb.ASK: "needs an answer from you",
    RequestVerb.APPROVE: "was approved",
    RequestVerb.REJECT: "was rejected",
}


def tell_approvers(access_request: AccessRequest) -> None:
    """A request waits: to the owners of the API's tenant, or to the administrators when it has none."""
    people = User.objects.filter(is_active=True)
    approvers = people.filter(memberships__tenant=access_request.api.tenant, memberships__role=Role.OWNER)
    recipients = list(
        (approvers if approvers.exists() else people.filter(is_administrator=True)).values_list("email", flat=True)
    )
    body = (
        f"{access_request.requested_by or 'The platform'} asks for access to {access_request.api} "
        f"for {access_request.application} of {access_request.application.tenant}, plan {access_request.plan}.\n\n"
        f"{access_request.reason}\n\n{_link(access_request)}\n"
    )
    post(recipients, f"{access_request.application.tenant} asks for access to {access_request.api}", body)


def tell_applicant(access_request: AccessRequest, verb: RequestVerb, comment: str) -> None:
    """What was decided, why, and until when."""
    if access_request.requested_by is None:
        return
    outcome = f"Your request for access to {access_request.api} {_DECISIONS[verb]}"
    until = ""
    if verb is RequestVerb.APPROVE:
        until = f"\n\nPlan: {access_request.plan}."
        if access_request.expires_at:
            until += f" It ends on {access_request.expires_at:%Y-%m-%d %H:%M} UTC."
    said = f"\n\n{comment}" if comment else ""
    post([access_request.requested_by.email], outcome, f"{outcome}.{said}{until}\n\n{_link(access_request)}\n")


def _link(access_request: AccessRequest) -> str:
    return f"{settings.CONSOLE_URL}/requests/{access_request.pk}/"

"""The first steps of a newcomer, ticked off as they are done."""

from dataclasses import dataclass

from django.urls import reverse

from apps.access.choices import Side
from apps.access.models import Subscription
from apps.access.selectors import (
    applications_visible_to,
    keys_visible_to,
    requests_visible_to,
    subscriptions_visible_to,
)
from apps.catalog.choices import SERVED
from apps.catalog.selectors import apis_editable_by
from apps.tenants.choices import Role
from apps.tenants.models import User
from apps.tenants.policies import tenants_of


@dataclass(frozen=True)
class FirstStep:
    """One thing to do first."""

    title: str
    text: str
    url: str
    done: bool


def first_steps(user: User) -> list[FirstStep]:
    """The steps of this reader; an empty list when all are done, and for those who may only look."""
    steps = _of_administrator(user) if user.is_administrator else _of_tenant(user)
    return [] if all(step.done for step in steps) else steps


def _of_administrator(user: User) -> list[FirstStep]:
    apis = apis_editable_by(user)
    return [
        FirstStep(
            "Register an API",
            "A name, a path and the address that answers are enough.",
            reverse("console:api_register"),
            apis.exists(),
        ),
        FirstStep(
            "Publish it",
            "From then on the gateways serve it, and tenants find it in the catalogue.",
            reverse("console:apis"),
            apis.filter(state__in=SERVED).exists(),
        ),
        FirstStep(
            "Let an application in",
            "Approve a tenant's request, and its keys open the API at once.",
            reverse("console:requests"),
            Subscription.objects.exists(),
        ),
    ]


def _of_tenant(user: User) -> list[FirstStep]:
    if not tenants_of(user, Role.OWNER, Role.DEVELOPER).exists():
        return []
    applications = applications_visible_to(user)
    return [
        FirstStep(
            "Make an application and a key",
            "An application is the program that calls; its key says so.",
            reverse("console:application_new"),
            applications.exists() and keys_visible_to(user).exists(),
        ),
        FirstStep(
            "Ask for access",
            "Find an API in the catalogue, pick a plan, say what for.",
            reverse("console:catalogue"),
            requests_visible_to(user, Side.CALLER).exists() or subscriptions_visible_to(user, Side.CALLER).exists(),
        ),
        FirstStep(
            "Make the first call",
            "Copy the curl of an API, or use “Try it”.",
            reverse("console:catalogue"),
            keys_visible_to(user).filter(last_used_at__isnull=False).exists(),
        ),
    ]

"""Which plans may be asked for, and which of them automatic approval grants.

An API offers the plans that it names, or all; a plan may be for some tenants alone. Automatic approval grants the plans that the
API names for it, or all that it offers, and never a plan without any limit.
"""

from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from apps.access.models import Plan
from apps.access.policies import plans_visible_to
from apps.catalog.choices import Approval
from apps.catalog.models import API
from apps.foundation import field_names
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant


def refusal(plan: Plan, api: API, tenant: Tenant) -> str | None:
    """Why ``tenant`` may not have ``plan`` on ``api``; ``None`` where it may."""
    if api.plans and plan.slug not in api.plans:
        return f"{api} does not offer the plan {plan}."
    if plan.tenants and tenant.slug not in plan.tenants:
        return f"The plan {plan} is not for {tenant}."
    return None


def check_offered(plan: Plan, api: API, tenant: Tenant) -> None:
    """Raises ``ValidationError`` beside ``plan``, with what there is instead, where ``tenant`` may not have it on ``api``."""
    if refused := refusal(plan, api, tenant):
        others = ", ".join(str(each) for each in plans_offered(api, [tenant])) or "none"
        raise ValidationError({"plan": f"{refused} {tenant} may ask for these: {others}."})


def plans_offered(api: API, tenants: Collection[Tenant]) -> QuerySet[Plan]:
    """The plans that one of ``tenants`` may ask for on ``api``."""
    found = [plan for plan in Plan.objects.all() if any(refusal(plan, api, tenant) is None for tenant in tenants)]
    return Plan.objects.filter(pk__in=[plan.pk for plan in found])


def is_granted_automatically(plan: Plan, api: API) -> bool:
    """Whether a request for ``plan`` is approved automatically. A plan without any limit never is."""
    if api.approval != Approval.AUTOMATIC or plan.is_unlimited:
        return False
    return not api.automatic_plans or plan.slug in api.automatic_plans


def plan_errors(actor: Actor, api: API) -> field_names.Errors:
    """What is wrong with the plans that ``api`` names, by field. A plan that ``actor`` may not see is none, unless it was named
    before. No query where it names none.
    """
    named = [*api.plans, *api.automatic_plans]
    if not named:
        return {}
    known = {plan.slug: plan for plan in plans_visible_to(actor).filter(slug__in=named)}
    if before := API.objects.filter(pk=api.pk).first():
        known |= {plan.slug: plan for plan in Plan.objects.filter(slug__in=[*before.plans, *before.automatic_plans])}
    errors: field_names.Errors = {}
    for name in ("plans", "automatic_plans"):
        if unknown := [slug for slug in getattr(api, name) if slug not in known]:
            errors[name] = [f"There is no plan {', '.join(unknown)}: an administrator makes plans."]
    if errors:
        return errors
    if api.plans and (others := [slug for slug in api.automatic_plans if slug not in api.plans]):
        errors["automatic_plans"] = [f"This API does not offer {', '.join(others)}: name it among its plans too."]
    elif unlimited := [slug for slug in api.automatic_plans if known[slug].is_unlimited]:
        errors["automatic_plans"] = [
            f"{', '.join(unlimited)} has neither a rate limit nor a quota: somebody decides about each request for it."
        ]
    return errors


def apis_naming(plan: Plan) -> list[API]:
    """The APIs that name ``plan``."""
    rows = API.objects.exclude(plans=[], automatic_plans=[])
    return [api for api in rows if plan.slug in (*api.plans, *api.automatic_plans)]

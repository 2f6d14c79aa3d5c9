"""Plans: limits that subscriptions are made under."""

from collections.abc import Sequence
from typing import Unpack

from django.core.exceptions import ValidationError

from apps.access.document import PlanFields
from apps.access.models import AccessRequest, Plan
from apps.access.offers import apis_naming
from apps.access.policies import can_manage_plans
from apps.audit.services import Change, change
from apps.foundation import field_names
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant
from apps.tenants.services import allow

LARGEST = 10**12
LIMITS = frozenset({"rate_calls", "rate_period", "burst", "quota", "quota_period", "charge_failures", "trust_lease"})
"""What its subscribers hear of when it changes. For which other tenants a plan is, isn't theirs to know."""
_REFUSAL = "Only a platform administrator may change plans."


def plan_create(*, actor: Actor, slug: str, **fields: Unpack[PlanFields]) -> Plan:
    """A new plan. Limits that aren't named don't limit; without ``tenants`` it is for all of them."""
    allow(can_manage_plans(actor), _REFUSAL)
    with change(actor=actor, verb="plan.create", target_type="plan", target=slug) as audit_entry:
        plan = Plan(slug=slug)
        _write(audit_entry, plan, fields)
    return plan


def plan_update(*, actor: Actor, plan: Plan, **fields: Unpack[PlanFields]) -> Plan:
    """Change a plan, for its running subscriptions too, at once; whom it is for, for new requests. Returns the saved plan."""
    allow(can_manage_plans(actor), _REFUSAL)
    with change(actor=actor, verb="plan.update", target_type="plan", target=plan.slug) as audit_entry:
        plan = Plan.objects.get(pk=plan.pk)
        _write(audit_entry, plan, fields)
        if audit_entry.changes.keys() & LIMITS:
            audit_entry.about = plan
        if not audit_entry.changes:
            audit_entry.drop()
    return plan


def plan_delete(*, actor: Actor, plan: Plan) -> None:
    """Remove a plan that no API names, and no subscription and no request has ever used."""
    allow(can_manage_plans(actor), _REFUSAL)
    with change(actor=actor, verb="plan.delete", target_type="plan", target=plan.slug) as audit_entry:
        uses = plan.subscriptions.count()
        asked = AccessRequest.objects.filter(plan=plan).count()
        if uses or asked:
            raise ValidationError(f"{plan} is used by {uses} subscriptions and {asked} access requests.")
        if naming := apis_naming(plan):
            raise ValidationError(f"These APIs name {plan} among their plans: {', '.join(map(str, naming))}.")
        audit_entry.affect("plan", plan.slug)
        plan.delete()


def _write(audit_entry: Change, plan: Plan, fields: PlanFields) -> None:
    for name, value in fields.items():
        audit_entry.field(name, getattr(plan, name) if plan.pk else None, value)
        setattr(plan, name, value)
    errors: field_names.Errors = {}
    if refused := _unknown(fields.get("tenants", ())):
        errors["tenants"] = [refused]
    try:
        plan.full_clean()
    except ValidationError as error:
        errors |= field_names.by_path(error)
    for name, least in (("rate_calls", 1), ("burst", 1), ("quota", 0)):
        number = getattr(plan, name)
        if number is not None and not (isinstance(number, int) and least <= number <= LARGEST):
            errors[name] = [f"Between {least} and {LARGEST:,}; empty: no limit."]
    if not _within(plan.rate_period, 0.001, 31 * 86400):
        errors["rate_period"] = ["Between a millisecond and 31 days."]
    if plan.burst is not None and plan.rate_calls is None:
        errors["burst"] = ["A burst needs a rate limit beside it."]
    if plan.trust_lease is not None and not _within(plan.trust_lease, 0, 7 * 86400):
        errors["trust_lease"] = ["Between 0 and 7 days; empty: the installation's."]
    if plan.is_unlimited and (granting := [str(api) for api in apis_naming(plan) if plan.slug in api.automatic_plans]):
        errors[""] = [f"It keeps a limit while {', '.join(granting)} names it as granted automatically."]
    if errors:
        raise ValidationError({field or "__all__": messages for field, messages in errors.items()})
    plan.save()
    audit_entry.affect("plan", plan.slug)


def _unknown(slugs: Sequence[str]) -> str | None:
    """What is wrong with a list of tenants."""
    known = set(Tenant.objects.filter(slug__in=slugs).values_list("slug", flat=True))
    unknown = [slug for slug in dict.fromkeys(slugs) if slug not in known]
    return f"There is no tenant {', '.join(unknown)}." if unknown else None


def _within(seconds: object, least: float, most: float) -> bool:
    return isinstance(seconds, int | float) and least <= seconds <= most  # which no NaN is

"""Plans in the declarative file's words, both ways."""

from typing import Any, TypedDict, cast

from apps.access.models import Plan
from apps.foundation import field_names


class PlanFields(TypedDict, total=False):
    """Fields of a plan. ``None``: without that limit. Periods and leases in seconds; tenants by slug."""

    name: str
    description: str
    rate_calls: int | None
    rate_period: float
    burst: int | None
    quota: int | None
    quota_period: str
    charge_failures: bool
    trust_lease: float | None
    tenants: list[str]


_PLAN: dict[str, field_names.Reader] = {
    "name": field_names.text,
    "description": field_names.text,
    "rate_limit": field_names.optional(field_names.rate),
    "burst": field_names.optional(field_names.integer),
    "quota": field_names.optional(field_names.quota),
    "charge_failures": field_names.boolean,
    "trust_lease": field_names.optional(field_names.duration),
    "tenants": field_names.many(field_names.text),
}

#: what a service calls a field -> what the document calls it
WORDS = {"rate_calls": "rate_limit", "rate_period": "rate_limit", "quota_period": "quota"}


def read_plan(data: object) -> PlanFields:
    """The fields that ``data`` names; ``slug`` is the caller's. Raises ``ValidationError`` by path."""
    found = field_names.read(data, _PLAN)
    if "rate_limit" in found:
        limit = found.pop("rate_limit")
        found["rate_calls"], found["rate_period"] = limit or (None, 1.0)
    if "quota" in found:
        found["quota"], found["quota_period"] = found["quota"] or (None, "month")
    return cast(PlanFields, found)


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as it stands in the file."""
    document: dict[str, Any] = {"slug": plan.slug, "name": plan.name}
    if plan.description:
        document["description"] = plan.description
    document["rate_limit"] = field_names.rate_text(plan.rate_calls, plan.rate_period) if plan.rate_calls else None
    document["burst"] = plan.burst
    document["quota"] = f"{plan.quota}/{plan.quota_period}" if plan.quota is not None else None
    document["charge_failures"] = plan.charge_failures
    document["trust_lease"] = None if plan.trust_lease is None else field_names.duration_text(plan.trust_lease)
    document["tenants"] = list(plan.tenants)
    return document

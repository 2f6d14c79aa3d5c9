"""Where calls may lead beyond public addresses: what administrators and the environment allow to all tenants, and to one."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from apps.audit.services import change
from apps.egress.rules import Guard, opens_loopback, rule_of, rules_error
from apps.tenants.actors import PLATFORM, Actor
from apps.tenants.models import InstallationEgress, Tenant
from apps.tenants.policies import is_administrator
from apps.tenants.services import allow as permit

_REFUSAL = "Only a platform administrator may say where calls may lead."


def allowed_to_all() -> list[str]:
    """The installation's rules: those of ``EGRESS_ALLOW``, then the administrators'. One query."""
    return list(dict.fromkeys([*settings.EGRESS_ALLOW, *_installation().allow]))


def administrators_rules() -> list[str]:
    """The installation's rules that administrators set. One query."""
    return list(_installation().allow)


def guard_of(tenant: Tenant | None) -> Guard:
    """What holds for the calls of a tenant's APIs; ``None``: for the platform's own. One query."""
    if tenant is None:
        return Guard([rule_of(text) for text in allowed_to_all()], settings.OWN_PLACES)
    return guards_of([tenant])[tenant.pk]


def guards_of(tenants: Iterable[Tenant]) -> dict[int, Guard]:
    """The same of several, by primary key. One query."""
    shared = [rule_of(text) for text in allowed_to_all()]
    return {
        tenant.pk: Guard([*shared, *(rule_of(text) for text in tenant.egress)], settings.OWN_PLACES)
        for tenant in tenants
    }


def open_to_all() -> bool:
    """Whether every tenant's calls may reach loopback, as on one machine by default. One query."""
    return opens_loopback(allowed_to_all())


def egress_update(*, actor: Actor, allow: Sequence[str]) -> list[str]:
    """Set what all tenants' calls may reach beside public addresses and ``EGRESS_ALLOW``. Returns the rules as they are kept."""
    permit(is_administrator(actor), _REFUSAL)
    with change(actor=actor, verb="egress.update", target_type="egress", target="installation") as audit_entry:
        row = _installation()
        wanted = _checked(allow)
        audit_entry.field("allow", row.allow, wanted)
        audit_entry.affect("egress", "")
        if not audit_entry.changes:
            audit_entry.drop()
        row.allow = wanted
        row.save()
    return wanted


def tenant_egress_update(*, actor: Actor, tenant: Tenant, allow: Sequence[str]) -> list[str]:
    """Set what a tenant's calls may reach beside what all may. Returns the rules as they are kept."""
    permit(is_administrator(actor), _REFUSAL)
    with change(
        actor=actor, verb="egress.update", target_type="tenant", target=tenant.slug, tenant=tenant.slug
    ) as audit_entry:
        wanted = _checked(allow)
        before = Tenant.objects.values_list("egress", flat=True).get(pk=tenant.pk)
        audit_entry.field("egress", before, wanted)
        audit_entry.affect("egress", tenant.slug)
        if not audit_entry.changes:
            audit_entry.drop()
        tenant.egress = wanted
        tenant.save(update_fields=["egress"])
    return wanted


def egress_announce() -> bool:
    """Have gateways know what the environment says of egress, if it changed since that was done last; whether it did.

    Called when the control plane starts: nothing else notices a changed environment.
    """
    says = {"allow": list(settings.EGRESS_ALLOW), "own": [f"{host}:{port}" for host, port in settings.OWN_PLACES]}
    if _installation().announced == says:
        return False
    with change(actor=PLATFORM, verb="egress.announce", target_type="egress", target="installation") as audit_entry:
        row = _installation()
        audit_entry.field("EGRESS_ALLOW", row.announced.get("allow"), says["allow"])
        audit_entry.field("own places", row.announced.get("own"), says["own"])
        audit_entry.affect("egress", "")
        row.announced = says
        row.save()
    return True


def _installation() -> InstallationEgress:
    return InstallationEgress.objects.filter(pk=1).first() or InstallationEgress(pk=1)


def _checked(allow: Any) -> list[str]:
    if refusal := rules_error(allow):
        raise ValidationError({"allow": refusal})
    return list(dict.fromkeys(text.strip() for text in allow))

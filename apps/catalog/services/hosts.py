"""Host names: claimed, proved, granted, given up; and what an API may name. Errors as in ``apps.foundation.errors``."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.audit.services import Change, change
from apps.catalog import hosts, policies, validation
from apps.catalog.choices import SERVED, HostMethod, HostState
from apps.catalog.field_checks import normal_host, refusal_of_host
from apps.catalog.models import API, HostName
from apps.catalog.selectors import host_owners
from apps.foundation.errors import Conflict
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant
from apps.tenants.policies import is_administrator
from apps.tenants.services import allow
from apps.wire.host_names import is_wildcard

MOST_PENDING = 100
"""Names that a tenant may claim without having proved them: each is looked for again and again."""

PATIENCE = timedelta(days=14)
"""How long a claim is looked at by itself; later, whenever a user asks."""

_OTHERS = "{} belongs to another tenant: only a platform administrator may put an API there."


def host_claim(*, actor: Actor, tenant: Tenant, host: str) -> HostName:
    """Say that ``host`` is the tenant's. It is looked for at once, and again until it is proved. Twice is once."""
    allow(policies.can_manage_hosts(actor, tenant), "Only owners and developers of the tenant may claim host names.")
    name = _checked(host)
    with change(actor=actor, verb="host.claim", target_type="host", target=name, tenant=tenant.slug) as audit_entry:
        found = HostName.objects.filter(tenant=tenant, host=name).first()
        if found is not None:
            audit_entry.drop()
            return found
        _refuse_owned(tenant, name)
        _refuse_over_own_names(name)
        if hosts.is_shared(name):
            raise ValidationError({"host": f"{name} can't be proved: only a platform administrator can grant it."})
        if HostName.objects.filter(tenant=tenant, state=HostState.PENDING).count() >= MOST_PENDING:
            raise ValidationError(
                {"host": f"{tenant} has {MOST_PENDING} unproved host names: prove or remove some first."}
            )
        found = HostName.objects.create(tenant=tenant, host=name, check_at=timezone.now())
        audit_entry.field("state", None, HostState.PENDING.value)
    return found


def host_recheck(*, actor: Actor, host: HostName) -> HostName:
    """Have the proof of a claim looked for as soon as possible."""
    allow(policies.can_manage_hosts(actor, host.tenant), "Only owners and developers of the tenant may do this.")
    HostName.objects.filter(pk=host.pk, state=HostState.PENDING).update(check_at=timezone.now())
    host.refresh_from_db()
    return host


def host_grant(*, actor: Actor, tenant: Tenant, host: str, comment: str = "") -> HostName:
    """Have ``host`` belong to the tenant because an administrator says so, from another one that no longer uses it too."""
    allow(is_administrator(actor), "Only a platform administrator may grant host names.")
    name = _checked(host)
    _refuse_over_own_names(name)
    with change(
        actor=actor, verb="host.grant", target_type="host", target=name, tenant=tenant.slug, comment=comment
    ) as audit_entry:
        owner = HostName.objects.select_related("tenant").filter(host=name, state=HostState.PROVED).first()
        if owner is not None and owner.tenant_id != tenant.pk:
            _take(actor, owner)
        elif owner is not None and owner.method == HostMethod.ADMINISTRATOR:
            audit_entry.drop()
            return owner
        return _settle(audit_entry, tenant, name, HostMethod.ADMINISTRATOR)


def host_prove(*, actor: Actor, host: HostName, method: HostMethod) -> HostName:
    """Note that a claim is proved: the platform's task does. ``Conflict`` when the name became another's meanwhile."""
    allow(is_administrator(actor), "Only the platform records what is proved.")
    with change(
        actor=actor, verb="host.prove", target_type="host", target=host.host, tenant=host.tenant.slug
    ) as audit_entry:
        if HostName.objects.filter(host=host.host, state=HostState.PROVED).exclude(pk=host.pk).exists():
            raise Conflict("It belongs to another tenant.")
        if not HostName.objects.filter(pk=host.pk, state=HostState.PENDING).exists():
            raise Conflict("It is no longer claimed, or proved already.")
        return _settle(audit_entry, host.tenant, host.host, method)


def host_remove(*, actor: Actor, host: HostName) -> None:
    """Give a name up, or take a claim back; refused while a served API of the tenant names it."""
    allow(policies.can_manage_hosts(actor, host.tenant), "Only owners and developers of the tenant may give it up.")
    with change(
        actor=actor, verb="host.remove", target_type="host", target=host.host, tenant=host.tenant.slug
    ) as audit_entry:
        fresh = HostName.objects.select_related("tenant").filter(pk=host.pk).first()
        if fresh is None:
            audit_entry.drop()
            return
        audit_entry.field("state", fresh.state, None)
        if fresh.state == HostState.PROVED:
            _refuse_used(fresh)
            audit_entry.affect("host", fresh.host)
        fresh.delete()


def settle_hosts(audit_entry: Change, actor: Actor, api: API, *, served: bool) -> None:
    """Check that ``api`` may be where it is. Raises ``ValidationError`` on ``hosts`` or ``listen_path``.

    No API names another tenant's host, and a ``served`` one no host that its tenant hasn't proved. A host below its tenant's
    wildcard becomes the tenant's by name as soon as an API of it is served there. What an administrator publishes is granted by
    that; it may stand on other tenants' hosts, too, but name no wildcard of theirs, where it would not answer.
    """
    owners = host_owners(api.hosts)
    foreign = [host for host, row in owners.items() if row.tenant_id != api.tenant_id]
    if is_administrator(actor):
        if wildcards := [host for host in foreign if is_wildcard(host)]:
            raise ValidationError(
                {"hosts": f"{wildcards[0]} belongs to another tenant, at whose hosts no other's wildcard answers."}
            )
        for host in api.hosts if served else ():
            if (host not in owners or owners[host].host != host) and not hosts.is_shared(host):
                _settle(audit_entry, api.tenant, host, HostMethod.ADMINISTRATOR)
        return
    if foreign:
        raise ValidationError({"hosts": _OTHERS.format(foreign[0])})
    if not served:
        return
    if refused := validation.shared_path_error(api):
        raise ValidationError({"listen_path": refused})
    if free := [host for host in api.hosts if host not in owners]:
        raise ValidationError({"hosts": [_unproved(api.tenant, host) for host in free]})
    for host, row in owners.items():
        if row.host != host:
            _settle(audit_entry, api.tenant, host, HostMethod(row.method))


def _unproved(tenant: Tenant, host: str) -> str:
    if hosts.is_shared(host):
        return f"{host} leads to everybody's APIs: only a platform administrator may publish an API that names it."
    return (
        f"{host} isn't proved to be {tenant}'s. Publish {hosts.instructions(tenant, host)}; claim the host on the tenant's page"
        " Hosts; then publish this API. Or ask a platform administrator."
    )


def _checked(host: str) -> str:
    name = normal_host(host)
    if refused := refusal_of_host(name):
        raise ValidationError({"host": refused})
    return name


def _refuse_over_own_names(host: str) -> None:
    if own := hosts.own_name_below(host):
        told = f"{host} reaches {own}, a name of the installation where everybody's APIs answer"
        raise ValidationError({"host": f"{told}: name the hosts one by one, or take a domain of their own for them."})


def _refuse_owned(tenant: Tenant, host: str) -> None:
    if HostName.objects.filter(host=host, state=HostState.PROVED).exclude(tenant=tenant).exists():
        raise ValidationError({"host": f"{host} belongs to another tenant: ask a platform administrator."})


def _refuse_used(host: HostName) -> None:
    served = API.objects.filter(tenant=host.tenant, state__in=SERVED).order_by("slug")
    if used := [api.slug for api in served if host.host in api.hosts]:
        raise ValidationError(f"{host.host} is named by {', '.join(used)} of {host.tenant}: take it from there first.")


def _take(actor: Actor, owner: HostName) -> None:
    """End a tenant's right to a name, in an entry of its own: neither tenant's audit log says who the other is."""
    slug = owner.tenant.slug
    with change(actor=actor, verb="host.remove", target_type="host", target=owner.host, tenant=slug) as audit_entry:
        _refuse_used(owner)
        audit_entry.field("state", owner.state, None)
        owner.delete()


def _settle(audit_entry: Change, tenant: Tenant, host: str, method: HostMethod) -> HostName:
    audit_entry.field(f"host {host}", None, f"{tenant.slug} ({method.value})")
    audit_entry.affect("host", host)
    found, _ = HostName.objects.update_or_create(
        tenant=tenant,
        host=host,
        defaults={
            "state": HostState.PROVED,
            "method": method,
            "proved_at": timezone.now(),
            "check_at": None,
            "finding": "",
        },
    )
    return found

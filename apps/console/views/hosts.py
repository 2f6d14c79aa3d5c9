"""Host names of a tenant: claimed, proved, given up."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.catalog.choices import HostState
from apps.catalog.hosts import proof, record_name
from apps.catalog.models import HostName
from apps.catalog.policies import can_manage_hosts, can_view_hosts, hosts_visible_to
from apps.catalog.services import host_claim, host_grant, host_recheck, host_remove
from apps.console.actions import Action, action
from apps.console.forms.people import GrantHostForm, HostForm
from apps.console.object_lookup import a_host, a_tenant
from apps.console.page_access import SignedInRequest, administrators, of, page
from apps.tenants.models import Tenant
from apps.wire.host_names import is_wildcard
from apps.wire.snapshot import PROOF_PATH


def hosts_url(tenant: Tenant) -> str:
    """The page of a tenant's host names."""
    return reverse("console:tenant_hosts", args=[tenant.slug])


@page(load=a_tenant, may=can_view_hosts)
def hosts(request: SignedInRequest, found: Tenant) -> HttpResponse:
    """A tenant's host names, and what proves those that aren't proved yet."""
    names = list(hosts_visible_to(request.user).filter(tenant=found))
    pending = [
        {
            "name": name,
            "record": record_name(name.host),
            "value": proof(found, name.host),
            "by_file": not is_wildcard(name.host),
        }
        for name in names
        if name.state == HostState.PENDING
    ]
    context: dict[str, Any] = {
        "tenant": found,
        "pending": pending,
        "proved": [name for name in names if name.state == HostState.PROVED],
        "path": PROOF_PATH,
        "may_manage": can_manage_hosts(request.user, found),
    }
    return render(request, "platform/hosts.html", context)


@action(load=a_tenant, may=can_manage_hosts)
def host_new(request: SignedInRequest, found: Tenant) -> Action:
    """Claim a host name."""
    return Action(
        heading=f"A host name of {found}",
        submit="Claim it",
        back=hosts_url(found),
        back_label="Hosts",
        explain="Other tenants' APIs don't answer on a host that is proved to be yours, and can't name it.",
        form=HostForm,
        service=partial(host_claim, tenant=found),
        said=lambda data: f"Publish what proves {data['host']}: it is looked for.",
    )


@action(load=a_tenant, may=administrators)
def host_grant_to(request: SignedInRequest, found: Tenant) -> Action:
    """Have a host name belong to the tenant without a proof."""
    return Action(
        heading=f"Grant {found} a host name",
        submit="Grant it",
        back=hosts_url(found),
        back_label="Hosts",
        explain="Without a proof, and from another tenant too, if none of its served APIs names the host.",
        form=GrantHostForm,
        service=partial(host_grant, tenant=found),
        said=lambda data: f"{data['host']} belongs to {found}",
        receipt=True,
    )


@action(load=a_host, may=of("tenant", can_manage_hosts))
def host_check(request: SignedInRequest, name: HostName) -> Action:
    """Have a claim looked at as soon as possible."""
    return Action(
        heading=f"Look for the proof of {name}?",
        submit="Look now",
        back=hosts_url(name.tenant),
        back_label="Hosts",
        service=partial(host_recheck, host=name),
        said=f"{name} is looked for: in ten seconds this page says what was found.",
    )


@action(load=a_host, may=of("tenant", can_manage_hosts))
def host_end(request: SignedInRequest, name: HostName) -> Action:
    """Give a host name up, or take a claim back."""
    proved = name.state == HostState.PROVED
    return Action(
        heading=f"Give {name} up?",
        submit="Give it up",
        back=hosts_url(name.tenant),
        back_label="Hosts",
        explain="APIs of every tenant that name no host answer there then." if proved else "",
        danger=True,
        service=partial(host_remove, host=name),
        said=f"{name} is given up",
        receipt=True,
    )

"""Host names of a tenant: claimed, proved, given up."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.catalog.choices import HostState
from apps.catalog.hosts import proof, record_name
from apps.catalog.models import HostName
from apps.catalog.policies import can_manage_hosts, can_view_hosts, hosts_visible_to
from apps.catalog.services import host_claim, host_grant, host_recheck, host_remove
from apps.console.form_responses import attempted, done, done_with_receipt, form_page, sent
from apps.console.forms.fields import ConsoleForm
from apps.console.forms.people import GrantHostForm, HostForm
from apps.console.object_lookup import a_host, a_tenant
from apps.console.page_access import SignedInRequest, administrators, of, page
from apps.tenants.models import Tenant
from apps.wire.snapshot import PROOF_PATH

FORM = ("GET", "HEAD", "POST")


def hosts_url(tenant: Tenant) -> str:
    """The page of a tenant's host names."""
    return reverse("console:tenant_hosts", args=[tenant.slug])


@page(load=a_tenant, may=can_view_hosts)
def hosts(request: SignedInRequest, found: Tenant) -> HttpResponse:
    """A tenant's host names, and what proves those that aren't proved yet."""
    names = list(hosts_visible_to(request.user).filter(tenant=found))
    pending = [
        {"name": name, "record": record_name(name.host), "value": proof(found, name.host)}
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


@page(load=a_tenant, may=can_manage_hosts, methods=FORM)
def host_new(request: SignedInRequest, found: Tenant) -> HttpResponse:
    """Claim a host name."""
    form = HostForm(sent(request))
    if request.method == "POST" and attempted(
        form, lambda: host_claim(actor=request.user, tenant=found, host=form.cleaned_data["host"])
    ):
        return done(
            request, hosts_url(found), f"Publish the record or the file: {form.cleaned_data['host']} is looked for."
        )
    explain = "Other tenants' APIs don't answer on a host that is proved to be yours, and can't name it."
    return _form_page(request, form, found, heading=f"A host name of {found}", submit="Claim it", explain=explain)


@page(load=a_tenant, may=administrators, methods=FORM)
def host_grant_to(request: SignedInRequest, found: Tenant) -> HttpResponse:
    """Have a host name belong to the tenant without a proof."""
    form = GrantHostForm(sent(request))
    if request.method == "POST" and attempted(
        form, lambda: host_grant(actor=request.user, tenant=found, **form.cleaned_data)
    ):
        return done_with_receipt(request, hosts_url(found), f"{form.cleaned_data['host']} belongs to {found}")
    explain = "Without a proof, and from another tenant too, if none of its served APIs names the host."
    return _form_page(request, form, found, heading=f"Grant {found} a host name", submit="Grant it", explain=explain)


@page(load=a_host, may=of("tenant", can_manage_hosts), methods=FORM)
def host_check(request: SignedInRequest, name: HostName) -> HttpResponse:
    """Have a claim looked at as soon as possible."""
    form = ConsoleForm(sent(request))
    if request.method == "POST" and attempted(form, lambda: host_recheck(actor=request.user, host=name)):
        return done(
            request, hosts_url(name.tenant), f"{name} is looked for: in ten seconds this page says what was found."
        )
    return _form_page(request, form, name.tenant, heading=f"Look for the proof of {name}?", submit="Look now")


@page(load=a_host, may=of("tenant", can_manage_hosts), methods=FORM)
def host_end(request: SignedInRequest, name: HostName) -> HttpResponse:
    """Give a host name up, or take a claim back."""
    form = ConsoleForm(sent(request))
    if request.method == "POST" and attempted(form, lambda: host_remove(actor=request.user, host=name)):
        return done_with_receipt(request, hosts_url(name.tenant), f"{name} is given up")
    explain = "APIs of every tenant that name no host answer there then." if name.state == HostState.PROVED else ""
    return _form_page(
        request, form, name.tenant, heading=f"Give {name} up?", submit="Give it up", explain=explain, danger=True
    )


def _form_page(request: SignedInRequest, form: ConsoleForm, tenant: Tenant, **context: Any) -> HttpResponse:
    return form_page(request, form, back=hosts_url(tenant), back_label="Hosts", **context)

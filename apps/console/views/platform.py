"""The platform: gateways, the audit log, the state of every part, sent mails."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import NoReverseMatch, resolve, reverse

from apps.analytics.selectors import latest_completeness
from apps.audit.models import Entry
from apps.audit.selectors import entries_visible_to, owned_tenants
from apps.catalog.egress import all_refused_upstreams
from apps.console.actions import Action, action
from apps.console.filters import AuditFilters
from apps.console.forms.people import EgressForm
from apps.console.lists import listing
from apps.console.object_lookup import a_tenant
from apps.console.page_access import SignedInRequest, administrators, anyone, is_page, page
from apps.console.tables import AuditTable, tenant_url
from apps.fleet.receipts import receipt_of
from apps.fleet.selectors import gateways as gateways_now
from apps.fleet.selectors import parts_state
from apps.tenants.egress import administrators_rules, egress_update, open_to_all, tenant_egress_update
from apps.tenants.models import Tenant, User

SHOWN_MAILS = 50


@page(may=administrators)
def gateways(request: SignedInRequest) -> HttpResponse:
    """Each worker: what it knows, how long it may trust that, what it does."""
    workers = gateways_now()
    return render(
        request, "platform/gateways.html", {"workers": workers, "nodes": len({worker.node for worker in workers})}
    )


@page(may=anyone)
def audit(request: SignedInRequest) -> HttpResponse:
    """Who did what, when."""
    return render(
        request, "platform/audit.html", listing(request, entries_visible_to(request.user), AuditTable, AuditFilters)
    )


def an_entry(user: User, epoch: int) -> Entry:
    """An entry of the audit log that the reader may see."""
    return get_object_or_404(entries_visible_to(user), epoch=epoch)


@page(load=an_entry, may=anyone)
def audit_entry(request: SignedInRequest, entry: Entry) -> HttpResponse:
    """One decision, with what it changed."""
    changes = [(name, before, after) for name, (before, after) in entry.changes.items()]
    context = {
        "entry": entry,
        "changes": changes,
        "receipt": receipt_of(entry),
        "page_of_object": page_of_object(request.user, entry),
        "shows_origin": request.user.administrates or entry.tenant_slug in owned_tenants(request.user),
    }
    return render(request, "platform/audit_entry.html", context)


OBJECT_PAGES = {
    "api": "console:api",
    "application": "console:application",
    "introspection": "console:introspection",
    "issuer": "console:issuer",
    "plan": "console:plan",
    "tenant": "console:tenant",
}
"""The pages of what entries are about, where the address holds what the entry calls it."""


def page_of_object(user: User, entry: Entry) -> str:
    """The address of what an entry is about, if that is still there and ``user`` may open it; else ""."""
    try:
        address = reverse(OBJECT_PAGES[entry.target_type], args=entry.target.split("/"))
        view, _, parameters = resolve(address)
        return address if is_page(view) and view.admit(user, **parameters) is not None else ""
    except (KeyError, NoReverseMatch, Http404):
        return ""


@page(may=administrators)
def egress(request: SignedInRequest) -> HttpResponse:
    """Where calls of all tenants may lead, which tenants have rules of their own, and upstreams that none allows."""
    return render(
        request,
        "platform/egress.html",
        {
            "environment": settings.EGRESS_ALLOW,
            "rules": administrators_rules(),
            "open_to_all": open_to_all(),
            "tenants": Tenant.objects.exclude(egress=[]).order_by("slug"),
            "refused": all_refused_upstreams(),
        },
    )


@action(may=administrators)
def egress_edit(request: SignedInRequest) -> Action:
    """Change where calls of all tenants may lead."""
    return Action(
        heading="Egress of all tenants",
        submit="Save",
        back=reverse("console:egress"),
        back_label="Egress",
        explain="Public addresses may be reached without a rule. The platform's own ports, link-local addresses and metadata "
        "services never are.",
        form=EgressForm,
        initial={"allow": administrators_rules()},
        service=egress_update,
        said="The egress rules are saved",
        receipt=True,
    )


@action(load=a_tenant, may=administrators)
def tenant_egress(request: SignedInRequest, found: Tenant) -> Action:
    """Change where the calls of one tenant's APIs may lead beside."""
    return Action(
        heading=f"Egress of {found}",
        submit="Save",
        back=tenant_url(found),
        back_label=str(found),
        explain="Beside public addresses and what all tenants may reach.",
        form=EgressForm,
        initial={"allow": found.egress},
        service=partial(tenant_egress_update, tenant=found),
        said=f"The egress rules of {found} are saved",
        receipt=True,
    )


class SentMail(NamedTuple):
    """An e-mail that became a file."""

    name: str
    subject: str
    to: str
    date: str
    body: str


@page(may=administrators)
def settings_page(request: SignedInRequest) -> HttpResponse:
    """The state of every part and what its absence means; the installation's settings; sent mails when they are files."""
    return render(
        request,
        "platform/settings.html",
        {
            "parts": parts_state(),
            "completeness": latest_completeness(),
            "mails": sent_mails() if settings.EMAIL_IS_FILES else None,
            "facts": installation_facts(),
        },
    )


def installation_facts() -> list[tuple[str, str, str]]:
    """Name, value and meaning of what the environment told. No secrets, no passwords in addresses."""
    return [
        ("Console", settings.CONSOLE_URL, "CONSOLE_URL, CONSOLE_PORT"),
        ("Gateway", settings.GATEWAY_URL, "GATEWAY_URL, GATEWAY_PORT"),
        ("Gateway workers", str(settings.GATEWAY_WORKERS), "GATEWAY_WORKERS"),
        ("Database", settings.DATABASES["default"]["ENGINE"].rsplit(".", 1)[-1], "DATABASE_URL"),
        ("State", "embedded Valkey" if settings.REDIS_IS_EMBEDDED else "Redis", "REDIS_URL"),
        ("Cached responses", "embedded Valkey" if settings.CACHE_REDIS_IS_EMBEDDED else "Redis", "CACHE_REDIS_URL"),
        ("E-mail", "files" if settings.EMAIL_IS_FILES else "SMTP", "EMAIL_URL"),
    ]


def sent_mails() -> list[SentMail]:
    """The newest e-mails of the folder, the newest first."""
    folder = Path(settings.MAIL_DIR)
    if not folder.is_dir():
        return []
    paths = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [read_mail(path) for path in paths[:SHOWN_MAILS]]


def read_mail(path: Path) -> SentMail:
    """One file of Django's file-based backend: a message and a line of dashes. Several in one file: the first."""
    first = path.read_bytes().split(b"\n" + b"-" * 79)[0]
    message = message_from_bytes(first, _class=EmailMessage, policy=policy.default)
    part = message.get_body(("plain",))
    return SentMail(
        path.name,
        str(message["subject"] or ""),
        str(message["to"] or ""),
        str(message["date"] or ""),
        str(part.get_content()) if part is not None else "",
    )


def a_mail(user: User, name: str) -> SentMail:
    """A sent mail of the folder; nothing outside of it."""
    if not settings.EMAIL_IS_FILES or not user.is_administrator:
        raise Http404("There are no mails here.")
    path = Path(settings.MAIL_DIR) / Path(name).name
    if path.suffix != ".log" or not path.is_file():
        raise Http404("There is no such mail.")
    return read_mail(path)


@page(load=a_mail, may=administrators)
def mail(request: SignedInRequest, found: SentMail) -> HttpResponse:
    """One sent mail."""
    return render(request, "platform/mail.html", {"mail": found})

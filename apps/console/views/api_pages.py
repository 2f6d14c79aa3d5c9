"""The tabs of one API."""

import json
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.access.choices import LIVE
from apps.access.selectors import plans_visible_to, subscriptions_visible_to
from apps.access.tokens_of_apis import introspections_nameable_by, issuers_nameable_by
from apps.analytics.contract_reports import reports_of
from apps.analytics.upstream_failures import failures_by_cause
from apps.catalog.choices import LIFECYCLE, Transition
from apps.catalog.document import UpstreamFields, upstream_document
from apps.catalog.egress import refused_upstreams
from apps.catalog.models import API, OpenAPIDocument, Revision
from apps.catalog.policies import (
    can_delete_api,
    can_edit_api,
    can_publish_api,
    can_view_configuration,
)
from apps.catalog.selectors import document_for, revision_changes_for, revision_document_for, revisions_visible_to
from apps.catalog.services import api_update
from apps.console import list_traffic
from apps.console.analytics import embedded_chart
from apps.console.call_examples import examples_of
from apps.console.form_responses import attempted, done_with_receipt, sent
from apps.console.forms.apis import DocumentationForm, SettingsForm, TrafficForm, UpstreamFormSet
from apps.console.lists import listing
from apps.console.object_lookup import a_revision, an_api
from apps.console.page_access import SignedInRequest, of, page
from apps.console.pending_decisions import waiting_for
from apps.console.policy_sentences import sentences
from apps.console.tables import ContractReportTable, QueueTable, RevisionTable, SubscriptionTable
from apps.console.who_may import who_may
from apps.tenants.policies import is_administrator

FORM = ("GET", "HEAD", "POST")

#: route, label
TABS = (
    ("api", "Overview"),
    ("api_operations", "Operations"),
    ("api_access", "Access"),
    ("api_cache", "Cache"),
    ("api_traffic", "Upstreams"),
    ("api_contract", "Contract"),
    ("api_documentation", "Documentation"),
    ("api_revisions", "Revisions"),
    ("api_settings", "Settings"),
)


def tabbed(request: SignedInRequest, api: API, template: str, status: int = 200, **context: Any) -> HttpResponse:
    """A page of an API with its header: what may be done with it now, and the tabs."""
    user = request.user
    may_edit, may_publish = can_edit_api(user, api), can_publish_api(user, api)
    steps = [verb for verb, (starts, _) in LIFECYCLE.items() if may_publish and api.state in starts]
    frame = {
        "api": api,
        "tabs": [(reverse(f"console:{route}", args=[api.slug]), label, route) for route, label in TABS],
        "steps": [step for step in steps if step != Transition.PUBLISH],
        "can_publish": Transition.PUBLISH in steps,
        "can_edit": may_edit,
        "who_may_edit": lambda: "" if may_edit else who_may(user, can_edit_api, api),  # only some tabs ask
        "can_delete": can_delete_api(user, api),
    }
    return render(request, template, frame | context, status=status)


def _slug(api: API, route: str) -> str:
    return reverse(f"console:{route}", args=[api.slug])


@page(load=an_api, may=can_view_configuration)
def overview(request: SignedInRequest, api: API) -> HttpResponse:
    """Figures of the last day, its upstreams, and how to call it."""
    upstreams = list(api.upstreams.all())
    lately = list_traffic.last_day(request.user, api=api.slug)
    return tabbed(
        request,
        api,
        "apis/overview.html",
        refused=refused_upstreams(api, upstreams),
        refused_calls=list_traffic.refused_by_egress(request.user, api.slug) if lately["now"]["errors"] else 0,
        traffic=lately,
        day=embedded_chart.last_day(request.user, api=api.slug),
        upstreams=upstreams,
        failures=failures_by_cause(request.user, api.slug),
        policy_words=sentences(api.cache_policy),
        examples=examples_of(api),
    )


@page(load=an_api, may=can_view_configuration)
def operations(request: SignedInRequest, api: API) -> HttpResponse:
    """Its methods and paths."""
    document = getattr(api, "openapi", None)
    return tabbed(request, api, "apis/operations.html", operations=api.operations.all(), document=document)


@page(load=an_api, may=can_view_configuration)
def access(request: SignedInRequest, api: API) -> HttpResponse:
    """Who may call it, and who asks."""
    waiting = waiting_for(request.user).filter(api=api)
    live = subscriptions_visible_to(request.user).filter(api=api, state__in=LIVE)
    rows = live.select_related("application__tenant", "api__tenant", "plan")
    waiting_table = listing(request, waiting, QueueTable, prefix="waiting-")["table"]
    return tabbed(
        request,
        api,
        "apis/access.html",
        waiting=waiting_table,
        table=listing(request, rows, SubscriptionTable)["table"],
    )


@page(load=an_api, may=can_view_configuration, may_post=can_edit_api, methods=FORM)
def traffic_tab(request: SignedInRequest, api: API) -> HttpResponse:
    """Upstreams, timeouts, limits, header rules."""
    form = TrafficForm(sent(request), initial=TrafficForm.shown_of(api, document_for(request.user, api)))
    present = [upstream_document(upstream) for upstream in api.upstreams.all()]
    upstreams = UpstreamFormSet(sent(request), initial=present, prefix="upstreams")
    if request.method == "POST" and upstreams.is_valid():
        rows = [row for row in upstreams if row.cleaned_data.get("url")]
        wanted = [
            UpstreamFields(
                url=row.cleaned_data["url"], weight=row.cleaned_data.get("weight") or 1, ca=row.cleaned_data["ca"]
            )
            for row in rows
        ]

        def save() -> Any:
            return api_update(actor=request.user, api=api, upstreams=wanted, **form.arguments())

        def beside_its_row(name: str, errors: list[str]) -> bool:
            """``upstreams.1.url`` belongs to the second row that is filled in."""
            _, number, field = (*name.split("."), "", "")[:3]
            if not number.isdigit():
                return False
            rows[int(number)].add_error(field, errors)
            return True

        if attempted(form, save, TrafficForm.NAMES, beside_its_row):
            return done_with_receipt(request, _slug(api, "api_traffic"), "Upstreams, limits and headers are saved")
    return tabbed(
        request,
        api,
        "apis/traffic.html",
        status=422 if form.errors or (request.method == "POST" and not upstreams.is_valid()) else 200,
        form=form,
        upstreams=upstreams,
    )


@page(load=an_api, may=can_view_configuration, may_post=can_edit_api, methods=FORM)
def documentation(request: SignedInRequest, api: API) -> HttpResponse:
    """What its callers read."""
    form = DocumentationForm(sent(request), initial=DocumentationForm.initial_of(api))
    if request.method == "POST" and attempted(
        form, lambda: api_update(actor=request.user, api=api, **form.cleaned_data)
    ):
        return done_with_receipt(request, _slug(api, "api_documentation"), "The documentation is saved")
    return tabbed(request, api, "apis/documentation.html", status=422 if form.errors else 200, form=form)


@page(load=an_api, may=can_view_configuration)
def contract(request: SignedInRequest, api: API) -> HttpResponse:
    """In what its calls are not as its OpenAPI document has them."""
    document = OpenAPIDocument.objects.filter(api=api).defer("document").first()
    table = listing(request, reports_of(request.user, api), ContractReportTable)["table"]
    return tabbed(request, api, "apis/contract.html", table=table, document=document)


@page(load=an_api, may=can_view_configuration)
def revisions(request: SignedInRequest, api: API) -> HttpResponse:
    """What was changed, by whom."""
    rows = revisions_visible_to(request.user).filter(api=api).select_related("api", "author")
    return tabbed(request, api, "apis/revisions.html", table=listing(request, rows, RevisionTable)["table"])


@page(load=a_revision, may=of("api", can_view_configuration))
def revision(request: SignedInRequest, found: Revision) -> HttpResponse:
    """One revision: what it changed, and the whole of it."""
    return tabbed(
        request,
        found.api,
        "apis/revision.html",
        revision=found,
        changes=[(name, *map(_shown, pair)) for name, pair in revision_changes_for(request.user, found).items()],
        document=json.dumps(revision_document_for(request.user, found), indent=2, ensure_ascii=False),
    )


def _shown(value: object) -> str:
    """A value of a document as text; an absent one is nothing."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@page(load=an_api, may=can_view_configuration, may_post=can_edit_api, methods=FORM)
def settings_tab(request: SignedInRequest, api: API) -> HttpResponse:
    """What it is, and who may call it how."""
    may_forward = is_administrator(request.user) or api.forward_credential
    plans = plans_visible_to(request.user)
    form = SettingsForm(
        sent(request),
        initial=SettingsForm.initial_of(api),
        may_forward=may_forward,
        plans=plans,
        issuers=issuers_nameable_by(api),
        introspections=introspections_nameable_by(api),
    )

    def save() -> API:
        return api_update(actor=request.user, api=api, **form.arguments())

    if request.method == "POST" and attempted(form, save, elsewhere=form.took):
        return done_with_receipt(request, _slug(api, "api_settings"), "The settings are saved")
    document = json.dumps(document_for(request.user, api), indent=2, ensure_ascii=False)
    return tabbed(
        request,
        api,
        "apis/settings.html",
        status=422 if form.errors else 200,
        form=form,
        document=document,
        tokens_open=bool(form.errors) or "jwt" in api.authentication or "introspection" in api.authentication,
    )

"""Pages of analytics: dashboards, the call log, and one call explained."""

from dataclasses import replace
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone

from apps.analytics.models import CallRecord
from apps.analytics.policies import can_view_call
from apps.analytics.selectors import VisibleCalls, call_trace, calls, calls_visible_to
from apps.catalog.choices import SERVED
from apps.catalog.models import API
from apps.catalog.selectors import apis_visible_to
from apps.console.analytics.call_log import Page, page_of
from apps.console.analytics.dashboards import DASHBOARDS, Panel, dashboard
from apps.console.analytics.filter_choices import filters_of, unknown_names
from apps.console.analytics.query_parameters import CALLS, PRESETS, AnalyticsQuery
from apps.console.analytics.waterfall import waterfall
from apps.console.call_examples import curl_of
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.tables import api_link
from apps.explain.recorded_call import key_of_call
from apps.tenants.models import User
from apps.wire.failure_causes import FailureCause

HEATED = "latency"
"""The dashboard that has a heat map, for who asks for it."""


@page(may=anyone)
def dashboards(request: SignedInRequest, name: str = "traffic") -> HttpResponse:
    """One of the dashboards, of the calls that the reader may see."""
    if name not in DASHBOARDS:
        raise Http404
    asked = AnalyticsQuery.of(request.GET.dict(), timezone.now())
    panel = Panel(request.user, asked)
    filters = filters_of(request.user, asked)
    context = {
        "asked": asked,
        "name": name,
        "tabs": _tabs(asked),
        "presets": _presets(asked, name),
        "compared": panel.compared(),
        "filters": filters,
        "unknown": unknown_names(asked, filters, *_route(name)),
        "unfiltered": _dashboard_address(replace(asked, filters={}), name),
        "first_call": _first_call(request.user, panel.question.scope),
    }
    if not context["first_call"]:
        shown = dashboard(name, panel)
        context |= {"dashboard": shown, "links": _links(asked, name)}
        if name == HEATED:
            wanted = request.GET.get("heat") == "1"
            context |= {
                "heated": wanted,
                "heat": panel.heat() if wanted else None,
                "heat_on": _dashboard_address(asked, name, heat="1"),
                "heat_off": _dashboard_address(asked, name),
            }
    return render(request, "analytics/dashboard.html", context)


@page(may=anyone)
def call_log(request: SignedInRequest) -> HttpResponse:
    """The calls that the reader may see, newest first, in pages that stay put while the log grows."""
    asked = AnalyticsQuery.of(request.GET.dict(), timezone.now(), CALLS)
    scope = VisibleCalls.of(request.user)
    filters = filters_of(request.user, asked, log=True)
    refusal = asked.refusal
    found = Page([], "", True)
    try:
        rows = calls(scope=scope, since=asked.window.since, until=_end(asked), **_named(scope, asked.filters))
        found = page_of(rows, request.GET.get("before", ""))
    except ValueError:
        refusal = "Write a status like 404, or a class like 5xx."
    context = {
        "asked": asked,
        "refusal": refusal,
        "calls": found.rows,
        "newest": found.newest,
        "older": asked.address("calls", before=found.older) if found.older else "",
        "first_page": asked.address("calls"),
        "presets": _presets(asked, "", "calls"),
        "unfiltered": replace(asked, filters={}).address("calls"),
        "log": True,
        "filters": filters,
        "causes": [cause.code for cause in FailureCause],
        "unknown": unknown_names(asked, filters, "calls"),
        "first_call": "" if found.rows else _first_call(request.user, scope),
    }
    return render(request, "analytics/calls.html", context)


def a_call(user: User, call_id: str) -> CallRecord:
    """The call of the address, of those that ``user`` may see."""
    return get_object_or_404(calls_visible_to(user), call_id=call_id)


@page(load=a_call, may=can_view_call)
def call(request: SignedInRequest, record: CallRecord) -> HttpResponse:
    """One call, explained: every decision, when it was made, and why."""
    trace = call_trace(record)
    key = key_of_call(actor=request.user, api=record.api, path=record.path, cache_key=record.cache_key)
    api = API.objects.filter(slug=record.api).select_related("tenant").first()
    context = {
        "call": record,
        "trace": trace,
        "steps": waterfall(trace.steps, record.duration),
        "key": key,
        "api_link": api_link(request.user, api) if api else "",
    }
    return render(request, "analytics/call.html", context)


def _tabs(asked: AnalyticsQuery) -> list[tuple[str, str, str]]:
    """(word, name, address) of each dashboard, for the same question."""
    return [(word, name, _dashboard_address(asked, word)) for word, name in DASHBOARDS.items()]


def _dashboard_address(asked: AnalyticsQuery, word: str, **changes: str) -> str:
    return asked.address(*_route(word), **changes)


def _route(word: str) -> tuple[str, ...]:
    """The name of a dashboard's address, and its argument."""
    return ("dashboards",) if word == "traffic" else ("dashboard", word)


def _presets(asked: AnalyticsQuery, word: str, route: str = "") -> list[tuple[str, str, bool]]:
    """(name, address, whether it is the present one) of each span."""
    return [
        (
            name,
            asked.address(route, span=span) if route else _dashboard_address(asked, word, span=span),
            asked.window.preset == span,
        )
        for span, (name, _) in PRESETS.items()
    ]


def _links(asked: AnalyticsQuery, word: str) -> dict[str, str]:
    """Where a click and a drag on a chart lead; the script adds the span."""
    return {"calls": asked.without_time("calls"), "here": asked.without_time(*_route(word))}


def _named(scope: VisibleCalls, filters: dict[str, str]) -> dict[str, str]:
    """The filters, with an ID read as a call's where it is one: both look alike to who copied it."""
    identity = filters.get("request_id")
    if identity and calls(scope=scope, call_id=identity).exists():
        return {**{name: value for name, value in filters.items() if name != "request_id"}, "call_id": identity}
    return filters


def _end(asked: AnalyticsQuery) -> Any:
    """When the log ends: a span up to now stays open for the calls of the next seconds."""
    return None if asked.window.preset else asked.window.until


def _first_call(user: User, scope: VisibleCalls) -> dict[str, str] | None:
    """How to make the first call, while there is none that the reader may see; else ``None``."""
    if calls(scope=scope).exists():
        return None
    api = apis_visible_to(user).filter(state__in=SERVED).order_by("pk").first()
    return {"curl": curl_of(api), "name": str(api)} if api else {"register": reverse("console:catalogue")}

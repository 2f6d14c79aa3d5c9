"""The overview, the search, the help page."""

from collections import Counter
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from apps.access.choices import LIVE, OPEN, Side
from apps.access.selectors import (
    applications_visible_to,
    requests_visible_to,
    subscriptions_visible_to,
)
from apps.analytics.selectors import Question, VisibleCalls, breakdown, calls_with_id
from apps.catalog.choices import SERVED
from apps.catalog.models import API
from apps.catalog.selectors import apis_visible_to
from apps.console import list_traffic
from apps.console.first_steps import first_steps
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.pending_decisions import waiting_for
from apps.console.quota import with_quota
from apps.console.sides import provides
from apps.fleet.selectors import parts_state
from apps.tenants.models import User
from apps.tenants.selectors import tenants_visible_to, tokens_ending_soon, users_visible_to

SHOWN = 5
SEARCHED = 8


@page(may=anyone)
def overview(request: SignedInRequest) -> HttpResponse:
    """What waits, what flows, what is broken; for a tenant its own."""
    user = request.user
    context = {
        "steps": first_steps(user),
        "traffic": list_traffic.last_day(user),
        "ending_tokens": tokens_ending_soon(user),
    }
    context |= _for_administrator(user) if user.is_administrator else _for_tenant(user)
    template = "overview/administrator.html" if user.is_administrator else "overview/tenant.html"
    return render(request, template, context)


def _for_administrator(user: User) -> dict[str, Any]:
    waiting = waiting_for(user)
    rows = [
        row for row in breakdown(Question.asked(VisibleCalls.of(user)), by="api", top=list_traffic.MOST) if row["calls"]
    ]
    slowest = sorted(rows, key=lambda row: row["latency"]["all"]["p95"] or 0, reverse=True)[:SHOWN]
    failing = sorted((row for row in rows if row["errors"]), key=lambda row: row["errors"], reverse=True)[:SHOWN]
    titles = _titles({row["name"] for row in [*slowest, *failing]})
    return {
        "waiting": waiting[:SHOWN],
        "waiting_count": waiting.count(),
        "slowest": [{**row, "title": titles[row["name"]]} for row in slowest],
        "failing": [{**row, "title": titles[row["name"]]} for row in failing],
        "parts": parts_state(),
    }


def _titles(slugs: set[str]) -> dict[str, str]:
    """What to call the APIs that calls name: by name, with the slug where others have the same; by slug once they are deleted."""
    names = API.objects.filter(slug__in=slugs).values("name")
    found = dict(API.objects.filter(name__in=names).values_list("slug", "name"))
    count = Counter(found.values())
    titles = {slug: name if count[name] == 1 else f"{name} ({slug})" for slug, name in found.items()}
    return {slug: titles.get(slug, slug) or "no API" for slug in slugs}


def _for_tenant(user: User) -> dict[str, Any]:
    soon = timezone.now() + timedelta(days=14)
    held = subscriptions_visible_to(user, Side.CALLER).filter(state__in=LIVE)
    waiting = waiting_for(user)
    context = {
        "open_requests": requests_visible_to(user, Side.CALLER).filter(state__in=OPEN)[:SHOWN],
        "waiting": waiting[:SHOWN],
        "waiting_count": waiting.count(),
        "served": SERVED,
        "subscriptions": with_quota(held[:SHOWN]),
        "ending": held.filter(expires_at__lt=soon)[:SHOWN],
        "tenants": tenants_visible_to(user),
        "provides": provides(user),
    }
    if context["provides"]:
        context["callers"] = subscriptions_visible_to(user, Side.PROVIDER).filter(state__in=LIVE)[:SHOWN]
    return context


@page(may=anyone)
def search(request: SignedInRequest) -> HttpResponse:
    """APIs, applications, tenants and people by name, and calls by either of their IDs, of what the reader may see."""
    text = request.GET.get("q", "").strip()
    found: dict[str, Any] = {}
    if text:
        user = request.user
        named = Q(name__icontains=text) | Q(slug__icontains=text)
        found = {
            "apis": apis_visible_to(user).filter(named | Q(listen_path__icontains=text))[:SEARCHED],
            "applications": applications_visible_to(user).filter(named).select_related("tenant")[:SEARCHED],
            "tenants": tenants_visible_to(user).filter(named)[:SEARCHED],
            "users": users_visible_to(user).filter(Q(name__icontains=text) | Q(email__icontains=text))[:SEARCHED],
            "calls": calls_with_id(VisibleCalls.of(user), text, SEARCHED),
        }
    return render(request, "overview/search.html", {"search_query": text, "nothing": not any(found.values()), **found})


@page(may=anyone)
def help_page(request: SignedInRequest) -> HttpResponse:
    """Every setting with its default and its trade-off, and the keys of the keyboard."""
    return render(request, "overview/help.html")

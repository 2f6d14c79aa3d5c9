"""The cache: who hits, why others don't, what it holds, purges with their receipts, warm-ups."""

from functools import partial

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from apps.analytics.selectors import Question, VisibleCalls, breakdown
from apps.catalog.selectors import apis_editable_by
from apps.console import list_traffic
from apps.console.actions import Action, action
from apps.console.filters import PurgeFilters
from apps.console.forms.apis import PurgeAnyForm
from apps.console.lists import listing
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.receipts import purge_with_receipt
from apps.console.tables import PurgeTable, WarmUpTable
from apps.purging.selectors import cache_tiers, purges_visible_to
from apps.purging.services import purge
from apps.tenants.models import User
from apps.warming.selectors import warm_ups_visible_to

LARGEST = 20
"""APIs, and tenants, whose sizes are shown."""


def looks_after_some(user: User) -> bool:
    """Users who look after some API."""
    return apis_editable_by(user).exists()


@page(may=anyone)
def cache(request: SignedInRequest) -> HttpResponse:
    """Hit ratio by API, reasons for misses and bypasses, the latest purges and warm-ups."""
    user = request.user
    scope, since = VisibleCalls.of(user), timezone.now() - list_traffic.DAY
    rows = breakdown(Question.asked(scope, since=since), by="api", top=list_traffic.MOST)
    reasons = breakdown(Question.asked(scope, since=since), by="reason", top=20)
    purges = listing(
        request, purges_visible_to(user).select_related("forwarding"), PurgeTable, PurgeFilters, per_page=10
    )
    return render(
        request,
        "cache/cache.html",
        {
            "traffic": list_traffic.last_day(user),
            "apis": sorted(rows, key=lambda row: row["calls"], reverse=True),
            "reasons": reasons,
            "tiers": cache_tiers(user, most=LARGEST),
            "server_reader": user.is_administrator,
            "may_purge": looks_after_some(user),
            "warm_ups": listing(request, warm_ups_visible_to(user), WarmUpTable, prefix="warm-ups-", per_page=5)[
                "table"
            ],
            **purges,
        },
    )


@action(may=looks_after_some)
def purge_any(request: SignedInRequest) -> Action:
    """Purge cached responses of some API."""
    back = reverse("console:cache")
    return Action(
        heading="Purge cached responses",
        submit="Purge",
        back=back,
        back_label="Cache",
        explain="What matches is fetched anew at the next call. The purge is in force once its receipt says so.",
        danger=True,
        form=partial(PurgeAnyForm, apis=apis_editable_by(request.user)),
        service=purge,
        answer=lambda made, data: purge_with_receipt(request, data["api"], made, back, warm_up=data["warm_up"]),
    )

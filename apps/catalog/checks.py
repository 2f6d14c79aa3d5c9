"""What ``manage.py check --deploy`` says of the APIs of an installation."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning, register
from django.db import DatabaseError

from apps.catalog.choices import SERVED, APIState, HostMethod, HostState
from apps.catalog.egress import all_refused_upstreams
from apps.catalog.field_checks import is_plain
from apps.catalog.hosts import own_name_below
from apps.catalog.models import API, HostName, Operation
from apps.egress.rules import NOT_ALLOWED
from apps.tenants.egress import open_to_all

MOST_NAMED = 20
"""Slugs that a message names."""

RESOLVING = 10.0
"""Seconds that the names of all upstreams may take to be resolved."""


@register(deploy=True)
def apis_forward_what_they_were_allowed_to(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Which APIs let their callers' ``X-API-Key`` through, and which describe headers that are left out."""
    try:
        forwarding = list(_live().filter(forward_credential=True).values_list("slug", flat=True))
        lacking = sorted(_lacking_headers())
    except DatabaseError:
        return []  # not migrated yet, or away: there is nothing to say of its rows
    found: list[CheckMessage] = []
    if forwarding:
        found.append(
            Warning(
                f"The upstreams of these APIs see the X-API-Key of their callers where it is no key of this platform: "
                f"{_named(forwarding)}.",
                hint="Switch forward_credential off where the upstream has no keys of its own.",
                id="catalog.W001",
            )
        )
    if lacking:
        found.append(
            Warning(
                f"The OpenAPI documents of these APIs describe request headers that are left out because of the characters "
                f"in their names: {_named(lacking)}.",
                hint="Name those that the upstream needs in underscore_headers.",
                id="catalog.W002",
            )
        )
    return found


@register(deploy=True)
def host_names_have_one_tenant(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Hosts that APIs of two tenants name, those that count as one tenant's because its API named them at the upgrade, and
    wildcards that came to reach a name of the installation when its settings changed."""
    try:
        owners = {name.host: name for name in _proved()}
        apis = list(API.objects.filter(state__in=SERVED).select_related("tenant").order_by("slug"))
    except DatabaseError:  # not migrated, or away: other checks say so
        return []
    found: list[CheckMessage] = []
    for host, name in owners.items():
        if own := own_name_below(host):
            told = (
                f"{host} belongs to the tenant {name.tenant.slug} and reaches {own}, a name of this installation: APIs of other"
                " tenants don't answer there."
            )
            hint = "Have the tenant's APIs name their hosts one by one, and give the wildcard up."
            found.append(Warning(told, hint=hint, id="catalog.W007"))
        others = [api.slug for api in apis if api.tenant_id != name.tenant_id and host in api.hosts]
        if others:
            told = f"{host} belongs to the tenant {name.tenant.slug}, and APIs of others name it: {_named(others)}."
            found.append(
                Warning(told, hint="They share cookies. Give each tenant hosts of its own.", id="catalog.W003")
            )
        anywhere = [api.slug for api in apis if api.tenant_id != name.tenant_id and not api.hosts]
        if name.method == HostMethod.IN_USE and anywhere:
            told = (
                f"{host} counts as the tenant {name.tenant.slug}'s since the upgrade, because its API names it. APIs of other"
                f" tenants that name no host no longer answer there: {_named(anywhere)}."
            )
            hint = "If that is right, grant the host to the tenant (POST /api/v1/hosts/grant/); if not, name it at these APIs."
            found.append(Warning(told, hint=hint, id="catalog.W004"))
    return found


@register(deploy=True)
def upstreams_are_where_calls_may_lead(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Upstreams that egress rules refuse, by what their names resolve to, and whether loopback is open to every tenant."""
    try:
        refused = all_refused_upstreams(RESOLVING)
        is_open = open_to_all()
    except DatabaseError:  # not migrated, or away: other checks say so
        return []
    found: list[CheckMessage] = []
    if refused:
        named = _named([f"{each.url} ({each.api} of {each.tenant})" for each in refused])
        hints = ",".join(dict.fromkeys(each.hint for each in refused if each.why == NOT_ALLOWED))
        told = (
            [f"EGRESS_ALLOW={hints} would let every tenant's calls reach those that are not public."] if hints else []
        )
        told.append("Rules of one tenant, and of the installation, are under Egress in the console.")
        if any(each.why != NOT_ALLOWED for each in refused):
            told.append("No rule opens the platform's own places.")
        found.append(
            Warning(
                f"Egress rules refuse these upstreams, so that calls to them are answered with 502: {named}.",
                hint=" ".join(told),
                id="catalog.W005",
            )
        )
    if is_open:
        found.append(
            Warning(
                "Every tenant's APIs may lead to this machine itself: to any server that listens there but the platform's own.",
                hint="Set EGRESS_ALLOW to what upstreams need; empty for public addresses alone.",
                id="catalog.W006",
            )
        )
    return found


def _proved() -> list[HostName]:
    return list(HostName.objects.filter(state=HostState.PROVED).select_related("tenant"))


def _live() -> Any:
    return API.objects.exclude(state=APIState.RETIRED).order_by("slug")


def _lacking_headers() -> set[str]:
    """Slugs of the APIs with an operation that describes a header which doesn't go on."""
    allowed = {
        slug: {name.lower() for name in (*names, *keyed)}
        for slug, names, keyed in _live().values_list("slug", "underscore_headers", "cache_policy__headers")
    }
    found = set()
    rows = Operation.objects.exclude(parameters=[]).values_list("api__slug", "parameters")
    for slug, parameters in rows.iterator():
        if slug in allowed and any(name not in allowed[slug] for name in _odd_headers(parameters)):
            found.add(slug)
    return found


def _odd_headers(parameters: Iterable[Any]) -> Iterable[str]:
    for each in parameters:
        if isinstance(each, dict) and each.get("in") == "header" and not is_plain(name := str(each.get("name", ""))):
            yield name.lower()


def _named(slugs: Sequence[str]) -> str:
    more = len(slugs) - MOST_NAMED
    return ", ".join(slugs[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")

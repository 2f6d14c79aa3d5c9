"""Whether the upstreams of an API are where its tenant's calls may lead, and not another tenant's private ones."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from apps.catalog.choices import SERVED, APIState
from apps.catalog.models import API, Upstream
from apps.egress.addresses import is_public, literal
from apps.egress.outbound import addresses_of
from apps.egress.rules import LOOPBACK, Guard, Place, address_of, allowed_addresses, is_loopback_name, place_of
from apps.tenants.actors import Actor
from apps.tenants.egress import guard_of, guards_of
from apps.tenants.models import Tenant
from apps.tenants.policies import is_administrator

SHARED = (
    "Another tenant's API has this private host and port as its upstream: only a platform administrator may let a second tenant's "
    "lead there."
)
PATIENCE = 2.0
"""Seconds that the names of one change may take to be resolved."""

RESOLVED_AT_ONCE = 16

_PRIVATE_SUFFIXES = (
    ".internal",
    ".local",
    ".lan",
    ".home.arpa",
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".localdomain",
)


class RefusedUpstream(NamedTuple):
    """An upstream that calls may not reach now, and why. ``hint`` is the rule that would let them."""

    api: str
    tenant: str
    url: str
    why: str
    hint: str


def errors_of_places(
    actor: Actor, tenant: Tenant | None, urls: Mapping[str, str], private: frozenset[str]
) -> dict[str, list[str]]:
    """Why ``actor`` may not have a tenant's calls (``None``: the platform's own) lead to new places, by the key under which
    ``urls`` has them: what rules refuse, and private places of other tenants, which only an administrator may share. ``private``
    is what ``private_names`` found."""
    if not urls:
        return {}
    guard = guard_of(tenant)
    found = _refusals(guard, urls)
    if found or tenant is None or is_administrator(actor):
        return found
    return _shared_with_others(tenant, guard, urls, private)


def _refusals(guard: Guard, urls: Mapping[str, str]) -> dict[str, list[str]]:
    """Why places can't be called, by the key under which ``urls`` has them, as far as their text tells."""
    found = {}
    for key, url in urls.items():
        place = place_of(url)
        if place is not None and (why := guard.refusal_of_text(*place)):
            found[key] = [why]
    return found


def _shared_with_others(
    tenant: Tenant, guard: Guard, urls: Mapping[str, str], private: Iterable[str] = ()
) -> dict[str, list[str]]:
    """Which places are private and another tenant's upstream already, by key. ``private``: names that lead to private
    addresses. One query, where a place is private."""
    wanted = {key: place for key, url in urls.items() if (place := place_of(url)) is not None}
    names = frozenset(private)
    mine = {key: _one(place) for key, place in wanted.items() if place[0] in names or is_private(place, guard)}
    if not mine:
        return {}
    taken = _others(tenant) & set(mine.values())
    return {key: [SHARED] for key, place in mine.items() if place in taken}


def private_names(tenant: Tenant, urls: Iterable[str]) -> frozenset[str]:
    """Which of the hosts that other tenants' APIs name too lead to private addresses. Resolves names, within ``PATIENCE``:
    no transaction may be open. A name that has no address here, or none by then, counts as private: gateways may know it."""
    if not guard_of(tenant).rules:
        return frozenset()
    named = {place for url in urls if (place := place_of(url)) is not None and literal(place[0]) is None}
    hosts = {host for host, _ in named & _others(tenant)} if named else set()
    return frozenset(
        host for host, addresses in resolve(hosts).items() if any(not _public(each) for each in addresses or [""])
    )


def resolve(hosts: Iterable[str], patience: float = PATIENCE) -> dict[str, list[str] | None]:
    """The addresses of each host: none where it has none, ``None`` where that isn't known within ``patience`` seconds."""
    names = list(dict.fromkeys(hosts))
    if not names:
        return {}
    pool = ThreadPoolExecutor(min(RESOLVED_AT_ONCE, len(names)), "resolve")
    try:
        asked: dict[str, Future[list[str]]] = {name: pool.submit(addresses_of, name) for name in names}
        wait(asked.values(), patience)
        return {name: future.result() if future.done() else None for name, future in asked.items()}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def refused_upstreams(api: API, upstreams: Iterable[Upstream]) -> list[RefusedUpstream]:
    """Those ``upstreams`` of an API that calls may not reach, as far as their text tells. One query."""
    guard = guard_of(api.tenant)
    return [_refused(api.slug, api.tenant.slug, row.url, why) for row in upstreams if (why := _why(guard, row.url))]


def all_refused_upstreams(patience: float = 0.0) -> list[RefusedUpstream]:
    """The upstreams of all served APIs that calls may not reach, by what their names resolve to within ``patience`` seconds;
    without, by their text alone. Three queries."""
    rows = list(
        Upstream.objects.filter(api__state__in=SERVED).values_list(
            "api__slug", "api__tenant", "api__tenant__slug", "url"
        )
    )
    tenants = guards_of(Tenant.objects.filter(pk__in={row[1] for row in rows}))
    places = {url: place for *_, url in rows if (place := place_of(url)) is not None}
    own = {host for guard in tenants.values() for _, port in places.values() for host in guard.own_names(port)}
    names = {host for host, _ in places.values()} | own
    named = [name for name in names if literal(name) is None and not is_loopback_name(name)] if patience else []
    known = resolve(named, patience)
    found = []
    for slug, tenant, tenant_slug, url in rows:
        guard = tenants[tenant]
        why = _why(guard, url)
        if why is None and url in places:
            host, port = places[url]
            addresses, own_addresses = (
                [each for name in group for each in ([name] if literal(name) is not None else known.get(name) or [])]
                for group in ([host], guard.own_names(port))
            )
            allowed, refusal = allowed_addresses(guard, host, port, addresses, own_addresses)
            why = refusal if not allowed else None
        if why:
            found.append(_refused(slug, tenant_slug, url, why))
    return found


def _why(guard: Guard, url: str) -> str | None:
    place = place_of(url)
    return guard.refusal_of_text(*place) if place is not None else None


def _refused(slug: str, tenant: str, url: str, why: str) -> RefusedUpstream:
    host, port = place_of(url) or ("", 0)
    return RefusedUpstream(slug, tenant, url, why, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def is_private(place: Place, guard: Guard) -> bool:
    """Whether a place is this machine's, or in a private network, as far as its text and the guard's rules tell."""
    host, _ = place
    if (address := literal(host)) is not None:
        return not is_public(address)
    if is_loopback_name(host) or "." not in host or host.endswith(_PRIVATE_SUFFIXES):
        return True
    # A name that an administrator had to allow leads to private addresses.
    return any(rule.network is None and (host == rule.name or host.endswith(f".{rule.name}")) for rule in guard.rules)


def _others(tenant: Tenant) -> set[Place]:
    """Where the APIs of other tenants lead. One query; a few microseconds each."""
    rows = Upstream.objects.exclude(api__tenant=tenant).exclude(api__state=APIState.RETIRED)
    return {_one(place) for url in rows.values_list("url", flat=True) if (place := place_of(url)) is not None}


def _one(place: Place) -> Place:
    """This machine has many names and addresses; for all of them one."""
    host, port = place
    address = literal(host)
    here = is_loopback_name(host) if address is None else address.is_loopback or address.is_unspecified
    return (LOOPBACK, port) if here else place


def _public(text: str) -> bool:
    address = address_of(text)
    return address is not None and is_public(address)

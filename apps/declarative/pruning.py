"""Removes what the file's lists don't name: only with ``--prune``, and only of the kinds that the file lists."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from apps.access import services as access
from apps.access.choices import LIVE, CredentialKind
from apps.access.models import Application, Credential, Introspection, Issuer, Plan, Subscription
from apps.catalog import services as catalog
from apps.catalog.choices import SERVED, HostState
from apps.catalog.models import API, HostName
from apps.declarative.credentials import active
from apps.declarative.entries import blaming
from apps.declarative.making import active_keys
from apps.declarative.run import FileRun
from apps.declarative.token_sources import active_client_ids
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.tenants.models import Membership, Tenant, User


def _prune(
    run: FileRun, kind: str, rows: Iterable[Any], name: Callable[[Any], str], remove: Callable[[Any], Any], place: str
) -> None:
    """Remove each of ``rows``. Raises ``FileError`` with the reason when one can't go."""
    for row in rows:
        said = name(row)
        with blaming(run.source, (place,)):
            try:
                remove(row)
            except ValidationError as error:
                raise ValueError(f"{kind} {said} can't be removed: {' '.join(error.messages)}") from None
        run.removed(kind, said)


def _prune_subscriptions(run: FileRun) -> None:
    rows = Subscription.objects.select_related("application__tenant", "api").filter(state__in=LIVE)
    _prune(
        run,
        "subscription",
        rows.exclude(pk__in=run.named.get("subscription row", set())),
        lambda row: f"{row.application.tenant.slug}/{row.application.slug} → {row.api.slug}",
        lambda row: access.subscription_revoke(
            actor=PLATFORM, subscription=row, comment="Not in the declarative file."
        ),
        "subscriptions",
    )


def _prune_applications(run: FileRun) -> None:
    keys = active_keys().filter(application__in=run.named.get("applications with keys", set()))
    _prune_credentials(run, "key", keys.exclude(pk__in=run.named.get("key", set())), lambda key: key.name)
    client_ids = active_client_ids().filter(application__in=run.named.get("applications with client IDs", set()))
    _prune_credentials(
        run,
        "client ID",
        client_ids.exclude(pk__in=run.named.get("client ID row", set())),
        lambda client_id: client_id.identifier,
    )
    for kind, noun, word in (
        (CredentialKind.CERTIFICATE, "certificate", "certificates"),
        (CredentialKind.SIGNING_KEY, "signing key", "signing_keys"),
    ):
        listed = active(kind).filter(application__in=run.named.get(f"applications with {word}", set()))
        _prune_credentials(run, noun, listed.exclude(pk__in=run.named.get(noun, set())), lambda row: row.name)
    named = run.named.get("application", set())
    rows = [row for row in Application.objects.select_related("tenant") if f"{row.tenant.slug}/{row.slug}" not in named]
    _prune(
        run,
        "application",
        rows,
        lambda row: f"{row.tenant.slug}/{row.slug}",
        lambda row: access.application_delete(actor=PLATFORM, application=row),
        "applications",
    )


def _prune_credentials(run: FileRun, kind: str, rows: QuerySet[Credential], shown: Callable[[Credential], str]) -> None:
    _prune(
        run,
        kind,
        rows.select_related("application__tenant"),
        lambda row: f"{row.application.tenant.slug}/{row.application.slug}/{shown(row)}",
        lambda row: access.key_revoke(actor=PLATFORM, key=row, comment="Not in the declarative file."),
        "applications",
    )


def _prune_by_slug(run: FileRun, kind: str, rows: Any, place: str, remove: Callable[[Any], Any]) -> None:
    named = run.named.get("API" if kind == "api" else kind, set())
    _prune(run, kind, [row for row in rows if row.slug not in named], lambda row: row.slug, remove, place)


def _prune_users(run: FileRun) -> None:
    """Memberships of named users that the file doesn't name, and the access of users that it doesn't; never administrators'."""
    users = User.objects.filter(is_active=True)
    named = run.named.get("user", set())
    memberships = Membership.objects.select_related("user", "tenant").filter(user__email__in=named)
    known = run.named.get("membership", set())
    _prune(
        run,
        "membership",
        [row for row in memberships if (row.user_id, row.tenant_id) not in known],
        lambda row: f"{row.user.email} of {row.tenant.slug}",
        lambda row: tenants.membership_remove(actor=PLATFORM, membership=row),
        "users",
    )
    _prune(
        run,
        "user",
        [user for user in users if user.email not in named and not user.is_administrator],
        lambda user: user.email,
        lambda user: tenants.user_deactivate(actor=PLATFORM, user=user),
        "users",
    )


def _prune_tenants(run: FileRun) -> None:
    """Tenants that the file doesn't name, and proved hosts of those whose ``hosts`` it names, unless a served API has them."""
    with_hosts = run.named.get("tenants with hosts", set())
    served = API.objects.filter(state__in=SERVED, tenant__slug__in=with_hosts).values_list("tenant_id", "hosts")
    used = {(tenant, host) for tenant, names in served for host in names} if with_hosts else set()
    proved = HostName.objects.select_related("tenant").filter(state=HostState.PROVED, tenant__slug__in=with_hosts)
    named = run.named.get("host", set())
    _prune(
        run,
        "host",
        [row for row in proved if row.host not in named and (row.tenant_id, row.host) not in used],
        lambda row: f"{row.host} of {row.tenant.slug}",
        lambda row: catalog.host_remove(actor=PLATFORM, host=row),
        "tenants",
    )
    _prune_by_slug(
        run,
        "tenant",
        Tenant.objects.all(),
        "tenants",
        lambda tenant: tenants.tenant_delete(actor=PLATFORM, tenant=tenant),
    )


# What leans on something goes before it.
PRUNERS: dict[str, Callable[[FileRun], None]] = {
    "subscriptions": _prune_subscriptions,
    "applications": _prune_applications,
    "apis": lambda run: _prune_by_slug(
        run, "api", API.objects.all(), "apis", lambda api: catalog.api_delete(actor=PLATFORM, api=api)
    ),
    "introspections": lambda run: _prune_by_slug(
        run,
        "introspection server",
        Introspection.objects.select_related("tenant"),
        "introspections",
        lambda server: access.introspection_delete(actor=PLATFORM, server=server),
    ),
    "issuers": lambda run: _prune_by_slug(
        run,
        "issuer",
        Issuer.objects.select_related("tenant"),
        "issuers",
        lambda issuer: access.issuer_delete(actor=PLATFORM, row=issuer),
    ),
    "plans": lambda run: _prune_by_slug(
        run, "plan", Plan.objects.all(), "plans", lambda plan: access.plan_delete(actor=PLATFORM, plan=plan)
    ),
    "users": _prune_users,
    "tenants": _prune_tenants,
}

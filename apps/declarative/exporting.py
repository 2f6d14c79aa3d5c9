"""Writes the platform as a declarative file. Secrets are left out: applied again, the file keeps the keys that exist."""

from typing import Any

import yaml
from django.db.models import Prefetch

from apps.access.choices import LIVE, CredentialKind, KeyState
from apps.access.document import plan_document
from apps.access.models import Application, Credential, Introspection, Issuer, Plan, Subscription
from apps.access.services.key_bounds import BOUNDS
from apps.access.token_documents import introspection_document, issuer_document
from apps.catalog.choices import HostState
from apps.catalog.document import operations_document, to_document
from apps.catalog.models import API, HostName
from apps.tenants.egress import administrators_rules
from apps.tenants.models import Tenant, User


def export() -> dict[str, Any]:
    """The platform as the data of a declarative file, version 1."""
    allowed = administrators_rules()
    proved = HostName.objects.filter(state=HostState.PROVED)
    return {
        "version": 1,
        **({"egress": {"allow": allowed}} if allowed else {}),
        "tenants": [_tenant(tenant) for tenant in Tenant.objects.prefetch_related(Prefetch("hosts", proved))],
        "users": [_user(user) for user in User.objects.filter(is_active=True).prefetch_related("memberships__tenant")],
        "issuers": [issuer_document(issuer) for issuer in Issuer.objects.select_related("tenant")],
        "introspections": [introspection_document(each) for each in Introspection.objects.select_related("tenant")],
        "plans": [plan_document(plan) for plan in Plan.objects.order_by("slug")],
        "apis": [
            _api(api)
            for api in API.objects.select_related("tenant", "cache_policy")
            .prefetch_related("upstreams")
            .order_by("slug")
        ],
        "applications": [
            _application(application)
            for application in Application.objects.select_related("tenant").prefetch_related(
                "keys__issuer", "keys__introspection"
            )
        ],
        "subscriptions": [
            _subscription(subscription)
            for subscription in Subscription.objects.filter(state__in=LIVE)
            .select_related("application__tenant", "api", "plan")
            .order_by("application__tenant__slug", "application__slug", "api__slug")
        ],
    }


def as_yaml(data: dict[str, Any]) -> str:
    """The file's text: names in their own order, no aliases."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Lines(str):
    """A text that stands in the file line by line."""


_Dumper.add_representer(
    _Lines, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)


def _api(api: API) -> dict[str, Any]:
    described = operations_document(api)
    if "openapi" in described:
        described["openapi"] = _Lines(described["openapi"])
    return to_document(api) | described


def _tenant(tenant: Tenant) -> dict[str, Any]:
    own: dict[str, Any] = {"egress": {"allow": list(tenant.egress)}} if tenant.egress else {}
    if hosts := [name.host for name in tenant.hosts.all()]:
        own["hosts"] = hosts
    return {"slug": tenant.slug, "name": tenant.name, **own}


def _user(user: User) -> dict[str, Any]:
    memberships = [{"tenant": row.tenant.slug, "role": str(row.role)} for row in user.memberships.all()]
    return {
        "email": user.email,
        "name": user.name,
        "administrator": user.is_administrator,
        "memberships": memberships,
    }


def _application(application: Application) -> dict[str, Any]:
    active = [row for row in application.keys.all() if row.state == KeyState.ACTIVE and row.api_id is None]
    by_kind = {kind: [row for row in active if row.kind == kind] for kind in CredentialKind}
    further = {
        "client_ids": [_client_id(row) for row in by_kind[CredentialKind.CLIENT_ID]],
        "certificates": [{"name": row.name} | _bounds(row) for row in by_kind[CredentialKind.CERTIFICATE]],
        "signing_keys": [
            {"name": row.name, "key_id": row.identifier} | _end(row) | _bounds(row)
            for row in by_kind[CredentialKind.SIGNING_KEY]
        ],
    }
    return {
        "tenant": application.tenant.slug,
        "slug": application.slug,
        "name": application.name,
        "description": application.description,
        "keys": [{"name": row.name} | _end(row) | _bounds(row) for row in by_kind[CredentialKind.API_KEY]],
        **{word: listed for word, listed in further.items() if listed},
    }


def _end(row: Credential) -> dict[str, Any]:
    return {"expires_at": row.expires_at.isoformat()} if row.expires_at else {}


def _bounds(row: Credential) -> dict[str, Any]:
    return {bound: kept for bound in BOUNDS if (kept := getattr(row, bound)) is not None}


def _client_id(row: Credential) -> str | dict[str, str]:
    if row.issuer:
        return {"client_id": row.identifier, "issuer": row.issuer.slug}
    if row.introspection:
        return {"client_id": row.identifier, "introspection": row.introspection.slug}
    return row.identifier


def _subscription(subscription: Subscription) -> dict[str, Any]:
    application = subscription.application
    document: dict[str, Any] = {
        "application": f"{application.tenant.slug}/{application.slug}",
        "api": subscription.api.slug,
        "plan": subscription.plan.slug,
        "state": str(subscription.state),
    }
    if subscription.expires_at:
        document["expires_at"] = subscription.expires_at.isoformat()
    return document

"""Every policy of the control plane, for everybody of the cast. A policy without a row here fails."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from apps.access import policies as access
from apps.access.services import token_revoke
from apps.audit.selectors import entries_visible_to
from apps.catalog import policies as catalog
from apps.catalog.models import API
from apps.invalidation import policies as invalidation
from apps.purging import policies as caching
from apps.tenants import policies as tenants
from apps.tenants.actors import PLATFORM
from apps.tenants.invitations import invitation_create
from apps.tenants.models import Tenant, User
from apps.tenants.services import user_deactivate
from apps.warming import policies as warming
from tests.support.cast import (
    Cast,
    make_api,
    make_application,
    make_introspection,
    make_issuer,
    make_key,
    make_plan,
    make_request,
    make_subscription,
    make_token,
)

MODULES: dict[str, ModuleType] = {
    "tenants": tenants,
    "catalog": catalog,
    "access": access,
    "caching": caching,
    "invalidation": invalidation,
    "warming": warming,
}
PEOPLE = ("alice", "bob", "vera", "charlie", "olga", "ada")

# Who may, of: alice (owner of acme), bob (its developer), vera (its viewer), charlie (owner of globex), olga (owner of platform,
# whose API it is), ada (administrator). Objects are acme's, but APIs are platform's.
ALLOWED: dict[str, str] = {
    "tenants.can_create_user": "ada",
    "tenants.can_update_user": "bob ada",
    "tenants.can_administrate_user": "ada",
    "tenants.can_set_password": "bob ada",
    "tenants.can_create_tenant": "ada",
    "tenants.can_view_tenant": "alice bob vera ada",
    "tenants.can_update_tenant": "alice ada",
    "tenants.can_suspend_tenant": "ada",
    "tenants.can_delete_tenant": "ada",
    "tenants.can_manage_members": "alice ada",
    "tenants.can_add_members": "ada",
    "tenants.can_create_token": "bob",
    "tenants.can_revoke_token": "bob ada",
    "catalog.can_create_api": "olga ada",
    "catalog.can_view_api": "alice bob vera charlie olga ada",
    "catalog.can_view_configuration": "olga ada",
    "catalog.can_edit_api": "olga ada",
    "catalog.can_publish_api": "olga ada",
    "catalog.can_delete_api": "olga ada",
    "catalog.can_view_hosts": "alice bob vera ada",
    "catalog.can_manage_hosts": "alice bob ada",
    "access.can_manage_plans": "ada",
    "access.can_create_application": "alice bob ada",
    "access.can_view_application": "alice bob vera ada",
    "access.can_edit_application": "alice bob ada",
    "access.can_manage_keys": "alice bob ada",
    "access.can_add_issuer": "alice bob ada",
    "access.can_edit_issuer": "alice bob ada",
    "access.can_revoke_tokens": "alice bob ada",
    "access.can_add_introspection": "alice bob ada",
    "access.can_edit_introspection": "alice bob ada",
    "access.can_add_client_id": "alice bob ada",
    "access.can_request_access": "alice bob ada",
    "access.can_view_request": "alice bob vera olga ada",
    "access.can_edit_request": "alice bob ada",
    "access.can_cancel_request": "alice bob ada",
    "access.can_decide_request": "olga ada",
    "access.can_approve_for": "olga ada",
    "access.can_manage_subscription": "olga ada",
    "access.can_revoke_subscription": "alice olga ada",
    "caching.can_purge": "olga ada",
    "caching.can_explain": "alice bob vera olga ada",
    "invalidation.can_configure": "olga ada",
    "warming.can_push": "olga ada",
    "warming.can_warm_up": "olga ada",
    "warming.can_cancel": "olga ada",
}

# Who sees the one row of acme (a request, a key, …) or of platform (an API's upstream, …).
SEEN: dict[str, str] = {
    "tenants.users_visible_to": "alice bob vera ada",
    "tenants.tenants_visible_to": "alice bob vera ada",
    "tenants.memberships_visible_to": "alice bob vera ada",
    "tenants.tokens_visible_to": "bob ada",
    "tenants.invitations_visible_to": "alice ada",
    "catalog.apis_visible_to": "alice bob vera charlie olga ada",
    "catalog.operations_visible_to": "alice bob vera charlie olga ada",
    "catalog.upstreams_visible_to": "olga ada",
    "catalog.hosts_visible_to": "alice bob vera ada",
    "catalog.revisions_visible_to": "olga ada",
    "catalog.apis_editable_by": "olga ada",
    "catalog.apis_configured_by": "olga ada",
    "catalog.apis_in_catalogue": "alice bob vera charlie olga ada",
    "access.plans_visible_to": "alice bob vera charlie olga ada",
    "access.applications_visible_to": "alice bob vera ada",
    "access.applications_usable_by": "alice bob ada",
    "access.keys_visible_to": "alice bob vera ada",
    "access.issuers_visible_to": "alice bob vera ada",
    "access.revocations_visible_to": "alice bob ada",
    "access.introspections_visible_to": "alice bob vera ada",
    "access.requests_visible_to": "alice bob vera olga ada",
    "access.requests_decidable_by": "olga ada",
    "access.subscriptions_visible_to": "alice bob vera olga ada",
    "caching.purges_visible_to": "olga ada",
    "caching.applications_explainable_by": "alice bob vera olga ada",
    "invalidation.webhooks_visible_to": "olga ada",
    "invalidation.cdns_visible_to": "olga ada",
    "invalidation.refused_messages_visible_to": "ada",
    "warming.warm_ups_visible_to": "olga ada",
    "tenants.tenants_of": "alice bob vera ada",
}


def own(module: ModuleType, *prefixes: str) -> list[str]:
    return [
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and any(part in name for part in prefixes)
    ]


def test_every_policy_has_a_row_here():
    verbs = {f"{app}.{name}" for app, module in MODULES.items() for name in own(module, "can_")}
    queries = {
        f"{app}.{name}"
        for app, module in MODULES.items()
        for name in own(module, "_visible_to", "_by", "_of", "_in_cat")
    }
    assert verbs == set(ALLOWED)
    assert queries == set(SEEN)


@pytest.fixture
def world(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One of everything: an API of platform; an application, a key, a request, a subscription and a token of acme's Bob."""
    from apps.caching.models import Purge
    from apps.catalog import openapi
    from apps.catalog.openapi import reading
    from apps.catalog.services import host_grant, openapi_import
    from apps.invalidation.models import CDN, PurgeWebhook, RefusedMessage
    from apps.warming.models import WarmUp

    # Without a process for the document of each test.
    monkeypatch.setattr(openapi, "read_aside", lambda content, tenant: reading.read(content))
    api = make_api(cast.platform)
    openapi_import(actor=PLATFORM, api=api, content=OPENAPI)
    application = make_application(cast.acme)
    plan = make_plan()
    subscription = make_subscription(application, api, plan)
    make_key(application)
    invitation_create(actor=cast.alice, tenant=cast.acme, email="nina@else.test", role="viewer")
    request = make_request(cast.bob, application, api, make_plan("large"))
    token = make_token(cast.bob).token
    Purge.objects.create(api_slug=api.slug, kind="api", clock=1)
    PurgeWebhook.objects.create(api=api, secret="made-up", changed_at=timezone.now())
    CDN.objects.create(api=api)
    host_grant(actor=PLATFORM, tenant=cast.acme, host="acme.test")
    RefusedMessage.objects.create(source="queue", detail="It isn't JSON.", body="?")
    issuer = make_issuer("own", cast.acme)
    token_revoke(actor=PLATFORM, issuer=issuer, jti="1")
    return {
        "cast": cast,
        "user": cast.bob,
        "tenant": cast.acme,
        "api": api,
        "application": application,
        "access_request": request,
        "issuer": issuer,
        "server": make_introspection("own", cast.acme),
        "subscription": subscription,
        "token": token,
        "owner": cast.bob,
        "warm_up": WarmUp.objects.create(api_slug=api.slug, rate=1.0),
        "subscribed": True,
    }


OPENAPI = b"""
openapi: 3.0.3
info: {title: Products, version: '1'}
paths: {/items: {get: {responses: {'200': {description: fine}}}}}
"""


def ask(name: str, world: dict[str, Any], user: Any) -> bool:
    app, verb = name.split(".")
    function: Callable[..., bool] = getattr(MODULES[app], verb)
    objects = dict(world) | {"obj": world["user"]}
    if name == "catalog.can_create_api":
        objects["tenant"] = world["cast"].platform
    return function(
        user, **{parameter: objects[parameter] for parameter in list(inspect.signature(function).parameters)[1:]}
    )


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_a_policy_lets_in_exactly_those_whom_it_names(name: str, world: dict[str, Any]):
    may = {person for person in PEOPLE if ask(name, world, getattr(world["cast"], person))}
    assert may == set(ALLOWED[name].split())


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_nobody_a_stranger_and_a_deactivated_administrator_may_nothing(name: str, world: dict[str, Any]):
    gone = user_deactivate(actor=PLATFORM, user=world["cast"].ada)
    assert not ask(name, world, None)
    assert not ask(name, world, AnonymousUser())
    assert not ask(name, world, gone)


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_the_platform_may_everything(name: str, world: dict[str, Any]):
    assert ask(name, world, PLATFORM)


def rows(name: str, world: dict[str, Any], user: Any) -> bool:
    app, query = name.split(".")
    found = getattr(MODULES[app], query)(user)
    if found.model is User:
        return found.filter(pk=world["cast"].bob.pk).exists()
    if found.model is Tenant:
        return found.filter(slug="acme").exists()
    if query == "memberships_visible_to":
        return found.filter(tenant__slug="acme", user=world["cast"].bob).exists()
    return found.exists()


@pytest.mark.parametrize("name", sorted(SEEN))
def test_a_list_shows_rows_to_exactly_those_whom_it_names(name: str, world: dict[str, Any]):
    see = {person for person in PEOPLE if rows(name, world, getattr(world["cast"], person))}
    assert see == set(SEEN[name].split())


@pytest.mark.parametrize("name", sorted(SEEN))
def test_nobody_a_stranger_and_a_deactivated_administrator_see_nothing(name: str, world: dict[str, Any]):
    gone = user_deactivate(actor=PLATFORM, user=world["cast"].ada)
    for user in (None, AnonymousUser(), gone):
        assert not rows(name, world, user)


def test_a_draft_is_seen_by_its_own_tenant_alone(cast: Cast):
    draft = make_api(cast.acme, slug="plans", publish=False)
    for person in PEOPLE:
        user = getattr(cast, person)
        own_tenant = person in {"alice", "bob", "vera", "ada"}
        assert catalog.can_view_api(user, draft) is own_tenant
        assert catalog.apis_visible_to(user).filter(pk=draft.pk).exists() is own_tenant
        assert not catalog.apis_in_catalogue(user).filter(pk=draft.pk).exists()


def test_a_draft_request_is_no_business_of_the_approver(cast: Cast):
    request = make_request(cast.bob, make_application(cast.acme), make_api(cast.platform), submit=False)
    assert not access.requests_visible_to(cast.olga).filter(pk=request.pk).exists()
    assert access.requests_visible_to(cast.vera).filter(pk=request.pk).exists()


def test_audit_entries_are_seen_by_the_tenant_that_they_concern(cast: Cast):
    make_application(cast.acme)
    assert entries_visible_to(cast.ada).count() > entries_visible_to(cast.vera).count() > 0
    assert set(entries_visible_to(cast.vera).values_list("tenant_slug", flat=True)) == {"acme"}
    assert entries_visible_to(cast.charlie).filter(tenant_slug="acme").count() == 0
    for nobody in (None, AnonymousUser()):
        assert not entries_visible_to(nobody).exists()


def test_a_developer_may_edit_an_own_api_but_not_publish_it(cast: Cast):
    api: API = make_api(cast.acme)
    assert catalog.can_edit_api(cast.bob, api)
    assert not catalog.can_publish_api(cast.bob, api)
    assert catalog.can_publish_api(cast.alice, api)
    assert not catalog.can_edit_api(cast.vera, api)


#: who reads a right or memberships off a user: the console (its sessions are no tokens), and what acts for the platform
READS_BY_ITSELF = (
    *("apps/console/", "apps/tenants/", "apps/supervisor/first_start.py", "apps/declarative/"),
    *("apps/rest/errors.py", "apps/notifications/sides.py"),
)


def test_nothing_reads_rights_past_the_token_by_which_somebody_acts():
    """A room that asks ``user.is_administrator`` would let a token with the scope ``read`` administrate: it asks the policies."""
    base = Path(settings.BASE_DIR)
    past = re.compile(r"\b(user|actor|caller)\.(is_administrator|is_staff|memberships|tenants)\b|Membership\.objects")
    found = [
        f"{file.relative_to(base)}:{number}"
        for file in sorted((base / "apps").rglob("*.py"))
        if "migrations" not in file.parts and not str(file.relative_to(base)).startswith(READS_BY_ITSELF)
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if past.search(line)
    ]
    assert found == []
    policies = (base / "apps/tenants/policies.py").read_text()
    assert not re.search(r"\b(user|actor)\.(is_administrator|memberships)\b", policies)

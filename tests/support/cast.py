"""The people and things of the tests. Alice owns it, Bob is on her team, Vera views, Charlie is a stranger, Ada administrates.

Everything is made by the services, as the platform, so that it is as real as in an installation.
"""

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import DateTimeField, Model
from django.utils import timezone

from apps.access import services as access
from apps.access.models import AccessRequest, Application, Introspection, Issuer, Plan, Subscription
from apps.access.services import NewKey
from apps.audit.models import Entry
from apps.catalog import services as catalog
from apps.catalog.models import API
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role, TokenScope
from apps.tenants.models import Tenant, User
from apps.tenants.services import NewToken
from tests.support.public_keys import EC_KEY

PASSWORD = "correct horse battery staple"
"""Everybody's."""


@dataclass
class Cast:
    """Who is who. ``acme`` and ``globex`` are tenants that call; ``platform`` owns APIs (Olga owns it)."""

    platform: Tenant
    acme: Tenant
    globex: Tenant
    alice: User
    bob: User
    vera: User
    charlie: User
    olga: User
    ada: User


@pytest.fixture
def cast(db: None) -> Cast:
    """Alice owns acme, Bob develops and Vera views there; Charlie owns globex; Olga owns platform; Ada administrates."""
    return _rows.cast()


class _Rows:
    """What making the cast leaves in the database: the services make it once in a process, then its rows are written as
    they were, a query a table instead of 150. Only where ids begin anew in each test: PostgreSQL's sequences go on.
    """

    def __init__(self) -> None:
        self._made: Cast | None = None
        self._rows: list[tuple[type[Model], list[Any]]] = []
        self._at = timezone.now()

    def cast(self) -> Cast:
        if connection.vendor != "sqlite" or User.objects.exists():
            return make_cast()
        if self._made is None:
            before = {model: self._all(model) for model in apps.get_models()}
            self._at, self._made = timezone.now(), make_cast()
            self._rows = [(model, rows) for model in before if (rows := self._all(model)) != before[model]]
            assert all(not before[model] for model, _ in self._rows), "what a migration made was changed"
        else:
            for model, rows in self._rows:
                model._base_manager.bulk_create(self._as_of_now(row) for row in rows)
        return Cast(**{name: self._as_of_now(each) for name, each in vars(self._made).items()})

    def _as_of_now(self, row: Any) -> Any:
        if isinstance(row, Entry):  # its hash is of the time that it has
            return row
        row, passed = deepcopy(row), timezone.now() - self._at
        for field in row._meta.concrete_fields:
            if isinstance(field, DateTimeField) and (value := getattr(row, field.attname)) is not None:
                setattr(row, field.attname, value + passed)
        return row

    def _all(self, model: type[Model]) -> list[Any]:
        return list(model._base_manager.order_by("pk")) if model._meta.managed else []


_rows = _Rows()


def make_cast() -> Cast:
    """The cast, for tests that manage their own database."""
    platform, acme, globex = make_tenant("platform"), make_tenant("acme"), make_tenant("globex")
    return Cast(
        platform=platform,
        acme=acme,
        globex=globex,
        alice=make_user("alice@acme.test", acme, Role.OWNER),
        bob=make_user("bob@acme.test", acme, Role.DEVELOPER),
        vera=make_user("vera@acme.test", acme, Role.VIEWER),
        charlie=make_user("charlie@globex.test", globex, Role.OWNER),
        olga=make_user("olga@platform.test", platform, Role.OWNER),
        ada=make_user("ada@platform.test", is_administrator=True),
    )


def make_tenant(slug: str = "acme", name: str = "") -> Tenant:
    """A tenant."""
    return tenants.tenant_create(actor=PLATFORM, slug=slug, name=name or slug.title())


def make_user(
    email: str, tenant: Tenant | None = None, role: Role = Role.DEVELOPER, *, is_administrator: bool = False
) -> User:
    """A user who signs in with ``PASSWORD``, and is a member of ``tenant``."""
    user = tenants.user_create(
        actor=PLATFORM,
        email=email,
        name=email.split("@")[0].title(),
        password=PASSWORD,
        is_administrator=is_administrator,
    )
    if tenant:
        tenants.membership_set(actor=PLATFORM, tenant=tenant, user=user, role=role)
    return user


def make_token(
    user: User, scope: TokenScope | None = None, tenant: Tenant | None = None, name: str = "script"
) -> NewToken:
    """A token of ``user`` for a day, of the widest scope that they may have unless another is given."""
    scope = scope or (TokenScope.ADMIN if user.is_administrator else TokenScope.WRITE)
    return tenants.token_create(
        actor=user, user=user, name=name, scope=scope, tenant=tenant, expires_at=timezone.now() + timedelta(days=1)
    )


def confirm(client: Any) -> None:
    """Have the person in ``client``'s session give their password again."""
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302


def make_api(
    tenant: Tenant,
    slug: str = "products",
    upstream: str = "http://127.0.0.1:9/",
    *,
    publish: bool = True,
    policy: Any = None,
    **fields: Any,
) -> API:
    """An API on ``/<slug>/``, published."""
    fields = {"name": slug.title(), "listen_path": f"/{slug}/"} | fields
    api = catalog.api_create(
        actor=PLATFORM, tenant=tenant, slug=slug, upstreams=[{"url": upstream}], policy=policy, **fields
    )
    return catalog.api_publish(actor=PLATFORM, api=api) if publish else api


def make_plan(slug: str = "standard", **fields: Any) -> Plan:
    """A plan: 100 calls a second, a million a month."""
    defaults: dict[str, Any] = {"name": slug.title(), "rate_calls": 100, "burst": 200, "quota": 1_000_000}
    return access.plan_create(actor=PLATFORM, slug=slug, **(defaults | fields))


def make_application(tenant: Tenant, slug: str = "bot") -> Application:
    """An application."""
    return access.application_create(actor=PLATFORM, tenant=tenant, slug=slug, name=slug.title())


def make_issuer(slug: str = "corp", tenant: Tenant | None = None, **fields: Any) -> Issuer:
    """An issuer of the platform, or of ``tenant``, with a public key (ES256), unless its keys are elsewhere."""
    usual: dict[str, Any] = {"issuer": "https://id.corp.test/", "algorithms": ["ES256"], "audience": ["apimgr"]}
    if not fields.keys() & {"jwks_url", "discovery", "secret"}:
        usual["jwks"] = {"keys": [EC_KEY]}
    return access.issuer_create(actor=PLATFORM, slug=slug, tenant=tenant, **(usual | fields))


def make_introspection(slug: str = "legacy", tenant: Tenant | None = None, **fields: Any) -> Introspection:
    """An introspection server of the platform, or of ``tenant``, which gateways ask without a name."""
    usual: dict[str, Any] = {"url": "https://id.corp.test/introspect"}
    return access.introspection_create(actor=PLATFORM, slug=slug, tenant=tenant, **(usual | fields))


def make_key(application: Application, name: str = "ci", expires_at: datetime | None = None) -> NewKey:
    """A key, with its secret."""
    return access.key_create(actor=PLATFORM, application=application, name=name, expires_at=expires_at)


def make_subscription(
    application: Application,
    api: API,
    plan: Plan | None = None,
    state: str = "active",
    expires_at: datetime | None = None,
) -> Subscription:
    """A subscription, under the plan ``standard`` unless another is given; ``state``: active, suspended or revoked."""
    plan = plan or Plan.objects.filter(slug="standard").first() or make_plan()
    subscription = access.subscription_create(
        actor=PLATFORM, application=application, api=api, plan=plan, expires_at=expires_at
    )
    if state == "suspended":
        access.subscription_suspend(actor=PLATFORM, subscription=subscription)
    elif state == "revoked":
        access.subscription_revoke(actor=PLATFORM, subscription=subscription)
    return subscription


def make_request(
    actor: User, application: Application, api: API, plan: Plan | None = None, *, submit: bool = True
) -> AccessRequest:
    """An access request of ``actor``, submitted."""
    plan = plan or Plan.objects.filter(slug="standard").first() or make_plan()
    return access.request_create(
        actor=actor, application=application, api=api, plan=plan, reason="To build the shop.", submit=submit
    )

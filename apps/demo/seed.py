"""The demo's world: two tenants, people in each role, APIs in each cache mode, keys, and a request that waits for a decision.

Everything is made by the services that the console uses, by the people who would do it there, so that the audit log reads like
the first day of an installation.
"""

import secrets
from pathlib import Path

from django.db import transaction

from apps.access.models import AccessRequest, Application, Plan
from apps.access.services import (
    application_create,
    key_create,
    plan_create,
    request_approve,
    request_create,
    subscription_create,
)
from apps.catalog.models import API
from apps.catalog.services import api_create, api_publish
from apps.demo.credentials import Credentials, Person, keep
from apps.demo.offers import OFFERS, PLANS
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from apps.tenants.egress import guard_of, tenant_egress_update
from apps.tenants.models import Tenant, User
from apps.tenants.services import HashedPassword, membership_set, tenant_create, user_create

PROVIDER, CONSUMER = "acme", "globex"
TENANTS = {PROVIDER: "Acme Outfitters", CONSUMER: "Globex Travel"}
CALLER = f"{CONSUMER}/mobile"
CALL = "/catalogue/items/4711"  # which no call of the demo's own asks for: the reader's first one is a MISS
ORIGIN_HOST = "127.0.0.1"


def is_empty() -> bool:
    """Whether the installation is unused: no tenant. The demo never mixes with a user's own work."""
    return not Tenant.objects.exists()


def plant(data: Path, *, origin_port: int) -> Credentials:
    """Make all of it, or nothing, with the origin on ``origin_port``; keeps the secrets in ``data``."""
    seed = _Seed(origin_port)
    with transaction.atomic():
        credentials = seed.plant()
    keep(data, credentials)
    return credentials


def let_demo_reach(tenant: Tenant, port: int) -> None:
    """Let the demo's APIs lead to its origin on this machine, where egress rules don't allow that anyway."""
    if guard_of(tenant).refusal_of_text(ORIGIN_HOST, port):
        own = [text for text in tenant.egress if not text.startswith(f"{ORIGIN_HOST}:")]
        tenant_egress_update(actor=PLATFORM, tenant=tenant, allow=[*own, f"{ORIGIN_HOST}:{port}"])


class _Seed:
    def __init__(self, origin_port: int) -> None:
        self.origin_port = origin_port
        self.password = HashedPassword(f"demo-{secrets.token_urlsafe(9)}")
        self.people: dict[tuple[str, Role], User] = {}
        self.applications: dict[str, Application] = {}

    def plant(self) -> Credentials:
        tenants = {slug: self._tenant(slug, name) for slug, name in TENANTS.items()}
        let_demo_reach(tenants[PROVIDER], self.origin_port)
        plans = {fields["slug"]: plan_create(actor=PLATFORM, **fields) for fields in PLANS}
        apis = {slug: self._api(tenants[PROVIDER], slug) for slug in OFFERS}
        keys = {
            f"{tenant}/{slug}": self._application(tenants[tenant], slug, name)
            for tenant, slug, name in (
                (PROVIDER, "storefront", "Storefront"),
                (CONSUMER, "mobile", "Mobile app"),
                (CONSUMER, "reports", "Nightly reports"),
            )
        }
        for api in apis.values():
            subscription_create(
                actor=PLATFORM, application=self.applications["acme/storefront"], api=api, plan=plans["partner"]
            )
        self._approved(
            "globex/mobile", apis["catalogue"], plans["standard"], "Our app shows your tents on its start page."
        )
        self._ask("globex/mobile", apis["search"], plans["standard"], "Travellers search by what they pack.")
        self._approved("globex/mobile", apis["delivery"], plans["standard"], "We show when it arrives.")
        self._approved("globex/reports", apis["catalogue"], plans["trial"], "A price list every night.")
        self._ask("globex/mobile", apis["bestsellers"], plans["standard"], "Recommendations for the new start page.")
        return Credentials(
            password=self.password.text,
            people=[Person(user.email, role.value, tenant) for (tenant, role), user in self.people.items()],
            keys=keys,
            caller=CALLER,
            call=CALL,
            origin_port=self.origin_port,
        )

    def _tenant(self, slug: str, name: str) -> Tenant:
        for role in Role:
            self.people[slug, role] = user_create(
                actor=PLATFORM,
                email=f"{role.value}@{slug}.test",
                name=f"{slug.capitalize()}'s {role.label.lower()}",
                password=self.password,
            )
        tenant = tenant_create(actor=PLATFORM, slug=slug, name=name, owner=self.people[slug, Role.OWNER])
        for role in (Role.DEVELOPER, Role.VIEWER):
            membership_set(actor=PLATFORM, tenant=tenant, user=self.people[slug, role], role=role)
        return tenant

    def _api(self, tenant: Tenant, slug: str) -> API:
        offer = OFFERS[slug]
        api = api_create(
            actor=self.people[PROVIDER, Role.DEVELOPER],
            tenant=tenant,
            slug=slug,
            upstreams=[{"url": f"http://{ORIGIN_HOST}:{self.origin_port}{offer.origin_path}", "weight": 1}],
            policy=offer.policy,
            operations=offer.operations,
            **offer.fields,
        )
        api_publish(actor=self.people[PROVIDER, Role.OWNER], api=api)
        return api

    def _application(self, tenant: Tenant, slug: str, name: str) -> str:
        developer = self.people[tenant.slug, Role.DEVELOPER]
        application = application_create(actor=developer, tenant=tenant, slug=slug, name=name)
        self.applications[f"{tenant.slug}/{slug}"] = application
        return key_create(actor=developer, application=application, name="demo").secret

    def _ask(self, application: str, api: API, plan: Plan, reason: str) -> AccessRequest:
        developer = self.people[application.split("/")[0], Role.DEVELOPER]
        return request_create(
            actor=developer, application=self.applications[application], api=api, plan=plan, reason=reason
        )

    def _approved(self, application: str, api: API, plan: Plan, reason: str) -> None:
        asked = self._ask(application, api, plan, reason)
        request_approve(actor=self.people[PROVIDER, Role.OWNER], access_request=asked, comment="Welcome aboard.")

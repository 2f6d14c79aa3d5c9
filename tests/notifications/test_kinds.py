"""No change of a subscription, a request, a key, a plan, an API or a tenant goes unheard, unless it is declared silent."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.access import services as access
from apps.access.choices import REQUEST_WORKFLOW, SUBSCRIPTION_WORKFLOW, Side
from apps.access.models import AccessRequest, Credential, Subscription
from apps.access.services.leaked_keys import FoundText
from apps.catalog import services as catalog
from apps.catalog.choices import LIFECYCLE
from apps.notifications.kinds import KINDS, SILENT
from apps.notifications.models import Notification
from apps.notifications.services import ends_notify
from apps.tenants import services as tenants
from apps.wire.api_keys import digest
from tests.notifications.conftest import Scene
from tests.support.cast import make_application, make_plan, make_request

APPS = Path(__file__).parents[2] / "apps"
NOUNS = "request|subscription|key|client_id|certificate|signing_key|issuer|revocation|introspection|application|plan|api|tenant"


def verbs() -> set[str]:
    """Every verb by which the services change these things: those they spell, and those of the workflow tables."""
    sources = [*APPS.glob("*/services.py"), *APPS.glob("*/services/*.py")]
    spelt = {verb for path in sources for verb in re.findall(rf'"((?:{NOUNS})\.[a-z_]+)"', path.read_text())}
    return (
        {verb for verb in spelt if not verb.endswith(".ends_soon")}
        | {f"request.{verb.value}" for verb in REQUEST_WORKFLOW}
        | {f"subscription.{verb.value}" for verb in SUBSCRIPTION_WORKFLOW}
        | {f"api.{transition.value}" for transition in LIFECYCLE}
    )


def test_every_change_notifies_somebody_or_is_declared_silent():
    declared = {kind for kind in KINDS if not kind.endswith(".ends_soon")}
    assert not KINDS.keys() & SILENT.keys()
    assert verbs() - declared - SILENT.keys() == set(), "give it a line in KINDS, or in SILENT with the reason"
    assert (declared | SILENT.keys()) - verbs() == set(), "no service makes this change"
    assert len(verbs()) > 35


def asked(scene: Scene) -> AccessRequest:
    """A request of another application of acme's."""
    found = make_request(scene.people.bob, make_application(scene.people.acme, "second"), scene.api, scene.plan)
    Notification.objects.all().delete()
    return found


def suspended(scene: Scene) -> Subscription:
    access.subscription_suspend(actor=scene.people.ada, subscription=scene.subscription)
    Notification.objects.all().delete()
    return scene.subscription


def ending(scene: Scene, days: int, made: int = 100) -> None:
    """Key and subscription end in some days, and were made some days ago."""
    now = timezone.now()
    for rows in (Credential.objects.all(), Subscription.objects.all()):
        rows.update(created_at=now - timedelta(days=made), expires_at=now + timedelta(days=days))


def on_its_end(scene: Scene) -> None:
    ending(scene, -1)
    access.subscriptions_expire(now=timezone.now())


def found_elsewhere(scene: Scene) -> None:
    secret = "a-key-that-was-found"
    Credential.objects.filter(pk=scene.key.pk).update(digest=digest(settings.KEY_PEPPER, secret))
    access.leaked_keys_check(actor=scene.people.ada, found=[FoundText(secret)])


def used_after_it_was_replaced(scene: Scene) -> None:
    now = timezone.now()
    new = access.key_rotate(actor=scene.people.ada, key=scene.key).key
    Credential.objects.filter(pk=new.pk).update(created_at=now - timedelta(hours=20))
    Credential.objects.filter(pk=scene.key.pk).update(expires_at=now + timedelta(hours=4), last_used_at=now)
    ends_notify(now=now)


def before_its_end(scene: Scene) -> None:
    ending(scene, 13)
    ends_notify(now=timezone.now())


def deprecated_before(scene: Scene) -> None:
    catalog.api_deprecate(actor=scene.people.ada, api=scene.api)
    Notification.objects.all().delete()
    catalog.api_publish(actor=scene.people.ada, api=scene.api)


def suspended_tenant(scene: Scene) -> None:
    tenants.tenant_suspend(actor=scene.people.ada, tenant=scene.people.acme)
    Notification.objects.all().delete()
    tenants.tenant_resume(actor=scene.people.ada, tenant=scene.people.acme)


#: how Ada, who is on neither side, makes each change
MADE: dict[str, Callable[[Scene], object]] = {
    "request.submit": lambda s: make_request(s.people.ada, make_application(s.people.acme, "second"), s.api, s.plan),
    "request.ask": lambda s: access.request_ask(actor=s.people.ada, access_request=asked(s), comment="How many?"),
    "request.approve": lambda s: access.request_approve(actor=s.people.ada, access_request=asked(s)),
    "request.reject": lambda s: access.request_reject(actor=s.people.ada, access_request=asked(s), comment="No."),
    "request.cancel": lambda s: access.request_cancel(actor=s.people.ada, access_request=asked(s)),
    "subscription.create": lambda s: access.subscription_create(
        actor=s.people.ada, application=make_application(s.people.acme, "second"), api=s.api, plan=s.plan
    ),
    "subscription.change_plan": lambda s: access.subscription_change_plan(
        actor=s.people.ada, subscription=s.subscription, plan=make_plan("gold")
    ),
    "subscription.suspend": lambda s: access.subscription_suspend(actor=s.people.ada, subscription=s.subscription),
    "subscription.resume": lambda s: access.subscription_resume(actor=s.people.ada, subscription=suspended(s)),
    "subscription.revoke": lambda s: access.subscription_revoke(actor=s.people.ada, subscription=s.subscription),
    "subscription.expire": on_its_end,
    "subscription.ends_soon": before_its_end,
    "key.revoke": lambda s: access.key_revoke(actor=s.people.ada, key=s.key),
    "key.leak": found_elsewhere,
    "key.ends_soon": before_its_end,
    "replaced_key.ends_soon": used_after_it_was_replaced,
    "plan.update": lambda s: access.plan_update(actor=s.people.ada, plan=s.plan, quota=10),
    "api.publish": deprecated_before,
    "api.unpublish": lambda s: catalog.api_unpublish(actor=s.people.ada, api=s.api),
    "api.deprecate": lambda s: catalog.api_deprecate(actor=s.people.ada, api=s.api),
    "api.retire": lambda s: catalog.api_retire(actor=s.people.ada, api=s.api),
    "tenant.suspend": lambda s: tenants.tenant_suspend(actor=s.people.ada, tenant=s.people.acme),
    "tenant.resume": suspended_tenant,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_people_of_each_side_are_notified_and_may_open_what_it_leads_to(
    scene: Scene, state_redis: object, kind: str
):
    MADE[kind](scene)
    expected = {Side.CALLER: {"alice", "bob"}, Side.PROVIDER: {"olga"}}
    assert scene.told(kind) == set().union(*(expected[side] for side in KINDS[kind].to))
    for row in Notification.objects.filter(kind=kind).select_related("user"):
        assert "{" not in row.title
        browser = Client()
        browser.force_login(row.user)
        assert browser.get(row.path).status_code == 200, (row.user, row.path)


def test_whoever_comments_on_a_step_reads_whom_it_is_brought_to(scene: Scene, state_redis: object):
    """A word for the audit log alone may be one that no other tenant should read."""
    ada = Client()
    ada.force_login(scene.people.ada)
    steps = [reverse("console:api_step", args=[scene.api.slug, step.value]) for step in LIFECYCLE]
    switch = reverse("console:tenant_switch", args=["acme"])
    for address in [*steps, reverse("console:key_revoke", args=[scene.key.pk]), switch]:
        assert "who are notified" in ada.get(address).text, address
    tenants.tenant_suspend(actor=scene.people.ada, tenant=scene.people.acme)
    assert "who are notified" in ada.get(switch).text

"""A right that is gone ends what was stored under it, in the same push that takes it."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.access import services as access
from apps.access.models import Plan
from apps.fleet import state
from apps.fleet.receipts import wait_for_receipt
from apps.fleet.tasks import reconcile
from apps.httpcache import Identity, Policy, StoredResponse, subject_of_key
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.wire import redis_names
from tests.httpcache.build import plan, stored
from tests.support.cast import make_api, make_application, make_key, make_plan, make_subscription, make_tenant


class House:
    """A subscription of acme's bot to two APIs, and what a worker stored for it in each scope."""

    def __init__(self, workers: Callable[..., Any]) -> None:
        platform, self.acme = make_tenant("platform"), make_tenant("acme")
        make_plan()
        self.bot = make_application(self.acme)
        self.key = make_key(self.bot).key
        self.other_key = make_key(self.bot, "other").key
        self.subscription = make_subscription(self.bot, make_api(platform))
        self.elsewhere = make_subscription(self.bot, make_api(platform, "orders"))
        self.workers = [workers(), workers()]
        wait_for_receipt()
        birth = self.workers[0].config.purges.purge_clock()
        self.held = {
            (api, scope, key.name): self._stored(api, scope, key, birth)
            for api in ("products", "orders")
            for scope in ("shared", "tenant", "application", "subject")
            for key in (self.key, self.other_key)
        }

    def _stored(self, api: str, scope: str, key: Any, birth: Any) -> StoredResponse:
        identity = Identity("acme", "acme/bot", subject_of_key(key.pk))
        the_plan = plan(policy=Policy(api=api, scope=scope), identity=identity)
        return stored([("Cache-Control", "max-age=60")], the_plan=the_plan, birth=birth)

    def ended(self) -> set[tuple[str, str, str]]:
        """What is dead on every worker, once the receipt is there."""
        assert wait_for_receipt().complete
        dead = [
            {name for name, held in self.held.items() if worker.config.purges.is_dead(held.entry)}
            for worker in self.workers
        ]
        assert dead[0] == dead[1]
        return dead[0]


@pytest.fixture
def house(valkey: Any, workers: Callable[..., Any]) -> House:
    return House(workers)


BOTS = {("products", scope, key) for scope in ("application", "subject") for key in ("ci", "other")}


@pytest.mark.parametrize("verb", [access.subscription_revoke, access.subscription_suspend])
def test_a_subscription_that_ends_takes_what_the_application_was_given_of_that_api(house: House, verb: Any):
    verb(actor=PLATFORM, subscription=house.subscription)
    assert house.ended() == BOTS


def test_a_changed_plan_ends_it_too_and_the_same_plan_does_not(house: House):
    access.subscription_change_plan(actor=PLATFORM, subscription=house.subscription, plan=Plan.objects.get())
    assert house.ended() == set()
    access.subscription_change_plan(actor=PLATFORM, subscription=house.subscription, plan=make_plan("large"))
    assert house.ended() == BOTS


def test_a_revoked_key_takes_what_was_its_own_alone(house: House):
    access.key_revoke(actor=PLATFORM, key=house.key)
    assert house.ended() == {(api, "subject", "ci") for api in ("products", "orders")}


def test_a_suspended_tenant_and_a_deleted_application_take_all_that_was_theirs(house: House):
    private = {name for name in house.held if name[1] != "shared"}
    access.application_delete(actor=PLATFORM, application=house.bot)
    assert house.ended() == {name for name in private if name[1] != "tenant"}
    tenants.tenant_suspend(actor=PLATFORM, tenant=house.acme)
    assert house.ended() == private


def test_a_resumed_subscription_ends_nothing(house: House):
    access.subscription_suspend(actor=PLATFORM, subscription=house.subscription)
    purges = state.client().get(redis_names.PURGE_CLOCK)
    access.subscription_resume(actor=PLATFORM, subscription=house.subscription)
    assert wait_for_receipt().complete
    assert state.client().get(redis_names.PURGE_CLOCK) == purges


def test_what_could_not_be_said_while_redis_was_away_is_said_when_it_is_back(house: House, valkey: Any):
    valkey.stop()
    access.subscription_revoke(actor=PLATFORM, subscription=house.subscription)
    assert not wait_for_receipt(timeout=0.1).complete
    valkey.start()
    reconcile()
    assert house.ended() >= BOTS


def test_the_right_is_gone_before_what_was_stored_under_it_is(house: House):
    """An answer whose fetch begins between the two would be born after the purge, under the right that is gone."""
    access.subscription_revoke(actor=PLATFORM, subscription=house.subscription)
    last = [fields[b"kind"] for _, fields in state.client().xrange(redis_names.EVENTS)][-2:]
    assert last == [b"change", b"purge"]

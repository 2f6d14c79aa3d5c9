"""Subscriptions: granted, moved, expired."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from apps.access import services
from apps.access.models import Subscription
from apps.access.tasks import expire
from apps.audit.models import Entry
from apps.foundation.errors import Conflict
from tests.support.cast import Cast, make_api, make_application, make_plan, make_subscription


def last() -> Entry:
    return Entry.objects.order_by("-epoch")[0]


def test_an_owner_of_the_api_grants_access_without_a_request(cast: Cast):
    bot, api = make_application(cast.acme), make_api(cast.platform)
    subscription = services.subscription_create(actor=cast.olga, application=bot, api=api, plan=make_plan())
    assert Subscription.objects.get() == subscription
    entry = last()
    assert (entry.verb, entry.target, entry.tenant_slug) == ("subscription.create", "acme/bot → products", "acme")
    assert entry.affects == [["application", "acme/bot"]]
    with pytest.raises(Conflict):
        services.subscription_create(actor=cast.olga, application=bot, api=api, plan=make_plan("large"))


def test_after_a_revocation_a_new_one_can_be_granted(cast: Cast):
    bot, api = make_application(cast.acme), make_api(cast.platform)
    make_subscription(bot, api, state="revoked")
    make_subscription(bot, api)
    assert sorted(Subscription.objects.values_list("state", flat=True)) == ["active", "revoked"]


def test_suspended_resumed_and_revoked_with_what_was_said(cast: Cast):
    subscription = make_subscription(make_application(cast.acme), make_api(cast.platform))
    services.subscription_suspend(actor=cast.olga, subscription=subscription, comment="Abuse")
    assert (subscription.state, subscription.comment, last().comment) == ("suspended", "Abuse", "Abuse")
    services.subscription_resume(actor=cast.olga, subscription=subscription)
    assert (subscription.state, subscription.comment) == ("active", "")
    services.subscription_revoke(actor=cast.alice, subscription=subscription, comment="Not needed")
    assert (subscription.state, last().verb) == ("revoked", "subscription.revoke")
    with pytest.raises(Conflict) as late:
        services.subscription_resume(actor=cast.olga, subscription=subscription)
    assert "revoked" in str(late.value)


def test_a_plan_is_changed_on_a_live_one_alone(cast: Cast):
    subscription = make_subscription(make_application(cast.acme), make_api(cast.platform))
    services.subscription_change_plan(actor=cast.olga, subscription=subscription, plan=make_plan("large"))
    assert last().changes == {"plan": ["standard", "large"]}
    before = Entry.objects.count()
    services.subscription_change_plan(actor=cast.olga, subscription=subscription, plan=subscription.plan)
    assert Entry.objects.count() == before
    services.subscription_revoke(actor=cast.olga, subscription=subscription)
    with pytest.raises(Conflict):
        services.subscription_change_plan(actor=cast.olga, subscription=subscription, plan=make_plan("small"))


def test_those_who_call_do_not_decide(cast: Cast):
    bot, api = make_application(cast.acme), make_api(cast.platform)
    subscription, plan = make_subscription(bot, api), make_plan("large")
    for actor in (cast.alice, cast.bob, cast.vera, cast.charlie):
        for attempt in (
            lambda actor: services.subscription_create(actor=actor, application=bot, api=api, plan=plan),
            lambda actor: services.subscription_suspend(actor=actor, subscription=subscription),
            lambda actor: services.subscription_resume(actor=actor, subscription=subscription),
            lambda actor: services.subscription_change_plan(actor=actor, subscription=subscription, plan=plan),
        ):
            with pytest.raises(PermissionDenied):
                attempt(actor)
    for actor in (cast.bob, cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.subscription_revoke(actor=actor, subscription=subscription)


def test_the_schedule_expires_what_has_ended_and_nothing_else(cast: Cast):
    api = make_api(cast.platform)
    ended = make_subscription(
        make_application(cast.acme, "ended"), api, expires_at=timezone.now() + timedelta(seconds=60)
    )
    Subscription.objects.filter(pk=ended.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    running = make_subscription(
        make_application(cast.acme, "running"), api, expires_at=timezone.now() + timedelta(days=1)
    )
    endless = make_subscription(make_application(cast.acme, "endless"), api)
    expire()
    states = {row.pk: row.state for row in Subscription.objects.all()}
    assert states == {ended.pk: "expired", running.pk: "active", endless.pk: "active"}
    assert (last().verb, last().actor_email) == ("subscription.expire", "")
    before = Entry.objects.count()
    expire()
    assert Entry.objects.count() == before


def test_a_suspended_one_whose_end_has_passed_is_not_resumed(cast: Cast):
    subscription = make_subscription(make_application(cast.acme), make_api(cast.platform), state="suspended")
    Subscription.objects.filter(pk=subscription.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Conflict):
        services.subscription_resume(actor=cast.olga, subscription=subscription)


def test_an_end_in_the_past_is_refused(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        make_subscription(
            make_application(cast.acme), make_api(cast.platform), expires_at=timezone.now() - timedelta(seconds=1)
        )
    assert "expires_at" in refused.value.message_dict

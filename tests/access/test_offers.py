"""Which plans an API offers, to which tenants, and which of them are granted automatically."""

import pytest
from django.core.exceptions import ValidationError

from apps.access import services
from apps.access.models import AccessRequest, Subscription
from apps.access.policies import plans_visible_to
from apps.audit.models import Entry
from apps.catalog.services import api_rollback, api_update
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from tests.support.cast import (
    Cast,
    make_api,
    make_application,
    make_plan,
    make_request,
    make_subscription,
)
from tests.support.letters import Sent

NO_LIMIT = {"rate_calls": None, "burst": None, "quota": None}


def refused_by(error: pytest.ExceptionInfo[ValidationError]) -> dict[str, list[str]]:
    return error.value.message_dict


def test_an_api_that_names_no_plans_offers_all(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    for slug in ("standard", "gold"):
        request = make_request(cast.bob, bot, api, make_plan(slug))
        services.request_cancel(actor=cast.bob, access_request=request)


def test_a_plan_that_the_api_does_not_offer_is_refused_with_those_that_it_does(cast: Cast):
    standard, gold = make_plan(), make_plan("gold")
    api = make_api(cast.platform, plans=["standard"])
    with pytest.raises(ValidationError) as refused:
        make_request(cast.bob, make_application(cast.acme), api, gold)
    assert refused_by(refused) == {"plan": ["Products does not offer the plan Gold. Acme may ask for these: Standard."]}
    assert make_request(cast.bob, make_application(cast.acme, "other"), api, standard).state == "submitted"


def test_a_plan_for_some_tenants_is_seen_and_had_by_these_alone(cast: Cast):
    deal, api = make_plan("deal", tenants=["acme"]), make_api(cast.platform)
    assert make_request(cast.bob, make_application(cast.acme), api, deal).state == "submitted"
    with pytest.raises(ValidationError) as refused:
        make_request(cast.charlie, make_application(cast.globex), api, deal)
    assert refused_by(refused) == {"plan": ["The plan Deal is not for Globex. Globex may ask for these: none."]}
    assert {who.email.partition("@")[0] for who in everybody(cast) if plans_visible_to(who)} == {
        "alice",
        "bob",
        "vera",
        "ada",
    }


def everybody(cast: Cast):
    return (cast.alice, cast.bob, cast.vera, cast.charlie, cast.olga, cast.ada)


def test_another_plan_for_a_running_subscription_is_one_of_those_that_are_offered(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    make_subscription(bot, api)
    gold = make_plan("gold")
    api_update(actor=cast.olga, api=api, plans=["standard"])
    with pytest.raises(ValidationError) as refused:
        make_request(cast.bob, bot, api, gold)
    assert "plan" in refused_by(refused)


def test_a_request_is_not_changed_to_a_plan_that_is_not_offered(cast: Cast):
    make_plan()
    api = make_api(cast.platform, plans=["standard"])
    request = make_request(cast.bob, make_application(cast.acme), api, submit=False)
    with pytest.raises(ValidationError) as refused:
        services.request_update(actor=cast.bob, access_request=request, plan=make_plan("gold"))
    assert "plan" in refused_by(refused)


def test_a_draft_whose_plan_was_withdrawn_is_not_handed_in(cast: Cast):
    make_plan("gold")
    api = make_api(cast.platform)
    request = make_request(cast.bob, make_application(cast.acme), api, submit=False)
    api_update(actor=cast.olga, api=api, plans=["gold"])
    with pytest.raises(ValidationError) as refused:
        services.request_submit(actor=cast.bob, access_request=request)
    assert "plan" in refused_by(refused)
    assert AccessRequest.objects.get(pk=request.pk).state == "draft"


@pytest.mark.parametrize("withdrawn_by", ["the API", "the platform"])
def test_a_plan_that_was_withdrawn_since_it_was_asked_for_is_not_granted(cast: Cast, withdrawn_by):
    make_plan("gold")
    api = make_api(cast.platform)
    request = make_request(cast.bob, make_application(cast.acme), api)
    if withdrawn_by == "the API":
        api_update(actor=cast.olga, api=api, plans=["gold"])
    else:
        services.plan_update(actor=cast.ada, plan=request.plan, tenants=["globex"])
    for approver in (cast.olga, cast.ada):
        with pytest.raises(Conflict, match="That has changed since it was asked for"):
            services.request_approve(actor=approver, access_request=request)
    assert AccessRequest.objects.get(pk=request.pk).state == "submitted"
    assert not Subscription.objects.exists()


def test_what_runs_goes_on_when_its_plan_is_withdrawn(cast: Cast):
    make_plan("gold")
    api = make_api(cast.platform)
    held = make_subscription(make_application(cast.acme), api)
    api_update(actor=cast.olga, api=api, plans=["gold"])
    services.subscription_suspend(actor=cast.olga, subscription=held)
    services.subscription_resume(actor=cast.olga, subscription=held)
    assert services.subscription_change_plan(actor=cast.olga, subscription=held, plan=held.plan).state == "active"


def test_an_approver_grants_what_is_offered_and_an_administrator_any_plan(cast: Cast):
    make_plan()
    gold = make_plan("gold")
    api, bot = make_api(cast.platform, plans=["standard"]), make_application(cast.acme)
    with pytest.raises(ValidationError) as refused:
        services.subscription_create(actor=cast.olga, application=bot, api=api, plan=gold)
    assert "plan" in refused_by(refused)
    held = make_subscription(bot, api)
    with pytest.raises(ValidationError) as refused:
        services.subscription_change_plan(actor=cast.olga, subscription=held, plan=gold)
    assert "plan" in refused_by(refused)
    services.subscription_change_plan(actor=cast.ada, subscription=held, plan=gold)
    held.refresh_from_db()
    assert held.plan == gold


@pytest.mark.parametrize(
    ("limits", "named", "state"),
    [
        ({}, [], "approved"),
        ({"quota": None}, [], "approved"),
        ({"rate_calls": None, "burst": None}, [], "approved"),
        (NO_LIMIT, [], "submitted"),
        ({}, ["gold"], "approved"),
        ({}, ["standard"], "submitted"),
    ],
)
def test_automatic_approval_grants_the_plans_that_it_is_for_and_none_without_a_limit(cast: Cast, limits, named, state):
    make_plan()
    gold = make_plan("gold", **limits)
    api = make_api(cast.platform, approval="automatic", automatic_plans=named)
    request = make_request(cast.bob, make_application(cast.acme), api, gold)
    assert request.state == state
    assert Subscription.objects.filter(plan=gold).exists() == (state == "approved")


def test_a_request_that_is_not_granted_automatically_goes_to_the_approvers(cast: Cast, sent: Sent):
    api, bot = make_api(cast.platform, approval="automatic"), make_application(cast.acme)
    sent()
    request = make_request(cast.bob, bot, api, make_plan("boundless", **NO_LIMIT))
    assert [letter.to for letter in sent()] == [["olga@platform.test"]]
    services.request_approve(actor=cast.olga, access_request=request)
    assert Subscription.objects.get().plan.slug == "boundless"


def test_another_plan_is_not_granted_automatically_either_when_it_has_no_limit(cast: Cast):
    api, bot = make_api(cast.platform, approval="automatic"), make_application(cast.acme)
    held = make_subscription(bot, api)
    assert make_request(cast.bob, bot, api, make_plan("boundless", **NO_LIMIT)).state == "submitted"
    held.refresh_from_db()
    assert held.plan.slug == "standard"


def test_a_plan_that_lost_its_limits_is_no_longer_granted_automatically(cast: Cast):
    gold = make_plan("gold")
    api = make_api(cast.platform, approval="automatic", automatic_plans=["gold"])
    with pytest.raises(ValidationError, match="It keeps a limit while Products names it as granted automatically"):
        services.plan_update(actor=cast.ada, plan=gold, **NO_LIMIT)
    api_update(actor=cast.olga, api=api, automatic_plans=[])
    services.plan_update(actor=cast.ada, plan=gold, **NO_LIMIT)
    assert make_request(cast.bob, make_application(cast.acme), api, gold).state == "submitted"


@pytest.mark.parametrize(
    ("settings", "field", "says"),
    [
        ({"plans": ["platin"]}, "plans", "There is no plan platin: an administrator makes plans."),
        ({"automatic_plans": ["platin"]}, "automatic_plans", "There is no plan platin: an administrator makes plans."),
        (
            {"plans": ["gold"], "automatic_plans": ["standard"]},
            "automatic_plans",
            "This API does not offer standard: name it among its plans too.",
        ),
        (
            {"automatic_plans": ["boundless"]},
            "automatic_plans",
            "boundless has neither a rate limit nor a quota: somebody decides about each request for it.",
        ),
        ({"plans": "gold"}, "plans", "A list of plans by their short names, at most 100."),
        ({"plans": ["no/slug"]}, "plans", "A list of plans by their short names, at most 100."),
    ],
)
def test_an_api_names_plans_that_there_are(cast: Cast, settings, field, says):
    make_plan(), make_plan("gold"), make_plan("boundless", **NO_LIMIT)
    api = make_api(cast.platform)
    with pytest.raises(ValidationError) as refused:
        api_update(actor=cast.olga, api=api, **settings)
    assert refused_by(refused) == {field: [says]}


def test_rolling_back_brings_the_plans_of_then(cast: Cast):
    make_plan()
    api = make_api(cast.platform)
    api_update(actor=cast.olga, api=api, plans=["standard"], automatic_plans=["standard"])
    assert api_rollback(actor=cast.olga, api=api, number=1).plans == []
    assert api_rollback(actor=cast.olga, api=api, number=2).automatic_plans == ["standard"]


def test_a_plan_is_for_tenants_that_there_are(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        make_plan(tenants=["acme", "nobody"])
    assert refused_by(refused) == {"tenants": ["There is no tenant nobody."]}
    plan = make_plan(tenants=["acme"])
    assert Entry.objects.order_by("-epoch")[0].changes["tenants"] == [None, ["acme"]]
    assert services.plan_update(actor=cast.ada, plan=plan, tenants=[]).tenants == []


def test_a_plan_that_an_api_names_is_not_deleted(cast: Cast):
    plan = make_plan()
    api = make_api(cast.platform, automatic_plans=["standard"])
    with pytest.raises(ValidationError, match="These APIs name Standard among their plans: Products"):
        services.plan_delete(actor=PLATFORM, plan=plan)
    api_update(actor=cast.olga, api=api, automatic_plans=[])
    services.plan_delete(actor=PLATFORM, plan=plan)

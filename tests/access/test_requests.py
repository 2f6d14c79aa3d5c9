"""The approval workflow: the result, the row, the audit entry, the letter."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from apps.access import services
from apps.access.models import AccessRequest, Subscription
from apps.access.selectors import request_evidence
from apps.audit.models import Entry
from apps.catalog.services import api_deprecate, api_publish, api_retire, api_unpublish
from apps.foundation.errors import Conflict
from apps.tenants.choices import Role
from tests.support.cast import (
    Cast,
    make_api,
    make_application,
    make_plan,
    make_request,
    make_subscription,
    make_tenant,
    make_user,
)
from tests.support.letters import Sent


def last() -> Entry:
    return Entry.objects.order_by("-epoch")[0]


def test_an_approved_request_becomes_an_active_subscription(cast: Cast, sent: Sent):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    request = make_request(cast.bob, bot, api)
    ends = timezone.now() + timedelta(days=30)
    sent()
    services.request_approve(actor=cast.olga, access_request=request, comment="Welcome", expires_at=ends)
    assert request.state == "approved"
    subscription = Subscription.objects.get(application=bot, api=api)
    assert (subscription.state, subscription.plan.slug, subscription.expires_at) == ("active", "standard", ends)
    row = AccessRequest.objects.get(pk=request.pk)
    assert (row.decided_by, row.subscription, row.expires_at) == (cast.olga, subscription, ends)
    assert [(comment.verb, comment.text, comment.author) for comment in row.comments.all()] == [
        ("approve", "Welcome", cast.olga)
    ]
    entry = last()
    assert (entry.verb, entry.tenant_slug, entry.comment) == ("request.approve", "acme", "Welcome")
    assert entry.affects == [["application", "acme/bot"]]
    assert entry.changes["state"] == ["submitted", "approved"]
    letters = {letter.to[0]: letter for letter in sent()}
    assert letters.keys() == {"alice@acme.test", "bob@acme.test"}
    letter = letters["bob@acme.test"]
    assert "was approved" in letter.subject
    assert "Welcome" in letter.body
    assert f"/requests/{request.pk}/" in letter.body


def test_an_approval_is_of_what_the_approver_read(cast: Cast):
    """Another approver asked back, and the applicant wants another plan since: who has the old page open doesn't grant it."""
    api, bot = make_api(cast.platform), make_application(cast.acme)
    request = make_request(cast.bob, bot, api)
    read = request.submitted_at
    services.request_ask(actor=cast.ada, access_request=request, comment="How many calls?")
    services.request_update(actor=cast.bob, access_request=request, plan=make_plan("unlimited"))
    services.request_submit(actor=cast.bob, access_request=request)
    with pytest.raises(Conflict, match="handed in anew"):
        services.request_approve(actor=cast.olga, access_request=request, submitted_at=read)
    request.refresh_from_db()
    assert (request.state, Subscription.objects.count()) == ("submitted", 0)
    services.request_approve(actor=cast.olga, access_request=request, submitted_at=request.submitted_at)
    assert Subscription.objects.get().plan.slug == "unlimited"


def test_a_submitted_request_is_told_to_the_owners_of_the_api(cast: Cast, sent: Sent):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    sent()
    make_request(cast.bob, bot, api)
    [letter] = sent()
    assert letter.to == ["olga@platform.test"]
    assert "To build the shop." in letter.body


def test_administrators_are_told_where_an_api_s_tenant_has_no_owner(cast: Cast, sent: Sent):
    api = make_api(make_tenant("ownerless"))
    sent()
    make_request(cast.bob, make_application(cast.acme), api)
    assert [letter.to for letter in sent()] == [["ada@platform.test"]]


def test_the_entries_of_an_automatic_approval_are_in_the_order_of_events(cast: Cast):
    api, bot = make_api(cast.platform, approval="automatic"), make_application(cast.acme)
    request = make_request(cast.bob, bot, api)
    assert request.state == "approved"
    assert Subscription.objects.get(application=bot).state == "active"
    verbs = list(Entry.objects.order_by("epoch").values_list("verb", "actor_email"))[-3:]
    assert verbs == [
        ("request.create", "bob@acme.test"),
        ("request.submit", "bob@acme.test"),
        ("request.approve", ""),
    ]


def test_a_question_and_its_answer_are_kept(cast: Cast, sent: Sent):
    request = make_request(cast.bob, make_application(cast.acme), make_api(cast.platform))
    services.request_ask(actor=cast.olga, access_request=request, comment="How many calls?")
    assert request.state == "needs_info"
    [letter] = [each for each in sent() if each.to == ["bob@acme.test"]]
    assert "How many calls?" in letter.body
    services.request_update(actor=cast.alice, access_request=request, reason="Ten a second.")
    services.request_submit(actor=cast.bob, access_request=request, comment="See above")
    assert request.state == "submitted"
    assert request.reason == "Ten a second."
    assert [(step.verb, step.text) for step in request.comments.all()] == [
        ("ask", "How many calls?"),
        ("submit", "See above"),
    ]


def test_a_rejection_needs_a_reason_which_reaches_the_applicant(cast: Cast, sent: Sent):
    request = make_request(cast.bob, make_application(cast.acme), make_api(cast.platform))
    for step in (services.request_reject, services.request_ask):
        with pytest.raises(ValidationError) as refused:
            step(actor=cast.olga, access_request=request, comment="  ")
        assert "comment" in refused.value.message_dict
    services.request_reject(actor=cast.olga, access_request=request, comment="Not for shops")
    assert AccessRequest.objects.get(pk=request.pk).state == "rejected"
    assert not Subscription.objects.exists()
    assert (last().verb, last().affects) == ("request.reject", [])
    [letter] = [each for each in sent() if each.to == ["bob@acme.test"]]
    assert "Not for shops" in letter.body


@pytest.mark.parametrize("end", ["cancelled", "rejected", "approved"])
def test_what_has_ended_can_be_decided_by_nobody(cast: Cast, end: str):
    request = make_request(cast.bob, make_application(cast.acme), make_api(cast.platform))
    steps = {
        "cancelled": lambda: services.request_cancel(actor=cast.bob, access_request=request, comment="No need"),
        "rejected": lambda: services.request_reject(actor=cast.olga, access_request=request, comment="No"),
        "approved": lambda: services.request_approve(actor=cast.olga, access_request=request),
    }
    steps[end]()
    before = Entry.objects.count(), Subscription.objects.count()
    for step in (
        lambda: services.request_approve(actor=cast.ada, access_request=request),
        lambda: services.request_reject(actor=cast.ada, access_request=request, comment="No"),
        lambda: services.request_ask(actor=cast.ada, access_request=request, comment="Why?"),
        lambda: services.request_submit(actor=cast.bob, access_request=request),
        lambda: services.request_cancel(actor=cast.bob, access_request=request),
        lambda: services.request_update(actor=cast.bob, access_request=request, reason="Please"),
    ):
        with pytest.raises(Conflict) as late:
            step()
        assert ("Olga has" in str(late.value)) is (end != "cancelled")
    assert (Entry.objects.count(), Subscription.objects.count()) == before


def test_a_change_of_plan_leaves_the_running_subscription_alone_until_it_is_approved(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    running = make_subscription(bot, api)
    large = make_plan("large")
    request = make_request(cast.bob, bot, api, large)
    running.refresh_from_db()
    assert request.subscription == running
    assert (running.state, running.plan.slug) == ("active", "standard")
    services.request_approve(actor=cast.olga, access_request=request)
    running.refresh_from_db()
    assert (running.state, running.plan.slug) == ("active", "large")
    assert Subscription.objects.count() == 1
    assert last().changes["plan"] == ["standard", "large"]


def test_a_change_of_plan_keeps_the_end_unless_another_is_given(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    ends = timezone.now() + timedelta(days=3)
    running = make_subscription(bot, api, expires_at=ends)
    request = make_request(cast.bob, bot, api, make_plan("large"))
    services.request_approve(actor=cast.olga, access_request=request)
    running.refresh_from_db()
    assert running.expires_at == ends


def test_a_rejected_change_of_plan_leaves_the_running_subscription_alone(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    running = make_subscription(bot, api)
    request = make_request(cast.bob, bot, api, make_plan("large"))
    services.request_reject(actor=cast.olga, access_request=request, comment="Too much")
    running.refresh_from_db()
    assert (running.state, running.plan.slug) == ("active", "standard")


def test_the_plan_that_one_has_is_not_asked_for_again(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    make_subscription(bot, api)
    with pytest.raises(ValidationError) as refused:
        make_request(cast.bob, bot, api)
    assert "plan" in refused.value.message_dict


def test_one_open_request_at_a_time(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    make_request(cast.bob, bot, api)
    with pytest.raises(Conflict):
        make_request(cast.alice, bot, api)
    make_request(cast.bob, make_application(cast.acme, "other"), api)


def test_a_request_has_a_reason(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        services.request_create(
            actor=cast.bob,
            application=make_application(cast.acme),
            api=make_api(cast.platform),
            plan=make_plan(),
            reason="  ",
        )
    assert "reason" in refused.value.message_dict
    assert not AccessRequest.objects.exists()


def test_nobody_new_is_let_into_a_draft_a_deprecated_or_a_retired_api(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    other = make_application(cast.acme, "other")
    make_subscription(other, api)
    for step in (api_unpublish, api_publish, api_deprecate, api_retire):
        step(actor=cast.olga, api=api)
        if step is api_publish:
            continue
        with pytest.raises(ValidationError) as refused:
            make_request(cast.bob, bot, api)
        assert "api" in refused.value.message_dict
    assert not AccessRequest.objects.exists()


def test_a_deprecated_api_lets_its_subscribers_change_their_plan(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    make_subscription(bot, api)
    api_deprecate(actor=cast.olga, api=api)
    assert make_request(cast.bob, bot, api, make_plan("large")).state == "submitted"


def test_a_request_for_an_api_that_was_retired_meanwhile_is_not_approved(cast: Cast):
    api = make_api(cast.platform)
    request = make_request(cast.bob, make_application(cast.acme), api)
    api_retire(actor=cast.olga, api=api)
    with pytest.raises(Conflict):
        services.request_approve(actor=cast.olga, access_request=request)
    assert AccessRequest.objects.get(pk=request.pk).state == "submitted"


def test_an_end_in_the_past_is_refused(cast: Cast):
    request = make_request(cast.bob, make_application(cast.acme), make_api(cast.platform))
    with pytest.raises(ValidationError) as refused:
        services.request_approve(
            actor=cast.olga, access_request=request, expires_at=timezone.now() - timedelta(seconds=1)
        )
    assert "expires_at" in refused.value.message_dict


def test_strangers_viewers_and_applicants_decide_nothing(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    request = make_request(cast.bob, bot, api)
    for actor in (cast.alice, cast.bob, cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.request_approve(actor=actor, access_request=request)
        with pytest.raises(PermissionDenied):
            services.request_reject(actor=actor, access_request=request, comment="No")
        with pytest.raises(PermissionDenied):
            services.request_ask(actor=actor, access_request=request, comment="Why?")
    for actor in (cast.vera, cast.charlie, cast.olga):
        with pytest.raises(PermissionDenied):
            make_request(actor, bot, api)
        with pytest.raises(PermissionDenied):
            services.request_cancel(actor=actor, access_request=request)
        with pytest.raises(PermissionDenied):
            services.request_submit(actor=actor, access_request=request)
        with pytest.raises(PermissionDenied):
            services.request_update(actor=actor, access_request=request, reason="x")
    assert AccessRequest.objects.get(pk=request.pk).state == "submitted"


def test_the_approver_sees_what_the_tenant_has_and_was_told_before(cast: Cast):
    api, weather = make_api(cast.platform), make_api(cast.platform, "weather")
    bot, shop = make_application(cast.acme), make_application(cast.acme, "shop")
    theirs = make_subscription(bot, weather)
    make_subscription(make_application(cast.globex), api)
    refused = make_request(cast.bob, shop, api)
    services.request_reject(actor=cast.olga, access_request=refused, comment="Not yet")
    running = make_subscription(bot, api)
    request = make_request(cast.bob, bot, api, make_plan("large"))
    evidence = request_evidence(cast.olga, request)
    assert evidence.current == running
    assert set(evidence.subscriptions) == {theirs, running}
    assert list(evidence.past) == [refused]
    assert evidence.past[0].comments.all()[0].text == "Not yet"
    assert evidence.callers == 2
    assert (evidence.others, evidence.past_others) == (0, 0)


def test_of_apis_of_others_the_approver_learns_how_many_and_not_which(cast: Cast):
    """The same tenant asks an approver who has nothing to do with what it has elsewhere."""
    rival = make_tenant("rival")
    rita = make_user("rita@rival.test", rival, Role.OWNER)
    secret, open_api = make_api(rival, "secret"), make_api(cast.platform)
    bot, shop = make_application(cast.acme), make_application(cast.acme, "shop")
    held, refused = make_subscription(bot, secret), make_request(cast.bob, shop, secret)
    services.request_reject(actor=rita, access_request=refused, comment="No")
    request = make_request(cast.bob, bot, open_api)
    told = {who: request_evidence(who, request) for who in (cast.olga, cast.ada)}
    assert (list(told[cast.olga].subscriptions), list(told[cast.olga].past)) == ([], [])
    assert (told[cast.olga].others, told[cast.olga].past_others) == (1, 1)
    assert (list(told[cast.ada].subscriptions), list(told[cast.ada].past)) == ([held], [refused])
    assert (told[cast.ada].others, told[cast.ada].past_others) == (0, 0)

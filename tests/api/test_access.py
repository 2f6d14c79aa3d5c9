"""Plans, applications, keys, access requests and subscriptions over REST."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.access.choices import KeyState, RequestState, SubscriptionState
from apps.access.models import AccessRequest, Application, Credential, Plan, Subscription
from apps.audit.models import Entry
from apps.gateway.pipeline.authenticators.mtls import fingerprint_of
from apps.wire.api_keys import digest
from tests.support.cast import make_api, make_application, make_key, make_plan, make_request, make_subscription
from tests.support.client_certificates import der, make_certificate, pem

# Plans


def test_a_plan_is_written_and_read_in_the_words_of_the_declarative_file(cast, calls_as):
    made = calls_as(cast.ada).post(
        "/api/v1/plans/", {"slug": "gold", "name": "Gold", "rate_limit": "60/m", "burst": 20, "quota": "5000/day"}
    )
    assert made.status_code == 201
    body = made.json()
    assert (body["rate_limit"], body["burst"], body["quota"]) == ("60/m", 20, "5000/day")
    plan = Plan.objects.get(slug="gold")
    assert (plan.rate_calls, plan.rate_period, plan.quota, plan.quota_period) == (60, 60.0, 5000, "day")


def test_a_plan_is_changed_where_it_is_named(cast, calls_as):
    make_plan()
    changed = calls_as(cast.ada).patch("/api/v1/plans/standard/", {"quota": None, "trust_lease": "5m"})
    assert (changed.json()["quota"], changed.json()["trust_lease"], changed.json()["rate_limit"]) == (
        None,
        "5m",
        "100/s",
    )
    assert "receipt" in changed.json()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rate_limit": "fast"}, "rate_limit"),
        ({"quota": "7/fortnight"}, "quota"),
        ({"burst": -1}, "burst"),
        ({"slug": ""}, "slug"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_refused_field_of_a_plan_is_named_as_it_was_written(cast, calls_as, change, field):
    refused = calls_as(cast.ada).post("/api/v1/plans/", {"slug": "gold", "name": "Gold"} | change)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])


def test_everybody_reads_plans_and_administrators_write_them(cast, calls_as):
    make_plan()
    alice = calls_as(cast.alice)
    assert [row["slug"] for row in alice.get("/api/v1/plans/").json()["results"]] == ["standard"]
    assert alice.patch("/api/v1/plans/standard/", {"burst": 9999}).status_code == 403
    assert alice.post("/api/v1/plans/", {"slug": "mine", "name": "Mine"}).status_code == 403
    assert alice.delete("/api/v1/plans/standard/").status_code == 403


def test_a_plan_that_somebody_has_stays(cast, calls_as):
    make_subscription(make_application(cast.acme), make_api(cast.platform))
    ada = calls_as(cast.ada)
    assert ada.delete("/api/v1/plans/standard/").status_code == 400
    make_plan("spare")
    assert ada.delete("/api/v1/plans/spare/").status_code == 204


# Applications


def test_an_application_is_named_by_tenant_and_slug(cast, calls_as):
    bob = calls_as(cast.bob)
    made = bob.post("/api/v1/applications/", {"tenant": "acme", "slug": "bot", "name": "Bot"})
    assert (made.status_code, made.json()["id"]) == (201, "acme/bot")
    assert bob.get("/api/v1/applications/acme/bot/").json()["name"] == "Bot"
    assert bob.patch("/api/v1/applications/acme/bot/", {"name": "Robot"}).json()["name"] == "Robot"
    refused = bob.patch("/api/v1/applications/acme/bot/", {"slug": "robot"})
    assert list(refused.json()["errors"]) == ["slug"]
    assert bob.delete("/api/v1/applications/acme/bot/").status_code == 204
    assert not Application.objects.exists()


def test_an_application_that_exists_is_not_made_twice(cast, calls_as):
    make_application(cast.acme)
    refused = calls_as(cast.bob).post("/api/v1/applications/", {"tenant": "acme", "slug": "bot", "name": "Bot"})
    assert refused.status_code == 400


def test_viewers_and_strangers_make_no_application(cast, calls_as):
    body = {"tenant": "acme", "slug": "bot", "name": "Bot"}
    assert calls_as(cast.vera).post("/api/v1/applications/", body).status_code == 403
    refused = calls_as(cast.charlie).post("/api/v1/applications/", body)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["tenant"])


def test_a_stranger_sees_no_application(cast, calls_as):
    make_application(cast.acme)
    charlie = calls_as(cast.charlie)
    assert charlie.get("/api/v1/applications/").json()["results"] == []
    assert charlie.get("/api/v1/applications/acme/bot/").status_code == 404
    assert charlie.delete("/api/v1/applications/acme/bot/").status_code == 404


# Keys


def test_the_secret_of_a_key_is_in_the_answer_to_its_creation_and_nowhere_else(cast, calls_as):
    make_application(cast.acme)
    bob = calls_as(cast.bob)
    made = bob.post("/api/v1/keys/", {"application": "acme/bot", "name": "ci"})
    assert made.status_code == 201
    secret = made.json()["secret"]
    key = Credential.objects.get()
    assert key.digest == digest(settings.KEY_PEPPER, secret)
    assert made.json()["prefix"] == key.prefix
    assert "receipt" in made.json()
    for address in ("/api/v1/keys/", f"/api/v1/keys/{key.pk}/", "/api/v1/audit/"):
        answer = calls_as(cast.ada).get(address)
        assert answer.status_code == 200
        assert secret not in answer.content.decode()
        assert "secret" not in str(answer.json())


def test_a_key_with_an_expiry_expires(cast, calls_as):
    make_application(cast.acme)
    bob = calls_as(cast.bob)
    until = timezone.now() + timedelta(days=1)
    made = bob.post("/api/v1/keys/", {"application": "acme/bot", "name": "ci", "expires_at": until.isoformat()})
    assert made.status_code == 201
    assert Credential.objects.get().expires_at == until
    past = bob.post("/api/v1/keys/", {"application": "acme/bot", "name": "old", "expires_at": "2001-01-01T00:00:00Z"})
    assert (past.status_code, list(past.json()["errors"])) == (400, ["expires_at"])


def test_a_key_from_elsewhere_is_taken_as_it_is(cast, calls_as):
    make_application(cast.acme)
    bob = calls_as(cast.bob)
    made = bob.post("/api/v1/keys/", {"application": "acme/bot", "name": "old", "secret": "an-old-key-of-ours"})
    assert (made.status_code, made.json()["secret"]) == (201, "an-old-key-of-ours")
    short = bob.post("/api/v1/keys/", {"application": "acme/bot", "name": "short", "secret": "short"})
    assert (short.status_code, list(short.json()["errors"])) == (400, ["secret"])


@pytest.mark.parametrize("overlap", ["40000000000h", "999999999999999d", "9" * 400 + "d"])
def test_no_overlap_is_too_long_to_be_refused(cast, calls_as, overlap):
    old = make_key(make_application(cast.acme)).key
    refused = calls_as(cast.bob).post(f"/api/v1/keys/{old.pk}/rotate/", {"overlap": overlap})
    assert refused.status_code == 400
    assert "overlap" in str(refused.json())


def test_a_key_is_rotated_with_an_overlap(cast, calls_as):
    old = make_key(make_application(cast.acme)).key
    rotated = calls_as(cast.bob).post(f"/api/v1/keys/{old.pk}/rotate/", {"overlap": "2h"})
    assert rotated.status_code == 201
    old.refresh_from_db()
    assert old.successor_id == rotated.json()["id"]
    assert timedelta(minutes=119) < old.expires_at - timezone.now() <= timedelta(hours=2)
    assert Credential.objects.get(pk=old.successor_id).digest == digest(settings.KEY_PEPPER, rotated.json()["secret"])


def test_an_overlap_that_is_no_duration_is_refused(cast, calls_as):
    old = make_key(make_application(cast.acme)).key
    refused = calls_as(cast.bob).post(f"/api/v1/keys/{old.pk}/rotate/", {"overlap": "a while"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["overlap"])


def test_a_key_is_revoked_once(cast, calls_as):
    key = make_key(make_application(cast.acme)).key
    bob = calls_as(cast.bob)
    revoked = bob.post(f"/api/v1/keys/{key.pk}/revoke/", {"comment": "Leaked."})
    assert (revoked.status_code, revoked.json()["state"]) == (200, KeyState.REVOKED)
    assert Entry.objects.get(verb="key.revoke").comment == "Leaked."
    assert bob.post(f"/api/v1/keys/{key.pk}/revoke/").status_code == 409


def test_viewers_and_strangers_do_nothing_with_keys(cast, calls_as):
    key = make_key(make_application(cast.acme)).key
    vera, charlie = calls_as(cast.vera), calls_as(cast.charlie)
    assert vera.post("/api/v1/keys/", {"application": "acme/bot", "name": "x"}).status_code == 403
    assert vera.post(f"/api/v1/keys/{key.pk}/revoke/").status_code == 403
    assert vera.post(f"/api/v1/keys/{key.pk}/rotate/").status_code == 403
    assert charlie.post("/api/v1/keys/", {"application": "acme/bot", "name": "x"}).status_code == 400
    assert charlie.post(f"/api/v1/keys/{key.pk}/revoke/").status_code == 404
    assert charlie.get("/api/v1/keys/").json()["results"] == []


# Access requests


def ask(caller, **fields):
    body = {"application": "acme/bot", "api": "products", "plan": "standard", "reason": "To build the shop."}
    return caller.post("/api/v1/access-requests/", body | fields)


@pytest.fixture
def shop(cast):
    """An API of platform and an application of acme that wants to call it."""
    make_plan()
    return make_api(cast.platform), make_application(cast.acme)


def test_a_request_is_handed_in_approved_and_grants_a_subscription(cast, calls_as, shop):
    asked = ask(calls_as(cast.bob))
    assert (asked.status_code, asked.json()["state"]) == (201, "submitted")
    assert (asked.json()["application"], asked.json()["requested_by"]) == ("acme/bot", cast.bob.email)
    olga = calls_as(cast.olga)
    one = f"/api/v1/access-requests/{asked.json()['id']}/"
    until = (timezone.now() + timedelta(days=90)).isoformat()
    approved = olga.post(f"{one}approve/", {"comment": "Welcome.", "expires_at": until})
    assert (approved.status_code, approved.json()["state"]) == (200, "approved")
    assert approved.json()["decided_by"] == cast.olga.email
    assert ("approve", "Welcome.") in [(row["verb"], row["text"]) for row in approved.json()["comments"]]
    assert "receipt" in approved.json()
    subscription = Subscription.objects.get()
    assert approved.json()["subscription"] == subscription.pk
    assert subscription.state == SubscriptionState.ACTIVE
    assert subscription.expires_at.isoformat() == until


def test_the_second_of_two_approvers_is_told(cast, calls_as, shop):
    asked = ask(calls_as(cast.bob)).json()["id"]
    assert calls_as(cast.olga).post(f"/api/v1/access-requests/{asked}/approve/").status_code == 200
    late = calls_as(cast.ada).post(f"/api/v1/access-requests/{asked}/reject/", {"comment": "No."})
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert AccessRequest.objects.get().state == RequestState.APPROVED


def test_a_request_is_asked_back_answered_and_rejected(cast, calls_as, shop):
    bob, olga = calls_as(cast.bob), calls_as(cast.olga)
    one = f"/api/v1/access-requests/{ask(bob).json()['id']}/"
    assert olga.post(f"{one}ask/", {"comment": "How many calls?"}).json()["state"] == "needs_info"
    assert bob.patch(one, {"reason": "Ten a day."}).json()["reason"] == "Ten a day."
    assert bob.post(f"{one}submit/", {"comment": "Ten."}).json()["state"] == "submitted"
    rejected = olga.post(f"{one}reject/", {"comment": "Use the export."})
    assert rejected.json()["state"] == "rejected"
    assert [row["text"] for row in rejected.json()["comments"]][-1] == "Use the export."


def test_an_approval_may_name_what_was_read(cast, calls_as, shop):
    bob, olga = calls_as(cast.bob), calls_as(cast.olga)
    one = f"/api/v1/access-requests/{ask(bob).json()['id']}/"
    read = olga.get(one).json()["submitted_at"]
    olga.post(f"{one}ask/", {"comment": "How many calls?"})
    bob.patch(one, {"reason": "A million a day."})
    bob.post(f"{one}submit/")
    late = olga.post(f"{one}approve/", {"submitted_at": read})
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    now = olga.get(one).json()["submitted_at"]
    assert olga.post(f"{one}approve/", {"submitted_at": now}).json()["state"] == "approved"


def test_questions_and_rejections_need_a_comment(cast, calls_as, shop):
    one = f"/api/v1/access-requests/{ask(calls_as(cast.bob)).json()['id']}/"
    olga = calls_as(cast.olga)
    for action in ("ask", "reject"):
        refused = olga.post(f"{one}{action}/")
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["comment"])


def test_a_draft_is_handed_in_later_or_taken_back(cast, calls_as, shop):
    bob = calls_as(cast.bob)
    draft = ask(bob, submit=False)
    assert draft.json()["state"] == "draft"
    one = f"/api/v1/access-requests/{draft.json()['id']}/"
    assert calls_as(cast.olga).get(one).status_code == 404
    assert bob.post(f"{one}submit/").json()["state"] == "submitted"
    assert bob.post(f"{one}cancel/", {"comment": "Not needed."}).json()["state"] == "cancelled"
    assert calls_as(cast.olga).post(f"{one}approve/").status_code == 409


def test_an_api_that_approves_automatically_grants_at_once(cast, calls_as, shop):
    calls_as(cast.olga).patch("/api/v1/apis/products/", {"approval": "automatic"})
    asked = ask(calls_as(cast.bob))
    assert asked.json()["state"] == "approved"
    assert Subscription.objects.get().state == SubscriptionState.ACTIVE


def test_a_plan_that_is_not_offered_is_refused_wherever_it_is_named(cast, calls_as, shop):
    make_plan("gold")
    bob, olga, ada = calls_as(cast.bob), calls_as(cast.olga), calls_as(cast.ada)
    one = f"/api/v1/access-requests/{ask(bob, submit=False).json()['id']}/"
    assert olga.patch("/api/v1/apis/products/", {"plans": ["gold"]}).status_code == 200
    make_application(cast.platform, "own")
    held = make_subscription(make_application(cast.globex), shop[0], Plan.objects.get(slug="gold"))
    refusals = [
        bob.post(f"{one}submit/"),
        bob.patch(one, {"plan": "standard", "reason": "Other."}),
        ask(olga, application="platform/own"),
        olga.post("/api/v1/subscriptions/", {"application": "platform/own", "api": "products", "plan": "standard"}),
        olga.patch(f"/api/v1/subscriptions/{held.pk}/", {"plan": "standard"}),
        olga.patch("/api/v1/apis/products/", {"plans": ["standard", "platin"]}),
        ada.patch("/api/v1/plans/gold/", {"tenants": ["nobody"]}),
    ]
    assert [each.status_code for each in refusals] == [400] * len(refusals)
    fields = [list(each.json()["errors"]) for each in refusals]
    assert fields == [*[["plan"]] * 5, ["plans"], ["tenants"]]
    assert "does not offer the plan Standard" in refusals[0].json()["errors"]["plan"][0]
    assert bob.patch(one, {"plan": "gold"}).json()["plan"] == "gold"
    assert bob.post(f"{one}submit/").json()["state"] == "submitted"

    assert olga.patch("/api/v1/apis/products/", {"plans": ["standard"]}).status_code == 200
    late = olga.post(f"{one}approve/")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert "does not offer the plan Gold" in late.json()["detail"]


def test_a_plan_for_some_tenants_is_no_plan_to_the_others(cast, calls_as, shop):
    ada, bob, charlie = calls_as(cast.ada), calls_as(cast.bob), calls_as(cast.charlie)
    assert ada.patch("/api/v1/plans/standard/", {"tenants": ["acme"]}).json()["tenants"] == ["acme"]
    assert "tenants" not in bob.get("/api/v1/plans/standard/").json()
    assert charlie.get("/api/v1/plans/standard/").status_code == 404
    make_application(cast.globex)
    assert ask(charlie, application="globex/bot").json()["errors"].keys() == {"plan"}
    assert ask(bob).json()["state"] == "submitted"


def test_what_automatic_approval_is_not_for_waits_for_a_decision(cast, calls_as, shop):
    make_plan("boundless", rate_calls=None, burst=None, quota=None)
    olga = calls_as(cast.olga)
    olga.patch("/api/v1/apis/products/", {"approval": "automatic"})
    assert ask(calls_as(cast.bob), plan="boundless").json()["state"] == "submitted"
    refused = olga.patch("/api/v1/apis/products/", {"automatic_plans": ["boundless"]})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["automatic_plans"])


def test_a_plan_for_some_tenants_is_told_to_no_other_by_the_apis_that_name_it(cast, calls_as, shop):
    """Neither where the catalogue tells of an API, nor by what an API's owner may name."""
    make_plan("deal", tenants=["acme"])
    ada, bob, charlie, olga = (calls_as(user) for user in (cast.ada, cast.bob, cast.charlie, cast.olga))
    unknown = olga.patch("/api/v1/apis/products/", {"plans": ["standard", "nothing"]}).json()
    for words in ({"plans": ["standard", "deal"]}, {"automatic_plans": ["deal"]}):
        refused = olga.patch("/api/v1/apis/products/", words)
        assert refused.status_code == 400
        assert list(refused.json()["errors"].values()) == [
            [each.replace("nothing", "deal") for each in unknown["errors"]["plans"]]
        ]
    named = {"plans": ["standard", "deal"], "automatic_plans": ["deal"]}
    assert ada.patch("/api/v1/apis/products/", named).status_code == 200
    assert olga.patch("/api/v1/apis/products/", {"summary": "What stood there stays."}).status_code == 200
    browser = Client()
    browser.force_login(cast.charlie)
    for address in ("/api/v1/apis/products/", "/api/v1/apis/", "/catalogue/products/", "/catalogue/products/ask/"):
        seen = browser.get(address)
        assert (seen.status_code, "deal" in seen.content.decode().lower()) == (200, False), address
    offered = {user: user.get("/api/v1/plans/?api=products").json()["results"] for user in (bob, charlie)}
    assert [plan["slug"] for plan in offered[bob]] == ["deal", "standard"]
    assert [plan["slug"] for plan in offered[charlie]] == ["standard"]
    assert bob.get("/api/v1/plans/?api=nothing").json()["results"] == []


def test_nobody_decides_their_own_request(cast, calls_as, shop):
    bob, alice = calls_as(cast.bob), calls_as(cast.alice)
    one = f"/api/v1/access-requests/{ask(bob).json()['id']}/"
    for caller in (bob, alice):
        assert caller.post(f"{one}approve/").status_code == 403
        assert caller.post(f"{one}reject/", {"comment": "x"}).status_code == 403
        assert caller.post(f"{one}ask/", {"comment": "x"}).status_code == 403
    assert AccessRequest.objects.get().state == RequestState.SUBMITTED


def test_approvers_do_not_speak_for_applicants(cast, calls_as, shop):
    one = f"/api/v1/access-requests/{ask(calls_as(cast.bob)).json()['id']}/"
    olga = calls_as(cast.olga)
    assert olga.post(f"{one}cancel/").status_code == 403
    assert olga.patch(one, {"reason": "Other."}).status_code == 403


def test_viewers_and_strangers_do_not_ask(cast, calls_as, shop):
    assert ask(calls_as(cast.vera)).status_code == 403
    refused = ask(calls_as(cast.charlie))
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["application"])


def test_a_stranger_sees_no_request(cast, calls_as, shop):
    asked = ask(calls_as(cast.bob)).json()["id"]
    charlie = calls_as(cast.charlie)
    assert charlie.get("/api/v1/access-requests/").json()["results"] == []
    assert charlie.get(f"/api/v1/access-requests/{asked}/").status_code == 404
    assert charlie.post(f"/api/v1/access-requests/{asked}/approve/").status_code == 404


@pytest.mark.parametrize("missing", ["application", "api", "plan", "reason"])
def test_what_a_request_needs_is_named(cast, calls_as, shop, missing):
    body = {"application": "acme/bot", "api": "products", "plan": "standard", "reason": "Why not."}
    del body[missing]
    refused = calls_as(cast.bob).post("/api/v1/access-requests/", body)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [missing])


@pytest.mark.parametrize(
    ("field", "value"),
    [("application", "bot"), ("application", "globex/bot"), ("api", "nothing"), ("plan", 7), ("application", ["x"])],
)
def test_a_name_that_names_nothing_is_refused(cast, calls_as, shop, field, value):
    refused = ask(calls_as(cast.bob), **{field: value})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])


# Subscriptions


def test_a_subscription_is_suspended_resumed_and_revoked(cast, calls_as):
    subscription = make_subscription(make_application(cast.acme), make_api(cast.platform))
    olga = calls_as(cast.olga)
    one = f"/api/v1/subscriptions/{subscription.pk}/"
    for action, state in (("suspend", "suspended"), ("resume", "active"), ("revoke", "revoked")):
        moved = olga.post(f"{one}{action}/", {"comment": "So."})
        assert (moved.status_code, moved.json()["state"], moved.json()["comment"]) == (200, state, "So.")
        assert "receipt" in moved.json()
    late = olga.post(f"{one}resume/")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")


def test_the_plan_of_a_subscription_is_changed_by_its_approver(cast, calls_as):
    subscription = make_subscription(make_application(cast.acme), make_api(cast.platform))
    make_plan("gold")
    one = f"/api/v1/subscriptions/{subscription.pk}/"
    assert calls_as(cast.olga).patch(one, {"plan": "gold"}).json()["plan"] == "gold"
    assert calls_as(cast.alice).patch(one, {"plan": "standard"}).status_code == 403


def test_an_administrator_grants_access_without_a_request(cast, calls_as, shop):
    body = {"application": "acme/bot", "api": "products", "plan": "standard"}
    made = calls_as(cast.ada).post("/api/v1/subscriptions/", body)
    assert (made.status_code, made.json()["state"]) == (201, "active")
    again = calls_as(cast.ada).post("/api/v1/subscriptions/", body)
    assert again.status_code in (400, 409)


def test_tenants_do_not_grant_themselves_access(cast, calls_as, shop):
    body = {"application": "acme/bot", "api": "products", "plan": "standard"}
    assert calls_as(cast.alice).post("/api/v1/subscriptions/", body).status_code == 403
    assert not Subscription.objects.exists()


def test_members_see_their_subscriptions_and_strangers_none(cast, calls_as):
    subscription = make_subscription(make_application(cast.acme), make_api(cast.platform))
    for user, found in ((cast.vera, 1), (cast.olga, 1), (cast.charlie, 0)):
        assert len(calls_as(user).get("/api/v1/subscriptions/").json()["results"]) == found
    charlie = calls_as(cast.charlie)
    assert charlie.get(f"/api/v1/subscriptions/{subscription.pk}/").status_code == 404
    assert charlie.post(f"/api/v1/subscriptions/{subscription.pk}/revoke/").status_code == 404
    assert calls_as(cast.vera).post(f"/api/v1/subscriptions/{subscription.pk}/suspend/").status_code == 403


# Lists


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("keys/?application=acme/bot", 1),
        ("keys/?application=bot", 0),
        ("keys/?state=revoked", 0),
        ("keys/?tenant=acme", 1),
        ("applications/?tenant=acme&slug=bot", 1),
        ("access-requests/?state=submitted&api=products&application=acme/bot&plan=standard", 1),
        ("access-requests/?state=approved", 0),
        ("subscriptions/?application=acme/bot&api=products&state=active", 1),
        ("subscriptions/?tenant=globex", 0),
        ("plans/?name=stan", 1),
    ],
)
def test_lists_are_filtered(cast, calls_as, shop, address, found):
    api, application = shop
    make_request(cast.bob, application, api)
    make_subscription(application, make_api(cast.platform, "other"))
    make_subscription(application, api)
    make_key(application)
    listed = calls_as(cast.ada).get(f"/api/v1/{address}").json()["results"]
    assert len(listed) == found


@pytest.mark.parametrize("noun", ["applications", "keys", "access-requests", "subscriptions"])
def test_a_list_takes_as_many_queries_for_five_as_for_one(cast, calls_as, noun):
    def make(number):
        application = make_application(cast.acme, f"bot-{number}")
        api = make_api(cast.platform, f"api-{number}")
        make_key(application)
        make_subscription(application, api)
        make_request(cast.bob, make_application(cast.acme, f"more-{number}"), api)

    make(0)
    bob = calls_as(cast.bob)
    bob.get(f"/api/v1/{noun}/")
    with CaptureQueriesContext(connection) as few:
        one = bob.get(f"/api/v1/{noun}/").json()["results"]
    for number in range(1, 5):
        make(number)
    with CaptureQueriesContext(connection) as many:
        five = bob.get(f"/api/v1/{noun}/").json()["results"]
    assert len(five) == 5 * len(one) > 0
    assert len(many) == len(few) <= 4


def test_a_key_is_limited_to_apis_at_its_creation_and_later(cast, calls_as):
    make_api(cast.platform)
    make_application(cast.acme)
    bob = calls_as(cast.bob)
    made = bob.post("/api/v1/keys/", {"application": "acme/bot", "name": "ci", "apis": ["products"]})
    assert (made.status_code, made.json()["apis"]) == (201, ["products"])
    address = f"/api/v1/keys/{made.json()['id']}/"
    changed = bob.patch(address, {"apis": None})
    assert (changed.status_code, changed.json()["apis"]) == (200, None)
    assert "receipt" in changed.json()
    for apis, field in ((["nothing"], "apis"), ([], "apis"), ("products", "apis")):
        refused = bob.patch(address, {"apis": apis})
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])
    assert bob.patch(address, {"name": "other"}).status_code == 400
    assert bob.patch(address, {"secret": "x" * 20}).status_code == 400
    assert calls_as(cast.vera).patch(address, {"apis": ["products"]}).status_code == 403
    assert calls_as(cast.charlie).patch(address, {"apis": ["products"]}).status_code == 404


def test_forwarding_credentials_over_rest_is_the_administrators(cast, calls_as):
    make_api(cast.platform)
    refused = calls_as(cast.olga).patch("/api/v1/apis/products/", {"forward_credential": True})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["forward_credential"])
    words = {"forward_credential": True, "underscore_headers": ["X_Region"], "credential_headers": ["X-Badge"]}
    changed = calls_as(cast.ada).patch("/api/v1/apis/products/", words).json()
    assert {word: changed[word] for word in words} == words


def test_certificates_and_signing_keys_are_made_listed_bound_and_revoked(cast, calls_as, state_redis):
    make_application(cast.acme)
    bob = calls_as(cast.bob)
    body = {"application": "acme/bot", "name": "ci", "methods": ["GET"]}
    certificate = make_certificate()
    added = bob.post("/api/v1/keys/", body | {"kind": "certificate", "certificate": pem(certificate)})
    assert added.status_code == 201, added.content
    assert (added.json()["kind"], added.json()["methods"]) == ("certificate", ["GET"])
    assert added.json()["identifier"] == fingerprint_of(der(certificate))
    assert "certificate" not in added.json()
    signing = {"kind": "signing_key", "operations": [{"path": "/items/{id}"}], "addresses": ["10.0.0.1"]}
    made = bob.post("/api/v1/keys/", body | signing)
    assert made.status_code == 201, made.content
    secret = made.json()["secret"]
    assert made.json()["identifier"].startswith("sk-")
    imported = bob.post("/api/v1/keys/", body | {"kind": "signing_key", "identifier": "p-7", "secret": "s" * 32})
    assert (imported.status_code, imported.json()["secret"]) == (201, "s" * 32)
    listed = bob.get("/api/v1/keys/")
    assert sorted(each["kind"] for each in listed.json()["results"]) == ["certificate", "signing_key", "signing_key"]
    assert secret not in listed.content.decode()
    assert "s" * 32 not in listed.content.decode()
    address = f"/api/v1/keys/{made.json()['id']}/"
    changed = bob.patch(address, {"methods": None, "addresses": ["10.0.0.0/8"]}).json()
    assert (changed["methods"], changed["operations"], changed["addresses"]) == (
        None,
        [{"path": "/items/{id}"}],
        ["10.0.0.0/8"],
    )
    assert bob.post(f"{address}rotate/", {}).status_code == 409
    assert bob.post(f"{address}revoke/", {}).json()["state"] == "revoked"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "certificate"}, "certificate"),
        ({"kind": "certificate", "certificate": "none"}, "certificate"),
        ({"kind": "certificate", "certificate": "none", "expires_at": "2099-01-01T00:00:00Z"}, "expires_at"),
        ({"kind": "signing_key", "identifier": "p-7"}, "secret"),
        ({"kind": "signing_key", "identifier": "p 7", "secret": "s" * 32}, "identifier"),
        ({"kind": "signing_key", "identifier": "p-7", "secret": "short"}, "secret"),
        ({"kind": "signing_key", "certificate": "none"}, "certificate"),
        ({"certificate": "none"}, "certificate"),
        ({"methods": ["FETCH"]}, "methods"),
        ({"operations": []}, "operations"),
        ({"addresses": ["here"]}, "addresses"),
    ],
)
def test_what_is_wrong_with_another_credential_is_named_by_its_field(cast, calls_as, body, field):
    make_application(cast.acme)
    refused = calls_as(cast.bob).post("/api/v1/keys/", {"application": "acme/bot", "name": "ci", **body})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field]), refused.content
    assert not Credential.objects.exists()

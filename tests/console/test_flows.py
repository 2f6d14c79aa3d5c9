"""What people do in the console, each step with its result, its row, and its audit entry."""

import re
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from apps.access.choices import KeyState, RequestState, SubscriptionState
from apps.access.models import AccessRequest, Application, Credential, Plan, Subscription
from apps.access.services import plan_update, request_approve, request_ask, request_submit
from apps.audit.models import Entry
from apps.caching.models import Purge
from apps.catalog.models import API
from apps.catalog.services import api_update
from apps.console.views.platform import page_of_object
from apps.fleet.receipts import wait_for_receipt
from apps.tenants.models import Invitation, Membership, Tenant, Token, User
from apps.wire import redis_names
from tests.console.conftest import errors_of, last_entry, text_of
from tests.support.calls import make_calls
from tests.support.cast import PASSWORD, confirm, make_api, make_application, make_plan, make_subscription
from tests.support.certificates import self_signed

REGISTER = {
    "name": "Books",
    "listen_path": "books",
    "upstream_url": "http://127.0.0.1:9000/",
    "tenant": "platform",
    "authentication": "api_key",
    "approval": "manual",
    "mode": "origin",
    "ttl": "60s",
}


def in_days(days: int) -> str:
    """A moment as a browser's control writes it."""
    return (timezone.now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")


CERTIFICATE = self_signed("localhost")

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/"}


# Signing in


def test_a_user_signs_in_by_address_and_out_again(cast, client, state_redis):
    answer = client.post("/accounts/login/", {"login": "Alice@acme.test", "password": PASSWORD}, follow=True)
    assert "Overview" in text_of(answer)
    client.post("/accounts/logout/")
    assert client.get("/").status_code == 302


def test_a_wrong_password_is_refused_beside_the_form(cast, client, state_redis):
    answer = client.post("/accounts/login/", {"login": "alice@acme.test", "password": "wrong"})
    assert "not correct" in text_of(answer)


def test_nobody_makes_an_account_for_themselves(client, db):
    assert "by invitation" in text_of(client.get("/accounts/signup/"))


# APIs


def test_an_api_is_registered_with_three_answers(world, browse):
    answer = browse(world.people.olga).post(reverse("console:api_register"), REGISTER)
    api = API.objects.get(slug="books")
    assert answer["Location"] == "/apis/books/"
    assert (api.listen_path, api.state, [each.url for each in api.upstreams.all()]) == (
        "/books/",
        "draft",
        ["http://127.0.0.1:9000/"],
    )
    entry = last_entry()
    assert (entry.verb, entry.actor_email, entry.via) == ("api.create", "olga@platform.test", "console")


def test_an_api_can_be_published_as_it_is_registered(world, browse):
    answer = browse(world.people.olga).post(
        reverse("console:api_register"), REGISTER | {"then": "publish"}, follow=True
    )
    assert "Books is published: in force" in text_of(answer)
    assert API.objects.get(slug="books").state == "published"


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("listen_path", "/products/", "products"),
        ("upstream_url", "ftp://127.0.0.1/", "http"),
        ("upstream_url", "http://169.254.169.254/latest/", "link-local"),
        ("name", "", "required"),
        ("ttl", "a while", "is not a duration"),
    ],
)
def test_what_is_wrong_with_a_registration_stands_beside_the_field_and_nothing_typed_is_lost(
    world, browse, field, value, error
):
    answer = browse(world.people.olga).post(reverse("console:api_register"), REGISTER | {field: value})
    assert answer.status_code == 422
    assert error.lower() in " ".join(errors_of(answer)[field]).lower()
    page = answer.content.decode()
    for kept in ({"name", "upstream_url"} - {field}) | ({field} if value else set()):
        assert (REGISTER | {field: value})[kept] in page
    assert not API.objects.filter(slug="books").exists()


def test_nobody_registers_an_api_for_a_tenant_of_others(world, browse):
    answer = browse(world.people.alice).post(reverse("console:api_register"), REGISTER)
    assert answer.status_code == 422
    assert "tenant" in errors_of(answer)


@pytest.mark.parametrize(
    ("step", "state"), [("deprecate", "deprecated"), ("retire", "retired"), ("unpublish", "draft")]
)
def test_a_step_of_an_apis_life_asks_names_it_and_ends_with_its_receipt(world, browse, step, state):
    olga, address = browse(world.people.olga), reverse("console:api_step", args=["products", step])
    assert "Products" in text_of(olga.get(address))
    answer = olga.post(address, {"comment": "Time to go."}, follow=True)
    assert re.search(r"Products is .*: in force", text_of(answer))
    world.api.refresh_from_db()
    assert world.api.state == state
    assert (last_entry().verb, last_entry().comment) == (f"api.{step}", "Time to go.")


def test_apis_of_one_name_are_told_apart_wherever_one_is_chosen(world, browse):
    make_api(world.people.platform, slug="products-2", name="Products", listen_path="/products-2/")
    olga = browse(world.people.olga)
    for page in ("subscriptions", "requests", "purge", "warm_up_new"):
        read = text_of(olga.get(reverse(f"console:{page}")))
        assert "Products (products-2)" in read, page


def test_a_plan_of_one_call_says_call(world, browse):
    Plan.objects.filter(pk=world.plan.pk).update(rate_calls=1, rate_period=2.0)
    assert "1 call per 2" in text_of(
        browse(world.people.ada).get(reverse("console:catalogue_entry", args=["products"]))
    )


def test_a_step_that_is_not_possible_any_more_says_so(world, browse):
    answer = browse(world.people.olga).post(reverse("console:api_step", args=["products", "publish"]))
    assert answer.status_code == 422
    assert errors_of(answer)["__all__"]


def test_settings_saved_by_two_at_once_are_not_lost(world, browse):
    olga, address = browse(world.people.olga), reverse("console:api_settings", args=["products"])
    fields = {
        **{name: value for name, value in olga.get(address).context["form"].initial.items() if value is not None},
        "tags": "shop",
        "hosts": "",
        "forward_credential": "",
    }
    assert olga.post(address, fields | {"name": "Wares"}).status_code == 302
    answer = olga.post(address, fields | {"name": "Goods"})
    assert answer.status_code == 422
    assert "Goods" in answer.content.decode()
    assert API.objects.get(slug="products").name == "Wares"


def test_ways_of_saying_who_calls_are_chosen_in_an_order(world, browse):
    olga, address = browse(world.people.olga), reverse("console:api_settings", args=["products"])
    API.objects.filter(slug="products").update(authentication=["none", "api_key"])

    def save(**changes):
        shown = olga.get(address).context["form"].initial
        sent = {name: value for name, value in shown.items() if value not in (None, False, [], {})}
        return olga.post(address, sent | changes)

    def saved():
        return API.objects.get(slug="products").authentication

    assert save(name="Wares").status_code == 302
    assert saved() == ["none", "api_key"]
    save(authentication=["api_key", "", "none", "api_key"])
    assert saved() == ["api_key", "none"]
    assert save(authentication=["", ""]).status_code == 422
    again = save(authentication=["none", "", ""], name="").content.decode()
    assert again.count('name="authentication"') == 3
    assert errors_of(save(authentication=["telepathy"])).keys() == {"authentication"}
    assert saved() == ["api_key", "none"]


VALIDATION = {
    "validate_requests": "report",
    "validate_responses": "off",
    "report_injections": "off",
    "json_bytes": "1048576",
    "json_depth": "16",
    "json_names": "10000",
    "json_items": "10000",
    "json_text": "100000",
}
"""What the form says of validation."""


def test_upstreams_are_changed_in_place(world, browse):
    olga, address = browse(world.people.olga), reverse("console:api_traffic", args=["products"])
    fields = {
        "connect_timeout": "3s",
        "read_timeout": "30s",
        "retries": "1",
        "concurrent_calls": "64",
        "queued_calls": "32",
        "queue_wait": "500ms",
        **VALIDATION,
        "body_mib": "10",
        "expected_revision": str(world.api.revision),
        "set_request_headers": "X-Region: eu",
        "upstreams-TOTAL_FORMS": "2",
        "upstreams-INITIAL_FORMS": "1",
        "upstreams-0-url": "http://127.0.0.1:1/",
        "upstreams-0-weight": "1",
        "upstreams-1-url": "https://127.0.0.1:2/",
        "upstreams-1-weight": "3",
        "upstreams-1-ca": CERTIFICATE.pem,
    }
    assert olga.post(address, fields).status_code == 302
    api = API.objects.get(slug="products")
    assert [(each.url, each.weight, each.ca) for each in api.upstreams.all()] == [
        ("http://127.0.0.1:1/", 1, ""),
        ("https://127.0.0.1:2/", 3, CERTIFICATE.pem),
    ]
    assert CERTIFICATE.pem.strip() in olga.get(address).content.decode().replace("&#x27;", "'")
    assert api.connect_timeout == 3
    assert (api.concurrent_calls, api.queued_calls, api.queue_wait) == (64, 32, 0.5)
    assert (api.validate_requests, api.json_depth) == ("report", 16)
    assert api.request_headers["set"] == {"X-Region": "eu"}


def test_a_bad_upstream_is_named_beside_its_row(world, browse):
    fields = {
        "connect_timeout": "3s",
        "read_timeout": "30s",
        "retries": "1",
        "concurrent_calls": "64",
        "queued_calls": "32",
        "queue_wait": "500ms",
        **VALIDATION,
        "body_mib": "10",
        "expected_revision": str(world.api.revision),
        "upstreams-TOTAL_FORMS": "1",
        "upstreams-INITIAL_FORMS": "1",
        "upstreams-0-url": "ftp://127.0.0.1/",
        "upstreams-0-weight": "1",
        "upstreams-0-ca": CERTIFICATE.key,
    }
    answer = browse(world.people.olga).post(reverse("console:api_traffic", args=["products"]), fields)
    assert answer.status_code == 422
    assert answer.context["upstreams"][0].errors["url"]
    assert "private key" in answer.context["upstreams"][0].errors["ca"][0]


def test_a_revision_shows_what_it_changed_and_can_be_gone_back_to(world, browse):
    olga = browse(world.people.olga)
    olga.post(
        reverse("console:api_documentation", args=["products"]),
        {"documentation": "Ask for items.", "comment": "Docs", "expected_revision": world.api.revision},
    )
    page = text_of(olga.get(reverse("console:api_revision", args=["products", 2])))
    assert "documentation" in page
    assert "Ask for items." in page
    answer = olga.post(reverse("console:api_restore", args=["products", 1]), follow=True)
    assert "Products is back at revision 1: in force" in text_of(answer)
    assert API.objects.get(slug="products").documentation == ""


def test_an_api_is_deleted_only_by_its_name(world, browse):
    make_api(world.people.platform, "old", publish=False)
    olga, address = browse(world.people.olga), reverse("console:api_delete", args=["old"])
    assert olga.post(address, {"confirm": "something"}).status_code == 422
    assert olga.post(address, {"confirm": "old"}).status_code == 302
    assert not API.objects.filter(slug="old").exists()


def openapi(name: str, content: bytes):
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(name, content)


DOCUMENT = b"""
openapi: 3.0.3
info: {title: Books, version: "1"}
servers: [{url: "http://127.0.0.1:9000/"}]
paths:
  /books: {get: {summary: All books, responses: {"200": {description: ok}}}, post: {responses: {"201": {description: ok}}}}
"""


def test_an_openapi_document_becomes_an_api_with_an_operation_per_path_and_method(world, browse):
    answer = browse(world.people.olga).post(
        reverse("console:api_import_new"), {"document": openapi("b.yaml", DOCUMENT), "tenant": "platform"}, follow=True
    )
    assert "with 2 operations" in text_of(answer)
    assert {str(each) for each in API.objects.get(slug="books").operations.all()} == {"GET /books", "POST /books"}


@pytest.mark.parametrize("content", [b"\x00\x01", b"openapi: 3.0.3", b"[", b"x" * (5 * 2**20 + 1)])
def test_a_bad_document_is_refused_beside_its_field(world, browse, content):
    answer = browse(world.people.olga).post(
        reverse("console:api_import", args=["products"]), {"document": openapi("b.yaml", content)}
    )
    assert answer.status_code == 422
    assert "document" in errors_of(answer)
    assert "Choose the file again" in text_of(answer)


def test_a_form_that_comes_back_says_that_its_file_is_gone(world, browse):
    olga, address = browse(world.people.olga), reverse("console:api_import_new")
    assert "Choose the file again" not in text_of(olga.get(address))
    named = {"document": openapi("b.yaml", DOCUMENT), "tenant": "platform", "slug": "products"}
    refused = olga.post(address, named)
    assert "slug" in errors_of(refused)
    assert "Choose the file again" in text_of(refused)


# Access


def test_access_is_asked_for_decided_and_heard_of(world, browse):
    world.asked.delete()
    charlie, olga = browse(world.people.charlie), browse(world.people.olga)
    application = Application.objects.get(slug="mobile")
    answer = charlie.post(
        reverse("console:ask", args=["products"]),
        {"application": application.pk, "plan": "standard", "reason": "For the shop."},
        follow=True,
    )
    assert "is handed in" in text_of(answer)
    asked = AccessRequest.objects.get(application=application)
    queue = text_of(olga.get("/requests/"))
    assert "Requests to decide" in queue
    done = olga.post(reverse("console:request_approve", args=[asked.pk]), {"comment": "Welcome."}, follow=True)
    assert "Mobile may call Products: in force" in text_of(done)
    assert Subscription.objects.get(application=application).state == SubscriptionState.ACTIVE
    assert "Welcome." in text_of(charlie.get(reverse("console:request", args=[asked.pk])))
    assert "was approved" in text_of(charlie.get(reverse("console:notifications")))


def test_of_two_who_decide_at_once_the_second_is_told_who_was_first(world, browse):
    request_approve(actor=world.people.ada, access_request=world.asked)
    answer = browse(world.people.olga).post(
        reverse("console:request_reject", args=[world.asked.pk]), {"comment": "No."}
    )
    assert answer.status_code == 422
    assert "Ada" in errors_of(answer)["__all__"][0]


def test_a_rejection_needs_a_reason(world, browse):
    answer = browse(world.people.olga).post(reverse("console:request_reject", args=[world.asked.pk]), {"comment": ""})
    assert errors_of(answer)["comment"]
    world.asked.refresh_from_db()
    assert world.asked.state == RequestState.SUBMITTED


def test_a_question_is_answered_and_the_request_waits_again(world, browse):
    charlie, olga = browse(world.people.charlie), browse(world.people.olga)
    olga.post(reverse("console:request_ask", args=[world.asked.pk]), {"comment": "How much?"})
    page = charlie.get(reverse("console:request", args=[world.asked.pk]))
    assert "How much?" in text_of(page)
    assert page.context["may_answer"]
    charlie.post(
        reverse("console:request_answer", args=[world.asked.pk]),
        {"plan": "standard", "reason": "For the shop.", "comment": "Ten a minute."},
    )
    world.asked.refresh_from_db()
    assert world.asked.state == RequestState.SUBMITTED
    assert "Ten a minute." in text_of(olga.get(reverse("console:request", args=[world.asked.pk])))


def test_an_end_that_has_passed_is_refused(world, browse):
    answer = browse(world.people.olga).post(
        reverse("console:request_approve", args=[world.asked.pk]), {"expires_at": "2001-01-01T00:00"}
    )
    assert "passed" in errors_of(answer)["expires_at"][0]


def test_an_approval_can_have_an_end(world, browse):
    end = (timezone.now() + timezone.timedelta(days=30)).replace(second=0, microsecond=0)
    browse(world.people.olga).post(
        reverse("console:request_approve", args=[world.asked.pk]), {"expires_at": f"{end:%Y-%m-%dT%H:%M}"}
    )
    assert Subscription.objects.get(application__slug="mobile").expires_at == end


def test_a_request_that_was_handed_in_anew_is_not_approved_on_an_older_page(world, browse):
    olga, address = browse(world.people.olga), reverse("console:request_approve", args=[world.asked.pk])
    held = olga.get(address).context["form"]
    request_ask(actor=world.people.ada, access_request=world.asked, comment="How many?")
    request_submit(actor=world.people.charlie, access_request=world.asked)
    answer = olga.post(address, {"submitted_at": held["submitted_at"].value()})
    assert "handed in anew" in text_of(answer)
    assert answer.status_code == 422
    olga.post(address, {"submitted_at": olga.get(address).context["form"]["submitted_at"].value()})
    world.asked.refresh_from_db()
    assert world.asked.state == RequestState.APPROVED


def test_a_request_is_taken_back_by_whoever_made_it(world, browse):
    browse(world.people.charlie).post(reverse("console:request_cancel", args=[world.asked.pk]))
    world.asked.refresh_from_db()
    assert world.asked.state == RequestState.CANCELLED


def test_who_has_no_application_is_sent_to_make_one_first(world, browse):
    from tests.support.cast import make_tenant, make_user

    newcomer = browse(make_user("new@initech.test", make_tenant("initech")))
    assert "First an application" in text_of(newcomer.get(reverse("console:ask", args=["products"])))


@pytest.mark.parametrize(
    ("steps", "state"),
    [(["suspend"], "suspended"), (["suspend", "resume"], "active"), (["revoke"], "revoked")],
)
def test_a_subscription_is_suspended_resumed_and_revoked(world, browse, steps, state):
    olga = browse(world.people.olga)
    for step in steps:
        answer = olga.post(reverse(f"console:subscription_{step}", args=[world.subscription.pk]), follow=True)
        assert ": in force" in text_of(answer)
    world.subscription.refresh_from_db()
    assert world.subscription.state == state


def test_what_was_said_of_a_suspension_stands_in_both_sides_lists(world, browse):
    suspend = reverse("console:subscription_suspend", args=[world.subscription.pk])
    browse(world.people.olga).post(suspend, {"comment": "Too many calls: <b>call us</b>."})
    for reader, side in ((world.people.alice, "caller"), (world.people.olga, "provider")):
        answer = browse(reader).get(f"{reverse('console:subscriptions')}?side={side}")
        assert "Suspended Too many calls: <b>call us</b>." in text_of(answer)
    browse(world.people.olga).post(reverse("console:subscription_resume", args=[world.subscription.pk]))
    assert "Too many calls" not in text_of(browse(world.people.alice).get(reverse("console:subscriptions")))


def test_a_caller_may_give_a_subscription_up_but_not_resume_it(world, browse):
    alice = browse(world.people.alice)
    assert alice.post(reverse("console:subscription_suspend", args=[world.subscription.pk])).status_code == 403
    assert alice.post(reverse("console:subscription_revoke", args=[world.subscription.pk])).status_code == 302


# Applications and keys


def test_an_application_is_made_and_its_first_key_shown_once(world, browse):
    bob = browse(world.people.bob)
    answer = bob.post(reverse("console:application_new"), {"name": "Night shop", "tenant": "acme"}, follow=True)
    assert "No credential yet" in text_of(answer)
    shown = bob.post(reverse("console:key_new", args=["acme", "night-shop"]), {"name": "ci"})
    secret = re.search(r'id="new-key"[^>]*>\s*(amk_\w+)', shown.content.decode())
    assert secret
    assert f"X-API-Key: {secret[1]}" in text_of(shown)
    assert "no-store" in shown["Cache-Control"]
    later = bob.get(reverse("console:application", args=["acme", "night-shop"]))
    assert secret[1] not in later.content.decode()
    assert Credential.objects.get(application__slug="night-shop").prefix in text_of(later)


def test_a_key_is_replaced_with_an_overlap(world, browse):
    bob = browse(world.people.bob)
    shown = bob.post(reverse("console:key_rotate", args=[world.key.key.pk]), {"overlap": "2h"})
    assert "amk_" in shown.content.decode()
    world.key.key.refresh_from_db()
    assert world.key.key.successor is not None
    left = (world.key.key.expires_at - timezone.now()).total_seconds()
    assert 7000 < left <= 7200


@pytest.mark.parametrize("overlap", ["40000000000h", "999999999999999d", "36526d", "9" * 400 + "d"])
def test_no_overlap_is_too_long_to_be_refused(world, browse, overlap):
    bob = browse(world.people.bob)
    assert bob.post(reverse("console:key_rotate", args=[world.key.key.pk]), {"overlap": overlap}).status_code == 422
    world.key.key.refresh_from_db()
    assert world.key.key.successor is None


def test_a_revoked_key_is_revoked_with_a_receipt(world, browse):
    answer = browse(world.people.bob).post(reverse("console:key_revoke", args=[world.key.key.pk]), follow=True)
    assert "The key ci is revoked: in force" in text_of(answer)
    world.key.key.refresh_from_db()
    assert world.key.key.state == KeyState.REVOKED


def test_an_application_is_deleted_by_its_name_with_its_keys(world, browse):
    alice, address = browse(world.people.alice), reverse("console:application_delete", args=["acme", "bot"])
    assert alice.post(address, {"confirm": "other"}).status_code == 422
    alice.post(address, {"confirm": "bot"})
    assert not Credential.objects.filter(pk=world.key.key.pk).exists()


# Plans


PLAN = {"name": "Big", "rate_calls": "500", "rate_period": "1s", "quota": "", "quota_period": "month"}


def test_a_plan_is_made_changed_and_deleted(world, browse):
    ada = browse(world.people.ada)
    ada.post(reverse("console:plan_new"), PLAN)
    plan = Plan.objects.get(slug="big")
    assert (plan.rate_calls, plan.quota, plan.charge_failures) == (500, None, False)
    answer = ada.post(reverse("console:plan", args=["big"]), PLAN | {"rate_calls": "900"}, follow=True)
    assert "The plan Big is changed: in force" in text_of(answer)
    ada.post(reverse("console:plan_delete", args=["big"]))
    assert not Plan.objects.filter(slug="big").exists()


def test_who_asks_chooses_among_the_plans_that_are_offered(world, browse):
    people, settings = world.people, reverse("console:api_settings", args=["products"])
    (
        make_plan("gold"),
        make_plan("deal", tenants=["acme"]),
        make_plan("boundless", rate_calls=None, burst=None, quota=None),
    )
    olga, bob = browse(people.olga), browse(people.bob)
    form = olga.get(settings).context["form"]
    assert [slug for slug, _ in form.fields["plans"].choices] == ["boundless", "gold", "standard"]
    sent = {name: form[name].value() for name in form.fields} | {"hosts": "", "tags": "", "approval": "automatic"}
    sent = {name: value for name, value in sent.items() if value not in (None, False)}
    answer = olga.post(settings, sent | {"plans": ["gold", "boundless"], "automatic_plans": ["boundless"]})
    assert "neither a rate limit nor a quota" in errors_of(answer)["automatic_plans"][0]
    assert olga.post(settings, sent | {"plans": ["gold", "boundless"], "automatic_plans": []}).status_code == 302

    world.subscription.delete()
    ask = reverse("console:ask", args=["products"])
    offered = [str(label) for _, label in bob.get(ask).context["form"].fields["plan"].choices]
    assert offered == [
        "Choose a plan",
        "Boundless: no rate limit, no quota; somebody decides",
        "Gold: 100 calls per s, 1,000,000 per month; granted at once",
    ]
    assert (
        "Standard" not in text_of(bob.get(reverse("console:catalogue_entry", args=["products"]))).partition("Plans")[2]
    )
    wanted = {"application": world.application.pk, "reason": "For the shop."}
    assert "plan" in errors_of(bob.post(ask, wanted | {"plan": "standard"}))
    assert "is handed in" in text_of(bob.post(ask, wanted | {"plan": "boundless"}, follow=True))

    asked = AccessRequest.objects.get(plan__slug="boundless")
    assert "Boundless: no rate limit, no quota" in text_of(
        olga.get(reverse("console:request_approve", args=[asked.pk]))
    )
    api_update(actor=people.olga, api=world.api, plans=["gold"])
    assert "does not offer the plan Boundless" in text_of(olga.get(reverse("console:request", args=[asked.pk])))
    late = olga.post(reverse("console:request_approve", args=[asked.pk]))
    assert "does not offer the plan Boundless" in errors_of(late)["__all__"][0]


def test_where_no_plan_is_left_the_page_says_so_in_place_of_a_form(world, browse):
    plan_update(actor=world.people.ada, plan=world.plan, tenants=["globex"])
    page = text_of(browse(world.people.bob).get(reverse("console:ask", args=["products"])))
    assert "There is no plan for you" in page


def test_an_administrator_keeps_a_plan_for_some_tenants(world, browse):
    ada = browse(world.people.ada)
    ada.post(reverse("console:plan_new"), PLAN | {"tenants": ["acme"]})
    assert Plan.objects.get(slug="big").tenants == ["acme"]
    assert ada.get(reverse("console:plan", args=["big"])).context["form"]["tenants"].value() == ["acme"]


def test_a_plan_in_use_is_not_deleted(world, browse):
    answer = browse(world.people.ada).post(reverse("console:plan_delete", args=["standard"]))
    assert "is used by" in errors_of(answer)["__all__"][0]


# Cache


def test_a_purge_is_asked_for_and_its_receipt_kept(world, browse):
    wait_for_receipt()  # what there is is published: Redis knows the installation
    olga = browse(world.people.olga)
    answer = olga.post(
        reverse("console:api_purge", args=["products"]), {"kind": "path", "value": "/items/7"}, follow=True
    )
    assert "Purged of products: One path" in text_of(answer)
    made = Purge.objects.first()
    assert (made.kind, made.value, made.actor_email) == ("path", "/items/7", "olga@platform.test")


def test_a_purge_that_redis_does_not_hear_is_refused_and_says_so(world, browse):
    answer = browse(world.people.olga).post(reverse("console:purge"), {"api": "products", "kind": "api"})
    assert answer.status_code == 422
    assert "nothing was purged" in errors_of(answer)["__all__"][0]


def test_a_purge_says_which_kinds_need_a_value(world, browse):
    page = text_of(browse(world.people.olga).get(reverse("console:purge")))
    assert "Path, prefix or tag needed, but for the whole API" in " ".join(page.split())


def test_a_purge_without_its_value_is_refused_beside_the_field(world, browse):
    answer = browse(world.people.olga).post(reverse("console:purge"), {"api": "products", "kind": "path"})
    assert answer.status_code == 422
    assert errors_of(answer)["value"]


# People


@pytest.fixture
def link_to(world, browse, django_capture_on_commit_callbacks):
    """``link_to(address)``: where the link leads that Alice has sent there."""

    def invited(address: str) -> str:
        with django_capture_on_commit_callbacks(execute=True):
            answer = browse(world.people.alice).post(
                reverse("console:invite", args=["acme"]), {"email": address, "role": "developer"}, follow=True
            )
        assert f"An invitation is on its way to {address}." in text_of(answer)
        found = re.search(r"https?://[^/]+(/invitations/\S+)", mail.outbox[-1].body)
        assert found
        return found[1]

    return invited


def test_somebody_new_accepts_with_a_name_and_a_password(world, client, link_to):
    link = link_to("dora@else.test")
    page = client.get(link)
    assert "Alice invites you to become a member of Acme (developer)." in text_of(page)
    assert "at least 10 characters" in text_of(page)
    refused = client.post(link, {"name": "Dora", "password": "12345"})
    assert refused.status_code == 422
    assert errors_of(refused)["password"]
    answer = client.post(link, {"name": "Dora", "password": "tulips in january"}, follow=True)
    assert "You are a member of Acme. Sign in with your new password." in text_of(answer)
    assert Membership.objects.get(user__email="dora@else.test").role == "developer"
    assert client.get(link).status_code == 404
    client.post("/accounts/login/", {"login": "dora@else.test", "password": "tulips in january"})
    assert client.get(reverse("console:tenant", args=["acme"])).status_code == 200


def test_who_has_an_account_signs_in_and_accepts(world, client, link_to):
    link = link_to(world.people.charlie.email)
    assert "Sign in with it to accept" in text_of(client.get(link))
    assert client.post(link, {"name": "Eve", "password": "tulips in january"}).status_code == 200
    assert User.objects.get(pk=world.people.charlie.pk).check_password(PASSWORD)
    words = {"login": world.people.charlie.email, "password": PASSWORD, "next": link}
    assert client.post("/accounts/login/", words)["Location"] == link
    assert "You are signed in as charlie@globex.test." in text_of(client.get(link))
    answer = client.post(link, follow=True)
    assert "You are a member of Acme." in text_of(answer)
    assert (last_entry().verb, last_entry().via) == ("invitation.accept", "console")


def test_who_is_signed_in_with_another_address_is_told_so(world, browse, link_to):
    link = link_to(world.people.charlie.email)
    olga = browse(world.people.olga)
    for answer in (olga.get(link), olga.post(link)):
        assert answer.status_code == 403
        assert "You are signed in as olga@platform.test, and the invitation was sent to another" in text_of(answer)
        assert "charlie" not in answer.content.decode()
    assert not Membership.objects.filter(user=world.people.olga, tenant=world.people.acme).exists()


@pytest.mark.parametrize("who", [None, "charlie"])
def test_an_invitation_is_declined_by_whoever_holds_its_link(world, browse, client, link_to, who):
    link = link_to(world.people.charlie.email)
    reader = browse(getattr(world.people, who)) if who else client
    assert "You declined" in text_of(reader.post(link, {"decline": "1"}))
    assert reader.get(link).status_code == 404
    assert last_entry().verb == "invitation.decline"


def test_a_link_that_is_none_opens_nothing(db, client):
    answer = client.get("/invitations/made-up/")
    assert answer.status_code == 404
    assert "This link no longer works" in text_of(answer)


def test_pages_of_an_invitation_are_nobody_elses_to_keep_or_frame(world, client, link_to):
    answer = client.get(link_to("dora@else.test"))
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_an_owner_sees_whom_they_asked_sends_again_and_takes_back(world, browse, client, link_to):
    first = link_to("dora@else.test")
    alice = browse(world.people.alice)
    tenant = reverse("console:tenant", args=["acme"])
    assert "dora@else.test Developer, sent" in text_of(alice.get(tenant))
    for name in ("bob", "vera"):
        assert "dora@else.test" not in text_of(browse(getattr(world.people, name)).get(tenant))
    number = Invitation.objects.get(email="dora@else.test").pk
    alice.post(reverse("console:invitation_send", args=["acme", number]))
    assert browse(world.people.ada).get(first).status_code == 404, "the link before works no more"
    ada, handed = browse(world.people.ada), reverse("console:invitation_link", args=["acme", number])
    assert handed in ada.get(tenant).text
    assert handed not in alice.get(tenant).text
    link = re.search(r"https?://[^/]+(/invitations/[^<\s]+)", ada.post(handed).text)
    assert link
    assert client.get(link[1]).status_code == 200
    alice.post(reverse("console:invitation_send", args=["acme", number]))
    often = alice.post(reverse("console:invitation_send", args=["acme", number]))
    assert often.status_code == 422
    assert "3 times in a day" in errors_of(often)["__all__"][0]
    alice.post(reverse("console:invitation_cancel", args=["acme", number]))
    assert "dora@else.test" not in text_of(alice.get(tenant)).replace(
        "The invitation to dora@else.test is taken back.", ""
    )
    twice = alice.post(reverse("console:invite", args=["acme"]), {"email": "bob@acme.test", "role": "viewer"})
    assert errors_of(twice) == {"email": ["bob@acme.test is a member of Acme already."]}


def test_an_administrator_adds_a_member_who_gets_a_link_to_choose_a_password(
    world, browse, client, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answer = browse(world.people.ada).post(
            reverse("console:invite", args=["acme"]), {"email": "dora@acme.test", "role": "developer"}, follow=True
        )
    assert "dora@acme.test is a member of Acme." in text_of(answer)
    assert Membership.objects.get(user__email="dora@acme.test").role == "developer"
    link = re.search(r"https?://\S+(/accounts/password/reset/key/\S+)", mail.outbox[-1].body)
    assert link
    form = client.get(link[1], follow=True)
    assert "Choose a password" in text_of(form)
    assert "at least 10 characters" in text_of(form)
    set_at = form.redirect_chain[-1][0]
    client.post(set_at, {"password1": "tulips in january", "password2": "tulips in january"})
    assert User.objects.get(email="dora@acme.test").check_password("tulips in january")


def test_the_last_owner_stays(world, browse):
    membership = Membership.objects.get(user=world.people.alice)
    answer = browse(world.people.ada).post(
        reverse("console:member_role", args=["acme", membership.pk]), {"role": "viewer"}
    )
    assert answer.status_code == 422
    assert errors_of(answer)["role"]


def test_a_tenant_is_made_and_suspended(world, browse):
    ada = browse(world.people.ada)
    ada.post(reverse("console:tenant_new"), {"name": "Initech"})
    assert Tenant.objects.get(slug="initech").state == "active"
    answer = ada.post(reverse("console:tenant_switch", args=["initech"]), follow=True)
    assert "Initech is suspended: in force" in text_of(answer)


def test_a_user_is_deactivated_and_let_in_again(world, browse):
    ada, address = browse(world.people.ada), reverse("console:user_switch", args=[world.people.bob.pk])
    bob = browse(world.people.bob)
    ada.post(address)
    assert bob.get("/").status_code == 302
    ada.post(address)
    world.people.bob.refresh_from_db()
    assert world.people.bob.is_active


def test_an_administrator_does_not_take_the_own_right_away(world, browse):
    ada = browse(world.people.ada)
    address = reverse("console:user", args=[world.people.ada.pk])
    ada.post(address, {"name": "Ada", "email": "other@platform.test", "is_administrator": ""})
    world.people.ada.refresh_from_db()
    assert (world.people.ada.is_administrator, world.people.ada.email) == (True, "ada@platform.test")


def test_a_token_is_made_after_the_password_shown_once_and_revoked(world, browse):
    bob = browse(world.people.bob)
    new = reverse("console:token_new")
    wanted = {"name": "laptop", "scope": "write", "tenant": "acme", "expires_at": in_days(30)}
    for asked in (bob.get(new), bob.post(new, wanted)):
        assert asked["Location"] == f"{reverse('account_reauthenticate')}?next={new}"
    dialog = bob.get(new, headers={"HX-Request": "true"})
    assert dialog["HX-Redirect"] == f"{reverse('account_reauthenticate')}?next={new}"
    assert not Token.objects.filter(user=world.people.bob).exists()
    answer = bob.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": new})
    assert answer["Location"] == new
    shown = bob.post(new, wanted)
    assert "amt_" in text_of(shown)
    token = Token.objects.get(user=world.people.bob)
    assert (token.scope, token.tenant) == ("write", world.people.acme)
    listed = text_of(bob.get(reverse("console:account")))
    assert "Write, Acme alone · last used never · ends" in listed
    bob.post(reverse("console:token_revoke", args=[token.pk]))
    assert "The token laptop is revoked." in text_of(bob.get(reverse("console:account")))
    assert "laptop" not in text_of(bob.get(reverse("console:account")))
    assert Token.objects.get(pk=token.pk).is_over


@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        ({"expires_at": ""}, "expires_at", "required"),
        ({"expires_at": 366}, "expires_at", "within 365 days"),
        ({"expires_at": -1}, "expires_at", "in the past"),
        ({"scope": "admin"}, "scope", "not one of the available choices"),
        ({"scope": ""}, "scope", "required"),
        ({"tenant": "globex"}, "tenant", "not one of the available choices"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_what_a_token_can_t_be_is_said_beside_the_field(world, browse, wrong, field, says):
    bob = browse(world.people.bob)
    confirm(bob)
    days = wrong.get("expires_at")
    wrong = wrong if not isinstance(days, int) else {"expires_at": in_days(days)}
    answer = bob.post(
        reverse("console:token_new"), {"name": "laptop", "scope": "read", "expires_at": in_days(7), **wrong}
    )
    assert answer.status_code == 422
    assert list(errors_of(answer)) == [field]
    assert says in errors_of(answer)[field][0]
    assert not Token.objects.filter(user=world.people.bob).exists()


def test_an_administrator_chooses_the_scope_that_carries_their_right(world, browse):
    ada = browse(world.people.ada)
    confirm(ada)
    made = ada.post(reverse("console:token_new"), {"name": "ops", "scope": "admin", "expires_at": in_days(364)})
    assert made.status_code == 200
    assert Token.objects.get(user=world.people.ada).scope == "admin"


def test_a_token_that_ends_soon_is_said_where_its_owner_looks(world, browse):
    Token.objects.filter(pk=world.token.pk).update(created_at=timezone.now() - timedelta(days=100))
    vera = browse(world.people.vera)
    for page in ("console:overview", "console:account"):
        assert "Your token “script” for the REST API ends" in text_of(vera.get(reverse(page)))
        assert "for the REST API ends" not in text_of(browse(world.people.bob).get(reverse(page)))


def test_nobody_ends_a_token_of_others(world, browse):
    assert browse(world.people.bob).post(reverse("console:token_revoke", args=[world.token.pk])).status_code == 404


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("ada", "No mail server is set up: you find the letter under Installation."),
        ("alice", "No mail server is set up: an administrator finds the letter under Installation."),
    ],
)
def test_who_invites_hears_where_the_letter_is_if_letters_are_files(world, browse, settings, who, said):
    invite = partial(browse(getattr(world.people, who)).post, reverse("console:invite", args=["acme"]), follow=True)
    settings.EMAIL_IS_FILES = True
    assert said in text_of(invite({"email": "dora@acme.test", "role": "developer"}))
    settings.EMAIL_IS_FILES = False
    assert "mail server" not in text_of(invite({"email": "erin@acme.test", "role": "developer"}))


# Platform


def test_sent_mails_are_shown_while_they_are_files(world, browse, settings, tmp_path):
    from django.core.mail import EmailMessage, get_connection

    settings.MAIL_DIR, settings.EMAIL_IS_FILES = tmp_path, True
    backend = get_connection("django.core.mail.backends.filebased.EmailBackend", file_path=str(tmp_path))
    EmailMessage("You may call Products", "Welcome aboard", to=["bob@acme.test"], connection=backend).send()
    ada = browse(world.people.ada)
    assert "You may call Products" in text_of(ada.get(reverse("console:settings")))
    (name,) = [path.name for path in tmp_path.iterdir()]
    assert "Welcome aboard" in text_of(ada.get(reverse("console:mail", args=[name])))
    secret = Path(tmp_path).parent / "secret.log"
    secret.write_text("Subject: no\n\nno")
    assert ada.get(reverse("console:mail", args=["../secret.log"])).status_code == 404


def test_an_audit_entry_shows_what_changed(world, browse):
    entry = last_entry()
    page = text_of(browse(world.people.ada).get(reverse("console:audit_entry", args=[entry.epoch])))
    assert entry.verb in page


def test_an_audit_entry_leads_to_its_object_for_whom_may_open_it_and_to_its_other_entries(world, browse):
    entry = Entry.objects.filter(verb="api.publish", target="products").latest("epoch")
    address = reverse("console:audit_entry", args=[entry.epoch])
    page = browse(world.people.ada).get(address).content.decode()
    assert 'href="/apis/products/"' in page
    assert "/audit/?target_type=api&amp;target=products" in page
    gone = Entry(target_type="api", target="gone"), Entry(target_type="key", target="1"), Entry(target_type="tenant")
    assert [page_of_object(world.people.ada, each) for each in gone] == ["", "", ""]
    of_acme = Entry(target_type="application", target="acme/bot")
    assert page_of_object(world.people.alice, of_acme) == "/applications/acme/bot/"
    assert page_of_object(world.people.charlie, of_acme) == ""


def test_where_an_entry_came_from_is_shown_to_owners_and_not_to_other_members(world, browse):
    alice = browse(world.people.alice)
    alice.post("/applications/acme/bot/edit/", {"name": "Robot"}, headers={"user-agent": "Lynx/2.9"})
    entry = last_entry()
    assert (entry.verb, entry.agent) == ("application.update", "Lynx/2.9")
    address = reverse("console:audit_entry", args=[entry.epoch])
    for user, shown in ((world.people.ada, True), (world.people.alice, True), (world.people.bob, False)):
        assert ("Lynx/2.9" in text_of(browse(user).get(address))) is shown, user


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("verb=api.publish", True),
        ("verb=api.nothing", False),
        ("target_type=api&target=products", True),
        ("target_type=plan&target=products", False),
        ("since=2020-01-01", True),
        ("since=2199-01-01", False),
        ("until=2020-01-01", False),
        ("actor=nobody@else.test", False),
    ],
)
def test_the_audit_log_is_narrowed_by_verb_person_object_and_day(world, browse, query, found):
    table = browse(world.people.ada).get(f"/audit/?{query}").context["table"]
    assert bool(table.paginator.count) is found


def test_the_search_finds_only_what_the_reader_may_see(world, browse):
    assert "Bot" in text_of(browse(world.people.alice).get("/search/?q=bot"))
    assert "Nothing found" in text_of(browse(world.people.charlie).get("/search/?q=bot"))


def test_the_search_finds_a_call_by_either_of_its_ids_for_whom_may_see_it(world, browse):
    wanted, again, _ = make_calls({"request_id": "from-the-log"}, {"request_id": "from-the-log"}, {})
    for text, found in ((wanted, [wanted]), ("from-the-log", [again, wanted]), ("from-the", [])):
        page = browse(world.people.alice).get("/search/", {"q": text}).content.decode()
        assert re.findall(r'href="/calls/(\w+)/"', page) == found
        assert "Nothing found" in text_of(browse(world.people.charlie).get("/search/", {"q": text}))


def test_the_first_steps_are_ticked_off_as_they_are_done(cast, browse, state_redis):
    ada = browse(cast.ada)
    assert [step.done for step in ada.get("/").context["steps"]] == [False, False, False]
    make_api(cast.platform)
    assert [step.done for step in ada.get("/").context["steps"]] == [True, True, False]


# Pages and dialogs


def test_a_form_is_a_page_without_scripts_and_a_dialog_with_htmx(world, browse):
    olga, address = browse(world.people.olga), reverse("console:request_approve", args=[world.asked.pk])
    page, dialog = olga.get(address).content.decode(), olga.get(address, headers=HTMX).content.decode()
    assert "<html" in page
    assert "<html" not in dialog
    assert 'id="dialog-title"' in dialog
    answer = olga.post(address, headers=HTMX)
    assert answer["HX-Redirect"] == reverse("console:request", args=[world.asked.pk])


def test_filters_narrow_a_list_and_an_empty_result_offers_to_clear_them(world, browse):
    olga = browse(world.people.olga)
    assert "Products" in text_of(olga.get("/apis/?q=prod&tag=shop"))
    assert "Nothing matches" in text_of(olga.get("/apis/?q=nothing-like-it"))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("/apis/?q=prod", "Products"),
        ("/catalogue/?q=sale", "Products"),
        ("/requests/?q=mobile", "Mobile"),
        ("/subscriptions/?q=bot", "Bot"),
        ("/applications/?q=bot", "Bot"),
        ("/cache/?q=items", "/items/7"),
        ("/audit/?q=api.publish", "api.publish"),
        ("/tenants/?q=acme", "Acme"),
        ("/users/?q=alice", "alice@acme.test"),
    ],
)
def test_every_list_is_searched(world, browse, address, found):
    ada = browse(world.people.ada)
    assert found in text_of(ada.get(address))
    nothing = address.split("q=")[0] + "q=nothing-like-it"
    rows = ada.get(nothing).context["table"].paginator.count
    assert rows == 0


@pytest.mark.parametrize("sort", ["name", "-name", "state", "tenant", "nonsense"])
def test_lists_are_sorted_by_what_can_be_sorted(world, browse, sort):
    assert browse(world.people.ada).get(f"/apis/?sort={sort}").status_code == 200


def test_lists_have_pages(world, browse):
    for number in range(30):
        make_api(world.people.platform, f"a{number:02}", publish=False)
    olga = browse(world.people.olga)
    assert "1–25 of 31" in text_of(olga.get("/apis/"))
    assert "26–31 of 31" in text_of(olga.get("/apis/?page=2"))


def test_the_page_of_a_database_that_is_away_says_what_goes_on(client, monkeypatch, db, settings):
    from django.db import OperationalError

    from apps.console.views import overview

    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database is away")

    client.raise_request_exception = False
    monkeypatch.setattr(overview, "render", away)
    monkeypatch.setattr("django.contrib.auth.middleware.get_user", away)
    answer = client.get("/")
    assert answer.status_code == 503
    assert "The database is away" in text_of(answer)


def test_a_tenant_sees_what_is_left_of_its_quotas(world, browse, state_redis):
    now = timezone.now()
    name = f"{redis_names.ALLOWANCES}{world.subscription.pk}"
    state_redis.hset(name, mapping={"period": f"m{now.year}-{now.month}", "used": "1000"})
    bob = browse(world.people.bob)
    for address in ("/", reverse("console:application", args=["acme", "bot"])):
        assert "999,000 of 1,000,000 calls left this month" in text_of(bob.get(address))


def test_signing_in_is_its_own_message(cast, client, state_redis):
    answer = client.post("/accounts/login/", {"login": "alice@acme.test", "password": PASSWORD}, follow=True)
    assert "Successfully" not in text_of(answer)
    assert text_of(client.get("/accounts/password/reset/")).count("Send the link") == 1


# What an API's upstreams see, and what a key is good for


def test_only_an_administrator_is_offered_to_send_x_api_key_on(world, browse):
    address = reverse("console:api_settings", args=["products"])
    for user, offered in ((world.people.olga, False), (world.people.ada, True)):
        person = browse(user)
        form = person.get(address).context["form"]
        assert form.fields["forward_credential"].disabled is not offered
        fields = {
            **{name: value for name, value in form.initial.items() if value is not None},
            "tags": "shop",
            "hosts": "",
            "credential_headers": "X-Badge",
            "underscore_headers": "X_Region, X_Shelf",
            "forward_credential": "on",
        }
        assert person.post(address, fields).status_code == 302
        api = API.objects.get(slug="products")
        assert (api.credential_headers, api.underscore_headers) == (["X-Badge"], ["X_Region", "X_Shelf"])
        assert api.forward_credential is offered


def test_a_wildcard_is_written_in_the_form_and_a_false_one_refused_beside_its_field(world, browse):
    ada, address = browse(world.people.ada), reverse("console:api_settings", args=["products"])
    form = ada.get(address).context["form"]
    fields = {name: value for name, value in form.initial.items() if value} | {"tags": "shop"}
    refused = ada.post(address, fields | {"hosts": "*.test"})
    assert refused.status_code == 422
    assert "stands for one whole first label" in errors_of(refused)["hosts"][0]
    assert ada.post(address, fields | {"hosts": "*.Shop.test, www.shop.test"}).status_code == 302
    assert API.objects.get(slug="products").hosts == ["*.shop.test", "www.shop.test"]
    assert "*.shop.test" in ada.get(address).content.decode()


def test_a_header_that_goes_on_anyhow_is_refused_beside_its_field(world, browse):
    olga, address = browse(world.people.olga), reverse("console:api_settings", args=["products"])
    fields = {name: value for name, value in olga.get(address).context["form"].initial.items() if value}
    answer = olga.post(address, fields | {"tags": "shop", "underscore_headers": "X-Region"})
    assert answer.status_code == 422
    assert "without being named" in errors_of(answer)["underscore_headers"][0]


def test_a_key_is_limited_when_it_is_made_and_changed_later(world, browse):
    alice = browse(world.people.alice)
    address = reverse("console:key_new", args=["acme", "bot"])
    assert [str(api) for api in alice.get(address).context["form"].fields["apis"].queryset] == ["Products"]
    assert alice.post(address, {"name": "small", "apis": ["products"]}).status_code == 200
    key = Credential.objects.get(name="small")
    assert key.apis == ["products"]
    assert "only products" in text_of(alice.get(reverse("console:application", args=["acme", "bot"])))
    lonely = make_application(world.people.acme, "lonely")
    page = alice.get(reverse("console:key_new", args=["acme", lonely.slug]))
    assert "may call no API yet" in text_of(page)
    address = reverse("console:key_limits", args=[key.pk])
    none: dict[str, list[str]] = {"methods": [], "operations": [], "addresses": []}
    assert alice.get(address).context["form"].initial == {"apis": ["products"], **none}
    wanted = {"methods": "get, POST", "operations": "GET /items/{id}\n/search/**", "addresses": "10.0.0.0/8 192.0.2.7"}
    assert alice.post(address, wanted).status_code == 302
    key.refresh_from_db()
    assert (key.apis, key.methods, key.addresses) == (None, ["GET", "POST"], ["10.0.0.0/8", "192.0.2.7"])
    assert key.operations == [{"path": "/items/{id}", "methods": ["GET"]}, {"path": "/search/**"}]
    shown = text_of(alice.get(reverse("console:application", args=["acme", "bot"])))
    assert "only GET, POST; GET /items/{id}, /search/**; from 10.0.0.0/8, 192.0.2.7" in shown
    assert "GET /items/{id}\n/search/**" in alice.get(address).content.decode()
    for field, value in (("methods", "FETCH"), ("operations", "items"), ("addresses", "here")):
        answer = alice.post(address, {field: value})
        assert (answer.status_code, list(errors_of(answer))) == (422, [field])
    assert alice.post(address, {}).status_code == 302
    key.refresh_from_db()
    assert (key.apis, key.methods, key.operations, key.addresses) == (None, None, None, None)
    assert last_entry().verb == "key.update"
    answer = alice.post(address, {"apis": ["nothing"]})
    assert (answer.status_code, list(errors_of(answer))) == (422, ["apis"])


def test_an_address_and_a_right_take_the_administrators_password_again(world, browse):
    ada, bob = browse(world.people.ada), world.people.bob
    address = reverse("console:user", args=[bob.pk])
    wanted = {"name": "Robert", "email": "robert@acme.test", "is_administrator": "on"}
    asked = ada.post(address, wanted)
    assert asked["Location"] == f"{reverse('account_reauthenticate')}?next={address}"
    bob.refresh_from_db()
    assert (bob.email, bob.is_administrator) == ("bob@acme.test", False)
    assert ada.post(address, {"name": "Bobby", "email": bob.email})["Location"] == address, "a name needs none"
    confirm(ada)
    assert ada.post(address, wanted)["Location"] == address
    bob.refresh_from_db()
    assert (bob.email, bob.is_administrator) == ("robert@acme.test", True)


def test_the_sample_call_of_a_new_key_is_of_an_api_that_the_key_opens(world, browse):
    alice = browse(world.people.alice)
    for name in ("aardvark", "zebra"):
        make_subscription(world.application, make_api(world.people.platform, name), world.plan)
    for slug in ("aardvark", "products", "zebra"):
        made = alice.post("/applications/acme/bot/keys/new/", {"name": f"for {slug}", "apis": [slug]})
        assert f"/{slug}/" in made.context["curl"], slug

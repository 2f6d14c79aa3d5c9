"""Who reads what of a change: in the console, over REST and by e-mail, for as long as they are members."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from apps.access import services as access
from apps.access.models import Credential, Subscription
from apps.catalog import services as catalog
from apps.notifications import services
from apps.notifications.choices import Group
from apps.notifications.emails import LETTERS, LISTED, SPAN, send_due
from apps.notifications.models import EndNotice, MutedMail, Notification
from apps.notifications.selectors import notifications_visible_to, unread_count
from apps.notifications.tasks import tend
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from apps.tenants.models import Membership, User
from tests.notifications.conftest import Scene
from tests.support.cast import (
    make_api,
    make_application,
    make_request,
    make_subscription,
    make_tenant,
    make_token,
    make_user,
)
from tests.support.letters import Sent


def suspend(scene: Scene, actor: Any = None, comment: str = "Too many errors.") -> None:
    access.subscription_suspend(actor=actor or scene.people.olga, subscription=scene.subscription, comment=comment)


def browser_of(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


# Who


def test_who_made_a_change_isn_t_notified_of_it(scene: Scene):
    access.subscription_revoke(actor=scene.people.alice, subscription=scene.subscription)
    assert scene.told() == {"bob", "olga"}


def test_administrators_hear_of_it_where_an_api_s_tenant_has_no_owner(scene: Scene):
    api = make_api(make_tenant("ownerless"), "lost")
    make_request(scene.people.bob, scene.application, api)
    assert scene.told("request.submit") == {"ada"}


def test_an_author_is_named_among_members_and_is_the_other_side_or_the_platform_to_others(scene: Scene):
    omar = make_user("omar@platform.test", scene.people.platform, Role.OWNER)
    suspend(scene)
    access.subscription_resume(actor=scene.people.ada, subscription=scene.subscription)
    access.subscription_revoke(actor=PLATFORM, subscription=scene.subscription)
    seen = {
        user: list(Notification.objects.filter(user=user).order_by("id").values_list("actor", flat=True))
        for user in (scene.people.alice, omar)
    }
    assert seen[scene.people.alice] == ["Platform", "A platform administrator", "The platform"]
    assert seen[omar] == ["Olga", "A platform administrator", "The platform"]


def test_of_a_change_to_all_subscribers_each_tenant_reads_its_own_part(scene: Scene):
    for slug in ("mobile", "watch"):
        make_subscription(make_application(scene.people.globex, slug), scene.api, scene.plan)
    Notification.objects.all().delete()
    catalog.api_retire(actor=scene.people.olga, api=scene.api, comment="Use products-2.")
    [alices] = notifications_visible_to(scene.people.alice)
    [charlies] = notifications_visible_to(scene.people.charlie)
    assert (alices.detail, alices.comment) == ("Your applications: Bot.", "Use products-2.")
    assert charlies.detail == "Your applications: Mobile, Watch."
    assert alices.path == reverse("console:application", args=["acme", "bot"])
    assert charlies.path == reverse("console:tenant", args=["globex"])


def test_who_is_on_both_sides_reads_a_change_once_and_who_is_in_two_tenants_reads_it_for_each(scene: Scene):
    make_subscription(make_application(scene.people.globex, "mobile"), scene.api, scene.plan)
    for tenant in (scene.people.acme, scene.people.globex):
        tenants.membership_set(actor=PLATFORM, tenant=tenant, user=scene.people.olga, role=Role.OWNER)
    Notification.objects.all().delete()
    catalog.api_deprecate(actor=scene.people.ada, api=scene.api)
    rows = notifications_visible_to(scene.people.olga)
    assert sorted(row.tenant.slug for row in rows) == ["acme", "globex"]


def test_more_subscribers_cost_no_more_queries(scene: Scene):
    def cost() -> int:
        catalog.api_publish(actor=scene.people.olga, api=scene.api)
        with CaptureQueriesContext(connection) as queries:
            catalog.api_deprecate(actor=scene.people.olga, api=scene.api)
        return len(queries)

    catalog.api_deprecate(actor=scene.people.olga, api=scene.api)
    before = cost()
    for number in range(4):
        tenant = make_tenant(f"tenant-{number}")
        make_user(f"owner-{number}@tenant.test", tenant, Role.OWNER)
        make_subscription(make_application(tenant), scene.api, scene.plan)
    assert cost() == before


def test_subscribers_hear_of_a_plan_s_limits_and_not_of_the_tenants_that_it_is_for(scene: Scene):
    access.plan_update(actor=scene.people.ada, plan=scene.plan, tenants=["acme", "globex"])
    assert scene.told() == set()
    access.plan_update(actor=scene.people.ada, plan=scene.plan, quota=10, tenants=["acme"])
    row = notifications_visible_to(scene.people.bob).get()
    assert row.detail == "Quota: 1000000 → 10\n\nYour applications: Bot."


# Requests


def test_what_is_granted_at_once_is_asked_of_nobody(scene: Scene):
    api = make_api(scene.people.platform, "open", approval="automatic")
    Notification.objects.all().delete()
    make_request(scene.people.bob, scene.application, api)
    assert scene.told("request.submit") == set()
    assert scene.told("request.approve") == {"alice", "bob", "olga"}, "the platform granted it"


def test_a_draft_that_is_taken_back_is_no_other_tenant_s_to_know(scene: Scene):
    draft = make_request(scene.people.bob, make_application(scene.people.acme, "second"), scene.api, submit=False)
    access.request_cancel(actor=scene.people.bob, access_request=draft)
    assert scene.told() == set()


# For as long as they are members


def test_who_left_a_tenant_sees_nothing_more_of_it_and_gets_no_letter(scene: Scene, state_redis: object, sent: Sent):
    bob = scene.people.bob
    suspend(scene)
    assert unread_count(bob) == 1
    tenants.membership_remove(actor=scene.people.alice, membership=Membership.objects.get(user=bob))
    assert unread_count(bob) == 0
    browser = browser_of(bob)
    assert "was suspended" not in browser.get(reverse("console:notifications")).text
    assert browser.get("/api/v1/notifications/").json()["results"] == []
    number = Notification.objects.get(user=bob).pk
    assert browser.post(f"/api/v1/notifications/{number}/read/").status_code in {403, 404}
    assert services.notifications_read(actor=bob) == 0
    assert "bob@acme.test" not in {letter.to[0] for letter in sent()}


def test_what_a_notification_leads_to_may_be_gone(scene: Scene, state_redis: object):
    suspend(scene)
    access.application_delete(actor=scene.people.alice, application=scene.application)
    [row] = notifications_visible_to(scene.people.bob)
    assert row.path == reverse("console:tenant", args=["acme"])
    assert browser_of(scene.people.bob).get(row.path).status_code == 200


def test_notifications_are_kept_for_ninety_days(scene: Scene):
    suspend(scene)
    kept, old = Notification.objects.order_by("id")[:2]
    Notification.objects.filter(pk=old.pk).update(at=timezone.now() - services.KEPT - timedelta(seconds=1))
    Notification.objects.filter(pk=kept.pk).update(at=timezone.now() - services.KEPT + timedelta(minutes=1))
    tend()
    assert set(Notification.objects.values_list("pk", flat=True)) == {kept.pk}


# By e-mail


def test_a_letter_holds_the_change_the_comment_and_the_link(scene: Scene, sent: Sent):
    suspend(scene)
    letters = {letter.to[0]: letter for letter in sent()}
    assert letters.keys() == {"alice@acme.test", "bob@acme.test"}
    letter = letters["bob@acme.test"]
    assert letter.subject == "The subscription of Bot to Products was suspended: its calls are refused"
    assert "Platform:\n> Too many errors.\n" in letter.body
    assert "http://127.0.0.1:8000/applications/acme/bot/" in letter.body
    assert sent() == [], "each is sent once"


def test_what_happens_at_once_is_one_letter(scene: Scene, sent: Sent):
    suspend(scene)
    access.key_revoke(actor=scene.people.alice, key=scene.key)
    [letter] = [each for each in sent() if each.to == ["bob@acme.test"]]
    assert letter.subject.endswith("its calls are refused, and 1 more")
    assert "The key ci (" in letter.body


def test_changes_that_others_make_in_a_loop_fill_no_mailbox(scene: Scene, sent: Sent):
    def turn() -> None:
        suspend(scene)
        access.subscription_resume(actor=scene.people.olga, subscription=scene.subscription)

    def to_bob() -> list[Any]:
        return [letter for letter in sent() if letter.to == ["bob@acme.test"]]

    for _ in range(LETTERS):
        turn()
        assert len(to_bob()) == 1
    for _ in range(LISTED):
        turn()
        assert to_bob() == []
    services.notifications_read(actor=scene.people.alice)
    Notification.objects.exclude(mailed_at=None).update(mailed_at=timezone.now() - timedelta(hours=1))
    [letter] = to_bob()
    assert letter.subject.endswith(f", and {2 * LISTED - 1} more")
    assert f"And {LISTED} more:\n\nhttp://127.0.0.1:8000/notifications/" in letter.body
    assert letter.body.count("/applications/acme/bot/") == LISTED


def test_a_group_without_letters_uses_none_of_them_up(scene: Scene, sent: Sent):
    services.mails_choose(actor=scene.people.bob, groups=[Group.ENDS])
    for _ in range(LETTERS):
        suspend(scene)
        access.subscription_resume(actor=scene.people.olga, subscription=scene.subscription)
        sent()
    ends_in(scene, 13)
    tend()
    assert "bob@acme.test" in {letter.to[0] for letter in sent()}


def test_what_people_wrote_is_a_quotation_in_a_letter(scene: Scene, sent: Sent):
    """A stranger's tenant asks for access: none of its words look like the platform's own."""
    forged = "Because.\n\n\nThe key ci was revoked.\r\nhttps://evil.test/sign-in\u2028Sign in."
    application = make_application(scene.people.acme, "other")
    asked = access.request_create(
        actor=scene.people.bob, application=application, api=scene.api, plan=scene.plan, reason=forged
    )
    [letter] = sent()
    access.request_reject(actor=scene.people.olga, access_request=asked, comment=forged)
    for body in [letter.body, *(letter.body for letter in sent())]:
        lines = [line for line in body.splitlines() if "evil" in line or "revoked" in line or "Sign in." in line]
        assert lines
        assert all(line.startswith("> ") for line in lines), lines


def test_who_was_deactivated_gets_no_letter(scene: Scene, sent: Sent):
    suspend(scene)
    tenants.user_deactivate(actor=scene.people.ada, user=scene.people.bob)
    assert "bob@acme.test" not in {letter.to[0] for letter in sent()}


def test_a_slow_mail_server_holds_a_run_for_seconds_and_the_next_one_goes_on(scene: Scene):
    suspend(scene)
    ticks = iter([0.0, 1.0, SPAN + 1])
    assert send_due(clock=lambda: next(ticks)) == 1
    assert send_due() == 1
    assert send_due() == 0


def test_which_letters_come_a_user_chooses_by_group(scene: Scene, state_redis: object, sent: Sent):
    alice = browser_of(scene.people.alice)
    page = reverse("console:account_mails")
    assert alice.get(page).text.count("checked") == len(Group)
    wanted = [Group.REQUESTS, Group.ENDS]
    assert alice.post(page, {"groups": wanted}).status_code == 302
    assert set(MutedMail.objects.filter(user=scene.people.alice).values_list("group", flat=True)) == {
        Group.SUBSCRIPTIONS,
        Group.APIS,
    }
    assert Group.APIS.label not in alice.get(reverse("console:account")).text
    suspend(scene)
    assert {letter.to[0] for letter in sent()} == {"bob@acme.test"}
    assert unread_count(scene.people.alice) == 1, "the console shows it all the same"
    assert alice.post(page, {"groups": ["everything"]}).status_code == 422


def test_a_subject_is_one_line_whatever_a_name_holds(scene: Scene, sent: Sent):
    catalog.api_update(actor=scene.people.olga, api=scene.api, name="Pro\nBcc: x@evil.test")
    scene.subscription.refresh_from_db()
    suspend(scene)
    for letter in sent():
        assert "\n" not in letter.subject
        assert len(letter.recipients()) == 1


def test_a_mail_server_that_fails_is_logged_and_the_console_has_it(scene: Scene, sent: Sent, settings, caplog):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    suspend(scene)
    sent()
    assert "was not sent" in caplog.text
    assert unread_count(scene.people.bob) == 1


def test_what_was_read_in_the_console_already_is_not_sent(scene: Scene, sent: Sent):
    suspend(scene)
    services.notifications_read(actor=scene.people.bob)
    assert {letter.to[0] for letter in sent()} == {"alice@acme.test"}


# What ends soon


def ends_in(scene: Scene, days: float, made: int = 100) -> None:
    now = timezone.now()
    for rows in (Credential.objects.filter(pk=scene.key.pk), Subscription.objects.all()):
        rows.update(created_at=now - timedelta(days=made), expires_at=now + timedelta(days=days))


def test_what_ends_soon_is_told_once_for_each_end(scene: Scene):
    ends_in(scene, 15)
    tend()
    assert scene.told() == set()
    ends_in(scene, 13)
    tend()
    tend()
    assert Notification.objects.filter(kind="key.ends_soon").count() == 2
    assert Notification.objects.filter(kind="subscription.ends_soon").count() == 3
    ends_in(scene, 12)
    tend()
    assert Notification.objects.filter(kind="key.ends_soon").count() == 4, "another end"


@pytest.mark.parametrize("why", ["over", "short", "revoked", "rotated"])
def test_nobody_is_warned_of_an_end_that_they_know(scene: Scene, why: str):
    ends_in(scene, -1 if why == "over" else 13, made=10 if why == "short" else 100)
    if why == "revoked":
        access.key_revoke(actor=scene.people.alice, key=scene.key)
        access.subscription_revoke(actor=scene.people.alice, subscription=scene.subscription)
    elif why == "rotated":
        access.key_rotate(actor=scene.people.alice, key=scene.key)
        access.subscription_revoke(actor=scene.people.alice, subscription=scene.subscription)
    assert services.ends_notify(now=timezone.now()) == 0


def test_of_two_workers_at_once_one_tells_of_an_end(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    ends_in(scene, 13)
    scene.key.refresh_from_db()
    monkeypatch.setattr(services, "_ending", lambda kind, rows, now: list(rows.filter(expires_at__gt=now)))
    assert services.ends_notify(now=timezone.now()) == 2
    assert services.ends_notify(now=timezone.now()) == 0
    assert EndNotice.objects.count() == 2


# In the console and over REST


def test_the_bell_counts_what_is_unread_and_the_page_marks_it_read(scene: Scene, state_redis: object):
    bob, address = browser_of(scene.people.bob), reverse("console:notifications")
    assert "Nothing yet" in bob.get(address).text
    suspend(scene)
    access.subscription_resume(actor=scene.people.olga, subscription=scene.subscription)
    page = bob.get(address).text
    assert page.count('<span class="visually-hidden"> unread</span>') == 2, (
        "in the bar of small screens and in the side bar"
    )
    assert "“Too many errors.”" in page
    assert reverse("console:application", args=["acme", "bot"]) in page
    newest = Notification.objects.filter(user=scene.people.bob).latest("id")
    assert bob.post(address, {"read": newest.pk}).status_code == 302
    assert unread_count(scene.people.bob) == 1
    assert "was resumed" not in bob.get(address, {"unread": "true"}).text.partition('id="list"')[2]
    for nonsense in ("", "-1", "1 or 1=1", "9" * 19, "every"):
        bob.post(address, {"read": nonsense})
        assert unread_count(scene.people.bob) == 1, nonsense
    bob.post(address, {"read": "all"})
    assert unread_count(scene.people.bob) == 0
    assert unread_count(scene.people.alice) == 2, "each has their own"
    assert "Mark all as read" not in bob.get(address).text


def test_nobody_reads_or_marks_another_s(scene: Scene, state_redis: object):
    suspend(scene)
    bobs = Notification.objects.get(user=scene.people.bob)
    for user in (scene.people.alice, scene.people.charlie, scene.people.ada):
        browser = browser_of(user)
        browser.post(reverse("console:notifications"), {"read": bobs.pk})
        assert browser.get(f"/api/v1/notifications/{bobs.pk}/").status_code == 404
        assert services.notifications_read(actor=user, numbers=[bobs.pk]) == 0
    bobs.refresh_from_db()
    assert bobs.read_at is None


def test_a_long_list_has_pages(scene: Scene, state_redis: object):
    suspend(scene)
    row = Notification.objects.get(user=scene.people.bob)
    Notification.objects.bulk_create(
        Notification(user=row.user, tenant=row.tenant, kind=row.kind, group=row.group, title=f"Change {n}", actor="X")
        for n in range(30)
    )
    bob = browser_of(scene.people.bob)
    assert bob.get(reverse("console:notifications")).text.count("Mark as read: ") == 25
    assert bob.get(reverse("console:notifications"), {"page": 2}).text.count("Mark as read: ") == 6


def test_notifications_are_listed_and_marked_over_rest(scene: Scene, state_redis: object):
    suspend(scene)
    access.key_revoke(actor=scene.people.alice, key=scene.key, comment="Leaked.")
    bob = APIClient(headers={"authorization": f"Bearer {make_token(scene.people.bob).secret}"})
    newest, oldest = bob.get("/api/v1/notifications/").json()["results"]
    assert (newest["kind"], newest["group"], newest["tenant"], newest["actor"], newest["comment"]) == (
        "key.revoke",
        "subscriptions",
        "acme",
        "Alice",
        "Leaked.",
    )
    assert newest["path"] == "/applications/acme/bot/"
    marked = bob.post(f"/api/v1/notifications/{newest['id']}/read/")
    assert marked.status_code == 200
    assert marked.json()["read_at"]
    unread = bob.get("/api/v1/notifications/?unread=true").json()["results"]
    assert [each["id"] for each in unread] == [oldest["id"]]
    assert bob.post("/api/v1/notifications/read/").json() == {"read": 1}
    assert bob.get("/api/v1/notifications/?unread=true").json()["results"] == []
    assert bob.get("/api/v1/notifications/?colour=red").status_code == 400


def test_a_replaced_key_that_is_still_used_near_its_end_is_told_of_once(scene: Scene):
    now = timezone.now()
    new = access.key_rotate(actor=scene.people.bob, key=scene.key).key
    old = Credential.objects.filter(pk=scene.key.pk)
    Credential.objects.filter(pk=new.pk).update(created_at=now - timedelta(hours=20))
    for changes, count in (
        ({"expires_at": now + timedelta(hours=4), "last_used_at": None}, 0),
        ({"last_used_at": now - timedelta(hours=21)}, 0),
        ({"last_used_at": now, "expires_at": now + timedelta(hours=10)}, 0),
        ({"expires_at": now + timedelta(hours=4)}, 1),
        ({}, 0),
    ):
        old.update(state="active", **changes)
        assert services.ends_notify(now=now) == count, changes
    kinds = Notification.objects.filter(kind="replaced_key.ends_soon")
    assert {each.user for each in kinds} == {scene.people.alice, scene.people.bob}

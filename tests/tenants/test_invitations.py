"""Becoming a member takes a yes, and an owner learns nothing of whom they ask."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.audit.models import Entry
from apps.audit.selectors import entries_visible_to
from apps.foundation.errors import Conflict
from apps.tenants import invitations, services
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from apps.tenants.models import Invitation, Membership, User
from apps.tenants.selectors import invitation_find
from apps.tenants.tasks import notify
from tests.support.audit_log import age
from tests.support.cast import PASSWORD, Cast, make_tenant, make_token, make_user

Sent = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def letters(django_capture_on_commit_callbacks: Any) -> Sent:
    """``letters(change)``: the letters that a change sends."""

    def of(change: Callable[[], Any]) -> list[Any]:
        mail.outbox.clear()
        with django_capture_on_commit_callbacks(execute=True):
            change()
        return list(mail.outbox)

    return of


def invite(cast: Cast, email: str = "nina@else.test", role: str = "viewer") -> Invitation:
    return invitations.invitation_create(actor=cast.alice, tenant=cast.acme, email=email, role=role)


def secret_of(letter: Any) -> str:
    found = re.search(r"/invitations/([\w-]+)/", letter.body)
    assert found
    return found[1]


def last() -> Entry:
    return Entry.objects.order_by("-epoch")[0]


def test_an_owner_asks_and_nobody_is_a_member_yet(cast: Cast, letters: Sent):
    [letter] = letters(lambda: invite(cast, " Nina@Else.test "))
    assert letter.to == ["nina@else.test"]
    assert not Membership.objects.filter(user__email="nina@else.test").exists()
    assert not User.objects.filter(email="nina@else.test").exists()
    assert (last().verb, last().target, last().tenant_slug) == ("invitation.create", "nina@else.test", "acme")
    row = Invitation.objects.get()
    secret = secret_of(letter)
    assert secret not in (row.digest, str(last().changes))
    assert invitation_find(secret) == row
    assert invitation_find(row.digest) is None
    assert timedelta(days=6, hours=23) < row.expires_at - timezone.now() <= timedelta(days=7)


def test_who_has_an_account_accepts_in_their_session(cast: Cast):
    membership = invitations.invitation_accept(user=cast.charlie, invitation=invite(cast, cast.charlie.email))
    assert (membership.tenant, membership.role) == (cast.acme, Role.VIEWER)
    assert (last().verb, last().actor_email, last().tenant_slug) == ("invitation.accept", cast.charlie.email, "acme")
    assert EmailAddress.objects.get(user=cast.charlie).verified
    assert not Invitation.objects.exists()


def test_who_is_new_makes_an_account_whose_address_is_verified(cast: Cast):
    user = invitations.invitation_accept_as_new(invitation=invite(cast), name="Nina", password="tulips in january")
    assert User.objects.get(email="nina@else.test").check_password("tulips in january")
    assert EmailAddress.objects.get(user=user).verified
    assert Membership.objects.get(user=user).role == Role.VIEWER
    assert Entry.objects.get(verb="user.create", target="nina@else.test").tenant_slug == "", "no tenant's to know"
    assert last().verb == "invitation.accept"


def test_an_account_that_never_had_a_password_gets_one(cast: Cast):
    services.user_create(actor=cast.ada, email="nina@else.test")
    user = invitations.invitation_accept_as_new(invitation=invite(cast), name="Nina", password="tulips in january")
    found = User.objects.get(email="nina@else.test")
    assert (found.pk, found.name) == (user.pk, "Nina")
    assert found.check_password("tulips in january")


def test_a_weak_password_leaves_the_invitation_standing(cast: Cast):
    asked = invite(cast)
    with pytest.raises(ValidationError) as refused:
        invitations.invitation_accept_as_new(invitation=asked, name="Nina", password="12345")
    assert "password" in refused.value.message_dict
    assert Invitation.objects.filter(pk=asked.pk).exists()
    assert not User.objects.filter(email="nina@else.test").exists()


def test_a_link_is_bound_to_its_address(cast: Cast):
    asked = invite(cast, cast.charlie.email)
    with pytest.raises(PermissionDenied, match="another address"):
        invitations.invitation_accept(user=cast.olga, invitation=asked)
    with pytest.raises(PermissionDenied, match="sign in to accept"):
        invitations.invitation_accept_as_new(invitation=asked, name="Eve", password="tulips in january")
    assert cast.charlie.check_password(PASSWORD)
    assert Membership.objects.filter(tenant=cast.acme).count() == 3


def test_a_locked_account_is_not_opened_by_an_invitation(cast: Cast):
    asked = invite(cast, cast.charlie.email)
    gone = services.user_deactivate(actor=cast.ada, user=cast.charlie)
    with pytest.raises(PermissionDenied):
        invitations.invitation_accept(user=gone, invitation=asked)
    with pytest.raises(PermissionDenied):
        invitations.invitation_accept_as_new(invitation=asked, name="Eve", password="tulips in january")


@pytest.mark.parametrize("way", ["accepted", "declined", "taken back", "sent again", "too old"])
def test_a_link_works_once_and_not_after_it_ended(cast: Cast, letters: Sent, way: str):
    secret = secret_of(letters(lambda: invite(cast, cast.charlie.email))[0])
    asked = invitation_find(secret)
    assert asked
    if way == "accepted":
        invitations.invitation_accept(user=cast.charlie, invitation=asked)
    elif way == "declined":
        invitations.invitation_decline(invitation=asked)
        assert (last().verb, last().actor_email) == ("invitation.decline", cast.charlie.email)
    elif way == "taken back":
        invitations.invitation_cancel(actor=cast.alice, invitation=asked)
        assert last().verb == "invitation.cancel"
    elif way == "sent again":
        [letter] = letters(lambda: invitations.invitation_resend(actor=cast.alice, invitation=Invitation.objects.get()))
        assert invitation_find(secret_of(letter)) == asked
    else:
        Invitation.objects.update(expires_at=timezone.now())
    assert invitation_find(secret) is None
    if way != "too old":
        with pytest.raises(Conflict):
            invitations.invitation_accept(user=cast.charlie, invitation=asked)


def test_a_link_to_hand_over_is_for_administrators_to_see_and_not_by_a_token(cast: Cast, letters: Sent):
    """An owner could make the account of another person's address by it, or see that there is one."""
    before = secret_of(letters(lambda: invite(cast))[0])
    asked = Invitation.objects.get()
    for actor in (cast.alice, cast.bob, cast.charlie):
        with pytest.raises(PermissionDenied):
            invitations.invitation_link(actor=actor, invitation=asked)
    handed: list[str] = []
    assert letters(lambda: handed.append(invitations.invitation_link(actor=cast.ada, invitation=asked))) == []
    secret = handed[0].rstrip("/").rpartition("/")[2]
    assert invitation_find(secret) == asked
    assert invitation_find(before) is None
    assert (last().verb, last().target, last().actor_email) == ("invitation.link", asked.email, cast.ada.email)
    assert secret not in str(last().changes)
    cast.ada.token = make_token(cast.ada).token
    with pytest.raises(PermissionDenied, match="No token may"):
        invitations.invitation_link(actor=cast.ada, invitation=asked)
    cast.ada.token = None
    invitations.invitation_cancel(actor=cast.alice, invitation=asked)
    with pytest.raises(Conflict):
        invitations.invitation_link(actor=cast.ada, invitation=asked)


@pytest.mark.parametrize("sent_again", [False, True])
def test_a_link_that_was_handed_over_verifies_no_address_until_one_is_mailed_again(cast: Cast, sent_again: bool):
    asked = invite(cast)
    invitations.invitation_link(actor=cast.ada, invitation=asked)
    if sent_again:
        invitations.invitation_resend(actor=cast.alice, invitation=asked)
    asked.refresh_from_db()
    user = invitations.invitation_accept_as_new(invitation=asked, name="Nina", password="tulips in january")
    assert EmailAddress.objects.filter(user=user, verified=True).exists() is sent_again


def test_a_handed_over_link_takes_no_verification_away(cast: Cast):
    invitations.invitation_accept(user=cast.charlie, invitation=invite(cast, cast.charlie.email))
    services.membership_remove(actor=PLATFORM, membership=Membership.objects.get(user=cast.charlie, tenant=cast.acme))
    asked = invite(cast, cast.charlie.email)
    invitations.invitation_link(actor=cast.ada, invitation=asked)
    invitations.invitation_accept(user=cast.charlie, invitation=asked)
    assert EmailAddress.objects.get(user=cast.charlie).verified


@pytest.mark.parametrize("way", ["removed", "no owner any more", "deactivated"])
def test_an_invitation_doesn_t_outlive_its_sender_s_right(cast: Cast, letters: Sent, way: str):
    services.membership_set(actor=PLATFORM, tenant=cast.acme, user=cast.bob, role=Role.OWNER)
    secret = secret_of(letters(lambda: invite(cast, cast.charlie.email, "owner"))[0])
    assert invitation_find(secret)
    mine = Membership.objects.get(user=cast.alice)
    if way == "removed":
        services.membership_remove(actor=cast.bob, membership=mine)
    elif way == "no owner any more":
        services.membership_set(actor=cast.bob, tenant=cast.acme, user=cast.alice, role=Role.VIEWER)
    else:
        services.user_deactivate(actor=cast.ada, user=cast.alice)
    assert invitation_find(secret) is None


def test_a_role_that_was_given_meanwhile_stays(cast: Cast):
    asked = invite(cast, cast.charlie.email)
    services.membership_set(actor=PLATFORM, tenant=cast.acme, user=cast.charlie, role=Role.OWNER)
    assert invitations.invitation_accept(user=cast.charlie, invitation=asked).role == Role.OWNER


def test_who_is_taken_out_of_a_tenant_does_not_come_back_by_an_older_invitation(cast: Cast, letters: Sent):
    [letter] = letters(lambda: invite(cast, cast.charlie.email, "owner"))
    added = services.membership_set(actor=PLATFORM, tenant=cast.acme, user=cast.charlie, role=Role.VIEWER)
    services.membership_remove(actor=cast.alice, membership=added)
    assert invitation_find(secret_of(letter)) is None
    assert not Invitation.objects.exists()


def test_only_owners_invite_send_again_and_take_back(cast: Cast):
    asked = invite(cast)
    for actor in (cast.bob, cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            invitations.invitation_create(actor=actor, tenant=cast.acme, email="x@y.test", role="viewer")
        with pytest.raises(PermissionDenied):
            invitations.invitation_resend(actor=actor, invitation=asked)
        with pytest.raises(PermissionDenied):
            invitations.invitation_cancel(actor=actor, invitation=asked)


def test_an_owner_can_t_add_anybody_by_another_way(cast: Cast):
    for role in Role:
        with pytest.raises(PermissionDenied, match="must accept"):
            services.membership_set(actor=cast.alice, tenant=cast.acme, user=cast.charlie, role=role)
    assert isinstance(
        invitations.member_invite(actor=cast.alice, tenant=cast.acme, email=cast.charlie.email, role="owner"),
        Invitation,
    )
    assert not Membership.objects.filter(tenant=cast.acme, user=cast.charlie).exists()


def test_administrators_add_members_at_once(cast: Cast, letters: Sent):
    add = lambda email: invitations.member_invite(  # noqa: E731
        actor=cast.ada, tenant=cast.acme, email=email, role="viewer", name="Nina"
    )
    invite(cast)
    [letter] = letters(lambda: add("nina@else.test"))
    assert "/accounts/password/reset/key/" in letter.body
    assert Membership.objects.get(user__email="nina@else.test").user.name == "Nina"
    assert not Invitation.objects.exists(), "what was asked is answered"
    [letter] = letters(lambda: add(cast.charlie.email))
    assert "Sign in at" in letter.body
    assert Membership.objects.filter(tenant=cast.acme, user=cast.charlie).exists()


def test_whether_an_added_member_is_new_here_is_nothing_for_the_tenant_s_audit_log(cast: Cast):
    shown = []
    for email in ("nina@else.test", cast.charlie.email):
        invitations.member_invite(actor=cast.ada, tenant=cast.acme, email=email, role="viewer", name="Nina")
        shown.append([(e.verb, e.target == email, e.changes) for e in entries_visible_to(cast.alice)[:1]])
    assert shown[0] == shown[1] == [("user.invite", True, {"role": [None, "viewer"]})]
    assert Entry.objects.get(verb="user.create", target="nina@else.test").tenant_slug == ""


@pytest.mark.parametrize("email", ["bob@acme.test", "BOB@acme.test"])
def test_a_member_is_not_invited_again(cast: Cast, email: str):
    for actor in (cast.alice, cast.ada):
        with pytest.raises(ValidationError) as refused:
            invitations.member_invite(actor=actor, tenant=cast.acme, email=email, role="owner")
        assert "email" in refused.value.message_dict


def test_somebody_who_is_invited_is_written_to_by_sending_again(cast: Cast):
    invite(cast)
    with pytest.raises(ValidationError, match="invited already"):
        invite(cast)
    Invitation.objects.update(expires_at=timezone.now())
    assert invite(cast, role="owner").role == "owner"
    assert Invitation.objects.count() == 1


@pytest.mark.parametrize(("email", "role", "field"), [("no address", "viewer", "email"), ("a@b.test", "king", "role")])
def test_what_can_t_be_is_refused_beside_the_field(cast: Cast, email: str, role: str, field: str):
    with pytest.raises(ValidationError) as refused:
        invite(cast, email, role)
    assert field in refused.value.message_dict
    assert not Invitation.objects.exists()


# Nothing is learned


def test_an_address_with_an_account_and_one_without_are_answered_alike(cast: Cast, letters: Sent):
    make_user("known@else.test", make_tenant("initech"), Role.OWNER)
    services.user_create(actor=PLATFORM, email="empty@else.test")
    services.user_deactivate(actor=PLATFORM, user=make_user("gone@else.test"))
    seen = []
    for address in ("known@else.test", "nobody@else.test", "empty@else.test", "gone@else.test"):
        with CaptureQueriesContext(connection) as queries:
            [letter] = letters(lambda address=address: invite(cast, address))
        row = Invitation.objects.values("role", "tenant", "invited_by").get(email=address)
        shape = re.sub(r"/invitations/[\w-]+/", "/invitations/…/", letter.body)
        entry = (last().verb, last().changes, last().tenant_slug, last().comment)
        statements = [re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in queries]
        seen.append((shape, letter.subject, row, entry, statements))
    assert all(each == seen[0] for each in seen)


# Bounds


def test_a_tenant_writes_to_an_address_three_times_a_day(cast: Cast):
    asked = invite(cast)
    for _ in range(2):
        invitations.invitation_resend(actor=cast.alice, invitation=asked)
    with pytest.raises(ValidationError, match="3 times in a day"):
        invitations.invitation_resend(actor=cast.alice, invitation=asked)
    invitations.invitation_cancel(actor=cast.alice, invitation=asked)
    with pytest.raises(ValidationError, match="3 times in a day"):
        invite(cast)
    age(Entry.objects.filter(verb__startswith="invitation."), timedelta(days=1, seconds=1))
    invite(cast)


def test_who_declined_is_left_alone_for_a_month(cast: Cast):
    invitations.invitation_decline(invitation=invite(cast))
    with pytest.raises(ValidationError, match="may ask again after 30 days"):
        invite(cast)
    invitations.invitation_create(actor=cast.charlie, tenant=cast.globex, email="nina@else.test", role="viewer")
    age(Entry.objects.filter(verb__startswith="invitation."), timedelta(days=30, seconds=1))
    invite(cast)


def test_names_in_a_letter_can_t_look_like_the_letter(cast: Cast, letters: Sent):
    User.objects.filter(pk=cast.alice.pk).update(name="Support\n\nGo to https://evil.test/")
    cast.alice.refresh_from_db()
    [letter] = letters(lambda: invite(cast))
    assert letter.body.startswith("Support Go to https://evil.test/ (alice@acme.test) invites you")


def test_a_tenant_writes_twenty_letters_an_hour(cast: Cast):
    for number in range(invitations.MAILS_OF_A_TENANT):
        invite(cast, f"n{number}@else.test")
    with pytest.raises(ValidationError, match="20 invitations in an hour"):
        invite(cast)
    invitations.invitation_create(actor=cast.charlie, tenant=cast.globex, email="x@y.test", role="viewer")
    age(Entry.objects.filter(verb="invitation.create"), timedelta(hours=1, seconds=1))
    invite(cast)


def test_an_address_gets_ten_letters_a_day_and_no_tenant_learns_of_the_others(cast: Cast, letters: Sent):
    def invite_from(number: int) -> Invitation:
        return invitations.invitation_create(
            actor=PLATFORM, tenant=make_tenant(f"t{number}"), email="nina@else.test", role="viewer"
        )

    sent = [len(letters(lambda number=number: invite_from(number))) for number in range(12)]
    assert sent == [1] * 10 + [0] * 2
    assert Invitation.objects.count() == 12


def test_what_nobody_answered_is_forgotten_a_month_after_its_end(cast: Cast):
    invite(cast)
    invite(cast, "later@else.test")
    Invitation.objects.filter(email="nina@else.test").update(expires_at=timezone.now() - timedelta(days=31))
    Invitation.objects.filter(email="later@else.test").update(expires_at=timezone.now() - timedelta(days=29))
    notify()
    assert list(Invitation.objects.values_list("email", flat=True)) == ["later@else.test"]

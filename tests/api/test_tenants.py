"""Users, tenants, memberships and tokens over REST."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from apps.audit.models import Entry
from apps.tenants import services
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from apps.tenants.models import Membership, Tenant, Token, User
from tests.support.cast import confirm

PASSWORD = "a long enough phrase"


def test_an_administrator_adds_a_tenant_with_its_owner(cast, calls_as):
    made = calls_as(cast.ada).post("/api/v1/tenants/", {"slug": "initech", "name": "Initech", "owner": cast.bob.email})
    assert made.status_code == 201
    assert (made.json()["slug"], made.json()["state"]) == ("initech", "active")
    assert "owner" not in made.json()
    assert Membership.objects.get(tenant__slug="initech").user == cast.bob
    entry = Entry.objects.get(verb="tenant.create", target="initech")
    assert (entry.via, entry.actor_email) == ("api", cast.ada.email)


def test_a_change_that_gateways_hear_of_comes_with_its_receipt(cast, calls_as):
    made = calls_as(cast.ada).post("/api/v1/tenants/", {"slug": "initech", "name": "Initech"})
    receipt = made.json()["receipt"]
    assert set(receipt) == {
        "workers",
        "in_force",
        "slowest_ms",
        "everywhere_by",
        "copies_behind",
        "starting",
        "sentence",
    }
    assert (receipt["workers"], receipt["in_force"]) == (0, 0)


def test_only_administrators_add_tenants(cast, calls_as):
    refused = calls_as(cast.alice).post("/api/v1/tenants/", {"slug": "initech", "name": "Initech"})
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    assert not Tenant.objects.filter(slug="initech").exists()


def test_who_may_not_add_tenants_does_not_learn_which_exist(cast, calls_as):
    refused = calls_as(cast.alice).post("/api/v1/tenants/", {"slug": "globex", "name": "Again"})
    assert refused.status_code == 403


def test_a_slug_that_is_taken_is_an_error_of_that_field(cast, calls_as):
    refused = calls_as(cast.ada).post("/api/v1/tenants/", {"slug": "acme", "name": "Again"})
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == ["slug"]


def test_a_tenant_is_renamed_by_its_owner_and_keeps_its_slug(cast, calls_as):
    alice = calls_as(cast.alice)
    assert alice.patch("/api/v1/tenants/acme/", {"name": "Acme Corporation"}).json()["name"] == "Acme Corporation"
    refused = alice.patch("/api/v1/tenants/acme/", {"slug": "other"})
    assert refused.json()["errors"] == {"slug": ["This is set at creation and never changes."]}


def test_what_was_read_can_be_sent_back(cast, calls_as):
    alice = calls_as(cast.alice)
    read = alice.get("/api/v1/tenants/acme/").json()
    assert alice.patch("/api/v1/tenants/acme/", read).status_code == 200


def test_an_unknown_field_is_refused_by_name(cast, calls_as):
    refused = calls_as(cast.alice).patch("/api/v1/tenants/acme/", {"nmae": "Acme"})
    assert refused.status_code == 400
    assert "Known are" in refused.json()["errors"]["nmae"][0]


def test_a_tenant_is_suspended_and_resumed(cast, calls_as):
    ada = calls_as(cast.ada)
    assert ada.post("/api/v1/tenants/acme/suspend/", {"comment": "Unpaid."}).json()["state"] == "suspended"
    again = ada.post("/api/v1/tenants/acme/suspend/")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert ada.post("/api/v1/tenants/acme/resume/").json()["state"] == "active"
    assert Entry.objects.get(verb="tenant.suspend").comment == "Unpaid."


def test_owners_may_not_suspend_their_tenant(cast, calls_as):
    assert calls_as(cast.alice).post("/api/v1/tenants/acme/suspend/").status_code == 403


def test_an_empty_tenant_is_deleted_by_an_administrator_alone(cast, calls_as):
    assert calls_as(cast.alice).delete("/api/v1/tenants/acme/").status_code == 403
    assert calls_as(cast.ada).delete("/api/v1/tenants/globex/").status_code == 204
    assert not Tenant.objects.filter(slug="globex").exists()


def test_a_stranger_does_not_find_the_tenant(cast, calls_as):
    charlie = calls_as(cast.charlie)
    assert charlie.get("/api/v1/tenants/acme/").status_code == 404
    assert [row["slug"] for row in charlie.get("/api/v1/tenants/").json()["results"]] == ["globex"]


def test_members_are_listed_given_another_role_and_taken_out(cast, calls_as):
    alice = calls_as(cast.alice)
    listed = alice.get("/api/v1/tenants/acme/memberships/").json()["results"]
    assert [(row["user"], row["role"]) for row in listed] == [
        ("alice@acme.test", "owner"),
        ("bob@acme.test", "developer"),
        ("vera@acme.test", "viewer"),
    ]
    bob = f"/api/v1/tenants/acme/memberships/{listed[1]['id']}/"
    assert alice.patch(bob, {"role": "viewer"}).json()["role"] == "viewer"
    assert alice.delete(bob).status_code == 204
    assert not Membership.objects.filter(user=cast.bob).exists()


@pytest.mark.parametrize("address", ["new@acme.test", "charlie@globex.test"])
def test_an_owner_invites_somebody_sends_it_again_and_takes_it_back(cast, calls_as, address):
    alice = calls_as(cast.alice)
    made = alice.post("/api/v1/tenants/acme/memberships/", {"user": address, "role": "developer"})
    assert made.status_code == 201
    shown = made.json()
    listed = alice.get("/api/v1/tenants/acme/invitations/").json()["results"]
    assert [row["id"] for row in listed] == [shown["invitation"]]
    assert shown == {
        "id": None,
        "user": address,
        "role": "developer",
        "state": "invited",
        "invitation": listed[0]["id"],
        "created_at": listed[0]["created_at"],
    }
    assert not Membership.objects.filter(tenant=cast.acme, user__email=address).exists()
    mine = f"/api/v1/tenants/acme/invitations/{shown['invitation']}/"
    again = alice.post(f"{mine}resend/")
    assert again.json()["sent_at"] > listed[0]["sent_at"]
    assert (again.json()["user"], again.json()["invited_by"]) == (address, cast.alice.email)
    for other, status in ((cast.bob, 404), (cast.charlie, 404)):
        assert calls_as(other).get(mine).status_code == status
        assert calls_as(other).post(f"{mine}resend/").status_code == status
        assert calls_as(other).delete(mine).status_code == status
    assert alice.delete(mine).status_code == 204
    assert alice.get(mine).status_code == 404


def test_an_owner_invites_a_colleague_to_another_tenant_of_theirs_too(cast, calls_as):
    services.membership_set(actor=PLATFORM, tenant=cast.globex, user=cast.alice, role=Role.OWNER)
    made = calls_as(cast.alice).post("/api/v1/tenants/globex/memberships/", {"user": cast.bob.email, "role": "viewer"})
    assert made.json()["state"] == "invited"
    assert not Membership.objects.filter(tenant=cast.globex, user=cast.bob).exists()


def test_an_administrator_makes_a_user_whom_they_see_a_member(cast, calls_as, mailoutbox):
    made = calls_as(cast.ada).post("/api/v1/tenants/globex/memberships/", {"user": cast.bob.email, "role": "viewer"})
    assert (made.status_code, made.json()["user"]) == (201, cast.bob.email)
    assert (made.json()["state"], made.json()["invitation"]) == ("member", None)
    assert mailoutbox == []


def test_developers_may_not_change_members(cast, calls_as):
    bob = calls_as(cast.bob)
    assert bob.post("/api/v1/tenants/acme/memberships/", {"user": "x@y.test", "role": "owner"}).status_code == 403
    mine = Membership.objects.get(user=cast.bob).pk
    assert bob.patch(f"/api/v1/tenants/acme/memberships/{mine}/", {"role": "owner"}).status_code == 403


def test_the_last_owner_stays(cast, calls_as):
    mine = Membership.objects.get(user=cast.alice).pk
    refused = calls_as(cast.alice).delete(f"/api/v1/tenants/acme/memberships/{mine}/")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["role"])


def test_a_member_of_another_tenant_is_not_found_under_ones_own(cast, calls_as):
    theirs = Membership.objects.get(user=cast.charlie).pk
    alice = calls_as(cast.alice)
    assert alice.get(f"/api/v1/tenants/acme/memberships/{theirs}/").status_code == 404
    assert alice.get(f"/api/v1/tenants/globex/memberships/{theirs}/").status_code == 404
    assert alice.post("/api/v1/tenants/globex/memberships/", {"user": "a@b.test", "role": "owner"}).status_code == 404


def test_an_administrator_adds_a_user_with_memberships(cast, calls_as):
    made = calls_as(cast.ada).post(
        "/api/v1/users/",
        {"email": "Dan@Acme.test", "password": PASSWORD, "memberships": [{"tenant": "acme", "role": "developer"}]},
    )
    assert made.status_code == 201
    assert "password" not in made.json()
    assert made.json()["memberships"] == [{"tenant": "acme", "role": "developer"}]
    assert User.objects.get(email="dan@acme.test").check_password(PASSWORD)


def test_a_user_with_an_impossible_membership_is_not_made_at_all(cast, calls_as):
    refused = calls_as(cast.ada).post(
        "/api/v1/users/", {"email": "dan@acme.test", "memberships": [{"tenant": "nowhere", "role": "developer"}]}
    )
    assert refused.status_code == 400
    assert not User.objects.filter(email="dan@acme.test").exists()


def test_a_weak_password_is_an_error_of_that_field(cast, calls_as):
    refused = calls_as(cast.ada).post("/api/v1/users/", {"email": "dan@acme.test", "password": "12345"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["password"])


def test_owners_may_not_add_users_and_learn_nothing_of_existing_ones(cast, calls_as):
    alice = calls_as(cast.alice)
    assert alice.post("/api/v1/users/", {"email": "new@acme.test"}).status_code == 403
    assert alice.post("/api/v1/users/", {"email": cast.charlie.email}).status_code == 403


def test_one_sees_oneself_and_ones_colleagues(cast, calls_as):
    charlie = calls_as(cast.charlie)
    assert [row["email"] for row in charlie.get("/api/v1/users/").json()["results"]] == [cast.charlie.email]
    assert charlie.get(f"/api/v1/users/{cast.alice.pk}/").status_code == 404
    me = charlie.get("/api/v1/users/me/").json()
    assert (me["email"], me["memberships"]) == (cast.charlie.email, [{"tenant": "globex", "role": "owner"}])


def test_one_changes_ones_own_name_and_nobodys_rights(cast, calls_as):
    bob = calls_as(cast.bob)
    assert bob.patch(f"/api/v1/users/{cast.bob.pk}/", {"name": "Bobby"}).json()["name"] == "Bobby"
    assert bob.patch(f"/api/v1/users/{cast.bob.pk}/", {"is_administrator": True}).status_code == 403
    assert bob.patch(f"/api/v1/users/{cast.alice.pk}/", {"name": "Eve"}).status_code == 403


def test_a_user_is_locked_out_and_let_in_again(cast, calls_as):
    ada, bob = calls_as(cast.ada), calls_as(cast.bob)
    assert ada.post(f"/api/v1/users/{cast.bob.pk}/deactivate/").json()["is_active"] is False
    assert bob.get("/api/v1/users/me/").status_code == 401
    assert ada.post(f"/api/v1/users/{cast.bob.pk}/activate/").json()["is_active"] is True
    assert bob.get("/api/v1/users/me/").status_code == 401, "tokens don't come back"
    again = calls_as(cast.bob)
    assert again.get("/api/v1/users/me/").status_code == 200
    assert again.post(f"/api/v1/users/{cast.alice.pk}/deactivate/").status_code == 403


def test_a_token_is_made_in_a_session_shown_once_works_and_is_revoked(cast, calls_as):
    bob = APIClient()
    bob.force_login(cast.bob)
    end = (timezone.now() + timedelta(days=7)).isoformat()
    wanted = {"name": "laptop", "scope": "write", "tenant": "acme", "expires_at": end}
    refused = bob.post(f"/api/v1/users/{cast.bob.pk}/tokens/", wanted, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required")
    confirm(bob)
    made = bob.post(f"/api/v1/users/{cast.bob.pk}/tokens/", wanted, format="json")
    assert made.status_code == 201
    assert (made.json()["scope"], made.json()["tenant"]) == ("write", "acme")
    secret = made.json()["secret"]
    other = APIClient(headers={"authorization": f"Bearer {secret}"})
    assert other.get("/api/v1/users/me/").json()["email"] == cast.bob.email
    mine = f"/api/v1/users/{cast.bob.pk}/tokens/"
    assert secret not in bob.get(mine).content.decode()
    assert bob.delete(f"{mine}{made.json()['id']}/").status_code == 204
    assert other.get("/api/v1/users/me/").status_code == 401


def test_nobody_makes_a_token_that_acts_as_somebody_else(cast, calls_as):
    theirs = f"/api/v1/users/{cast.bob.pk}/tokens/"
    spy = {"name": "spy", "scope": "read", "expires_at": (timezone.now() + timedelta(days=7)).isoformat()}
    for user, status in ((cast.ada, 403), (cast.charlie, 404)):
        client = APIClient()
        client.force_login(user)
        confirm(client)
        assert client.post(theirs, spy, format="json").status_code == status
    assert not Token.objects.filter(user=cast.bob).exists()


def test_a_stranger_neither_sees_nor_revokes_ones_tokens(cast, calls_as):
    bob = calls_as(cast.bob)
    mine = bob.get(f"/api/v1/users/{cast.bob.pk}/tokens/").json()["results"][0]["id"]
    alice = calls_as(cast.alice)
    assert alice.get(f"/api/v1/users/{cast.bob.pk}/tokens/").json()["results"] == []
    assert alice.delete(f"/api/v1/users/{cast.bob.pk}/tokens/{mine}/").status_code == 404


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("tenant=acme&ordering=-email", ["vera@acme.test", "bob@acme.test", "alice@acme.test"]),
        ("email=BOB@acme.test", ["bob@acme.test"]),
        ("is_administrator=true", ["ada@platform.test"]),
        ("name=char", ["charlie@globex.test"]),
    ],
)
def test_users_are_filtered_and_ordered(cast, calls_as, filters, found):
    listed = calls_as(cast.ada).get(f"/api/v1/users/?{filters}").json()["results"]
    assert [row["email"] for row in listed] == found


def test_a_filter_that_does_not_exist_is_refused(cast, calls_as):
    refused = calls_as(cast.ada).get("/api/v1/users/?tennant=acme")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["tennant"])


def test_an_order_that_does_not_exist_is_refused(cast, calls_as):
    refused = calls_as(cast.ada).get("/api/v1/users/?ordering=password")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["ordering"])


def test_pages_of_a_list_follow_each_other(cast, calls_as):
    ada = calls_as(cast.ada)
    page = ada.get("/api/v1/users/?page_size=3").json()
    emails = [row["email"] for row in page["results"]]
    while page["next"]:
        page = ada.get(page["next"]).json()
        emails += [row["email"] for row in page["results"]]
    assert emails == sorted(User.objects.values_list("email", flat=True))

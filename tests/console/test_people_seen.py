"""What members of a tenant see of a person: their address, their name, and their role here. Everywhere, by every way.

Bob of acme owns another tenant too, Nina is invited to acme and hasn't answered. What is the platform's or another tenant's to
know of them is marked; every page and every route is read by those whom it doesn't concern.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from apps.tenants import services
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from apps.tenants.invitations import invitation_accept, invitation_create
from apps.tenants.models import Invitation, User
from tests.api.test_routes import EVERY
from tests.console.conftest import World
from tests.console.test_routes import ROUTES, address_of
from tests.support.cast import make_tenant, make_token, make_user

MARKS = ("Sentinel", "sentinel", "2001-02-03", "1999-01-02", "Feb. 3, 2001", "Jan. 2, 1999")
"""The other tenant, Nina's name, Bob's last sign-in, when Bob's account was made."""
READERS = ("alice", "vera", "olga", "charlie")


@pytest.fixture
def marked(world: World) -> World:
    """The small installation, with what isn't acme's to know of Bob and Nina."""
    people = world.people
    other = make_tenant("sentinel", "Sentinel Works")
    services.membership_set(actor=PLATFORM, tenant=other, user=people.bob, role=Role.OWNER)
    nina = make_user("nina@else.test", other, Role.OWNER)
    services.user_update(actor=PLATFORM, user=nina, name="Nina Sentinel")
    times = {"last_login": datetime(2001, 2, 3, tzinfo=UTC), "date_joined": datetime(1999, 1, 2, tzinfo=UTC)}
    User.objects.filter(pk__in=[people.bob.pk, nina.pk]).update(**times)
    invitation_create(actor=people.alice, tenant=people.acme, email="nina@else.test", role="viewer")
    return world


def client_of(user: User) -> APIClient:
    return APIClient(headers={"authorization": f"Bearer {make_token(user).secret}"})


def addresses(client: APIClient, world: World) -> Iterator[str]:
    """Every route with what the reader finds there in place of its parameters."""
    stems = {
        "/tenants/1/": "/tenants/acme/",
        "/users/1/": f"/users/{world.people.bob.pk}/",
        "/apis/1/": "/apis/products/",
    }
    for route in EVERY:
        address = route
        for stem, real in stems.items():
            address = address.replace(stem, real)
        head, parameter, tail = address.partition("/1/")
        if not parameter:
            yield address
            continue
        listed = client.get(f"{head}/")
        for row in listed.json().get("results", []) if listed.status_code == 200 else []:
            name = next(
                (row[word] for word in ("id", "epoch", "call_id", "slug", "api", "worker") if word in row), None
            )
            yield f"{head}/{name}/{tail}"


@pytest.mark.parametrize("reader", READERS)
def test_no_route_tells_of_a_person_what_is_not_this_tenants(marked, reader):
    user = getattr(marked.people, reader)
    client = client_of(user)
    read = 0
    for address in addresses(client, marked):
        answer = client.get(address)
        read += answer.status_code == 200
        assert not [mark for mark in MARKS if mark in answer.content.decode()], address
    assert read > 20


def test_an_administrator_sees_what_the_others_don_t(marked):
    """So the marks are where they are looked for."""
    client = client_of(marked.people.ada)
    text = "".join(client.get(address).content.decode() for address in addresses(client, marked))
    for mark in ("Sentinel Works", "Nina Sentinel", "2001-02-03", "1999-01-02"):
        assert mark in text


ALLOWED = {"id", "email", "name", "is_active", "memberships"}


@pytest.mark.parametrize("reader", ["alice", "vera"])
def test_of_a_colleague_exactly_the_allowed_fields_are_told(marked, reader):
    user = getattr(marked.people, reader)
    client = client_of(user)
    rows = client.get("/api/v1/users/").json()["results"]
    assert {row["email"] for row in rows} == {"alice@acme.test", "bob@acme.test", "vera@acme.test"}
    for row in rows:
        if row["id"] != user.pk:
            assert {word for word, value in row.items() if value is not None} == ALLOWED
            assert {held["tenant"] for held in row["memberships"]} == {"acme"}
            assert client.get(f"/api/v1/users/{row['id']}/").json() == row
        else:
            assert row["is_administrator"] is False
            assert row["date_joined"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tenant=sentinel", []),
        ("email=nina@else.test", []),
        ("name=sentinel", []),
        ("is_administrator=true", []),
        ("is_administrator=false", ["alice@acme.test"]),
        ("tenant=acme&name=bo", ["bob@acme.test"]),
    ],
)
def test_no_filter_tells_more_than_the_list(marked, query, found):
    services.user_update(actor=PLATFORM, user=marked.people.bob, is_administrator=True)
    rows = client_of(marked.people.alice).get(f"/api/v1/users/?{query}").json()["results"]
    assert [row["email"] for row in rows] == found


@pytest.mark.parametrize("reader", READERS)
def test_no_page_tells_of_a_person_what_is_not_this_tenants(marked, browse, reader):
    browser = browse(getattr(marked.people, reader), confirmed=True)
    read = 0
    for name in ROUTES:
        answer = browser.get(address_of(name, marked))
        read += answer.status_code == 200
        assert not [mark for mark in MARKS if mark in answer.content.decode()], name
    assert read > 20
    for text in ("nina", "else.test", "Works", "sent"):
        answer = browser.get(reverse("console:search"), {"q": text})
        assert not [mark for mark in MARKS if mark in answer.content.decode().replace(f"“{text}”", "")], text


def test_after_the_yes_the_name_is_seen_and_nothing_else(marked):
    nina = User.objects.get(email="nina@else.test")
    invitation_accept(user=nina, invitation=Invitation.objects.get(email=nina.email))
    row = client_of(marked.people.alice).get(f"/api/v1/users/{nina.pk}/").json()
    assert {word: value for word, value in row.items() if value is not None} == {
        "id": nina.pk,
        "email": "nina@else.test",
        "name": "Nina Sentinel",
        "is_active": True,
        "memberships": [{"tenant": "acme", "role": "viewer"}],
    }


# Whether an address is known


def alike(client: Client, path: str, field: str, **words: Any) -> list[tuple[int, str]]:
    """How a form answers a known address and an unknown one, with the addresses taken out."""
    seen = []
    for address in ("bob@acme.test", "bub@acme.test"):
        answer = client.post(path, {field: address, **words}, follow=True)
        page = answer.content.decode().replace(address, "ADDRESS")
        seen.append((answer.status_code, "".join(part for part in page.split() if "csrf" not in part.lower())))
    return seen


def test_signing_in_and_asking_for_a_password_tell_nobody_who_has_an_account(
    cast, state_redis, django_capture_on_commit_callbacks
):
    for path, field, words in (
        ("/accounts/login/", "login", {"password": "wrong"}),
        ("/accounts/password/reset/", "email", {}),
    ):
        with django_capture_on_commit_callbacks(execute=True):
            known, unknown = alike(Client(), path, field, **words)
        hide = lambda seen: (seen[0], re.sub(r'value="\w{64}"', "", seen[1]))  # noqa: E731
        assert hide(known) == hide(unknown), path
    assert {letter.to[0] for letter in mail.outbox} == {"bob@acme.test", "bub@acme.test"}, "both are written to"


def test_an_owner_s_form_answers_every_address_alike(marked, browse):
    known, unknown = (
        browse(marked.people.alice).post(
            reverse("console:invite", args=["acme"]), {"email": email, "role": "viewer"}, follow=True
        )
        for email in (marked.people.charlie.email, "nobody@nowhere.test")
    )
    texts = [
        answer.content.decode().replace(email, "ADDRESS").split('class="toasts"')[1]
        for answer, email in ((known, marked.people.charlie.email), (unknown, "nobody@nowhere.test"))
    ]
    assert texts[0] == texts[1]

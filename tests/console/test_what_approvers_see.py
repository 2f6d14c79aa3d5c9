"""An approver learns of an applicant what concerns the approver's own APIs, and how many others there are; in no room which."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.access.services import key_create, request_reject
from apps.audit.models import Entry
from apps.catalog.services import api_unpublish
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from tests.api.test_routes import EVERY
from tests.console.conftest import World, text_of
from tests.console.test_routes import ROUTES, address_of
from tests.support.calls import HIT, make_calls
from tests.support.cast import make_api, make_request, make_subscription, make_tenant, make_token, make_user
from tests.support.letters import Sent

HIDDEN = "hushhush"
"""The slug and name of what acme has elsewhere."""


@pytest.fixture
def elsewhere(world: World) -> World:
    """Acme calls another tenant's API too, was refused there once, has a key for it alone, and asks Olga for one more."""
    people = world.people
    rival = make_tenant("rival")
    rita = make_user("rita@rival.test", rival, Role.OWNER)
    api = make_api(rival, HIDDEN)
    refused = make_request(people.bob, world.application, api)
    request_reject(actor=rita, access_request=refused, comment=f"{HIDDEN}: no")
    make_subscription(world.application, api)
    key_create(actor=people.bob, application=world.application, name="other", apis=[HIDDEN])
    make_calls({"api": HIDDEN, "path": f"/{HIDDEN}/items", "operation": ""}, HIT | {"api": HIDDEN})
    api_unpublish(actor=PLATFORM, api=api)  # so that the catalogue doesn't tell of it either
    world.asked = make_request(people.bob, world.application, make_api(people.platform, "weather"))
    return world


def test_the_page_of_a_request_counts_what_the_applicant_has_elsewhere(elsewhere, browse):
    address = reverse("console:request", args=[elsewhere.asked.pk])
    page = text_of(browse(elsewhere.people.olga).get(address))
    assert "And 1 of others." in page
    assert "1 about APIs of others." in page
    assert "Products" in page

    assert "Calls, 24 h 3 " in page  # those to Olga's own API
    assert HIDDEN in text_of(browse(elsewhere.people.ada).get(address)).lower()


def test_no_page_tells_an_approver_which(elsewhere, browse):
    olga, seen = browse(elsewhere.people.olga), 0
    for name in ROUTES:
        if name == "audit_entry":
            addresses = [reverse("console:audit_entry", args=[each.epoch]) for each in Entry.objects.all()]
        else:
            addresses = [address_of(name, elsewhere)]
        for address in addresses:
            answer = olga.get(address)
            seen += answer.status_code == 200
            if not answer.streaming:
                assert HIDDEN not in answer.content.decode().lower(), address
    assert seen > 30
    assert HIDDEN not in olga.get(reverse("console:search"), {"q": HIDDEN[:5]}).content.decode().lower().replace(
        f'value="{HIDDEN[:5]}"', ""
    )


def test_no_route_of_the_rest_api_tells_an_approver_which(elsewhere):
    client = APIClient(headers={"authorization": f"Bearer {make_token(elsewhere.people.olga).secret}"})
    seen = 0
    for address in EVERY:
        answer = client.get(address)
        seen += answer.status_code == 200
        assert HIDDEN not in answer.content.decode().lower(), address
    for address in ("access-requests", "subscriptions", "calls", "keys", "applications", "audit"):
        for query in (f"?tenant=acme&search={HIDDEN}", "?tenant=acme", "?application=acme/bot"):
            assert HIDDEN not in client.get(f"/api/v1/{address}/{query}").json().get("results", []).__repr__()
    assert seen > 10


def test_no_letter_tells_an_approver_which(elsewhere, sent: Sent):
    letters = [each for each in sent() if "olga@platform.test" in each.recipients()]
    assert letters
    assert not any(HIDDEN in (each.subject + str(each.body)).lower() for each in letters)

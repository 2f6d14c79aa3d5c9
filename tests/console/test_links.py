"""No page leads its reader to a refusal: a walk from link to link as everybody who uses the console."""

import re
from collections import Counter
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from django.http import Http404
from django.urls import resolve

from apps.catalog.models import API
from apps.console.page_access import GuardedView, is_page
from apps.console.way_back import way_back
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from apps.tenants.models import User
from tests.console.conftest import World
from tests.console.test_routes import ROUTES, address_of
from tests.support.cast import make_api, make_application, make_request, make_subscription, make_user

#: sign-in and second factor are allauth's, and what is below /api/ is no page
ELSEWHERE = ("/accounts/", "/static/", "/api/")
#: so many pages of a kind are opened; whether the reader may open the others is asked for, which costs no page
OPENED = 2
#: platform owns APIs, acme and globex call them
READERS = {
    "administrator": "ada",
    "provider's owner": "olga",
    "provider's developer": "pete",
    "provider's viewer": "paula",
    "consumer's owner": "alice",
    "consumer's developer": "bob",
    "consumer's viewer": "vera",
    "another consumer's owner": "charlie",
    "member of two tenants": "tess",
}


@pytest.fixture
def people(world: World) -> dict[str, User]:
    """Everybody by name, in a world where each list has rows of several tenants and one API is gone for most."""
    people = world.people
    retired = make_api(people.platform, "retired")
    make_subscription(world.application, retired, world.plan)
    make_request(people.charlie, make_application(people.globex, "old"), retired, world.plan)
    API.objects.filter(pk=retired.pk).update(state="retired")
    make_api(people.platform, "drafted", publish=False)
    make_subscription(make_application(people.platform, "own"), world.api, world.plan)
    pete = make_user("pete@platform.test", people.platform, Role.DEVELOPER)
    paula = make_user("paula@platform.test", people.platform, Role.VIEWER)
    tess = make_user("tess@acme.test", people.acme, Role.VIEWER)
    tenants.membership_set(actor=PLATFORM, tenant=people.platform, user=tess, role=Role.DEVELOPER)
    return {**vars(people), "pete": pete, "paula": paula, "tess": tess}


def links_of(answer) -> set[str]:
    """Where a page leads: its links, what htmx loads, and its forms that only ask."""
    page, here = answer.content.decode(), answer.request["PATH_INFO"]
    found = set(re.findall(r'(?:href|hx-get)="([/?][^"#]*)', page))
    for form in re.findall(r"<form\b[^>]*>", page):
        if 'method="post"' not in form and (action := re.search(r'action="([/?][^"#]*)"', form)):
            found.add(action[1])
    return {urljoin(here, unescape(link)) for link in found if not link.startswith(ELSEWHERE)}


class Walk:
    """From page to page as one reader; ``dead`` has what refused them, and from where they were led there."""

    def __init__(self, client, reader: User) -> None:
        self.client, self.reader = client, reader
        self.dead: set[str] = set()
        self.status: dict[str, int] = {}
        self._kinds: Counter = Counter()

    def start(self, addresses: list[str]) -> None:
        """Try ``addresses``, of which some may be closed, and follow what the open ones lead to."""
        waiting = [(address, "") for address in addresses]
        while waiting:
            address, before = waiting.pop(0)
            if address not in self.status:
                self.status[address], links = self._visit(address)
                waiting += [(link, address) for link in links]
            if before and self.status[address] != 200:
                self.dead.add(f"{before} leads to {address}: {self.status[address]}")

    def _visit(self, address: str) -> tuple[int, set[str]]:
        path, query = urlsplit(address)[2:4]
        view, _, parameters = match = resolve(path)
        assert is_page(view), address
        if (status := self._status(view, parameters)) != 200:
            return status, {way_back(self.reader, path).url}
        kind = (match.view_name, *sorted(parse_qs(query, keep_blank_values=True)))
        self._kinds[kind] += 1
        if self._kinds[kind] > (1 if query else OPENED):
            return 200, set()
        answer = self.client.get(address, follow=True)
        return answer.status_code, links_of(answer)

    def _status(self, view: GuardedView, parameters: dict[str, Any]) -> int:
        try:
            return 403 if view.admit(self.reader, **parameters) is None else 200
        except Http404:
            return 404


@pytest.mark.parametrize("who", READERS.values(), ids=READERS)
def test_every_link_that_a_page_shows_its_reader_opens(world, people, browse, who):
    walk = Walk(browse(people[who], confirmed=True), people[who])
    walk.start(["/"])
    assert len(walk.status) > 30
    walk.start([address_of(name, world) for name in sorted(ROUTES.keys() - {"mail"})])
    assert walk.dead == set()


def test_a_call_of_an_api_that_is_deleted_links_to_nothing(world, browse):
    world.subscription.delete()
    world.asked.delete()
    world.api.delete()
    ada = browse(world.people.ada)
    page = ada.get(address_of("call", world))
    assert "products" in page.content.decode()
    assert "/apis/products/" not in links_of(page)

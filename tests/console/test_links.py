"""No page leads its reader to a refusal: every link on it opens."""

import re
from html import unescape

import pytest

from apps.catalog.models import API
from tests.console.test_routes import ROUTES, address_of
from tests.support.cast import make_api, make_application, make_request, make_subscription

#: sign-in and second factor are allauth's, and signing out ends the walk
ELSEWHERE = ("/accounts/", "/static/", "/api/")


def links_of(answer) -> set[str]:
    found = re.findall(r'(?:href|hx-get)="(/[^"#]*)', answer.content.decode())
    return {unescape(link) for link in found if not link.startswith(ELSEWHERE)}


@pytest.mark.parametrize("who", ["ada", "alice", "bob", "vera", "charlie"])
def test_every_link_that_a_page_shows_its_reader_opens(world, browse, who):
    retired = make_api(world.people.platform, "retired")
    make_subscription(world.application, retired, world.plan)
    asked = make_request(world.people.charlie, make_application(world.people.globex, "old"), retired, world.plan)
    API.objects.filter(pk=retired.pk).update(state="retired")
    reader = browse(getattr(world.people, who), confirmed=True)
    seen: dict[str, int] = {}
    dead = set()
    addresses = [address_of(name, world) for name in sorted(ROUTES.keys() - {"mail"})]
    for address in [*addresses, f"/requests/{asked.pk}/"]:
        answer = reader.get(address)
        if answer.status_code != 200:
            continue
        for link in links_of(answer):
            if link not in seen:
                seen[link] = reader.get(link, follow=True).status_code
            if seen[link] != 200:
                dead.add(f"{address} leads to {link}: {seen[link]}")
    assert len(seen) > 10
    assert dead == set()


def test_a_call_of_an_api_that_is_deleted_links_to_nothing(world, browse):
    world.subscription.delete()
    world.asked.delete()
    world.api.delete()
    ada = browse(world.people.ada)
    page = ada.get(address_of("call", world))
    assert "products" in page.content.decode()
    assert "/apis/products/" not in links_of(page)

"""Requests and subscriptions have two sides: each list says in its title from which it looks, and holds the rows of that side."""

import re
from collections.abc import Callable
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from apps.tenants.choices import Role
from apps.tenants.models import Tenant, User
from tests.support.cast import (
    make_api,
    make_application,
    make_request,
    make_subscription,
    make_tenant,
    make_token,
    make_user,
)

CALLS = {("shopper", "weather"), ("shopper", "maps"), ("mixer", "weather"), ("mixer", "maps")}
"""Who may call what, as application and API."""
ASKS = {("shopper", "news"), ("shopper", "roads"), ("mixer", "news"), ("mixer", "roads")}
"""Who asks for what."""
OWNED_BY = {"consumer": {"shopper"}, "provider": {"weather", "news"}, "both": {"mixer", "maps", "roads"}}
"""The applications and APIs of each tenant."""
EVERYTHING: set[str] = set().union(*OWNED_BY.values())

Pairs = set[tuple[str, str]]


def by(owned: set[str], pairs: Pairs) -> Pairs:
    return {(application, api) for application, api in pairs if application in owned}


def to(owned: set[str], pairs: Pairs) -> Pairs:
    return {(application, api) for application, api in pairs if api in owned}


LISTS: dict[str, Callable[[set[str]], Pairs]] = {
    "What you may call": lambda own: by(own, CALLS),
    "What it may call": lambda own: by(own, CALLS),
    "Who may call your APIs": lambda own: to(own, CALLS),
    "Who may call this API": lambda own: to(own, CALLS),
    "All subscriptions": lambda own: CALLS,
    "Your requests": lambda own: by(own, ASKS),
    "What it asked for": lambda own: by(own, ASKS),
    "Requests for your APIs": lambda own: to(own, ASKS),
    "Requests to decide": lambda own: to(own, ASKS),
    "All requests": lambda own: ASKS,
}
"""Title of a list -> what it holds for a reader whose tenant owns these."""
PAGES = {
    "overview": ["/"],
    "requests": ["/requests/?side=caller", "/requests/?side=provider"],
    "subscriptions": ["/subscriptions/?side=caller", "/subscriptions/?side=provider"],
    "application": ["/applications/consumer/shopper/", "/applications/both/mixer/"],
    "API": ["/apis/weather/access/", "/apis/news/access/", "/apis/maps/access/", "/apis/roads/access/"],
}
ROLES = [(tenant, role) for tenant in OWNED_BY for role in Role] + [("", None)]


@pytest.fixture
def tenants(db, state_redis) -> dict[str, Tenant]:
    """A tenant that calls, one that provides, and one that does both; everybody calls, and asks for, what they can."""
    found = {slug: make_tenant(slug) for slug in OWNED_BY}
    applications = {
        "shopper": make_application(found["consumer"], "shopper"),
        "mixer": make_application(found["both"], "mixer"),
    }
    apis = {slug: make_api(found["provider"], slug) for slug in ("weather", "news")}
    apis |= {slug: make_api(found["both"], slug) for slug in ("maps", "roads")}
    for application, api in sorted(CALLS):
        make_subscription(applications[application], apis[api])
    asker = make_user("ada@platform.test", is_administrator=True)
    for application, api in sorted(ASKS):
        make_request(asker, applications[application], apis[api])
    return found


def reader(tenants: dict[str, Tenant], tenant: str, role: Role | None) -> User:
    """An administrator where no tenant is named."""
    if role is None:
        return User.objects.get(email="ada@platform.test")
    return make_user(f"{role}@{tenant}.test", tenants[tenant], role)


def lists_of(page: str) -> dict[str, Pairs]:
    """The lists of a page that hold applications and APIs, by title."""
    named = re.search(r"<h1>(.*?)</h1>", page, re.S)
    assert named
    about = words(named[1])
    found: dict[str, Pairs] = {}
    for part in page.split("<h2")[1:]:
        title, _, rest = part.partition("</h2>")
        rows = re.findall(r"<tr.*?</tr>|<li class=\"spread\".*?</li>", rest, re.S)
        pairs = {pair for row in rows for pair in pairs_of(words(row), about)}
        if pairs:
            found[unescape(title.partition(">")[2]).strip()] = pairs
    return found


def words(html: str) -> set[str]:
    return set(re.findall(r"\w+", re.sub(r"<[^>]+>", " ", html).lower()))


def pairs_of(row: set[str], page: set[str]) -> Pairs:
    """The application and the API that a row names; a table leaves out that one which the whole page is about."""
    named = row | (page if row & EVERYTHING else set())
    return {pair for pair in CALLS | ASKS if named >= set(pair)}


def test_every_list_holds_the_rows_of_the_side_that_its_title_names(tenants, browse):
    for tenant, role in ROLES:
        check_lists(browse(reader(tenants, tenant, role)), tenant, role)


def check_lists(browser: Client, tenant: str, role: Role | None) -> None:
    own = OWNED_BY.get(tenant, EVERYTHING)
    decides = role in {Role.OWNER, None}
    seen: dict[str, Pairs] = {}
    for page, addresses in PAGES.items():
        for address in addresses:
            answer = browser.get(address)
            if answer.status_code in {403, 404}:
                assert not own & set(address.split("/")), address
                assert page in {"application", "API"}, address
                continue
            for title, rows in lists_of(answer.content.decode()).items():
                expected = LISTS[title](own)
                if page in {"application", "API"}:
                    expected = {pair for pair in expected if set(pair) & set(address.split("/"))}
                assert rows == expected, f"{tenant} {role}, {address}: {title}"
                assert title != "Requests to decide" or decides, f"{tenant} {role}, {address}"
                seen.setdefault(title, set()).update(rows)
    # Nothing is missing: each side that the reader has is somewhere, under its own name.
    others = {title for title in LISTS if (title.startswith("All ") if tenant else re.search(r"\byou", title.lower()))}
    undecided = set() if decides else {"Requests to decide"}
    assert set(seen) == {title for title in LISTS if LISTS[title](own)} - others - undecided


def test_the_rest_api_tells_the_sides_apart(tenants):
    def pairs(client: APIClient, address: str) -> Pairs:
        rows = client.get(f"/api/v1/{address}").json()["results"]
        return {(row["application"].partition("/")[2], row["api"]) for row in rows}

    for tenant, role in ((tenant, role) for tenant, role in ROLES if role is not Role.DEVELOPER):
        user, own = reader(tenants, tenant, role), OWNED_BY.get(tenant, EVERYTHING)
        client = APIClient(headers={"authorization": f"Bearer {make_token(user).secret}"})
        for address, everything in (("subscriptions/", CALLS), ("access-requests/", ASKS)):
            assert pairs(client, f"{address}?side=caller") == by(own, everything)
            assert pairs(client, f"{address}?side=provider") == to(own, everything)
            assert pairs(client, address) == by(own, everything) | to(own, everything)
        assert client.get("/api/v1/subscriptions/?side=both").status_code == 400


def test_a_row_names_the_application_of_another_tenant_without_a_link_that_leads_nowhere(tenants, browse):
    browser = browse(reader(tenants, "provider", Role.OWNER))
    page = browser.get("/subscriptions/?side=provider").content.decode()
    assert "Shopper" in page
    assert reverse("console:application", args=["consumer", "shopper"]) not in page


def test_a_filter_keeps_the_side(tenants, browse):
    browser = browse(reader(tenants, "both", Role.OWNER))
    page = browser.get("/subscriptions/?side=provider&state=active").content.decode()
    assert '<input type="hidden" name="side" value="provider">' in page
    assert 'href="/subscriptions/?side=provider">' in page


def test_a_provider_is_not_told_that_it_asked_for_access(tenants, browse):
    page = browse(reader(tenants, "provider", Role.OWNER)).get("/").content.decode()
    step = page.partition("Ask for access")[0].rpartition("<li")[2]
    assert "To do" in step

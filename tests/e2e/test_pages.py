"""Every page that a link leads to, as everybody who uses the console: it opens, and is accessible, whole and readable.

One picture of each is kept in the folder that SCREENSHOTS names, var/screenshots/ unless it is set.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from django.urls import resolve
from playwright.sync_api import Page, expect

from apps.demo.credentials import Credentials
from tests.e2e.conftest import DESKTOP, TELEPHONE, made
from tests.e2e.looks import ALL, COLOURS, SHAPE, Rules, defects
from tests.support.installation import EMAIL, PASSWORD
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS") or Path(__file__).parents[2] / "var" / "screenshots")
#: what each person's pages are looked at in; the administrator sees most of them
LOOKS: dict[str, list[tuple[str, int, Rules]]] = {
    "administrator": [
        ("light", 1360, ALL),
        ("light", 768, SHAPE),
        ("light", 375, ALL),
        ("dark", 1360, COLOURS),
        ("dark", 375, COLOURS),
    ],
    "developer": [("light", 1360, ALL), ("dark", 375, ALL)],
}
#: what pictures are kept of
PICTURES = {("light", 1360), ("dark", 375)}

FOCUSED = """() => {
    const element = document.activeElement;
    return element === document.body ? "" : element.ariaLabel || element.textContent.trim() || element.name;
}"""
OUTLINED = """() => {
    const style = getComputedStyle(document.activeElement), box = document.activeElement.getBoundingClientRect();
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0
        && box.top >= 0 && box.bottom <= innerHeight + 1 && box.left >= 0 && box.right <= innerWidth + 1;
}"""

UNFOLD = """() => document.querySelectorAll("details.fold").forEach((fold) => { fold.open = true; })"""
LINKS = """() => [
    ...[...document.querySelectorAll("a[href]")].map((link) => link.getAttribute("href")),
    ...[...document.querySelectorAll("form:not([method=post])")].map((form) => form.getAttribute("action") ?? ""),
    ...[...document.querySelectorAll("[hx-get]")].map((element) => element.getAttribute("hx-get")),
].filter((address) => /^[/?]/.test(address))"""

#: sign-in and second factor are allauth's, and what is below /api/ is no page
ELSEWHERE = ("/accounts/", "/api/", "/static/")


@pytest.fixture(params=["administrator", "developer"])
def person(request, demo) -> tuple[str, str]:
    """Who looks: address and password."""
    return address_and_password(request.param, demo)


def address_and_password(who: str, demo: Credentials) -> tuple[str, str]:
    """Of the administrator, or of a tenant's developer."""
    return (EMAIL, PASSWORD) if who == "administrator" else ("developer@globex.test", demo.password)


@pytest.fixture
def busy(running) -> None:
    """The demo's calls have reached the log; one API has an operation with a policy of its own, and was warmed up."""
    operations = [{"path": "/never/{called}", "mode": "off", "limits": {"variants": 2}}]
    made(running.api("PATCH", "cache-policies/catalogue/", json={"operations": operations}))
    made(running.api("POST", "apis/catalogue/warm-ups/", json={"urls": ["/items/1", "/items/1/stock"]}))
    wait_until(lambda: running.api("GET", "calls/").json()["results"], 30, what="calls of the demo")


@dataclass(frozen=True)
class Visit:
    """A page that a link led to."""

    address: str
    before: str
    status: int

    @property
    def name(self) -> str:
        """For its pictures."""
        return re.sub(r"\W+", "-", self.address).strip("-") or "overview"


def walk(page: Page) -> Iterator[Visit]:
    """From the overview along all links, to a page of each kind; the browser shows the one that is told of.

    That every row of every list leads to an open page is tests/console/test_links.py's.
    """
    waiting, known, kinds = [("/", "")], {"/"}, set()
    while waiting:
        address, before = waiting.pop(0)
        view = resolve(urlsplit(address).path)
        dashboard = view.kwargs.get("name") if view.view_name == "console:dashboard" else ""
        kind = (view.view_name, dashboard, "heat=" in address)
        if kind in kinds:
            continue
        kinds.add(kind)
        answer = page.goto(address)
        yield Visit(address, before, answer.status if answer else 0)
        for link in page.evaluate(LINKS):
            further = urljoin(address, link).partition("#")[0]
            if further not in known and not further.startswith(ELSEWHERE):
                known.add(further)
                waiting.append((further, address))


def refused(visit: Visit) -> list[str]:
    """What to say of a link that led to no page."""
    return [] if visit.status == 200 else [f"{visit.before} leads to {visit.address}: {visit.status}"]


def looked_at(page: Page, looks: list[tuple[str, int, Rules]], picture: Path) -> Iterator[str]:
    """What is wrong with the page in each colour scheme and width; leaves its pictures beside ``picture``."""
    page.evaluate(UNFOLD)
    for scheme, width, rules in looks:
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
        page.set_viewport_size({"width": width, "height": DESKTOP["height"]})
        yield from (f"{scheme}, {width} px: {defect}" for defect in defects(page, rules))
        if (scheme, width) in PICTURES:
            page.screenshot(path=picture.with_name(f"{picture.name}-{width}-{scheme}.png"), full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESKTOP)


@pytest.mark.parametrize("who", LOOKS)
def test_every_page_is_accessible_whole_and_readable_in_each_width_and_colour_scheme(who, open_console, demo, busy):
    pictures = SCREENSHOTS / who
    shutil.rmtree(pictures, ignore_errors=True)
    wrong, seen = [], 0
    page = open_console(*address_and_password(who, demo), reduced_motion="reduce")
    for visit in walk(page):
        wrong += refused(visit)
        wrong += [f"{visit.address} {defect}" for defect in looked_at(page, LOOKS[who], pictures / visit.name)]
        seen += 1
    assert not wrong, "\n".join(wrong)
    assert seen > 30


@pytest.mark.parametrize(
    "who",
    ["owner@acme.test", "developer@acme.test", "viewer@acme.test", "owner@globex.test", "viewer@globex.test", "both"],
)
def test_every_link_opens(open_console, who, demo, busy, running):
    if who == "both":
        who = "both@acme.test"
        made(running.api("POST", "users/", json={"email": who, "name": "Both", "password": demo.password}))
        for tenant, role in (("acme", "viewer"), ("globex", "developer")):
            made(running.api("POST", f"tenants/{tenant}/memberships/", json={"user": who, "role": role}))
    page = open_console(who, demo.password, reduced_motion="reduce")
    visits = list(walk(page))
    assert not [said for visit in visits for said in refused(visit)]
    assert len(visits) > 20


def test_every_tab_is_in_sight_on_a_telephone(open_console):
    page = open_console(EMAIL, PASSWORD, viewport=TELEPHONE, has_touch=True, reduced_motion="reduce")
    page.goto("/apis/catalogue/")
    for tab in page.locator(".tabs a").all():
        expect(tab).to_be_in_viewport(ratio=0.9)


def test_the_focus_is_seen_wherever_tab_leads(open_console, person):
    page = open_console(*person)
    page.goto("/apis/")
    met = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        label = page.evaluate(FOCUSED)
        if label == "":  # the browser's own buttons are next
            break
        page.wait_for_function(OUTLINED, timeout=2_000)
        met.add(label)
    assert len(met) > 12


def test_slash_searches_and_g_with_a_letter_goes_to_a_page(open_console, person):
    page = open_console(*person)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("catalogue")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Search", level=1)).to_be_visible()
    page.goto("/catalogue/")
    page.keyboard.press("/")
    expect(page.locator("#list-search")).to_be_focused()
    page.locator("#list-search").blur()
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Calls", level=1)).to_be_visible()


def test_on_a_telephone_the_side_bar_is_a_drawer(open_console, person):
    page = open_console(*person, viewport=TELEPHONE, has_touch=True)
    side = page.get_by_role("navigation", name="Main")
    expect(side).to_be_hidden()
    page.get_by_role("button", name="Menu").tap()
    expect(side).to_be_visible()
    side.get_by_role("link", name="Catalogue").tap()
    expect(page.get_by_role("heading", name="Catalogue", level=1)).to_be_visible()
    expect(side).to_be_hidden()


def test_the_chosen_theme_stays(open_console, person):
    page = open_console(*person)
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.locator("summary.who").click()
    page.get_by_role("button", name="Dark").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.goto("/catalogue/")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.locator("summary.who").click()
    page.get_by_role("button", name="Theme of the system").click()
    expect(root).to_have_attribute("data-bs-theme", "light")

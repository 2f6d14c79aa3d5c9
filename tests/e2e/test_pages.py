"""Every page as an administrator and as a tenant's developer: light, dark, on a telephone, with the keyboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import DESKTOP, TELEPHONE, made
from tests.support.installation import EMAIL, PASSWORD
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

LOOK = (Path(__file__).parent / "pages.js").read_text()

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

#: pages that no side bar and no tab leads to
BESIDES = [
    *("/account/", "/help/", "/search/?q=catalogue", "/applications/new/", "/applications/globex/mobile/"),
    *("/catalogue/catalogue/", "/catalogue/catalogue/try/", "/catalogue/bestsellers/ask/", "/cache/explain/"),
    *("/tenants/globex/hosts/", "/tenants/globex/hosts/new/"),
    "/analytics/latency/?heat=1",
]
ADMINISTRATORS = [
    "/apis/register/",
    "/apis/import/",
    "/plans/standard/",
    "/plans/new/",
    "/cache/purge/",
    "/cache/warm-ups/new/",
    "/apis/catalogue/cache/webhook/",
    "/apis/catalogue/cache/cdn/",
    "/users/invite/",
    "/egress/edit/",
    "/tenants/globex/egress/",
]


@pytest.fixture(params=["administrator", "developer"])
def person(request, demo) -> tuple[str, str]:
    """Who looks: address and password."""
    return (EMAIL, PASSWORD) if request.param == "administrator" else ("developer@globex.test", demo.password)


@pytest.fixture
def busy(running) -> None:
    """The demo's calls have reached the log; one API has an operation with a policy of its own, and was warmed up."""
    operations = [{"path": "/never/{called}", "mode": "off", "limits": {"variants": 2}}]
    made(running.api("PATCH", "cache-policies/catalogue/", json={"operations": operations}))
    made(running.api("POST", "apis/catalogue/warm-ups/", json={"urls": ["/items/1", "/items/1/stock"]}))
    wait_until(lambda: running.api("GET", "calls/").json()["results"], 30, what="calls of the demo")


def addresses(page: Page, email: str) -> Iterator[str]:
    """Every page: the side bar's, an API's tabs, the dashboards, and one of each thing that lists lead to."""
    yield from hrefs(page, ".side [data-go]")
    page.goto("/analytics/")
    yield from hrefs(page, ".tabs a")
    if email == EMAIL:
        page.goto("/apis/catalogue/")
        yield from hrefs(page, ".tabs a")
        yield from ADMINISTRATORS
    yield from BESIDES
    for listed, link in (
        ("/calls/", "table.calls a"),
        ("/requests/", "#list a.table-name"),
        ("/tenants/", "#list a.table-name"),
        ("/audit/", "#list a.table-name"),
        ("/cache/", "a[href^='/cache/warm-ups/'].table-name"),
    ):
        page.goto(listed)
        yield from hrefs(page, link)[:1]


def hrefs(page: Page, selector: str) -> list[str]:
    """Where these links lead."""
    return page.locator(selector).evaluate_all("links => links.map(link => link.getAttribute('href'))")


def defects(page: Page) -> list[str]:
    """What is wrong with how the page looks now."""
    seen = page.evaluate(LOOK)
    found = [f"unreadable: {text}" for text in seen["faint"]]
    if seen["headings"] != 1:
        found.append(f"{seen['headings']} first headings")
    if seen["wide"] > 0:
        found.append(f"{seen['wide']} px too wide: {seen['beyond']}")
    return found


def walk(page: Page, email: str, schemes: tuple[str, ...]) -> list[str]:
    """What is wrong with any page in any of the colour schemes."""
    wrong = []
    for address in dict.fromkeys(addresses(page, email)):
        page.emulate_media(color_scheme=schemes[0])
        answer = page.goto(address)
        if answer is None or answer.status != 200:
            wrong.append(f"{address}: {answer.status if answer else 'no response'}")
            continue
        page.evaluate(UNFOLD)
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
            wrong += [f"{address} {scheme}: {defect}" for defect in defects(page)]
    return wrong


def test_every_page_is_whole_and_readable_in_light_and_in_dark(open_console, person, busy):
    page = open_console(*person, viewport=DESKTOP, reduced_motion="reduce")
    wrong = walk(page, person[0], ("light", "dark"))
    assert not wrong, "\n".join(wrong)


def test_every_page_fits_a_telephone(open_console, person, busy):
    page = open_console(*person, viewport=TELEPHONE, has_touch=True, reduced_motion="reduce")
    wrong = walk(page, person[0], ("dark",))
    assert not wrong, "\n".join(wrong)


def test_the_tab_that_is_open_is_in_sight_on_a_telephone(open_console):
    page = open_console(EMAIL, PASSWORD, viewport=TELEPHONE, has_touch=True, reduced_motion="reduce")
    for tab in ("traffic", "settings"):
        page.goto(f"/apis/catalogue/{tab}/")
        expect(page.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=0.9)


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

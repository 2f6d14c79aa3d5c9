"""Every page that a link leads to, as everybody who uses the console: it opens, and is accessible, whole and readable.

One picture of each is kept in the folder that SCREENSHOTS names, var/screenshots/ unless it is set.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.totp.internal import auth as totp
from django.urls import resolve
from playwright.sync_api import Browser, Page, expect

from apps.demo.credentials import Credentials
from tests.e2e.conftest import DESKTOP, TELEPHONE, Complaints, Open, made
from tests.e2e.looks import ALL, COLOURS, FIRST_ROWS, SHAPE, Rules, defects
from tests.support.installation import EMAIL, PASSWORD, Installation
from tests.support.public_keys import EC_KEY
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS") or Path(__file__).parents[2] / "var" / "screenshots")
Looks = list[tuple[str, int, Rules]]
#: each colour scheme in each width
EVERY_LOOK: Looks = [
    ("light", 1360, ALL),
    ("light", 768, SHAPE),
    ("light", 375, {**ALL, **FIRST_ROWS}),
    ("dark", 1360, COLOURS),
    ("dark", 768, {**COLOURS, **FIRST_ROWS}),
    ("dark", 375, {**COLOURS, **FIRST_ROWS}),
]
#: a page in the looks that differ most
FEW_LOOKS: Looks = [("light", 1360, ALL), ("dark", 375, {**ALL, **FIRST_ROWS})]
#: what each person's pages are looked at in; the administrator sees most of them
LOOKS: dict[str, Looks] = {
    "administrator": EVERY_LOOK,
    "developer": FEW_LOOKS,
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
LINKS = """(text) => {
    const page = text === null ? document : new DOMParser().parseFromString(text, "text/html");
    return [
        ...[...page.querySelectorAll("a[href]")].map((link) => link.getAttribute("href")),
        ...[...page.querySelectorAll("form:not([method=post])")].map((form) => form.getAttribute("action") ?? ""),
        ...[...page.querySelectorAll("[hx-get]")].map((element) => element.getAttribute("hx-get")),
    ].filter((address) => /^[/?]/.test(address));
}"""

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
    """The demo's calls have reached the log; one API has an operation with a policy of its own, and was warmed up. There is one
    of what tokens need, and an application with a client ID.
    """
    operations = [{"path": "/never/{called}", "mode": "off", "limits": {"variants": 2}}]
    made(running.api("PATCH", "cache-policies/catalogue/", json={"operations": operations}))
    made(running.api("POST", "apis/catalogue/warm-ups/", json={"urls": ["/items/1", "/items/1/stock"]}))
    if running.api("GET", "issuers/corp/").status_code == 404:
        issuer = {"slug": "corp", "issuer": "https://id.corp.test/", "jwks": {"keys": [EC_KEY]}}
        made(running.api("POST", "issuers/", json=issuer | {"algorithms": ["ES256"], "audience": ["apimgr"]}))
        server = {
            "slug": "legacy",
            "url": "http://127.0.0.1:9/introspect",
            "client_id": "gw",
            "client_secret": "made-up",
        }
        made(running.api("POST", "introspections/", json=server))
        application = running.api("GET", "applications/").json()["results"][0]
        named = f"{application['tenant']}/{application['slug']}"
        client = {"application": named, "kind": "client_id", "identifier": "bot-client"}
        made(running.api("POST", "keys/", json=client))
        made(running.api("POST", "revocations/", json={"issuer": "corp", "subject": "ann@corp.test"}))
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


Opened = tuple[int, Callable[[], list[str]]]
"""The status of a page, and what finds its links."""


def shown(page: Page, address: str) -> Opened:
    """The page in the browser."""
    answer = page.goto(address)
    return answer.status if answer else 0, lambda: page.evaluate(LINKS, None)


def fetched(page: Page, address: str) -> Opened:
    """The page as the browser would get it, not shown: that takes a third of the time."""
    answer = page.request.get(address)
    return answer.status, lambda: page.evaluate(LINKS, answer.text())


def walk(page: Page, opened: Callable[[Page, str], Opened] = shown) -> Iterator[Visit]:
    """From the overview along all links, to a page of each kind; the browser shows the one that is told of, if it is ``shown``.

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
        status, links = opened(page, address)
        yield Visit(address, before, status)
        for link in links():
            further = urljoin(address, link).partition("#")[0]
            if further not in known and not further.startswith(ELSEWHERE):
                known.add(further)
                waiting.append((further, address))


def refused(visit: Visit) -> list[str]:
    """What to say of a link that led to no page."""
    return [] if visit.status == 200 else [f"{visit.before} leads to {visit.address}: {visit.status}"]


def looked_at(page: Page, looks: Looks, picture: Path) -> Iterator[str]:
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
    visits = list(walk(page, fetched))
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


def test_the_pages_of_signing_in_are_accessible_whole_and_readable(
    browser: Browser, running: Installation, open_console: Open, complaints: Complaints
):
    """Each as it is first shown, and those that refuse something."""
    complaints.expect("status of 400", "status of 404")
    erin = {"email": "erin@factor.test", "name": "Erin", "password": PASSWORD}
    made(running.api("POST", "users/", json=erin))
    pictures = SCREENSHOTS / "signing-in"
    shutil.rmtree(pictures, ignore_errors=True)
    wrong = []

    def look(page: Page, name: str, looks: Looks = FEW_LOOKS) -> None:
        wrong.extend(f"{page.url} {defect}" for defect in looked_at(page, looks, pictures / name))

    page = open_console(erin["email"], reduced_motion="reduce")
    for address in ("password/change/", "logout/", "2fa/", "2fa/totp/activate/"):
        page.goto(f"/accounts/{address}")
        look(page, address.strip("/").replace("/", "-") if "reauthenticate" not in page.url else "reauthenticate")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    look(page, "2fa-totp-activate", EVERY_LOOK)
    secret = page.get_by_label("Secret").input_value()
    page.get_by_label("Code of the app").fill("000000")
    page.get_by_role("main").get_by_role("button", name="Activate").click()
    expect(page.get_by_text("Incorrect code")).to_be_visible()
    look(page, "2fa-totp-activate-refused")
    counter = int(time.time()) // mfa_settings.TOTP_PERIOD
    page.get_by_label("Code of the app").fill(totp.format_hotp_value(totp.hotp_value(secret, counter)))
    page.get_by_role("main").get_by_role("button", name="Activate").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    look(page, "2fa-recovery-codes", EVERY_LOOK)
    for address in ("2fa/", "2fa/totp/deactivate/", "2fa/recovery-codes/generate/", "2fa/reauthenticate/"):
        page.goto(f"/accounts/{address}")
        look(page, f"{address.strip('/').replace('/', '-')}-active")

    context = browser.new_context(base_url=running.console, reduced_motion="reduce", viewport=DESKTOP)
    stranger = context.new_page()
    complaints.listen(stranger)
    for address in (
        "login/",
        "signup/",
        "password/reset/",
        "password/reset/done/",
        "password/reset/key/0-0/",
        "inactive/",
    ):
        stranger.goto(f"/accounts/{address}")
        look(stranger, address.strip("/").replace("/", "-"))
    stranger.goto("/accounts/login/")
    stranger.get_by_label("E-mail address").fill(erin["email"])
    stranger.get_by_label("Password", exact=True).fill("wrong")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_be_visible()
    look(stranger, "login-refused", EVERY_LOOK)
    stranger.get_by_label("Password", exact=True).fill(PASSWORD)
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("heading", name="Your second factor")).to_be_visible()
    look(stranger, "2fa-authenticate", EVERY_LOOK)
    context.close()
    assert not wrong, "\n".join(wrong)

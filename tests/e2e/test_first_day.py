"""The first day of an installation in the browser: what the README promises, as the people would do it."""

import re
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from playwright.sync_api import Locator, Page, expect

from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

README = (settings.BASE_DIR / "README.md").read_text()
EVERYWHERE = re.compile(r"in force on 2 of 2 workers, slowest [\d.,]+\sms")


def figure(page: Page, label: str) -> Locator:
    """The value of one of a page's figures."""
    return page.locator(".figure").filter(has=page.get_by_text(label, exact=True)).locator("dd").first


def register_and_publish(page: Page, upstream: str) -> None:
    """The administrator puts httpbin behind the gateway."""
    page.get_by_role("link", name="APIs", exact=True).click()
    page.get_by_role("link", name="Register API").click()
    page.get_by_label("Name", exact=True).fill("Bin")
    page.get_by_label("Listen path").fill("/bin/")
    page.get_by_label("Upstream", exact=True).fill(upstream)
    page.get_by_label("Owner").select_option("makers")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_text("Bin is registered as a draft.")).to_be_visible()
    page.get_by_role("link", name="Publish", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Publish Bin?")).to_be_visible()
    dialog.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Published")


def make_application_and_key(page: Page, gateway: str) -> str:
    """The developer makes both; the key is shown once, with the curl that uses it."""
    page.get_by_role("link", name="Applications", exact=True).click()
    page.get_by_role("link", name="New application").first.click()
    page.get_by_label("Name", exact=True).fill("Bot")
    page.get_by_role("button", name="Make the application").click()
    page.get_by_role("link", name="New key").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("ci")
    dialog.get_by_role("button", name="Make the key").click()
    expect(dialog.get_by_text("This is the only time this key is shown.")).to_be_visible()
    expect(dialog.get_by_text(EVERYWHERE)).to_be_visible()
    key = dialog.locator("#new-key").inner_text()
    expect(dialog.locator("#new-key-curl")).to_contain_text("curl")
    expect(dialog.locator("#new-key-curl")).to_contain_text(gateway)
    expect(dialog.locator("#new-key-curl")).to_contain_text(key)
    dialog.get_by_role("link", name="I have it").click()
    expect(page.get_by_role("heading", name="Credentials")).to_be_visible()
    assert key not in page.content()
    return key


def ask(page: Page) -> None:
    """The developer finds the API in the catalogue and says what for."""
    page.get_by_role("link", name="Catalogue", exact=True).click()
    with page.expect_response(lambda response: "q=bin" in response.url):
        page.locator("#list-search").fill("bin")
    expect(page.locator(".shelf > li")).to_have_count(1)
    page.locator(".shelf-link").click()
    page.get_by_role("link", name="Ask for access").click()
    page.get_by_label("Application", exact=True).select_option(label="Bot")
    page.get_by_label("Plan", exact=True).select_option("standard")
    page.get_by_label("Reason").fill("To see what comes back.")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("Your request for Bin is handed in.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Bot → Bin")


def approve(page: Page) -> None:
    """The administrator decides in the queue."""
    page.get_by_role("link", name="Requests").click()
    row = page.get_by_role("row").filter(has_text="Bin").filter(has_text="Wanderers")
    row.get_by_role("link", name="Approve").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Let Bot call Bin?")).to_be_visible()
    dialog.get_by_label("Comment").fill("Welcome, and mind the burst.")
    dialog.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()


def try_it(page: Page) -> None:
    """The developer makes a real call from the page."""
    page.goto("/catalogue/bin/")
    page.get_by_role("link", name="Try it").click()
    page.get_by_label("Path").fill("get?from=console")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.locator(".trial-head")).to_contain_text("200")
    expect(page.locator(".trial-body")).to_contain_text('"from": "console"')


def purge(page: Page) -> None:
    """The administrator ends one path's answers on the API's own page."""
    page.goto("/apis/bin/cache/")
    page.get_by_role("link", name="Purge", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("One path, with every variant").check()
    dialog.get_by_label("Path, prefix or tag").fill("/cache/60")
    dialog.get_by_role("button", name="Purge").click()
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="/cache/60")).to_contain_text("in force on 2 of 2, slowest")


def revoke(page: Page) -> None:
    """The developer ends the key on the application's page."""
    page.goto("/applications/wanderers/bot/")
    page.get_by_role("link", name="Revoke", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="ci")).to_contain_text("Revoked")


def test_from_signing_in_to_a_hit_on_the_dashboard(running, open_console, upstream, developer):
    administrator = open_console()
    expect(administrator.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    register_and_publish(administrator, upstream)
    assert running.call("/bin/cache/60").status_code == 401

    bob = open_console(developer)
    key = make_application_and_key(bob, running.gateway)
    assert running.call("/bin/cache/60", key).status_code == 403
    ask(bob)
    request = urlsplit(bob.url).path
    approve(administrator)
    bob.goto(request)
    expect(bob.get_by_role("heading", level=1)).to_contain_text("Approved")
    expect(bob.get_by_text("Welcome, and mind the burst.")).to_be_visible()

    first, second = (running.call("/bin/cache/60", key) for _ in range(2))
    assert (first.status_code, first.headers["X-Cache"]) == (200, "MISS")
    assert (second.status_code, second.headers["X-Cache"]) == (200, "HIT")
    assert int(second.headers["Age"]) >= 0

    # The log refreshes itself: both are there within ten seconds.
    bob.goto("/calls/?api=bin&status=200")
    rows = bob.locator("table.calls tbody tr")
    expect(rows).to_have_count(2, timeout=10_000)
    expect(rows.filter(has_text="HIT")).to_have_count(1)
    expect(rows.filter(has_text="MISS")).to_have_count(1)
    # The refused calls of above asked the cache nothing.
    administrator.goto("/apis/bin/")
    assert re.fullmatch(r"50\s%", figure(administrator, "Hit ratio").inner_text())
    administrator.goto("/analytics/cache/?api=bin&span=1h")
    assert re.fullmatch(r"50\s%", figure(administrator, "Hit ratio").inner_text())

    rows.filter(has_text="HIT").get_by_role("link").click()
    expect(bob.get_by_role("heading", name="What was decided, and when?")).to_be_visible()
    expect(bob.locator(".decisions > li").filter(has_text="cache")).to_contain_text("fresh")
    try_it(bob)

    assert running.call("/bin/cache/60", key).headers["X-Cache"] == "HIT"
    purge(administrator)
    assert running.call("/bin/cache/60", key).headers["X-Cache"] == "MISS"

    revoke(bob)
    assert {running.call("/bin/cache/60", key).status_code for _ in range(20)} == {401}


def readme(pattern: str) -> str:
    """What the README's first ten minutes say, so that the test does what is written."""
    found = re.search(pattern, " ".join(README.partition("## The first ten minutes")[2].split()))
    assert found, f"the README doesn't say {pattern}"
    return found[1]


def go_to(page: Page, first: str, *others: str) -> None:
    """Follow links by the names that the README gives them, the first in the side bar."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name=first).click()
    for name in others:
        page.get_by_role("main").get_by_role("link").filter(has_text=re.compile(rf"\b{name}\b")).first.click()


def filter_by_api(page: Page, api: str) -> None:
    """Of analytics or of the log, only what is about this API."""
    with page.expect_navigation():
        page.get_by_label("API", exact=True).select_option(api)


def test_the_readmes_first_ten_minutes_are_as_it_says(running, open_console, upstream, demo):
    administrator = open_console()
    go_to(administrator, readme(r"as the administrator\. \*\*(\w+)\*\* shows"))
    expect(administrator.get_by_role("heading", name="Dashboards", level=1)).to_be_visible()

    go_to(administrator, *readme(r"\*\*(APIs → [^*]+)\*\*").split(" → "))
    for field in ("name", "listen path", "upstream"):
        value = readme(rf"\b{field} `([^`]+)`").replace("http://127.0.0.1:9000/", upstream)
        administrator.get_by_label(field.capitalize(), exact=True).fill(value)
    administrator.get_by_label("Owner", exact=True).select_option(label=readme(r"owner \*([^*]+)\*"))
    administrator.get_by_role("button", name=readme(r"Then \*\*(Register)\*\*"), exact=True).click()
    administrator.get_by_role("link", name=readme(r"and \*\*(Publish)\*\*"), exact=True).click()
    administrator.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(administrator.get_by_role("heading", level=1)).to_contain_text("Published")

    developer = open_console(readme(r"sign in as `([^`]+)`"), demo.password)
    go_to(developer, *readme(r"\*\*(Catalogue → [^*]+)\*\*").split(" → "))
    developer.get_by_label("Application", exact=True).select_option(label=readme(r"application \*([^*]+)\*"))
    plan = developer.get_by_label("Plan", exact=True).locator("option", has_text=readme(r"plan \*([^*]+)\*"))
    developer.get_by_label("Plan", exact=True).select_option(plan.get_attribute("value"))
    developer.get_by_label("Reason").fill("To see what comes back.")
    developer.get_by_role("button", name=readme(r"a reason\. Then \*\*(Ask)\*\*"), exact=True).click()
    expect(developer.get_by_role("heading", level=1)).to_contain_text("Mobile app → httpbin")

    go_to(administrator, readme(r"As the administrator: \*\*(\w+)\*\*"))
    row = administrator.get_by_role("row").filter(has_text="httpbin")
    row.get_by_role("link", name=readme(r"and \*\*(Approve)\*\* in the row")).click()
    administrator.get_by_role("dialog").get_by_role("button", name="Approve").click()
    expect(administrator.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()

    assert demo.caller == "globex/mobile"
    path = readme(r"Call `([^`]+)` twice")
    assert [running.call(path, demo.key).headers["X-Cache"] for _ in "12"] == ["MISS", "HIT"]

    go_to(developer, readme(r"\*\*(Calls)\*\*, with the same filter"))

    def both_are_in_the_log() -> bool:
        filter_by_api(developer, "httpbin")
        return developer.locator("table.calls tbody tr").filter(has_text=path).count() == 2

    wait_until(both_are_in_the_log, 30)
    go_to(administrator, *readme(r"\*\*(Dashboards → \w+)\*\*").split(" → "))
    filter_by_api(administrator, "httpbin")
    expect(figure(administrator, "Hit ratio")).to_have_text(re.compile(r"50\s%"))


def test_the_demo_comes_alive_by_itself(running, open_console):
    page = open_console()

    def ratio_is_drawn() -> bool:
        page.goto("/analytics/cache/?span=1h")
        return page.locator("[data-chart] canvas").count() > 0 and "%" in figure(page, "Hit ratio").inner_text()

    wait_until(ratio_is_drawn, 30)

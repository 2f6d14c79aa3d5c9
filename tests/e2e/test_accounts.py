"""Tokens and invitations as people meet them: on a telephone, in the dark, with mistakes."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import TELEPHONE, Complaints, Open, sign_in
from tests.e2e.looks import defects
from tests.support.installation import Installation
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

DARK = {"viewport": TELEPHONE, "color_scheme": "dark", "has_touch": True, "reduced_motion": "reduce"}


def whole(page: Page) -> None:
    """The page that is shown looks right."""
    assert defects(page) == [], page.url


def test_a_token_is_made_after_the_password_and_shown_once(open_console: Open, demo, complaints: Complaints):
    complaints.expect("status of 422")
    page = open_console("developer@globex.test", demo.password, **DARK)
    page.goto("/account/")
    whole(page)
    page.get_by_role("link", name="New token").tap()
    expect(page.get_by_role("heading", name="Confirm that it's you")).to_be_visible()
    whole(page)
    page.get_by_label("Your password").fill("wrong")
    page.get_by_role("button", name="Go on").tap()
    expect(page.get_by_label("Your password")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Your password").fill(demo.password)
    page.get_by_role("button", name="Go on").tap()
    expect(page.get_by_role("heading", name="New token for the REST API")).to_be_visible()
    whole(page)
    expect(page.get_by_label(re.compile("^Admin"))).to_have_count(0)
    page.get_by_label("Name").fill("laptop")
    page.get_by_label(re.compile("^Read")).check()
    page.get_by_label("Good until").fill("2045-01-01T00:00")
    page.get_by_role("button", name="Make the token").tap()
    expect(page.locator(".field", has=page.get_by_label("Good until")).locator(".errors")).to_contain_text("365 days")
    page.goto("/account/tokens/new/")
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Make the token").tap()
    expect(page.get_by_text("This is the only time this token is shown")).to_be_visible()
    whole(page)
    page.get_by_role("link", name="I have it").tap()
    expect(page.get_by_text("Read · last used never · ends")).to_be_visible()
    whole(page)


def letter_to(running: Installation, address: str) -> str:
    """The newest link of an invitation in the files that letters are."""

    def link() -> str:
        files = sorted(Path(running.data, "mail").glob("*.log"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files:
            text = file.read_text()
            found = re.search(r"https?://\S+(/invitations/[\w-]+/)", text)
            if f"To: {address}" in text and found:
                return found[1]
        return ""

    return wait_until(link, 20, what=f"a letter to {address}")


def test_an_owner_invites_and_somebody_new_joins(
    browser: Browser, running: Installation, open_console: Open, demo, complaints: Complaints
):
    owner = open_console("owner@globex.test", demo.password, **DARK)
    owner.goto("/tenants/globex/")
    owner.get_by_role("link", name="Invite").first.tap()
    owner.get_by_role("dialog").get_by_label("E-mail address").fill("dora@else.test")
    owner.get_by_role("dialog").get_by_role("button", name="Invite").tap()
    expect(owner.get_by_text("An invitation is on its way to dora@else.test.")).to_be_visible()
    expect(owner.locator(".list-rows").get_by_text("dora@else.test")).to_be_visible()
    whole(owner)
    link = letter_to(running, "dora@else.test")
    complaints.expect("status of 403", "status of 404", "status of 422")
    owner.goto(link)
    expect(owner.get_by_role("heading", name="This invitation is for another address")).to_be_visible()
    whole(owner)
    context = browser.new_context(base_url=running.console, **DARK)
    newcomer = context.new_page()
    complaints.listen(newcomer)
    newcomer.goto(link)
    expect(newcomer.get_by_role("heading", name="Join Globex Travel?")).to_be_visible()
    whole(newcomer)
    newcomer.get_by_label("Your name").fill("Dora")
    newcomer.get_by_label("Choose a password").fill("12345")
    newcomer.get_by_role("button", name="Accept").tap()
    expect(newcomer.locator(".errors").first).to_be_visible()
    newcomer.get_by_label("Choose a password").fill("tulips in january")
    newcomer.get_by_role("button", name="Accept").tap()
    expect(newcomer.get_by_text("You are a member of Globex Travel. Sign in")).to_be_visible()
    newcomer.goto(link)
    expect(newcomer.get_by_role("heading", name="This link no longer works")).to_be_visible()
    whole(newcomer)
    sign_in(newcomer, "dora@else.test", "tulips in january")
    newcomer.goto("/tenants/globex/")
    expect(newcomer.get_by_role("cell", name="Dora dora@else.test")).to_be_visible()
    context.close()

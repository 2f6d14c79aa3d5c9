"""What people get wrong: the error stands beside its field, nothing typed is lost, and whoever comes second is told so."""

import itertools
import json
import re

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from tests.e2e.conftest import made
from tests.support.installation import PASSWORD

pytestmark = pytest.mark.e2e

REFUSED = "status of 422"
_numbers = itertools.count(1)


@pytest.fixture
def api(running, developer, upstream) -> str:
    """The slug of a published API of the makers, for this test alone."""
    slug = f"mistaken-{next(_numbers)}"
    fields = {
        "slug": slug,
        "name": slug,
        "tenant": "makers",
        "listen_path": f"/{slug}/",
        "upstreams": [{"url": upstream}],
    }
    made(running.api("POST", "apis/", json=fields))
    made(running.api("POST", f"apis/{slug}/publish/"))
    return slug


def errors_of(page: Page, label: str) -> Locator:
    """What stands below the field that ``label`` names."""
    field = page.get_by_label(label, exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    return page.locator(".field").filter(has=field).locator(".errors")


def post(page: Page, path: str, **body: str) -> dict:
    """Use the REST API as whoever is signed in."""
    token = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken")
    answer = page.request.post(f"/api/v1/{path}", data=body, headers={"X-CSRFToken": token, "Referer": page.url})
    assert answer.ok, answer.text()
    return answer.json()


def ask_for(page: Page, api: str) -> str:
    """The address of a new request of a new application for ``api``."""
    slug = f"asker-{next(_numbers)}"
    post(page, "applications/", tenant="wanderers", slug=slug, name=slug)
    asked = post(
        page,
        "access-requests/",
        application=f"wanderers/{slug}",
        api=api,
        plan="standard",
        reason="To see what happens.",
    )
    return f"/requests/{asked['id']}/"


@pytest.mark.parametrize(
    ("label", "value", "error"),
    [
        ("Listen path", "/catalogue/", "catalogue"),
        ("Upstream", "ftp://files.example/", "starts with http:// or https://"),
        ("Upstream", "http://169.254.169.254/latest/", "Link-local"),
    ],
)
def test_a_refused_answer_is_told_beside_its_field_and_nothing_is_lost(
    open_console, developer, complaints, label, value, error
):
    complaints.expect(REFUSED)
    page = open_console()
    page.goto("/apis/register/")
    typed = {"Name": "Wrong", "Listen path": "/wrong/", "Upstream": "http://127.0.0.1:9/", label: value}
    for name, text in typed.items():
        page.get_by_label(name, exact=True).fill(text)
    page.get_by_label("Owner").select_option("makers")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(errors_of(page, label)).to_contain_text(error)
    for name, text in typed.items():
        expect(page.get_by_label(name, exact=True)).to_have_value(text)
    expect(page.get_by_label("Owner")).to_have_value("makers")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved: 1 field needs another look.")
    expect(page.get_by_label(label, exact=True)).to_be_focused()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"openapi: 3.0.3\ninfo: [", "line"),
        (json.dumps({"openapi": "3.0.3", "info": {"title": "No paths"}, "paths": []}).encode(), "#/paths"),
        (b"x" * (5 * 2**20 + 1), "larger than 5 MiB"),
    ],
    ids=["no YAML", "no OpenAPI", "too large"],
)
def test_a_document_that_can_t_be_read_is_told_beside_its_field(open_console, developer, complaints, content, error):
    complaints.expect(REFUSED)
    page = open_console()
    page.goto("/apis/import/")
    page.get_by_label("OpenAPI document").set_input_files(
        {"name": "shop.yaml", "mimeType": "application/yaml", "buffer": content}
    )
    page.get_by_label("Owner").select_option("makers")
    page.locator("[name=upstream_url]").fill("http://127.0.0.1:9/")
    page.get_by_role("button", name="Import").click()
    expect(errors_of(page, "OpenAPI document")).to_contain_text(error)
    expect(page.get_by_text("Choose the file again")).to_be_visible()
    expect(page.locator("[name=upstream_url]")).to_have_value("http://127.0.0.1:9/")
    expect(page.get_by_label("Owner")).to_have_value("makers")


def test_of_two_approvers_at_once_one_wins_and_the_other_is_told_by_whom(
    running, open_console, developer, api, complaints
):
    complaints.expect(REFUSED)
    second = {"email": "grace@platform.test", "name": "Grace", "password": PASSWORD, "is_administrator": True}
    made(running.api("POST", "users/", json=second))
    request = ask_for(open_console(developer), api)
    pages = [open_console(), open_console("grace@platform.test")]
    for page, word in zip(pages, ("First.", "Second."), strict=True):
        page.goto(request)
        page.get_by_role("link", name="Approve").click()
        page.get_by_role("dialog").get_by_label(re.compile("Comment")).fill(word)
    grace = pages.pop()
    grace.get_by_role("dialog").get_by_role("button", name="Approve").click()
    expect(grace.get_by_role("status").get_by_text("in force on 2 of 2 workers")).to_be_visible()
    ada = pages.pop()
    dialog = ada.get_by_role("dialog")
    dialog.get_by_role("button", name="Approve").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Grace has approved this request already")
    expect(dialog.get_by_label(re.compile("Comment"))).to_have_value("First.")
    ada.goto(request)
    expect(ada.get_by_text("Second.")).to_be_visible()
    expect(ada.get_by_text("First.")).to_have_count(0)


def test_what_matters_works_without_javascript(open_console, developer, upstream, complaints):
    complaints.expect(REFUSED)
    ada = open_console(java_script_enabled=False)
    ada.goto("/apis/register/")
    ada.get_by_label("Name", exact=True).fill("Plain")
    ada.get_by_label("Listen path").fill("/plain/")
    ada.get_by_label("Upstream", exact=True).fill(upstream)
    ada.get_by_label("Owner").select_option("makers")
    ada.get_by_role("button", name="Register and publish").click()
    expect(ada.get_by_text(re.compile("Plain is published: in force on 2 of 2 workers"))).to_be_visible()

    bob = open_console(developer, java_script_enabled=False)
    bob.goto("/applications/new/")
    bob.get_by_label("Name", exact=True).fill("Plain caller")
    bob.get_by_role("button", name="Make the application").click()
    bob.get_by_role("link", name="New key").first.click()
    bob.get_by_role("button", name="Make the key").click()
    expect(errors_of(bob, "Name")).to_contain_text("required")
    bob.get_by_label("Name", exact=True).fill("ci")
    bob.get_by_role("button", name="Make the key").click()
    expect(bob.get_by_text("This is the only time this key is shown.")).to_be_visible()
    bob.goto("/catalogue/plain/ask/")
    bob.get_by_label("Application", exact=True).select_option(label="Plain caller")
    bob.get_by_label("Plan", exact=True).select_option("standard")
    bob.get_by_label("Reason").fill("To see it plainly.")
    bob.get_by_role("button", name="Ask").click()
    expect(bob.get_by_text("Your request for Plain is handed in.")).to_be_visible()

    ada.goto("/requests/")
    ada.get_by_role("row").filter(has_text="Plain caller").get_by_role("link", name="Approve").first.click()
    expect(ada.get_by_role("heading", level=1)).to_have_text("Let Plain caller call Plain?")
    ada.get_by_role("button", name="Approve").click()
    expect(ada.get_by_text("Plain caller may call Plain: in force on 2 of 2 workers")).to_be_visible()


def test_what_was_typed_and_not_saved_is_not_left_without_asking(open_console, api):
    page = open_console()
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    fields = {"cache/": "ttl", "settings/": "summary", "traffic/": "retries", "cache/cdn/": "base_url"}
    for tab, field in fields.items():
        address = f"/apis/{api}/{tab}"
        page.goto(address)
        typed = page.locator(f"[name={field}]").first
        before = typed.input_value()
        typed.fill("7")
        page.get_by_role("link", name="Catalogue", exact=True).click(no_wait_after=True)
        expect(page.locator(f"[name={field}]").first).to_have_value("7")
        assert page.url.endswith(address)
        assert asked.pop() == "beforeunload"
        typed.fill(before)
        page.get_by_role("link", name="Catalogue", exact=True).click()
        page.wait_for_url("**/catalogue/")
        assert asked == []

    page.goto("/apis/import/")
    document = page.get_by_label("OpenAPI document")
    document.set_input_files({"name": "shop.yaml", "mimeType": "application/yaml", "buffer": b"openapi: 3.1.0"})
    page.get_by_role("link", name="Catalogue", exact=True).click(no_wait_after=True)
    expect(document).to_have_value(re.compile("shop.yaml$"))
    assert asked.pop() == "beforeunload"
    document.set_input_files([])
    page.goto(f"/apis/{api}/settings/")
    page.locator("[name=summary]").fill("Kept.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("main").get_by_text("The settings are saved: in force on 2 of 2 workers")).to_be_visible()
    assert asked == []

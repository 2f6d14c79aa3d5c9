"""The cache in the browser: a policy beside its live preview, a purge with its receipt, a warm-up watched, a request explained."""

import itertools
import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import made

pytestmark = pytest.mark.e2e

EVERYWHERE = re.compile(r"in force on 2 of 2 workers, slowest [\d.,]+\sms")
_numbers = itertools.count(1)


@dataclass
class Published:
    """An API of the makers in front of httpbin, and the key of an application that may call it."""

    slug: str
    application: str
    key: str

    @property
    def cache(self) -> str:
        """Its Cache tab."""
        return f"/apis/{self.slug}/cache/"


@pytest.fixture
def api(running, developer, upstream) -> Published:
    """One for this test alone."""
    slug = f"kept-{next(_numbers)}"
    fields = {"slug": slug, "name": slug, "tenant": "makers", "listen_path": f"/{slug}/"}
    made(running.api("POST", "apis/", json=fields | {"upstreams": [{"url": upstream}]}))
    made(running.api("POST", f"apis/{slug}/publish/"))
    made(running.api("POST", "applications/", json={"tenant": "wanderers", "slug": slug, "name": slug}))
    application = f"wanderers/{slug}"
    key = made(running.api("POST", "keys/", json={"application": application, "name": "ci"}))["secret"]
    held = {"application": application, "api": slug, "plan": "standard", "state": "active"}
    made(running.api("POST", "subscriptions/", json=held))
    return Published(slug, application, key)


def preview(page: Page, text: str | re.Pattern[str]) -> None:
    """What the preview comes to say."""
    expect(page.locator("#preview")).to_contain_text(text)


def test_a_policy_is_edited_beside_what_a_request_would_get(running, open_console, api):
    page = open_console()
    page.goto(api.cache)
    preview(page, "The first time, this request would be: MISS because nothing is stored under this key.")
    preview(page, re.compile(r"10\ss later, this request would be: HIT because a stored response is still fresh\."))

    page.get_by_label("The same request comes again after").fill("2m")
    preview(page, re.compile(r"2\smin later, this request would be: MISS because"))
    page.get_by_label("Stale while one call refreshes", exact=True).first.fill("5m")
    preview(page, re.compile(r"2\smin later, this request would be: STALE because"))
    page.get_by_label("The origin's headers").fill("Cache-Control: s-maxage=30, stale-while-revalidate=300")
    preview(page, "s-maxage forbids them (RFC 9111 §5.2.2.10); the origin's stale-while-revalidate doesn't count.")
    page.get_by_text("More keys, negative responses").click()
    page.get_by_label("The origin's own stale-while-revalidate counts beside s-maxage").check()
    preview(page, "The origin's stale-while-revalidate counts beside s-maxage: the policy says so.")
    page.get_by_label("TTL", exact=True).first.fill("soon")
    preview(page, "is not a duration")
    page.get_by_label("TTL", exact=True).first.fill("1m")

    page.get_by_role("button", name="Add an operation").click()
    path = page.get_by_role("textbox", name="Path", exact=True).first
    expect(path).to_be_focused()
    path.fill("/cache/{seconds}")
    row = page.get_by_role("group", name="Operation 1")
    row.get_by_label("Who decides the lifetime").select_option("override")
    row.get_by_label("TTL").fill("1h")
    page.locator("[name=path]").fill("/cache/7")
    preview(page, "Policy 1 of the operations counts: any method /cache/{seconds}.")
    preview(page, re.compile(r"Fresh for 1\sh"))
    page.get_by_role("button", name="Add an operation").click()
    page.get_by_role("group", name="Operation 2").get_by_role("textbox", name="Path").fill("/get")
    page.get_by_role("button", name="Move operation 2 up").click()
    expect(page.get_by_role("group", name="Operation 1").get_by_role("textbox", name="Path")).to_have_value("/get")
    page.get_by_role("button", name="Remove operation 1").click()
    expect(page.get_by_role("group", name="Operation 2")).to_have_count(0)

    page.get_by_label("What changes, and why").fill("Longer for what never changes")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()
    expect(page.get_by_role("group", name="Operation 1").get_by_label("TTL")).to_have_value("60m")

    first, second = (running.call(f"/{api.slug}/cache/1", api.key) for _ in range(2))
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert re.search(r"ttl=3\d{3}", second.headers["Cache-Status"])


def test_the_policy_is_saved_once_and_enter_saves_it(open_console, api):
    page = open_console()
    page.goto(api.cache)
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="Add an operation").click()
    page.get_by_role("group", name="Operation 1").get_by_role("textbox", name="Path").fill("/get")
    page.get_by_role("group", name="Operation 1").get_by_label("TTL").fill("2m")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()
    page.get_by_label("TTL", exact=True).first.fill("3m")
    page.keyboard.press("Enter")
    expect(page.get_by_label("TTL", exact=True).first).to_have_value("3m")
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()
    expect(page.get_by_role("group", name="Operation 1")).to_have_count(1)
    assert [url for url in posts if url.endswith(api.cache)] == [page.url] * 2


def test_a_switch_that_may_mix_callers_up_is_confirmed(open_console, api, complaints):
    complaints.expect("status of 422")
    page = open_console()
    page.goto(api.cache)
    page.get_by_text("More keys, negative responses").click()
    warning = page.get_by_text("This can hand one caller's response to another.")
    expect(warning).to_be_hidden()
    page.get_by_label("Share responses to calls with credentials").first.check()
    expect(warning).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Confirm this, or leave the switch off.")).to_be_visible()
    page.get_by_label("I know that its responses").first.check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()


def test_rows_are_edited_without_javascript_too(open_console, api):
    page = open_console(java_script_enabled=False)
    page.goto(api.cache)
    page.locator("[name=comment]").fill("Plainly")
    page.get_by_role("button", name="Add an operation").click()
    page.locator("[name=operations-0-path]").fill("/anything")
    page.get_by_role("button", name="Add an operation").click()
    page.locator("[name=operations-1-path]").fill("/get")
    page.locator("[name=operations-1-mode]").select_option("off")
    page.get_by_role("button", name="Move operation 2 up").click()
    expect(page.locator("[name=operations-0-path]")).to_have_value("/get")
    expect(page.locator("[name=comment]")).to_have_value("Plainly")
    page.locator("[name=path]").fill("/get")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("would be: BYPASS because caching is off")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(re.compile(r"The cache policy is saved: in force on 2 of 2 workers"))).to_be_visible()
    expect(page.locator("[name=operations-1-path]")).to_have_value("/anything")


def test_a_purge_has_its_receipt_and_a_warm_up_is_watched_to_its_end(running, open_console, api):
    paths = [f"/cache/{60 + number}" for number in range(8)]
    assert [running.call(f"/{api.slug}{path}", api.key).headers["X-Cache"] for path in paths] == ["MISS"] * 8
    page = open_console()
    page.goto(api.cache)
    page.get_by_text("Warm-ups by themselves").click()
    page.locator("[name=warm-urls]").fill("\n".join(paths))
    page.locator("[name=warm-rate]").fill("2/s")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()

    page.get_by_role("link", name="Purge", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Warm up afterwards").check()
    dialog.get_by_role("button", name="Purge").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Warm-up of {api.slug}")
    expect(page.get_by_role("status").get_by_text(EVERYWHERE)).to_be_visible()
    progress = page.locator("#progress")
    expect(progress).to_contain_text(re.compile(r"[1-7] of 8"))
    watched = page.url
    page.goto("/cache/")
    row = page.get_by_role("row").filter(has_text=api.slug)
    expect(row.filter(has_text="The whole API")).to_contain_text("in force on 2 of 2, slowest")
    row.filter(has_text="A purge").get_by_role("link").click()
    assert page.url == watched
    expect(progress).to_contain_text("8 of 8: 8 stored", timeout=15_000)
    expect(page.locator("#live")).to_have_text("Done: 8 of 8: 8 stored")
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "100")
    expect(progress).not_to_have_attribute("hx-trigger", re.compile(".*"))
    assert [running.call(f"/{api.slug}{path}", api.key).headers["X-Cache"] for path in paths] == ["HIT"] * 8


def test_a_warm_up_is_started_and_cancelled(open_console, api):
    page = open_console()
    page.goto(api.cache)
    page.get_by_role("link", name="Warm up", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("URLs", exact=False).last.fill("\n".join(f"/cache/{number}" for number in range(60, 90)))
    dialog.get_by_label("At most").fill("1/s")
    dialog.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Warm-up of {api.slug}")
    page.get_by_role("link", name="Cancel").click()
    dialog.get_by_role("button", name="Cancel the warm-up").click()
    expect(page.locator("#progress")).to_contain_text("Cancelled")


def test_a_typed_request_is_explained(running, open_console, api):
    running.call(f"/{api.slug}/cache/60?page=1", api.key)
    page = open_console()
    page.goto("/cache/explain/")
    page.get_by_label("URL").fill(f"/{api.slug}/cache/60?page=1")
    page.get_by_label("As application").fill(api.application)
    page.get_by_role("button", name="Explain").click()
    found = page.locator("#explained")
    expect(found).to_contain_text("This request would be: HIT because a stored response is still fresh.")
    expect(found.get_by_role("heading", name="Stored under this key")).to_be_visible()
    page.get_by_label("URL").fill(f"/{api.slug}/cache/60?page=2")
    page.get_by_role("button", name="Explain").click()
    expect(found).to_contain_text("This request would be: MISS because nothing is stored under this key.")
    nearest = found.get_by_role("row").filter(has_text="Query")
    expect(nearest).to_contain_text("page=2")
    expect(nearest).to_contain_text("page=1")


def test_a_webhook_s_secret_is_shown_once(open_console, api):
    page = open_console()
    page.goto(api.cache)
    page.get_by_role("link", name="Make a secret").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Make the secret").click()
    secret = dialog.locator("#new-secret").inner_text()
    expect(dialog.locator("#new-secret-curl")).to_contain_text(secret)
    dialog.get_by_role("link", name="I have it").click()
    expect(page.get_by_role("link", name="Replace the secret")).to_be_visible()
    assert secret not in page.content()

"""A real browser, one installation with the demo for the whole run, and the rule that no page may complain."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from apps.demo.credentials import Credentials, kept
from tests.support.installation import EMAIL, PASSWORD, Installation, installation
from tests.support.upstreams import httpbin

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
DESKTOP, TELEPHONE = {"width": 1360, "height": 900}, {"width": 375, "height": 812}

Open = Callable[..., Page]


def pytest_sessionstart() -> None:
    """Without a browser nothing here can be tested, and nobody should believe that it was."""
    if not CHROMIUM.exists():
        pytest.exit(f"The browser tests need Debian's package chromium: {CHROMIUM} is missing.", returncode=1)


class Complaints(list[str]):
    """What pages complained about: errors of scripts, refused policies, failed loads. Empty at the end of each test."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: tuple[str, ...] = ()

    def expect(self, *texts: str) -> None:
        """Let pass what has one of ``texts`` in it, because the test provokes it."""
        self.expected += texts

    def listen(self, page: Page) -> None:
        """Note what ``page`` says from now on."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.append(f"{page.url}: {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(text in message.text for text in self.expected):
            self.append(f"{message.location.get('url', '')}: {message.text}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright runs an event loop in this thread, which Django takes for an asynchronous caller of the database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Fails the test if a page complained."""
    heard = Complaints()
    yield heard
    assert heard == []


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """httpbin's base URL."""
    with httpbin() as url:
        yield f"{url}/"


@pytest.fixture(scope="session")
def running() -> Iterator[Installation]:
    """What ``make run`` starts, demo and all. Tests use names of their own in it."""
    with installation(demo=True) as started:
        yield started


@pytest.fixture(scope="session")
def demo(running: Installation) -> Credentials:
    """The demo's people and keys."""
    credentials = kept(running.data)
    assert credentials is not None
    return credentials


def sign_in(page: Page, email: str, password: str) -> None:
    """As a person does it, from wherever the console sends somebody whom it doesn't know."""
    page.goto("/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/accounts/" not in url)


@pytest.fixture
def open_console(browser: Browser, running: Installation, complaints: Complaints) -> Iterator[Open]:
    """Opens a browser of its own in which ``email`` is signed in; further options are those of the context."""
    contexts: list[BrowserContext] = []

    def opened(email: str = EMAIL, password: str = PASSWORD, **options) -> Page:
        settings = {"base_url": running.console, "viewport": DESKTOP, "color_scheme": "light", "locale": "en-GB"}
        context = browser.new_context(**{**settings, **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        complaints.listen(page)
        sign_in(page, email, password)
        return page

    yield opened
    for context in contexts:
        context.close()


def made(answer: httpx.Response) -> dict:
    """The object that a 2xx answer tells of."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else {}


@pytest.fixture(scope="session")
def developer(running: Installation) -> str:
    """Bob's address, who develops for wanderers with PASSWORD; makers own APIs."""
    for slug in ("makers", "wanderers"):
        made(running.api("POST", "tenants/", json={"slug": slug, "name": slug.title()}))
    made(running.api("POST", "users/", json={"email": "bob@wanderers.test", "name": "Bob", "password": PASSWORD}))
    member = {"user": "bob@wanderers.test", "role": "developer"}
    made(running.api("POST", "tenants/wanderers/memberships/", json=member))
    return "bob@wanderers.test"

"""From an empty installation to a dashboard, through HTTP alone, as an administrator and another tenant's developer."""

import contextlib

import httpx
import pytest

from tests.support.installation import Installation
from tests.support.waiting import wait_until

BOB, BOBS_PASSWORD = "bob@acme.test", "a long enough password"


def made(answer: httpx.Response) -> dict:
    """The object that a 2xx answer tells of."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else {}


class Member:
    """Somebody who signed in at the console and uses the REST API with that session, as the console's own pages may."""

    def __init__(self, running: Installation, email: str, password: str) -> None:
        self.client = httpx.Client(base_url=running.console, follow_redirects=True, timeout=30, trust_env=False)
        self.client.get("/accounts/login/")
        page = self.client.post("/accounts/login/", data={"login": email, "password": password, **self.csrf()})
        assert page.url.path == "/", f"not signed in: {page.url}"

    def csrf(self) -> dict[str, str]:
        return {"csrfmiddlewaretoken": self.client.cookies["csrftoken"]}

    def post(self, path: str, **body: object) -> dict:
        headers = {"X-CSRFToken": self.client.cookies["csrftoken"], "Referer": str(self.client.base_url)}
        return made(self.client.post(f"/api/v1/{path}", json=body, headers=headers))


@pytest.fixture(scope="module")
def shop(shared_installation, upstream):
    """An API of one tenant, and a developer of another with an application and a key, but no access yet."""
    running = shared_installation
    for slug in ("makers", "acme", "idle"):
        made(running.api("POST", "tenants/", json={"slug": slug, "name": slug.title()}))
    user = made(running.api("POST", "users/", json={"email": BOB, "password": BOBS_PASSWORD}))
    for tenant in ("acme", "idle"):
        made(running.api("POST", f"tenants/{tenant}/memberships/", json={"user": user["email"], "role": "developer"}))
    made(running.api("POST", "plans/", json={"slug": "basic", "name": "Basic", "rate_limit": "100/s", "burst": 200}))
    api = {
        "slug": "bin",
        "name": "Bin",
        "tenant": "makers",
        "listen_path": "/bin/",
        "upstreams": [{"url": f"{upstream}/"}],
    }
    made(running.api("POST", "apis/", json=api))
    published = made(running.api("POST", "apis/bin/publish/"))
    assert published["receipt"]["in_force"] == published["receipt"]["workers"] == 2
    bob = Member(running, BOB, BOBS_PASSWORD)
    keys = {}
    for tenant in ("acme", "idle"):
        bob.post("applications/", tenant=tenant, slug="bot", name="Bot")
        keys[tenant] = bob.post("keys/", application=f"{tenant}/bot", name="first")
    asked = bob.post(
        "access-requests/", application="acme/bot", api="bin", plan="basic", reason="To show the catalogue."
    )
    with contextlib.closing(bob.client):
        yield {"keys": keys, "request": asked, "bob": bob}


@pytest.fixture(scope="module")
def approved(shared_installation, shop):
    """The same, approved: the answer to the approval is the moment from which calls work."""
    running = shared_installation
    refused = running.call("/bin/cache/60", shop["keys"]["acme"]["secret"])
    assert (refused.status_code, refused.json()["code"]) == (403, "not_subscribed")
    made(running.api("POST", f"access-requests/{shop['request']['id']}/approve/", json={"comment": "Welcome."}))
    return shop["keys"]["acme"]


def publish_open(running, slug, **changes):
    """An API to the upstream of ``bin``, for everybody."""
    api = {
        "slug": slug, "name": slug, "tenant": "makers", "listen_path": f"/{slug}/", "authentication": ["none"],
        "upstreams": made(running.api("GET", "apis/bin/"))["upstreams"], "published": True, **changes,
    }  # fmt: skip
    made(running.api("POST", "apis/", json=api))


def test_the_first_call_is_a_miss_the_second_a_hit_and_both_are_on_the_dashboard(running, approved):
    publish_open(running, "first", authentication=["api_key"], approval="automatic")
    access = {"application": "acme/bot", "api": "first", "plan": "basic", "reason": "To call it twice."}
    made(running.api("POST", "access-requests/", json=access))
    first = running.call("/first/cache/60", approved["secret"])
    second = running.call("/first/cache/60", approved["secret"])
    assert (first.status_code, first.headers["X-Cache"]) == (200, "MISS")
    assert (second.status_code, second.headers["X-Cache"]) == (200, "HIT")
    assert second.headers["Age"].isdigit()
    assert second.json() == first.json()
    ids = {answer.headers["X-Call-ID"] for answer in (first, second)}

    def in_the_log():
        calls = running.api("GET", "calls/?api=first&path=/first/cache/60").json()["results"]
        return ids <= {call["call_id"] for call in calls}

    wait_until(in_the_log)
    summary = running.api("GET", "analytics/summary/?api=first").json()
    assert summary["hit_ratio"] == 0.5
    assert summary["completeness"]["received"] == summary["completeness"]["expected"]
    assert summary["latency"]["hit"]["p50"] < summary["latency"]["miss"]["p50"]


def test_without_a_key_or_with_a_wrong_one_it_is_401_and_without_approval_403(running, approved, shop):
    nobody = running.call("/bin/get")
    assert (nobody.status_code, nobody.json()["code"]) == (401, "missing_credential")
    assert "WWW-Authenticate" in nobody.headers
    stranger = running.call("/bin/get", "no-such-key-0000000000")
    assert (stranger.status_code, stranger.json()["code"]) == (401, "invalid_credential")
    unapproved = running.call("/bin/get", shop["keys"]["idle"]["secret"])
    assert (unapproved.status_code, unapproved.json()["code"]) == (403, "not_subscribed")
    for answer in (nobody, stranger, unapproved):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Cache"] == "BYPASS"


def test_an_unknown_path_is_404_and_an_api_without_its_slash_moves(running, approved):
    assert running.call("/nothing/here").json()["code"] == "unknown_api"
    moved = running.call("/bin", approved["secret"])
    assert (moved.status_code, moved.headers["Location"]) == (308, "/bin/")


def test_a_revoked_key_is_refused_by_every_worker_once_the_receipt_is_there(running, approved, shop):
    bob = shop["bob"]
    key = bob.post("keys/", application="acme/bot", name="short-lived")
    # Every worker knows the key before it is revoked: 40 connections reach both.
    assert {running.call("/bin/cache/60", key["secret"]).status_code for _ in range(40)} == {200}
    receipt = bob.post(f"keys/{key['id']}/revoke/")["receipt"]
    assert receipt["in_force"] == receipt["workers"] == 2
    assert {running.call("/bin/cache/60", key["secret"]).status_code for _ in range(40)} == {401}
    assert running.call("/bin/cache/60", approved["secret"]).status_code == 200


def test_a_purge_is_in_force_on_every_worker_once_the_receipt_is_there(running, approved):
    path = "/bin/cache/600"
    for _ in range(20):
        running.call(path, approved["secret"])
    purged = made(running.api("POST", "purges/", json={"api": "bin", "path": "/cache/600"}))
    assert purged["receipt"]["in_force"] == purged["receipt"]["workers"] == 2
    assert running.call(path, approved["secret"]).headers["X-Cache"] == "MISS"
    assert {running.call(path, approved["secret"]).headers["X-Cache"] for _ in range(20)} == {"HIT"}


def test_a_suspended_subscription_is_refused_and_a_resumed_one_works(running, approved):
    found = running.api("GET", "subscriptions/?api=bin").json()["results"]
    subscription = next(row for row in found if row["application"] == "acme/bot")
    made(running.api("POST", f"subscriptions/{subscription['id']}/suspend/", json={"comment": "Unpaid."}))
    assert {running.call("/bin/get", approved["secret"]).status_code for _ in range(10)} == {403}
    made(running.api("POST", f"subscriptions/{subscription['id']}/resume/"))
    assert {running.call("/bin/get", approved["secret"]).status_code for _ in range(10)} == {200}


def test_an_upstream_that_refuses_is_502_and_one_that_is_too_slow_504(running, approved):
    bodies = {
        "gone": {"upstreams": [{"url": "http://127.0.0.1:1/"}]},
        "slow": {"timeouts": {"connect": "2s", "read": "200ms"}},
    }
    for slug, body in bodies.items():
        publish_open(running, slug, **body)
    gone, slow = running.call("/gone/get"), running.call("/slow/delay/5")
    assert (gone.status_code, gone.json()["code"]) == (502, "upstream_unreachable")
    assert (slow.status_code, slow.json()["code"]) == (504, "upstream_timeout")
    assert "127.0.0.1" not in gone.text + slow.text

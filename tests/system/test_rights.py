"""What was stored for an application ends with its subscription, on real sockets with two workers."""

import pytest

from tests.system.test_first_day import made


@pytest.fixture
def private(running, upstream):
    """An API whose answers belong to the application that asked, and a subscriber."""
    for slug in ("keepers", "readers"):
        made(running.api("POST", "tenants/", json={"slug": slug, "name": slug.title()}))
    made(running.api("POST", "plans/", json={"slug": "reader", "name": "Reader"}))
    document = {
        "slug": "private",
        "name": "Private",
        "tenant": "keepers",
        "listen_path": "/private/",
        "upstreams": [{"url": f"{upstream}/"}],
        "cache": {"scope": "application"},
    }
    made(running.api("POST", "apis/", json=document))
    made(running.api("POST", "apis/private/publish/"))
    made(running.api("POST", "applications/", json={"tenant": "readers", "slug": "bot", "name": "Bot"}))
    key = made(running.api("POST", "keys/", json={"application": "readers/bot", "name": "first"}))
    subscribe(running)
    return key["secret"]


def subscribe(running):
    wanted = {"application": "readers/bot", "api": "private", "plan": "reader"}
    return made(running.api("POST", "subscriptions/", json=wanted))


def test_an_answer_stored_before_the_revocation_is_not_there_after_the_next_approval(running, private):
    path = "/private/cache/600"
    assert running.call(path, private).headers["X-Cache"] == "MISS"
    # More connections than one worker takes: both hold it.
    assert {running.call(path, private).headers["X-Cache"] for _ in range(20)} == {"HIT"}
    found = running.api("GET", "subscriptions/?api=private").json()["results"]
    revoked = made(running.api("POST", f"subscriptions/{found[0]['id']}/revoke/", json={"comment": "Gone."}))
    assert revoked["receipt"]["in_force"] == revoked["receipt"]["workers"] == 2
    assert {running.call(path, private).status_code for _ in range(10)} == {403}
    subscribe(running)
    assert running.call(path, private).headers["X-Cache"] == "MISS"
    assert {running.call(path, private).headers["X-Cache"] for _ in range(20)} == {"HIT"}

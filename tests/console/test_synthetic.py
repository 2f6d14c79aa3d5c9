"""Made-up calls are called so on every page that counts or shows one."""

import re
from datetime import UTC, datetime

import pytest

from apps.analytics import synthetic
from apps.wire.call_records import SYNTHETIC
from tests.console.test_routes import ROUTES, address_of
from tests.support.calls import make_record

#: that was made up, in words that nothing else says
MADE_UP = "synthetic"
#: differs between any two loads of a page
_CHANGING = re.compile(
    r'nonce="[^"]*"|value="[A-Za-z0-9]{64}"|[A-Za-z0-9]{32,}|(?:\b|T)\d\d:\d\d(:\d\d)?\b'
    r"|[\d.]+ (?:ms|seconds?|(?:s|minutes?) ago|GiB)|\d+% free|just now"
)


@pytest.mark.parametrize("who", ["ada", "alice"])
def test_every_page_that_made_up_calls_change_says_so(world, browse, who):
    client = browse(getattr(world.people, who), confirmed=True)

    def pages() -> dict[str, str]:
        found = {}
        for name in sorted(ROUTES.keys() - {"mail"}):
            answer = client.get(address_of(name, world))
            if answer.status_code == 200:
                found[name] = answer.content.decode()
        return found

    without = pages()
    now = datetime.now(UTC)
    calls = [
        make_record(f"{SYNTHETIC}-{number}", api=world.api.slug, application="acme/bot", flags=(SYNTHETIC,))
        for number in range(345)
    ]
    synthetic.add(calls, now=now)
    synthetic.add_event(now, api=world.api.slug, label="Purged")
    changed = {
        name: text for name, text in pages().items() if _CHANGING.sub("", text) != _CHANGING.sub("", without[name])
    }
    assert {"overview", "apis", "dashboards", "dashboard", "calls"} <= changed.keys()
    assert [name for name, text in changed.items() if MADE_UP not in text] == []
    beside_received = "all that were written; made-up calls aren't counted here"
    assert [name for name in ("dashboards", "dashboard") if beside_received not in changed[name]] == []
    assert beside_received not in without["dashboards"]

"""Why calls to an API's upstreams failed, where its owners look for it."""

import time

from django.urls import reverse

from apps.wire.failure_causes import FailureCause
from tests.console.conftest import text_of
from tests.support.calls import make_calls

REFUSED = {"status": 502, "code": "upstream_unreachable", "cause": "connection_refused", "upstream_status": 0}


def test_an_apis_overview_counts_the_last_hours_failures_by_cause_and_leads_to_the_calls(world, browse):
    old = time.time() - 3700
    make_calls(
        {},
        REFUSED,
        {**REFUSED, "cause": "certificate_expired"},
        REFUSED,
        {**REFUSED, "cause": "name_unknown", "at": old},
        {**REFUSED, "cause": "tls_failed", "api": "other"},
    )
    olga = browse(world.people.olga)
    page = olga.get(reverse("console:api", args=["products"]))
    assert [(each.cause, each.calls) for each in page.context["failures"]] == [
        ("connection_refused", 2),
        ("certificate_expired", 1),
    ]
    assert FailureCause.CERTIFICATE_EXPIRED.sentence in text_of(page)
    listed = olga.get(f"{reverse('console:calls')}?span=1h&api=products&cause=connection_refused")
    assert [call.cause for call in listed.context["calls"]] == ["connection_refused"] * 2


def test_a_calls_page_says_the_cause_in_words_even_where_another_attempt_answered(world, browse):
    failed, rescued = make_calls(REFUSED, {"cause": "response_timeout", "attempts": 2})
    olga = browse(world.people.olga)
    page = olga.get(reverse("console:call", args=[failed]))
    assert FailureCause.CONNECTION_REFUSED.sentence in text_of(page)
    assert FailureCause.RESPONSE_TIMEOUT.sentence in text_of(olga.get(reverse("console:call", args=[rescued])))


def test_without_failures_nothing_is_said_of_them(world, browse):
    make_calls({})
    page = browse(world.people.olga).get(reverse("console:api", args=["products"]))
    assert "Failed upstream calls" not in text_of(page)

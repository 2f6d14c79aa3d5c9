"""The core's answers are small values, each with its reason (RFC 9111 §4: may it be served; RFC 9211 §2: and why)."""

import pytest

from apps.httpcache import decisions
from apps.httpcache.reasons import Reason
from tests.httpcache.build import stored

HELD = stored([("Cache-Control", "max-age=60")])


@pytest.mark.parametrize(
    "decision",
    [
        decisions.Serve(HELD, Reason.FRESH),
        decisions.Revalidate(HELD, (), Reason.EXPIRED),
        decisions.Fetch(Reason.NOT_FOUND),
        decisions.GatewayTimeout(Reason.ONLY_IF_CACHED),
        decisions.Store(HELD.entry, Reason.STORED, None),
        decisions.NoStore(Reason.NO_STORE),
        decisions.Refreshed(HELD.entry, Reason.VALIDATED),
        decisions.Refetch(Reason.INVALID_VALIDATION),
        decisions.Failed(Reason.UPSTREAM_FAILED),
    ],
)
def test_every_decision_has_a_reason_that_people_can_read(decision):
    assert decision.reason.sentence


def test_what_is_not_said_is_harmless():
    serve = decisions.Serve(HELD, Reason.FRESH)
    assert (serve.stale, serve.refresh, serve.conditional) == (False, False, ())
    refused = decisions.NoStore(Reason.NO_STORE)
    assert (refused.hit_for_miss_seconds, refused.ends) == (0.0, False)

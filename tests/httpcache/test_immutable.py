"""``immutable``: RFC 8246 §2, §2.1. A reload doesn't validate what the origin says doesn't change."""

import pytest

from apps.httpcache import Policy, Reason, Revalidate, Serve, on_entry
from tests.httpcache.build import NOW, plan, stored

FOR_EVER = [("Cache-Control", "max-age=60, immutable"), ("ETag", '"a"')]


def decided(asked, *, said=FOR_EVER, directives="bounded", after=30):
    the_plan = plan([("Cache-Control", asked)], policy=Policy(api="products", client_directives=directives))
    held = stored(said, the_plan=plan(policy=Policy(api="products", client_directives=directives)))
    return on_entry(the_plan, held, NOW + after)


@pytest.mark.parametrize("directives", ["bounded", "honour", "ignore"])
@pytest.mark.parametrize("asked", ["max-age=0", "max-age=5"])
def test_a_reload_gets_the_stored_answer(asked, directives):
    decision = decided(asked, directives=directives)
    assert isinstance(decision, Serve)
    assert decision.reason is Reason.FRESH


def test_a_forced_reload_validates_where_callers_are_honoured():
    decision = decided("no-cache", directives="honour")
    assert isinstance(decision, Revalidate)
    assert decision.reason is Reason.REQUEST_NO_CACHE


def test_a_forced_reload_does_not_where_they_are_bounded():
    assert isinstance(decided("no-cache"), Serve)


@pytest.mark.parametrize("asked", ["max-age=0", "no-cache"])
def test_past_its_freshness_it_is_validated_like_any_other(asked):
    decision = decided(asked, after=61)
    assert isinstance(decision, Revalidate)
    assert decision.reason is Reason.EXPIRED


@pytest.mark.parametrize("asked", ["max-age=0", "no-cache"])
def test_without_the_word_a_reload_validates(asked):
    assert isinstance(decided(asked, said=[("Cache-Control", "max-age=60")]), Revalidate)


def test_what_has_to_stay_fresh_for_longer_is_still_asked_for():
    assert isinstance(decided("min-fresh=40"), Revalidate)

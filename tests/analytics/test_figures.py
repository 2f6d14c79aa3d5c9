"""Figures of calls: what rows from before a field was counted still say."""

import msgspec

from apps.analytics.figures import CLASSES, Figures, decode, encode
from tests.support.calls import HIT, make_record

#: Fields of the first rows that were stored.
FIRST = 13


def old_row(figures: Figures) -> bytes:
    return msgspec.msgpack.encode(msgspec.msgpack.decode(encode(figures))[:FIRST])


def counted(*calls: dict) -> Figures:
    figures = Figures()
    for call in calls:
        figures.count(make_record("", **call))
    return figures


def test_rows_from_before_a_class_was_counted_are_read_and_added_to():
    old = decode(old_row(counted({}, HIT)))
    assert (old.calls, old.hit_ratio, old.latency()["miss"]["p50"]) == (2, 0.5, counted({}).latency()["miss"]["p50"])
    assert (old.measured()["bypass"], old.latency()["bypass"]["p95"]) == (0, None)
    old.add(counted({"cache": "BYPASS", "reason": "method"}))
    assert (old.calls, old.measured()["all"], old.measured()["bypass"]) == (3, 3, 1)
    assert old.why == {"BYPASS": {"method": 1}}


def test_every_class_is_counted_once_in_all_but_errors_which_are_in_another_too():
    figures = counted(
        HIT,
        HIT | {"cache": "STALE"},
        {"cache": "REVALIDATED"},
        {"status": 404},
        {"cache": "BYPASS"},
        {"cache": "BYPASS", "status": 429, "attempts": 0},
    )
    assert figures.measured() == {"all": 6, "hit": 2, "revalidated": 1, "miss": 1, "bypass": 1, "error": 2}
    assert set(figures.latency()) == set(figures.latency_shares()) == {"all", *CLASSES}


def test_a_call_that_joined_another_did_not_wait_longer_for_the_upstream_than_it_took():
    figures = counted({"duration": 5.0, "upstream_duration": 18.0})
    assert figures.latency_shares()["miss"] == {"upstream": 1.0, "gateway": 0.0}


def test_why_is_counted_of_what_the_cache_did_not_answer():
    figures = counted(HIT, {}, {}, {"cache": "BYPASS", "reason": "method"})
    figures.tally(404, "unknown_api", 3, 0, 0)
    assert figures.why == {"MISS": {"not_found": 2}, "BYPASS": {"method": 1, "unknown_api": 3}}

"""Where HTTP caches of API gateways are known to fall: one test for each fault, named after what does not happen here."""

import asyncio

import pytest

from apps.cachestore.store import ResponseStore
from apps.httpcache import (
    Identity,
    Policy,
    Reason,
    Store,
    may_share,
    normalise_target,
    on_entry,
    tag_of_prefix,
    tags_of,
)
from tests.httpcache.build import NOW, plan, respond, stored
from tests.httpcache.exchange import Exchange

FRESH = ("Cache-Control", "max-age=60")


def test_the_host_is_in_the_key():
    assert plan(host="a.test").keys != plan(host="b.test").keys


def test_vary_is_no_todo():
    exchange = Exchange().says(FRESH, ("Vary", "Accept-Language"), body=b"de")
    exchange.ask(("Accept-Language", "de"))
    assert exchange.says(FRESH, body=b"fr").ask(("Accept-Language", "fr")).body == b"fr"


def test_set_cookie_is_not_stored_and_replayed():
    exchange = Exchange().says(FRESH, ("Set-Cookie", "session=ann"))
    exchange.ask()
    assert exchange.says(FRESH).ask().how == "miss"


def test_more_than_the_first_of_several_equal_fields_survives():
    held = stored([FRESH, ("Link", "1"), ("Link", "2"), ("Link", "3")])
    assert [value for name, value in held.headers if name == b"link"] == [b"1", b"2", b"3"]


def test_the_status_is_kept():
    exchange = Exchange().says(FRESH, status=404, body=b"none")
    exchange.ask()
    found = exchange.ask()
    assert (found.how, found.status) == ("hit", 404)


def test_the_guard_for_credentials_fires():
    exchange = Exchange().says(FRESH, body=b"ann's")
    exchange.ask(("Authorization", "ann"))
    assert exchange.says(FRESH, body=b"all's").ask().body == b"all's"


def test_expired_entries_do_not_count_as_hits():
    for mode in ("origin", "ttl", "override"):
        exchange = Exchange(Policy(api="products", mode=mode, ttl=60.0)).says(("Cache-Control", "max-age=60"))
        exchange.ask()
        assert exchange.wait(60).ask().how == "miss"


def test_an_entry_is_not_kept_for_the_policys_ttl_whatever_max_age_says():
    exchange = Exchange(Policy(api="products", mode="ttl", ttl=3600.0)).says(("Cache-Control", "max-age=5"))
    exchange.ask()
    assert exchange.wait(5).ask().how == "miss"


@pytest.mark.parametrize(
    ("one", "other"),
    [(b"/a?b?c", b"/a?b"), (b"/a%3Fb", b"/a?b"), (b"/a%2Fb", b"/a/b"), (b"/a?b%26c", b"/a?b&c"), (b"/a?", b"/a")],
)
def test_a_crafted_url_neither_reads_nor_poisons_another_entry(one, other):
    first, second = (normalise_target(target) for target in (one, other))
    assert first is not None
    assert second is not None
    keys = {
        plan(path=target.path.decode(), query=None if target.query is None else target.query.decode()).keys
        for target in (first, second)
    }
    assert len(keys) == 2


def test_a_key_is_256_bits_long():
    assert len(plan().keys[0]) == 32


def test_options_does_not_answer_get():
    exchange = Exchange().says(FRESH, body=b"options")
    exchange.ask(method="OPTIONS")
    assert exchange.says(FRESH, body=b"get").ask().body == b"get"
    assert exchange.says(FRESH, body=b"options").ask(method="OPTIONS").body == b"options"


def test_callers_are_not_told_apart_by_their_address():
    assert plan([("X-Forwarded-For", "10.0.0.1")]).keys == plan([("X-Forwarded-For", "10.0.0.2")]).keys


def test_consumers_with_different_rights_do_not_share_what_the_upstream_answers_by_them():
    policy = Policy(api="products", scope="application")
    one, other = (plan(policy=policy, identity=Identity("acme", f"acme/{name}")) for name in ("one", "other"))
    assert one.keys != other.keys


def test_concurrent_misses_have_one_key_to_wait_by():
    assert plan().fetch_key == plan([("Accept", "text/html"), ("User-Agent", "x")]).fetch_key is not None


def test_collapsing_does_not_serialise_uncacheable_answers():
    decision = respond(plan(), [("Cache-Control", "no-store")])
    assert decision.hit_for_miss_seconds > 0
    store = ResponseStore(0, None)
    store.remember_hit_for_miss(plan().fetch_key, NOW + decision.hit_for_miss_seconds)
    assert store.is_hit_for_miss(plan().fetch_key, NOW + 1)


def test_what_comes_of_a_collapsed_call_is_checked_for_each_waiter():
    decision = respond(plan([("Accept-Language", "de")]), [FRESH, ("Vary", "Accept-Language")])
    assert isinstance(decision, Store)
    assert not may_share(plan([("Accept-Language", "fr")]), decision)


def test_a_failed_refresh_does_not_replace_a_good_entry():
    exchange = Exchange(Policy(api="products", stale_if_error=60.0)).says(("Cache-Control", "max-age=1"), body=b"good")
    exchange.ask()
    assert exchange.wait(2).says(FRESH, status=503, body=b"bad").ask().body == b"good"
    assert exchange.says(FRESH, body=b"better").ask().body == b"better"


def test_there_are_validators_in_both_directions():
    exchange = Exchange().says(("Cache-Control", "max-age=1"), ("ETag", '"a"'))
    exchange.ask()
    assert exchange.ask(("If-None-Match", '"a"')).status == 304
    exchange.wait(2).says(FRESH, ("ETag", '"a"'), status=304)
    assert exchange.ask().how == "validated"


def test_a_purge_names_more_than_one_url_and_less_than_the_whole_api():
    tags = [tags_of(stored([FRESH], the_plan=plan(path=path)).entry) for path in ("/items/1", "/items/2", "/users/1")]
    assert [tag_of_prefix("products", b"/items") in each for each in tags] == [True, True, False]


def test_a_write_in_flight_does_not_bring_the_purged_entry_back():
    store = ResponseStore(1_000_000, None)
    store.purges.load(1, 0, {})
    born = store.purge_clock()
    store.purges.apply(["a:products"], 1, False)
    decision = respond(plan(), [FRESH], birth=born)
    assert isinstance(decision, Store)
    asyncio.run(store.put(plan(), decision.entry))
    assert store.find_local(plan(), NOW) is None


def test_everybody_can_see_why_a_call_went_past_the_cache():
    reasons = {
        plan(method="POST").bypass,
        plan(policy=Policy(mode="off")).bypass,
        respond(plan(), [("Cache-Control", "private")]).reason,
        respond(plan(), [FRESH, ("Set-Cookie", "a")]).reason,
        on_entry(plan(), None, NOW).reason,
    }
    assert len(reasons) == 5
    assert all(isinstance(reason, Reason) and reason.sentence for reason in reasons)


def test_codings_are_not_mixed_up_under_one_key():
    exchange = Exchange().says(FRESH, ("Vary", "Accept-Encoding"), ("Content-Encoding", "gzip"), body=b"zipped")
    exchange.ask(("Accept-Encoding", "gzip"))
    assert exchange.says(FRESH, body=b"plain").ask().body == b"plain"


def test_a_part_is_not_stored_as_the_whole():
    exchange = Exchange().says(FRESH, ("Content-Range", "bytes 0-0/9"), status=206, body=b"p")
    exchange.ask(("Range", "bytes=0-0"))
    assert exchange.says(FRESH, body=b"whole").ask().body == b"whole"


def test_head_is_not_stored_as_get():
    exchange = Exchange().says(FRESH, body=b"")
    exchange.ask(method="HEAD")
    assert exchange.says(FRESH, body=b"whole").ask().body == b"whole"

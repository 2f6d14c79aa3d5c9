"""Purges: the table a worker holds, and the scripts, on a real Valkey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.cachestore import purges
from apps.cachestore.purges import FLOOR, NOT_LOADED, PurgedTags, StateIsEmpty
from apps.httpcache import Identity, Policy, StoredResponse, tag_of_api, tag_of_path, tag_of_prefix, tags_of
from apps.wire import events, redis_names
from tests.httpcache.build import NOW, plan, stored


def held(birth=(1, 5), path="/items/7", keys=""):
    fields = [("Cache-Control", "max-age=60"), *([("Surrogate-Key", keys)] if keys else [])]
    return stored(fields, the_plan=plan(path=path), birth=birth)


def table(incarnation=1, clock=5, rows=None):
    made = PurgedTags()
    made.load(incarnation, clock, rows or {})
    return made


def test_before_anything_is_known_everything_is_dead():
    empty = PurgedTags()
    assert empty.purge_clock() == NOT_LOADED
    assert not empty.is_alive(held())
    assert not empty.is_alive(held(birth=NOT_LOADED))


def test_a_fetch_is_born_with_what_the_worker_knows():
    assert table(3, 9).purge_clock() == (3, 9)


@pytest.mark.parametrize(
    "tag",
    [
        tag_of_api("products"),
        tag_of_path("products", b"/items/7"),
        tag_of_prefix("products", b"/"),
        tag_of_prefix("products", b"/items"),
        "k:products:seven",
    ],
)
def test_a_purge_of_any_tag_ends_what_was_born_before_it(tag):
    made = table()
    old, late = held(keys="seven"), held(birth=(1, 6), keys="seven")
    assert made.is_alive(old)
    made.apply([tag], 6, False)
    assert not made.is_alive(old)
    assert not made.is_alive(held(keys="seven"))
    assert made.is_alive(late), "what was fetched by someone who knew of the purge lives"
    assert made.clock == 6


def test_a_purge_noted_while_redis_is_away_ends_what_is_here_and_hides_from_no_later_purge():
    made = table()
    made.note([tag_of_api("products")])
    assert not made.is_alive(held(birth=(1, 5)))
    meanwhile = made.purge_clock()
    made.apply([tag_of_api("products")], 6, False)
    assert not made.is_alive(held(birth=meanwhile)), "the purge that came next got the number after its birth"
    assert made.is_alive(held(birth=made.purge_clock()))


def test_other_tags_end_nothing():
    made = table()
    made.apply([tag_of_api("other"), tag_of_path("products", b"/items"), "k:products:x"], 6, False)
    assert made.is_alive(held())


def test_a_purge_that_comes_twice_or_late_changes_nothing():
    made = table()
    made.apply(["a:products"], 8, False)
    made.apply(["a:products"], 6, False)
    assert made.clock == 8
    assert not made.is_alive(held(birth=(1, 7)))
    assert made.is_alive(held(birth=(1, 8)))


def test_what_was_born_in_another_incarnation_is_dead():
    made = table()
    entry = held()
    assert made.is_alive(entry)
    made.load(2, 5, {})
    assert not made.is_alive(entry)
    assert not made.is_alive(held(birth=(1, 99)))
    assert made.is_alive(held(birth=(2, 5)))


def test_a_soft_purge_makes_stale_and_a_new_birth_fresh():
    made = table()
    entry = held()
    made.apply(["a:products"], 6, True)
    assert made.is_alive(entry)
    assert entry.soft
    again = held(birth=(1, 6))
    assert made.is_alive(again)
    assert not again.soft


def test_a_soft_purge_does_not_revive_what_a_hard_one_ended():
    made = table()
    made.apply(["a:products"], 6, False)
    made.apply(["a:products"], 7, True)
    assert not made.is_alive(held())
    survivor = held(birth=(1, 6))
    assert made.is_alive(survivor)
    assert survivor.soft


def test_the_table_is_bounded_and_folding_only_ends_more():
    made = PurgedTags(max_rows=10)
    made.load(1, 0, {})
    for clock in range(1, 30):
        made.apply([f"k:products:{clock}"], clock, False)
        assert len(made) <= 10
    assert not made.is_alive(held(birth=(1, 3)))
    assert made.is_alive(held(birth=(1, 29)))
    assert made.is_alive(held(birth=(1, 28)))
    assert not made.is_alive(held(birth=(1, 27), keys="28"))


def test_nothing_is_looked_at_twice_while_nothing_is_purged(monkeypatch):
    made = table()
    made.apply(["a:other"], 6, False)
    entry = held()
    assert made.is_alive(entry)
    monkeypatch.setattr(purges, "tags_of", lambda entry: pytest.fail("looked again"))
    assert made.is_alive(entry)


def test_purges_of_other_apis_cost_an_answer_nothing(monkeypatch):
    made = table()
    entry = held()
    monkeypatch.setattr(purges, "tags_of", lambda entry: pytest.fail("went through all its tags"))
    made.apply(["a:other", "p:other:/items/7", "x:other:", "k:other:products", "g:other:acme/bot"], 6, False)
    assert made.is_alive(entry)
    made.apply(["a:other"], 7, True)
    assert made.is_alive(entry)


@pytest.mark.parametrize("kind", ["shared", "tenant", "application", "subject"])
def test_every_tag_of_an_entry_is_about_its_api_or_across(kind):
    """What the table skips without looking is never what a tag names."""
    the_plan = plan(policy=Policy(api="products", scope=kind), identity=Identity("acme", "acme/bot", "ann"))
    entry = stored(
        [("Cache-Control", "max-age=60"), ("Surrogate-Key", "a:other")], the_plan=the_plan, birth=(1, 5)
    ).entry
    for tag in tags_of(entry):
        for soft in (False, True):
            made = table()
            made.apply([tag], 6, soft)
            entered = StoredResponse(entry)
            assert made.is_alive(entered) is soft
            assert entered.soft is soft
            loaded = table(clock=6, rows={tag.encode(): b"0 6 1.0" if soft else b"6 0 1.0"})
            assert loaded.is_alive(StoredResponse(entry)) is soft


steps = st.lists(
    st.tuples(st.sampled_from(["a:products", "p:products:/items/7", "k:products:z", "a:other"]), st.booleans()),
    max_size=8,
)


@given(steps, st.integers(0, 8), st.randoms())
def test_any_order_of_events_and_any_fold_never_keeps_what_a_purge_ended(purged, born, draw):
    made = PurgedTags(max_rows=3)
    made.load(1, 0, {})
    numbered = list(enumerate(purged, 1))
    entry = held(birth=(1, born))
    ends = any(not soft and clock > born and tag in tags_of(entry.entry) for clock, (tag, soft) in numbered)
    softened = any(soft and clock > born and tag in tags_of(entry.entry) for clock, (tag, soft) in numbered)
    draw.shuffle(numbered)
    for clock, (tag, soft) in numbered:
        made.apply([tag], clock, soft)
    if ends:
        assert not made.is_alive(entry)
    elif softened:
        assert not made.is_alive(entry) or entry.soft


@pytest.fixture
def state(state_redis):
    state_redis.hset(redis_names.EPOCH, mapping={"incarnation": 1, "n": 0})
    return state_redis


def loaded(state, incarnation=1):
    made = PurgedTags()
    made.load(incarnation, int(state.get(redis_names.PURGE_CLOCK) or 0), state.hgetall(redis_names.PURGES))
    return made


def test_a_purge_advances_the_clock_writes_its_tags_and_tells_the_fleet(state):
    assert purges.purge(state, ["a:products", "a:products", "x:products:/é"], now=NOW) == 1
    assert purges.purge(state, ["a:products"], soft=True, now=NOW) == 2
    assert state.hgetall(redis_names.PURGES) == {
        b"a:products": b"1 2 %d" % NOW,
        "x:products:/é".encode(): b"1 0 %d" % NOW,
    }
    told = [events.parse(identifier, fields) for identifier, fields in state.xrange(redis_names.EVENTS)]
    assert [(event.kind, event.clock, event.soft, event.tags) for event in told] == [
        ("purge", 1, False, ("a:products", "x:products:/é")),
        ("purge", 2, True, ("a:products",)),
    ]


def test_a_worker_that_loads_knows_what_one_that_followed_knows(state):
    followed = loaded(state)
    for tags, soft in ((["a:products"], False), (["k:products:é\udcff"], True), (["p:products:/items/7"], True)):
        followed.apply(tags, purges.purge(state, tags, soft=soft, now=NOW), soft)
    fresh = loaded(state)
    assert fresh.clock == followed.clock == 3
    for born in range(4):
        one, other = held(birth=(1, born), keys="é"), held(birth=(1, born), keys="é")
        assert fresh.is_alive(one) is followed.is_alive(other)
        assert one.soft is other.soft


def test_an_empty_state_purges_nothing_and_says_so(state_redis):
    with pytest.raises(StateIsEmpty):
        purges.purge(state_redis, ["a:products"])
    assert state_redis.keys() == []


@pytest.mark.parametrize("tags", [[], [""], ["a\nb"], ["x"] * 1 + [str(n) for n in range(5001)]])
def test_what_is_no_tag_is_refused(state, tags):
    with pytest.raises(ValueError, match="tag"):
        purges.purge(state, tags)
    assert state.get(redis_names.PURGE_CLOCK) is None


async def test_gateways_purge_with_the_same_script(state, async_state_redis):
    assert await purges.purge_async(async_state_redis, ["p:products:/a"], now=NOW) == 1
    assert state.hgetall(redis_names.PURGES) == {b"p:products:/a": b"1 0 %d" % NOW}
    state.delete(redis_names.EPOCH)
    with pytest.raises(StateIsEmpty):
        await purges.purge_async(async_state_redis, ["p:products:/a"])


def test_rows_older_than_any_entry_fold_into_the_floor(state):
    for number in range(3):
        purges.purge(state, [f"k:products:{number}"], now=NOW)
    purges.purge(state, ["k:products:new"], now=NOW + 8 * 86400)
    assert purges.fold(state, NOW + 8 * 86400) == 3
    assert set(state.hgetall(redis_names.PURGES)) == {FLOOR.encode(), b"k:products:new"}
    made = loaded(state)
    assert not made.is_alive(held(birth=(1, 2)))
    assert made.is_alive(held(birth=(1, 3)))
    assert not made.is_alive(held(birth=(1, 3), keys="new"))
    assert purges.fold(state, NOW + 8 * 86400) == 3, "folding again changes nothing"


def test_too_many_rows_of_an_api_fold_into_the_row_of_that_api(state):
    purges.purge(state, ["k:other:a"], now=NOW)
    purges.purge(state, ["s:ann"], now=NOW)
    for number in range(20):
        purges.purge(state, [f"k:products:{number}"], now=NOW)
    assert purges.fold(state, NOW, max_rows=10) == 0
    rows = set(state.hgetall(redis_names.PURGES))
    assert len(rows) <= 10
    assert {FLOOR.encode(), b"a:products", b"k:other:a", b"s:ann", b"k:products:19"} <= rows
    made = loaded(state)
    older, newer = held(birth=(1, 3)), held(birth=(1, 22), keys="19")
    assert not made.is_alive(older)
    assert made.is_alive(newer)
    assert not made.is_alive(held(birth=(1, 21), keys="19"))


def test_too_many_apis_fold_into_the_floor(state):
    for number in range(20):
        purges.purge(state, [f"a:api-{number}"], now=NOW)
    assert purges.fold(state, NOW, max_rows=10) == 13
    assert not loaded(state).is_alive(held(birth=(1, 12)))
    assert loaded(state).is_alive(held(birth=(1, 20)))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("akse"), st.integers(0, 30)), min_size=1, max_size=60),
    st.integers(1, 60),
)
def test_folding_frees_what_it_is_asked_to_and_everybody_keeps_as_much(made, goal):
    clocks = {
        f"{kind}:{api}" if kind in "as" else f"{kind}:{api}:{number}": clock
        for clock, (api, kind, number) in enumerate(made, 1)
    }
    folded = purges._surplus(clocks, goal)
    gone = [tag for _, _, tags in folded for tag in tags]
    assert len(gone) >= min(goal, len(clocks))
    for row, clock, tags in folded:
        assert all(clocks[tag] <= clock for tag in tags)
        assert row == FLOOR or all(purges._about(tag) == row[2:] for tag in tags)


def test_who_purges_without_end_ends_his_own_answers_alone():
    made = PurgedTags(max_rows=100)
    made.load(1, 0, {})
    made.apply(["k:other:kept"], 1, False)
    theirs, own = held(birth=(1, 1)), held(birth=(1, 1))
    theirs.entry.api = "another"
    for clock in range(2, 2000):
        made.apply([f"p:products:/{clock}"], clock, False)
        assert len(made) <= 100
    assert made.is_alive(theirs)
    assert not made.is_alive(own)
    assert "k:other:kept" in made._hard


def test_a_row_purged_again_while_folding_stays(state):
    purges.purge(state, ["k:products:a"], now=NOW)
    script = state.register_script(purges.FOLD)
    purges.purge(state, ["k:products:a"], now=NOW)
    script(keys=[redis_names.PURGES], args=[FLOOR, 1, int(NOW), b"k:products:a"])
    assert state.hget(redis_names.PURGES, "k:products:a") == b"2 0 %d" % NOW


def test_the_table_in_redis_folds_by_itself_when_it_grows(state, monkeypatch):
    monkeypatch.setattr(purges, "MAX_ROWS", 50)
    folded = []
    monkeypatch.setattr(purges, "fold", lambda client, now: folded.append(now))
    purges.purge(state, [f"k:products:{number}" for number in range(60)], now=NOW)
    for _ in range(99):
        purges.purge(state, ["a:products"], now=NOW)
    assert folded == [NOW]

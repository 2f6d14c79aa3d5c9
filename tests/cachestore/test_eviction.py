"""The books of the shared tier on a real Valkey: what each account takes, who gives first, and what heals."""

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.cachestore import eviction
from apps.cachestore.eviction import FENCED, PREFIX, UNIT, Bounds, EvictionItem
from apps.cachestore.fair_share import Account
from tests.support.examples import examples

NOW = 1_800_000_000.0
UNBOUND = Bounds()
BODY = b"x" * 1000
ONE = eviction.size_of(eviction.marked(BODY, Account("", "", "")))


def account(tenant="platform", api="products", caller="acme"):
    return Account(tenant, api, caller)


class Tier:
    """The script as ``ResponsesCache`` calls it, with the bounds and the clock in the test's hands."""

    def __init__(self, client):
        self.redis = client
        self.now = NOW

    def put(self, name, who, within=UNBOUND, *, body=BODY, seconds=600.0, guard=None):
        self.now += 1
        item = EvictionItem(f"e:{name}", eviction.marked(body, who) if body else b"", seconds)
        return self.redis.eval(eviction.SCRIPT, *eviction.command([item], who, within, self.now, guard))

    def fill(self, who, first, count, within=UNBOUND):
        for number in range(first, first + count):
            self.put(number, who, within)

    def present(self, first, count):
        return self.redis.exists(*(f"e:{number}" for number in range(first, first + count)))

    def scores(self, name):
        return {
            member.decode(): int(score) for member, score in self.redis.zrange(PREFIX + name, 0, -1, withscores=True)
        }

    @property
    def booked(self):
        return int(self.redis.hget(PREFIX + "sums", "bytes") or 0)

    @property
    def evictions(self):
        return int(self.redis.hget(PREFIX + "sums", "evictions") or 0)

    def check(self, *, once=True):
        """Every sum is the sum of what is below it, and no entry stands in the books twice; returns the names there."""
        tenants, names, total = self.scores("tenants"), set(), 0
        for tenant, of_tenant in tenants.items():
            apis = self.scores(f"apis:{tenant}")
            assert sum(apis.values()) == of_tenant
            for api, of_api in apis.items():
                callers = self.scores(f"callers:{tenant}/{api}")
                assert sum(callers.values()) == of_api
                for number, of_caller in callers.items():
                    assert self.redis.hget(PREFIX + "accounts", number).startswith(f"{tenant}\n{api}\n".encode())
                    entries = self.scores(f"of:{number}")
                    assert sum(score % eviction.SHIFT * UNIT for score in entries.values()) == of_caller
                    assert not (once and names & entries.keys())
                    names |= entries.keys()
            total += of_tenant
        assert total == self.booked
        assert self.redis.hlen(PREFIX + "accounts") == sum(1 for _ in self.redis.scan_iter(f"{PREFIX}of:*"))
        return names


@pytest.fixture
def tier(cache_redis):
    return Tier(cache_redis)


def test_what_is_written_is_charged_to_its_account_and_what_is_deleted_isnt(tier):
    assert tier.put(1, account(caller="x")) == 1
    tier.put(2, account(caller="y"))
    tier.put(3, account(tenant="other", api="orders"))
    assert tier.scores("tenants") == {"platform": 2 * ONE, "other": ONE}
    assert tier.scores("apis:platform") == {"products": 2 * ONE}
    assert set(tier.scores("callers:platform/products").values()) == {ONE}
    assert tier.check() == {"e:1", "e:2", "e:3"}
    assert eviction.unmarked(tier.redis.get("e:1")) == BODY
    assert 590_000 < tier.redis.pttl("e:1") <= 600_000
    assert tier.put(3, account(tenant="other", api="orders"), body=b"") == 0
    assert tier.check() == {"e:1", "e:2"}
    assert "other" not in tier.scores("tenants")


def test_writing_anew_counts_once_and_changes_accounts(tier):
    tier.put(1, account(caller="x"))
    tier.put(1, account(caller="x"), body=BODY * 3)
    assert tier.booked == eviction.size_of(eviction.marked(BODY * 3, account()))
    tier.put(1, account(tenant="other", api="orders"))
    assert tier.scores("tenants") == {"other": ONE}
    assert tier.check() == {"e:1"}


@pytest.mark.parametrize(
    ("quiet", "flooding"),
    [
        pytest.param(account("y", "y-api"), account("x", "x-api"), id="an-api-of-another-tenant"),
        pytest.param(account("x", "y-api"), account("x", "x-api"), id="another-api-of-the-same-tenant"),
        pytest.param(account(caller="y"), account(caller="x"), id="another-caller-of-the-same-api"),
        pytest.param(account(caller="y"), account(caller=""), id="callers-without-a-name"),
    ],
)
def test_a_flood_leaves_the_others_what_they_have(tier, quiet, flooding):
    within = Bounds(all=ONE * 50)
    tier.fill(quiet, 0, 20, within)
    tier.fill(flooding, 1000, 200, within)
    assert tier.present(0, 20) == 20
    assert len(tier.check()) == 50, "what the quiet one doesn't need the other may have"
    tier.fill(quiet, 20, 20, within)
    assert tier.present(0, 40) == 25, "and gets back, up to its half, when the quiet one wakes"
    assert tier.evictions == 190
    counted = tier.redis.hgetall(PREFIX + "evictions")
    assert sum(int(count) for count in counted.values()) == 190
    assert f"{flooding.tenant}/{flooding.api}".encode() in counted


def test_the_oldest_goes_and_an_api_and_a_tenant_keep_to_their_bounds(tier):
    for number in range(10):
        tier.put(number, account(api="small"), Bounds(api=ONE * 4, tenant=ONE * 8, all=ONE * 100))
    assert tier.present(0, 6) == 0
    assert tier.present(6, 4) == 4
    tier.fill(account(api="other"), 100, 20, Bounds(tenant=ONE * 8, all=ONE * 100))
    assert tier.scores("apis:platform") == {"small": 4 * ONE, "other": 4 * ONE}
    assert tier.present(6, 4) == 4


def test_one_that_fits_under_no_circumstances_only_ends_its_predecessor(tier):
    within = Bounds(api=ONE * 4)
    tier.fill(account(), 0, 4, within)
    assert tier.put(0, account(), within, body=b"x" * 10 * ONE) == 0
    assert tier.check() == {"e:1", "e:2", "e:3"}
    assert tier.evictions == 0


def test_one_large_entry_pushes_out_many_but_only_so_many_at_once(tier):
    tier.fill(account(caller="x"), 0, 300)
    tier.put("large", account(caller="y"), Bounds(all=ONE * 10), body=BODY * 8)
    assert tier.evictions == eviction.MOST_EVICTIONS
    tier.put("next", account(caller="y"), Bounds(all=ONE * 20))
    assert tier.booked <= ONE * 20
    assert tier.redis.exists("e:large", "e:next") == 2


def test_what_ended_by_itself_leaves_the_books_when_it_is_met(tier):
    tier.fill(account(), 0, 30)
    tier.redis.delete(*(f"e:{number}" for number in range(30)))
    assert tier.booked == 30 * ONE
    tier.fill(account(), 100, 60)
    assert {f"e:{number}" for number in range(100, 160)} <= tier.check()
    assert tier.booked <= 70 * ONE
    tier.fill(account(), 200, 30, Bounds(all=30 * ONE))
    assert tier.check() == {f"e:{number}" for number in range(200, 230)}


def test_an_entry_that_somebody_else_stored_meanwhile_is_not_evicted_as_ones_own(tier):
    tier.fill(account(caller="x"), 0, 5)
    tier.redis.delete("e:0")
    tier.put(0, account(caller="y"))
    tier.fill(account(caller="x"), 100, 5, Bounds(all=6 * ONE))
    assert tier.present(0, 1) == 1


def test_what_was_read_lately_is_spared_where_the_server_can_tell(tier):
    assert tier.redis.config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-lfu"
    within = Bounds(all=ONE * 10)
    tier.fill(account(), 0, 10, within)
    tier.redis.mget("e:0", "e:1")
    tier.fill(account(), 10, 8, within)
    assert tier.present(0, 2) == 2
    assert tier.present(2, 8) == 0


def test_where_everything_was_read_something_goes_all_the_same(tier):
    within = Bounds(all=ONE * 10)
    tier.fill(account(), 0, 10, within)
    tier.redis.mget(*(f"e:{number}" for number in range(10)))
    tier.put(10, account(), within)
    assert tier.booked == 10 * ONE


def test_a_server_that_counts_no_uses_evicts_the_oldest(extra_valkey):
    tier = Tier(extra_valkey("cache", maxmemory_policy="noeviction").client())
    tier.fill(account(), 0, 10)
    tier.redis.mget("e:0")
    tier.put(10, account(), Bounds(all=ONE * 10))
    assert tier.present(0, 1) == 0


@pytest.mark.parametrize("lost", ["of:*", "callers:*", "apis:*", "tenants", "accounts", "sums"])
def test_books_that_lost_a_page_don_t_stop_anybody_and_begin_anew(tier, lost):
    within = Bounds(api=ONE * 20, tenant=ONE * 30, all=ONE * 40)
    tier.fill(account(), 0, 20, within)
    tier.fill(account(api="other"), 50, 10, within)
    tier.redis.delete(*tier.redis.keys(PREFIX + lost))
    for number in range(100, 400):
        assert tier.put(number, account(caller=f"c{number % 3}"), within) == 1
    # What the lost page held was stored before, and ends by its own time or by the server's eviction.
    assert tier.present(100, 300) <= 40
    assert tier.present(380, 20) >= 15
    sizes = tier.scores("tenants")
    assert sum(sizes.values()) <= 41 * ONE


def test_a_lost_lock_leaves_everything_as_it_is(tier):
    tier.put(1, account())
    tier.redis.set("lock", "Lmine")
    assert tier.put(1, account(), body=b"new" * 100, guard=("lock", "theirs")) == FENCED
    assert eviction.unmarked(tier.redis.get("e:1")) == BODY
    assert tier.put(1, account(), body=b"new" * 100, guard=("lock", "mine")) == 1
    assert tier.redis.get("lock") is None
    assert tier.put(1, account(), guard=("lock", "mine")) == FENCED
    assert tier.check() == {"e:1"}


def test_rows_of_siblings_are_charged_and_evicted_too(tier):
    """Otherwise endless paths would fill the server with what the books don't know."""

    def store(number, who, within=UNBOUND):
        tier.now += 1
        items = [
            EvictionItem(f"e:{number}", eviction.marked(BODY, who), 600.0),
            EvictionItem(f"s:{number // 2}", b"row" * 50 + bytes([number % 256]), 600.0, tier.now),
        ]
        assert tier.redis.eval(eviction.SCRIPT, *eviction.command(items, who, within, tier.now)) == 1

    for number in range(4):
        store(number, account())
    assert tier.redis.zcard("s:0") == 2
    assert tier.check() == {"e:0", "e:1", "e:2", "e:3", "s:0", "s:1"}
    assert 590_000 < tier.redis.pttl("s:0") <= 600_000
    for number in range(10, 60):
        store(number, account(), Bounds(all=ONE * 20))
    assert tier.booked <= ONE * 20
    assert {name.encode() for name in tier.check()} == set(tier.redis.keys("[es]:*"))
    assert tier.redis.exists("s:0", "s:1") == 0


def test_bounds_come_from_the_servers_memory_the_policy_and_the_setting():
    maximum = eviction.BASE + 1000
    assert eviction.bounds(maximum, None, fill=0.8, tenant_share=1.0) == Bounds(0, 0, 800)
    assert eviction.bounds(maximum, 50, fill=0.8, tenant_share=0.5) == Bounds(50, 400, 800)
    assert eviction.bounds(0, 0, fill=0.8, tenant_share=0.5) == Bounds(1, 0, 0), "no memory is set: no bound of all"
    assert eviction.bounds(1000, None, fill=0.8, tenant_share=1.0) == Bounds(0, 0, 1), "too little: nothing is kept"


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "delete", "vanish"]),
        st.integers(0, 9),
        st.integers(1, 6000),
        st.builds(Account, st.sampled_from("xy"), st.sampled_from("ab"), st.sampled_from(["", "c"])),
        st.sampled_from([0, 0, 3 * ONE, 6 * ONE]),
        st.sampled_from([0, 5 * ONE]),
        st.sampled_from([0, 8 * ONE]),
    ),
    max_size=30,
)


@given(steps)
@settings(
    max_examples=examples(30),
    phases=(Phase.explicit, Phase.generate),  # a smaller example is not worth five minutes of a server
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_sequence_keeps_the_books_and_the_bounds(cache_redis, sequence):
    cache_redis.flushall()
    tier = Tier(cache_redis)
    for what, number, size, who, of_api, of_tenant, of_all in sequence:
        if what == "vanish":
            tier.redis.delete(f"e:{number}")
            continue
        within = Bounds(of_api, of_tenant, of_all)
        written = tier.put(number, who, within, body=b"" if what == "delete" else b"x" * size)
        # What vanished may stand in its old account's queue until it is met there.
        names = tier.check(once=False)
        there = {name.decode() for name in tier.redis.keys("e:*")}
        assert there <= names
        assert all(tier.redis.zscore(f"{PREFIX}of:{eviction.number_of(who)}", name) or name in there for name in there)
        if written:  # what doesn't fit by itself evicts nothing else
            assert not of_all or tier.booked <= of_all
            assert not of_tenant or tier.scores("tenants").get(who.tenant, 0) <= of_tenant
            assert not of_api or tier.scores(f"apis:{who.tenant}").get(who.api, 0) <= of_api


def test_the_script_runs_with_commands_that_redis_7_0_and_valkey_8_have(tier):
    tier.redis.config_resetstat()
    tier.fill(account(), 0, 3)
    tier.fill(account(caller="y"), 0, 5, Bounds(all=ONE * 2))
    tier.put(1, account(), body=b"", guard=None)
    used = [name.removeprefix("cmdstat_").split("|")[0] for name in tier.redis.info("commandstats")]
    assert len(used) >= 10
    tier.redis.set_response_callback("COMMAND", lambda reply, **_: reply)
    for name in used:
        (said,) = tier.redis.execute_command("COMMAND", "DOCS", name).values()
        assert said[b"since"] < b"7.1", name


def test_an_error_of_the_script_is_an_error(tier):
    tier.redis.set(PREFIX + "tenants", "not ours")
    with pytest.raises(redis.ResponseError):
        tier.put(1, account())

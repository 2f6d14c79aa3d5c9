"""The in-process tier: its byte bound, and whom SIEVE pushes out."""

import gc
import random
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.cachestore.fair_share import Account
from apps.cachestore.local import Local, size_of
from apps.httpcache import Variants
from tests.httpcache.build import NOW, stored


def held(body=b"x" * 100, **fields):
    return stored([("Cache-Control", "max-age=60"), *fields.items()], body=body)


def key(number):
    return number.to_bytes(32, "big")


def test_what_was_put_is_found_until_it_is_dropped():
    local, one = Local(100_000), held()
    local.put(key(1), one)
    assert local.get(key(1)) is one
    assert local.get(key(2)) is None
    assert (local.stats.entries, local.stats.bytes) == (1, size_of(one)) == (len(local), size_of(one))
    local.drop(key(1))
    local.drop(key(1))
    assert local.get(key(1)) is None
    assert (local.stats.entries, local.stats.bytes) == (0, 0)


def test_putting_again_replaces():
    local, other = Local(100_000), held(b"other")
    local.put(key(1), held())
    local.put(key(1), other)
    assert local.get(key(1)) is other
    assert (local.stats.entries, local.stats.bytes) == (1, size_of(other))


def test_a_capacity_of_nothing_switches_the_tier_off():
    local = Local(0)
    local.put(key(1), held())
    assert local.get(key(1)) is None
    assert len(local) == 0


def test_what_would_push_out_too_much_is_not_kept_and_its_predecessor_goes():
    local = Local(50_000)
    local.put(key(1), held())
    local.put(key(1), held(b"x" * 20_000))
    assert local.get(key(1)) is None
    assert local.stats.bytes == 0


def test_what_was_used_is_spared_and_what_was_only_seen_once_goes():
    one = held()
    local = Local(size_of(one) * 20)
    for number in range(10):
        local.put(key(number), one)
    for _ in range(2):
        assert local.get(key(3)) is one
    for number in range(100, 200):
        local.put(key(number), one)
        assert local.get(key(3)) is one, "a scan doesn't push out what is in use"
    assert local.stats.evictions == 90
    assert local.get(key(0)) is None


def test_when_everything_was_used_something_goes_all_the_same():
    one = held()
    local = Local(size_of(one) * 8)
    for number in range(8):
        local.put(key(number), one)
        local.get(key(number))
    local.put(key(99), one)
    assert len(local) == 8
    assert local.get(key(99)) is one
    assert local.stats.evictions == 1


def test_clearing_forgets_everything():
    local = Local(100_000)
    for number in range(5):
        local.put(key(number), held())
    local.clear()
    assert (len(local), local.stats.bytes, local.stats.entries) == (0, 0, 0)
    local.put(key(1), held())
    assert len(local) == 1


def test_lists_of_variants_count_too():
    index = Variants(((b"a",),), (key(1), key(2)), NOW)
    assert size_of(Variants(((b"a",),), (key(1),), NOW)) < size_of(index)
    local = Local(100_000)
    local.put(key(1), index)
    assert local.get(key(1)) is index


def account(tenant="platform", api="products", caller="acme"):
    return Account(tenant, api, caller)


def fill(local, who, first, count, body=b"x" * 100):
    for number in range(first, first + count):
        local.put(key(number), held(body), who)


def present(local, first, count):
    return sum(local.get(key(number)) is not None for number in range(first, first + count))


ONE = size_of(held())


@pytest.mark.parametrize(
    ("quiet", "flooding"),
    [
        pytest.param(account("y", "y-api"), account("x", "x-api"), id="an-api-of-another-tenant"),
        pytest.param(account("x", "y-api"), account("x", "x-api"), id="another-api-of-the-same-tenant"),
        pytest.param(account(caller="y"), account(caller="x"), id="another-caller-of-the-same-api"),
        pytest.param(account(caller="y"), account(caller=""), id="callers-without-a-name"),
    ],
)
def test_a_flood_leaves_the_others_what_they_have(quiet, flooding):
    local = Local(ONE * 100)
    fill(local, quiet, 0, 40)
    fill(local, flooding, 1000, 500)
    assert present(local, 0, 40) == 40
    assert len(local) == 100, "what the quiet one doesn't need the other may have"
    fill(local, quiet, 40, 40)
    assert 44 <= present(local, 0, 80) <= 56, "and gets back, up to its half, when the quiet one wakes"


def test_one_alone_may_have_all_of_it():
    local = Local(ONE * 100)
    fill(local, account(), 0, 300)
    assert len(local) == 100


def test_a_caller_who_floods_every_api_pushes_out_nobody_else():
    local = Local(ONE * 100)
    for number in range(5):
        fill(local, account(f"owner{number}", f"api{number}", "y"), number * 10, 10)
    for number in range(500):
        who = account(f"owner{number % 5}", f"api{number % 5}", "x")
        local.put(key(1000 + number), held(), who)
    assert present(local, 0, 50) == 50


def test_one_large_answer_takes_from_its_own_first():
    local = Local(ONE * 100)
    fill(local, account("x"), 0, 50)
    fill(local, account("y"), 100, 50)
    local.put(key(999), held(b"x" * (ONE * 9)), account("x"))
    assert local.get(key(999)) is not None
    assert present(local, 100, 50) == 50


def test_a_newcomers_answer_larger_than_what_anybody_has_is_not_kept():
    local = Local(ONE * 100)
    for number in range(20):
        fill(local, account(f"t{number}"), number * 10, 5)
    local.put(key(999), held(b"x" * (ONE * 6)), account("new"))
    assert local.get(key(999)) is None
    assert (len(local), local.stats.evictions) == (100, 0)
    local.put(key(999), held(b"x" * ONE), account("new"))
    assert local.get(key(999)) is not None


def test_an_api_keeps_to_its_own_bound_and_so_does_a_tenant():
    local = Local(ONE * 100, tenant_share=0.5)
    for number in range(60):
        local.put(key(number), held(), account(api="small"), ONE * 10)
    assert len(local) == 10
    fill(local, account(api="other"), 100, 100)
    assert len(local) == 50
    assert present(local, 0, 60) == 10, "the larger API of a tenant gives first"
    local.put(key(999), held(b"x" * ONE * 11), account(api="small"), ONE * 10)
    assert local.get(key(999)) is None
    local.put(key(998), held(), account(api="small"), 0)
    assert local.get(key(998)) is None


def test_who_stores_an_answer_anew_is_charged_for_it():
    local = Local(ONE * 20)
    fill(local, account(caller="x"), 0, 10)
    fill(local, account(caller="y"), 0, 10)
    fill(local, account(caller="x"), 100, 30)
    assert present(local, 0, 10) == 10


def test_what_is_useless_is_swept_out_some_at_a_time():
    local = Local(ONE * 100)
    fill(local, account(), 0, 50)
    useless = {id(local.get(key(number))) for number in range(0, 50, 2)}
    for _ in range(5):
        local.sweep(lambda value: id(value) in useless, 10)
    assert len(local) == 25
    assert present(local, 0, 50) == 25
    assert local.stats.evictions == 0
    local.sweep(lambda value: True, 1000)
    assert (len(local), local.stats.bytes) == (0, 0)
    local.sweep(lambda value: True, 10)


who = st.builds(
    Account, tenant=st.sampled_from("xy"), api=st.sampled_from(["a", "b"]), caller=st.sampled_from(["", "c", "d"])
)
operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "get", "drop", "sweep", "clear"]),
        st.integers(0, 12),
        st.one_of(st.integers(0, 3000), st.integers(0, 40_000)),
        who,
        st.sampled_from([None, None, 0, 4_000, 9_000]),
    ),
    max_size=60,
)


def check_books(local, share):
    """Each share is the sum of its children, or of its queue; returns the entries below it."""
    if not share.bytes:
        return 0
    if not len(share):
        node, count, total = share._end.newer, 0, 0
        while node is not share._end:
            assert node.queue is share
            assert node.older.newer is node
            assert node.newer.older is node
            count, total, node = count + 1, total + node.size, node.newer
        assert share.bytes == total
        return count
    assert not hasattr(share, "_end")
    assert share.bytes == sum(child.bytes for child in share._children.values())
    assert sum(len(peers) for peers in share._classes.values()) == len(share)
    assert all(child.bytes for child in share._children.values())
    return sum(check_books(local, child) for child in share._children.values())


@given(operations, st.sampled_from([0, 10_000, 30_000, 100_000]), st.sampled_from([1.0, 0.5]))
def test_any_sequence_with_any_sizes_keeps_the_bound_and_the_books(steps, capacity, tenant_share):
    local = Local(capacity, tenant_share)
    for what, number, size, account, max_size in steps:
        if what == "put":
            local.put(key(number), held(b"x" * size), account, max_size)
            if max_size is not None:
                api = local._shares.child(account.tenant).child(account.api)
                assert api.bytes <= max_size
        elif what == "get":
            local.get(key(number))
        elif what == "drop":
            local.drop(key(number))
        elif what == "sweep":
            local.sweep(lambda value, size=size: value.size > size, number)
        else:
            local.clear()
        assert local.stats.bytes <= capacity
        assert all(child.bytes <= capacity * tenant_share for child in local._shares._children.values())
        assert local.stats.entries == len(local) == check_books(local, local._shares)
        assert local.stats.bytes == local._shares.bytes
        assert local.stats.bytes == sum(
            size_of(value) for n in range(13) if (value := local._nodes.get(key(n))) and (value := value.value)
        )
    local.clear()
    assert (local.stats.bytes, len(local._shares)) == (0, 0)


@pytest.mark.parametrize("mix", ["1 kB, every caller another", "10 B to 5 MB, log-uniform"])
def test_a_workers_memory_grows_by_the_bound_and_hardly_more(mix):
    """With everything that Python and the C library add, and three times as much stored as fits."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", mix, "12"], capture_output=True, text=True, check=True, timeout=120
    )
    *_, booked, resident, _ = ran.stdout.split()
    assert 9 <= float(booked) <= 12
    assert float(resident) <= 12 * 1.15


@pytest.mark.parametrize("sizes", [(0, 50), (500, 3000), (0, 200_000), (100_000, 240_000)])
def test_the_bound_holds_in_real_memory(sizes):
    draw = random.Random(7)
    capacity = 4 * 2**20
    gc.collect()
    tracemalloc.start()
    try:
        local = Local(capacity)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(3000 if sizes[1] < 10_000 else 200):
            body = draw.randbytes(draw.randint(*sizes))
            fields = {f"X-{index}": "v" * draw.randint(1, 80) + str(number) for index in range(draw.randint(0, 12))}
            local.put(key(number), held(body, **fields))
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert local.stats.evictions > 0
    assert used <= capacity

"""The in-process tier: its byte bound, and whom SIEVE pushes out."""

import gc
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.caching.http import Variants
from apps.caching.local import Local, size_of
from tests.caching.http.build import NOW, stored


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


operations = st.lists(
    st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 12), st.integers(0, 3000)), max_size=60
)


@given(operations, st.sampled_from([0, 10_000, 30_000]))
def test_any_sequence_keeps_the_bound_and_the_books(steps, capacity):
    local = Local(capacity)
    for what, number, size in steps:
        if what == "put":
            local.put(key(number), held(b"x" * size))
        elif what == "get":
            local.get(key(number))
        else:
            local.drop(key(number))
        assert local.stats.bytes <= capacity
        assert local.stats.entries == len(local)
    assert local.stats.bytes == sum(size_of(value) for number in range(13) if (value := local.get(key(number))))
    while len(local):
        local._evict()
    assert local.stats.bytes == 0


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

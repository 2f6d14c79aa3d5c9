"""Who takes how much of a tier: sums, and who gives first."""

from hypothesis import given
from hypothesis import strategies as st

from apps.cachestore.fair_share import Share


def test_what_is_charged_is_charged_to_everything_above():
    root = Share()
    leaf = root.child("tenant").child("api").child("caller")
    assert len(root) == 0
    leaf.charge(500)
    root.child("tenant").child("other").child("caller").charge(300)
    assert (root.bytes, root.child("tenant").bytes, leaf.bytes) == (800, 800, 500)
    assert root.child("tenant").child("api").child("caller") is leaf
    leaf.charge(-500)
    assert (root.bytes, len(root), len(root.child("tenant"))) == (300, 1, 1)
    root.child("tenant").child("other").child("caller").charge(-300)
    assert (root.bytes, len(root)) == (0, 0)


def test_the_largest_gives_first_at_each_level():
    root = Share()
    for tenant, api, caller, size in (
        ("a", "x", "", 1000),
        ("b", "y", "p", 700),
        ("b", "z", "p", 200),
        ("b", "y", "q", 100),
    ):
        root.child(tenant).child(api).child(caller).charge(size)
    assert root.largest() is root.child("a").child("x").child("")
    root.child("b").child("z").child("p").charge(300)
    assert root.largest() is root.child("b").child("y").child("p")
    alone = Share()
    assert alone.largest() is alone


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5_000_000)), min_size=1))
def test_what_is_said_to_be_the_largest_is_nearly_so(sizes):
    root = Share()
    taken = {}
    for number, size in sizes:
        share = root.child(str(number))
        share.charge(size - share.bytes)
        taken[number] = size
    largest = max(taken.values())
    assert root.bytes == sum(taken.values())
    assert len(root) == sum(size > 0 for size in taken.values())
    if largest:
        assert largest * 8 / 9 <= root.largest_child().bytes <= largest
